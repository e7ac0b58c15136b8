"""LiteLLM: chat, text completion, responses, embeddings, reranking, images, speech, transcripts.

It owns the call: the client that it uses below joins it. Its callbacks are left alone. Newer
versions hand calls over to ``litellm.main``; both are observed, and the inner one joins. Moderation
is OpenAI's client alone, which is recorded by itself.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Extractor
from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_first_dict,
    get_int,
    get_str,
    host_and_port,
)
from genai_otel.instrumentation.patchers.function import (
    patch_function,
    patch_note,
    patch_stream_class,
)
from genai_otel.instrumentation.unreturned import body_of, local_in_error, reply_in_error
from genai_otel.record import Kind, text

from . import _anthropic_wire as anthropic
from . import _converse_wire as converse
from . import _openai_responses as responses
from . import _openai_wire as wire
from . import google_genai, ollama
from ._openai_chunks import ChatChunks
from .cohere import read_query, read_ranking
from .openai import ROUTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.instrumentation.adapter import Patch
    from genai_otel.record import Operation

# LiteLLM's name of a provider, which models have before a slash -> the convention's.
_PROVIDERS = {
    "anthropic": "anthropic",
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "deepseek": "deepseek",
    "fireworks_ai": "fireworks",
    "gemini": "gcp.gemini",
    "groq": "groq",
    "hosted_vllm": "vllm",
    "huggingface": "huggingface",
    "mistral": "mistral_ai",
    "ollama": "ollama",
    "ollama_chat": "ollama",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together_ai": "together",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
# Arguments with the server's address; a router passes its options to all providers.
_REGIONS = {"gcp.vertex_ai": "vertex_location", "aws.bedrock": "aws_region_name"}


def _split(given: Json) -> tuple[str | None, str | None]:
    """Provider and model, as far as the caller has said them."""
    asked, told = get_str(given, "model"), get_str(given, "custom_llm_provider")
    start, slash, rest = (asked or "").partition("/")
    if slash and start in _PROVIDERS:
        return start, rest
    return told, asked


def _origin(given: Json, op: Operation) -> None:
    provider, _ = _split(given)
    if provider is not None:
        op.provider = _PROVIDERS.get(provider, provider)
    places = [key for whose, key in _REGIONS.items() if op.provider in {None, whose}]
    op.region = next((found for key in places if (found := get_str(given, key))), None)
    url = get_str(given, "api_base") or get_str(given, "base_url")
    if url is not None:
        op.host, op.port = host_and_port(url)


def _read_model(given: Json) -> str | None:
    return _split(given)[1]


def _read_provider(reply: Any, op: Operation) -> None:
    """Which provider it was, where the model's name did not tell."""
    if op.provider is None:
        hidden = as_dict(getattr(reply, "_hidden_params", None))
        provider = get_str(hidden, "custom_llm_provider")
        op.provider = None if provider is None else _PROVIDERS.get(provider, provider)


# It counts the tokens of these providers itself, whatever they say.
_COUNTED_HERE = frozenset(
    {"a2a", "langflow", "langgraph", "petals", "predibase", "replicate", "sagemaker", "triton"}
)
# The estimation method's name, where LiteLLM has counted with its own tokenizer.
ESTIMATED = "litellm"


class _Refused(NamedTuple):
    """The reply of a provider, in its own words, that LiteLLM could not make into its own."""

    body: Json


def _response_from_error(error: BaseException) -> _Refused | None:
    """In the error that LiteLLM has put another one in the place of."""
    origin = local_in_error(error, "exception_type", "original_exception")
    body = as_dict(reply_in_error(origin if isinstance(origin, BaseException) else error))
    return _Refused(body) if body else None


# What shows whose words they are -> how these are read.
_WORDS: dict[str, Callable[[Any, Operation], None]] = {
    "usageMetadata": google_genai.read_response,
    "prompt_eval_count": ollama.read_response,
    "stop_reason": anthropic.read_response,
    "stopReason": converse.read_response,
}


def _read_response(reply: Any, op: Operation) -> None:
    if type(reply) is _Refused:
        read = (read for key, read in _WORDS.items() if key in reply.body)
        next(read, wire.read_chat_response)(reply.body, op)
        return
    wire.read_chat_response(_without_zeros(reply), op)
    _read_provider(reply, op)
    _mark(reply, op)


def _without_zeros(reply: Any) -> Json:
    """Without the usage that it fills in where the provider has told none: no prompt has 0."""
    found = as_dict(reply)
    usage = get_dict(found, "usage")
    if get_int(usage, "prompt_tokens") or get_int(usage, "completion_tokens"):
        return found
    return {**found, "usage": None}


def _mark(reply: Any, op: Operation) -> None:
    provider = get_str(as_dict(getattr(reply, "_hidden_params", None)), "custom_llm_provider")
    if provider in _COUNTED_HERE and op.usage.input is not None:
        op.usage.estimated = ESTIMATED


def _count_missing(body: Json, op: Operation) -> None:
    if get_int(body, "prompt_eval_count") is None or (
        op.kind is not Kind.EMBEDDINGS and get_int(body, "eval_count") is None
    ):
        op.usage.estimated = ESTIMATED


def _ollama_reply(given: Json, op: Operation) -> None:
    _count_missing(as_dict(body_of(given.get("raw_response"))), op)


def _ollama_vectors(given: Json, op: Operation) -> None:
    _count_missing(as_dict(given.get("response_json")), op)


def _bedrock_reply(given: Json, op: Operation) -> None:
    """Of InvokeModel, whose counts are in the headers of the answer."""
    headers = getattr(given.get("raw_response"), "headers", {})
    if not all(headers.get(f"x-amzn-bedrock-{way}-token-count") for way in ("input", "output")):
        op.usage.estimated = ESTIMATED


def _uncounted(_given: Json, op: Operation) -> None:
    """LiteLLM runs this only where the provider has not counted."""
    op.usage.estimated = ESTIMATED


_LLMS = "litellm.llms"
_INVOKE = f"{_LLMS}.bedrock.chat.invoke_transformations"
# Where LiteLLM fills in a count of its own if the provider's is missing. A reply is read before it
# is made into LiteLLM's, which does not say whose count it holds.
_ESTIMATING = {
    f"{_LLMS}.ollama.chat.transformation:OllamaChatConfig.transform_response": _ollama_reply,
    f"{_LLMS}.ollama.completion.transformation:OllamaConfig.transform_response": _ollama_reply,
    f"{_LLMS}.ollama.completion.handler:_process_ollama_embedding_response": _ollama_vectors,
    f"{_INVOKE}.base_invoke_transformation:AmazonInvokeConfig.transform_response": _bedrock_reply,
    f"{_INVOKE}.amazon_twelvelabs_pegasus_transformation"
    ":AmazonTwelveLabsPegasusConfig.transform_response": _bedrock_reply,
    f"{_LLMS}.bedrock.chat.agentcore.transformation"
    ":AmazonAgentCoreConfig._calculate_usage": _uncounted,
    f"{_LLMS}.databricks.agent.transformation:DatabricksAgentConfig._estimated_usage": _uncounted,
    f"{_LLMS}.anthropic.completion.transformation:AnthropicTextConfig.transform_response": (
        _uncounted
    ),
    f"{_LLMS}.huggingface.rerank.transformation"
    ":HuggingFaceRerankConfig.transform_rerank_response": _uncounted,
    f"{_LLMS}.triton.embedding.transformation"
    ":TritonEmbeddingConfig._build_embedding_usage": _uncounted,
}


class _Chunks(ChatChunks):
    """OpenAI's chunks, each of which knows the provider.

    At the end of a stream LiteLLM gives a usage of its own making: the provider's, if one of the
    chunks that it received had any, else an estimate. Where the caller has not asked for it, it is
    in the last chunk's hidden parameters, which change until the stream is over.
    """

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._stream: Any = None
        self._hidden: Any = None

    def set_stream(self, stream: Any) -> None:
        self._stream = ref(stream)

    def add(self, chunk: Any) -> bool:
        _read_provider(chunk, self._op)
        self._hidden = getattr(chunk, "_hidden_params", None)
        found = as_dict(chunk)
        if found.get("usage") is not None and not self._is_counted():
            chunk = {**found, "usage": None}
        return super().add(chunk)

    def _is_counted(self) -> bool:
        """Whether the provider has told a usage, as far as can be seen."""
        stream = None if self._stream is None else self._stream()
        if stream is None:
            return self._stream is None
        received = getattr(stream, "chunks", None)
        if type(received) is not list:
            return False
        return any(as_dict(each).get("usage") is not None for each in reversed(received))

    def finish(self) -> None:
        if "usage" not in self._head and self._stream is not None and self._is_counted():
            usage = as_dict(as_dict(self._hidden).get("usage"))
            if usage:
                self._head["usage"] = usage
        super().finish()


def _read_prompt(given: Json, op: Operation) -> None:
    words = get_str(given, "prompt")
    op.input = [{"role": "user", "parts": [text(words)]}] if words is not None else None


def _read_responses_response(reply: Any, op: Operation) -> None:
    responses.read_response(reply, op)
    _read_provider(reply, op)


def _read_texts(given: Json, op: Operation) -> None:
    texts = given.get("input")
    if type(texts) is str or (type(texts) is list and all(type(each) is str for each in texts)):
        op.arguments = texts


def _read_embeddings(reply: Any, op: Operation) -> None:
    _read_provider(reply, op)
    reply = as_dict(reply)
    wire.read_response(reply, op)
    op.usage.input = get_int(get_dict(reply, "usage"), "prompt_tokens") or None
    vector = get_first_dict(reply, "data").get("embedding")
    op.dimensions = len(vector) if type(vector) is list else None


_extractor = partial(Extractor, read_model=_read_model)
_CHAT = _extractor(
    Kind.CHAT,
    wire.read_chat_request,
    _read_response,
    wire.read_chat_content,
    _Chunks,
    response_from_error=_response_from_error,
)
_TEXT = _extractor(Kind.COMPLETION, wire.read_request, _read_response, _read_prompt, _Chunks)
_RESPONSE = _extractor(
    Kind.CHAT,
    responses.read_request,
    _read_responses_response,
    responses.read_content,
    responses.ResponseEvents,
)
_EMBED = _extractor(Kind.EMBEDDINGS, wire.read_request, _read_embeddings, _read_texts)
_RERANK = _extractor(Kind.RERANK, wire.read_request, read_ranking, read_query)


_IMAGE, _SPEECH, _TRANSCRIPT = (
    ROUTES[route]._replace(read_model=_read_model)
    for route in ("/images/generations", "/audio/speech", "/audio/transcriptions")
)


def _sync_and_async(
    place: str, name: str, extractor: Extractor, flag: str = ""
) -> tuple[Patch, Patch]:
    """A function and its asynchronous twin, which calls it with a flag: that is no other call."""

    def plain(given: Json) -> Extractor | None:
        return None if given.get(flag or f"a{name}") is True else extractor

    method = partial(patch_function, origin=_origin, optional=True)
    return method(f"{place}:{name}", plain), method(f"{place}:a{name}", extractor)


ADAPTER = declare(
    "litellm",
    patches=(
        *_sync_and_async("litellm.main", "completion", _CHAT),
        *_sync_and_async("litellm.main", "text_completion", _TEXT),
        *_sync_and_async("litellm.main", "embedding", _EMBED),
        *_sync_and_async("litellm.responses.main", "responses", _RESPONSE),
        *_sync_and_async("litellm.rerank_api.main", "rerank", _RERANK),
        *_sync_and_async("litellm.images.main", "image_generation", _IMAGE, "aimg_generation"),
        *_sync_and_async("litellm.main", "speech", _SPEECH),
        *_sync_and_async("litellm.main", "transcription", _TRANSCRIPT),
        *_sync_and_async("litellm.chat_completions.dispatch", "completion", _CHAT),
        *_sync_and_async("litellm.embeddings.dispatch", "embedding", _EMBED),
        *_sync_and_async("litellm.responses.dispatch", "responses", _RESPONSE),
        *(patch_note(target, note) for target, note in _ESTIMATING.items()),
        *patch_stream_class("litellm.litellm_core_utils.streaming_handler:CustomStreamWrapper"),
        *patch_stream_class("litellm.responses.streaming_iterator:ResponsesAPIStreamingIterator"),
        *patch_stream_class(
            "litellm.responses.streaming_iterator:SyncResponsesAPIStreamingIterator"
        ),
    ),
)
