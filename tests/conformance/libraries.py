"""The libraries of the table: a further one adds a line here, beside a file of rows of its own."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from genai_otel.adapters.catalogue import CATALOGUE

if TYPE_CHECKING:
    from tests.conformance.table import Library

ROWS = {
    "anthropic": "anthropic_rows",
    "bedrock": "bedrock_rows",
    "google_genai": "google_rows",
    "mistralai": "mistral_rows",
    "cohere": "cohere_rows",
    "ollama": "ollama_rows",
    "huggingface_hub": "huggingface_rows",
    "azure_ai_inference": "azure_rows",
    "litellm": "litellm_rows",
    "openai": "openai_rows",
    **dict.fromkeys(("groq", "together", "fireworks", "cerebras"), "kin_rows"),
}
"""Each library, by its name in the catalogue -> the module here whose `LIBRARY` has its rows."""

_UNSERVED = (
    "tests/provider does not serve its API yet; tested in tests/adapters/test_more_clients.py"
)
_IN_PROCESS = "runs in this process, so there are no requests to compare"
_STORE = "a vector store without models; it has its own tests"
_OTHERS = "tested in tests/adapters, in a separate environment and with a separate server"
WITHOUT_ROWS = {
    "chroma": _STORE,
    "langchain": "a framework without client methods; it has its own tests",
    "qdrant": _STORE,
    "voyageai": _UNSERVED,
    "replicate": _UNSERVED,
    "transformers": _IN_PROCESS,
    "llama_cpp": _IN_PROCESS,
    "vllm": _IN_PROCESS,
    "xllamacpp": _IN_PROCESS,
    "vertexai": _OTHERS,
    "watsonx": _OTHERS,
    "xai_sdk": _OTHERS,
}
"""Libraries of the catalogue that have none, each with the reason."""


def installed(name: str) -> bool:
    """Whether the library itself is there to be called."""
    (module,) = (entry.module for entry in CATALOGUE if entry.name == name)
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it would be in
        return False


def rows(name: str) -> Library:
    """Those of one library; a module that has several makes them by name."""
    module = import_module(f"{__package__}.{ROWS[name]}")
    library: Library = module.library(name) if hasattr(module, "library") else module.LIBRARY
    return library


LIBRARIES = {name: rows(name) for name in ROWS if installed(name)}
"""Those that can be called here."""
