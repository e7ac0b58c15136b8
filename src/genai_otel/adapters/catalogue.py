"""The table of supported libraries: what README, docs, status and conformance are made from."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from genai_otel.instrumentation.adapter import Adapter

if TYPE_CHECKING:
    from genai_otel.instrumentation.adapter import Bridge, Patch


class Entry(NamedTuple):
    """One library; the only place for its distribution, tested versions and documentation.

    Its adapter is loaded when ``module``, or one of ``more``, has been imported; every patched
    module is imported later, or is below these.
    """

    name: str
    distribution: str
    module: str
    versions: str
    kind: str
    docs: str
    more: tuple[str, ...] = ()


CATALOGUE: tuple[Entry, ...] = (
    Entry("openai", "openai", "openai", ">=1.40,<4", "model client", "docs/openai.md"),
    Entry(
        "anthropic",
        "anthropic",
        "anthropic",
        ">=0.40,<3",
        "model client",
        "docs/anthropic.md",
    ),
    Entry("bedrock", "botocore", "botocore", ">=1.34.116,<2", "model client", "docs/bedrock.md"),
    Entry("groq", "groq", "groq", ">=0.9,<2", "model client", "docs/openai.md"),
    Entry("together", "together", "together", ">=2,<4", "model client", "docs/openai.md"),
    Entry("fireworks", "fireworks-ai", "fireworks", ">=1,<2", "model client", "docs/openai.md"),
    Entry(
        "cerebras",
        "cerebras-cloud-sdk",
        "cerebras.cloud.sdk",
        ">=1,<2",
        "model client",
        "docs/openai.md",
    ),
    Entry("cohere", "cohere", "cohere", ">=5.17,<8", "model client", "docs/cohere.md"),
    Entry(
        "google_genai",
        "google-genai",
        "google.genai",
        ">=1.10,<4",
        "model client",
        "docs/google-genai.md",
    ),
    Entry(
        "huggingface_hub",
        "huggingface_hub",
        "huggingface_hub",
        ">=1,<3",
        "model client",
        "docs/huggingface.md",
    ),
    Entry("litellm", "litellm", "litellm", ">=1.100,<2", "model client", "docs/litellm.md"),
    Entry(
        "mistralai",
        "mistralai",
        "mistralai",
        ">=1,<4",
        "model client",
        "docs/mistral.md",
        more=("mistralai_gcp", "mistralai_azure"),
    ),
    Entry("ollama", "ollama", "ollama", ">=0.4,<1", "model client", "docs/ollama.md"),
    Entry(
        "azure_ai_inference",
        "azure-ai-inference",
        "azure.ai.inference",
        ">=1.0.0b5,<2",
        "model client",
        "docs/more-clients.md",
    ),
    Entry("xai_sdk", "xai-sdk", "xai_sdk", ">=1.21,<2", "model client", "docs/more-clients.md"),
    Entry(
        "vertexai",
        "google-cloud-aiplatform",
        "vertexai",
        ">=1.71,<3",
        "model client",
        "docs/more-clients.md",
    ),
    Entry(
        "watsonx",
        "ibm-watsonx-ai",
        "ibm_watsonx_ai",
        ">=1.8,<2",
        "model client",
        "docs/more-clients.md",
    ),
    Entry("voyageai", "voyageai", "voyageai", ">=0.3,<1", "model client", "docs/more-clients.md"),
    Entry(
        "replicate", "replicate", "replicate", ">=0.25,<2", "model client", "docs/more-clients.md"
    ),
    Entry(
        "transformers",
        "transformers",
        "transformers",
        ">=4.40,<6",
        "model in process",
        "docs/more-clients.md",
    ),
    Entry(
        "llama_cpp",
        "llama-cpp-python",
        "llama_cpp",
        ">=0.2,<1",
        "model in process",
        "docs/more-clients.md",
    ),
    Entry(
        "xllamacpp",
        "xllamacpp",
        "xllamacpp",
        ">=2025.1,<2028",
        "model in process",
        "docs/more-clients.md",
    ),
    Entry("vllm", "vllm", "vllm", ">=0.6,<1", "model in process", "docs/more-clients.md"),
    Entry(
        "langchain",
        "langchain-core",
        "langchain_core",
        ">=0.3,<2",
        "framework",
        "docs/langchain.md",
    ),
    Entry("chroma", "chromadb", "chromadb", ">=0.5,<2", "vector store", "docs/stores.md"),
    Entry(
        "qdrant",
        "qdrant-client",
        "qdrant_client",
        ">=1.10,<2",
        "vector store",
        "docs/stores.md",
    ),
)

_FOLDERS = {
    "model client": "clients",
    "model in process": "clients",
    "framework": "frameworks",
    "vector store": "stores",
}
_BY_NAME = {entry.name: entry for entry in CATALOGUE}
NAMES = tuple(_BY_NAME)


def declare(name: str, patches: tuple[Patch, ...] = (), bridge: Bridge | None = None) -> Adapter:
    """Return the adapter of a library in this table, with its row's distribution and versions."""
    entry = _BY_NAME[name]
    return Adapter(name, entry.distribution, entry.versions, patches, bridge)


def module_of(name: str) -> str:
    """Return the name of the module with that library's adapter."""
    return f"{__package__}.{_FOLDERS[_BY_NAME[name].kind]}.{name}"


def load(name: str) -> Adapter:
    """Import that library's adapter; the library itself is not imported."""
    adapter: Adapter = import_module(module_of(name)).ADAPTER
    return adapter
