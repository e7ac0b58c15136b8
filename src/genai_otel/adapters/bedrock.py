"""Amazon Bedrock through boto3, botocore and aiobotocore: models, agents, flows, guardrails.

Also SageMaker's endpoints, whose bodies are of no known shape: their calls are told, not what they
say.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.engine.adapter import Accumulator, Adapter, Reader
from genai_otel.engine.families.botocore import Route, botocore
from genai_otel.engine.read import Json, fields, integer, mapping, mappings, string
from genai_otel.record import Kind, Pieces, Verdict, text
from genai_otel.record.usage import BEDROCK_CONVERSE, read_usage

from . import _converse_wire as converse
from . import _invoke_wire as invoke

if TYPE_CHECKING:
    from genai_otel.record import Document, Operation

_TOKENS = {
    "x-amzn-bedrock-input-token-count": "inputTokenCount",
    "x-amzn-bedrock-output-token-count": "outputTokenCount",
    "x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokenCount",
    "x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokenCount",
}


def _headers(told: Json, op: Operation) -> None:
    """InvokeModel's counts, which not every body has, and the time that the model took."""
    counts = {name: int(told[key]) for key, name in _TOKENS.items() if told.get(key, "").isdigit()}
    if counts:
        read_usage(counts, op.usage, BEDROCK_CONVERSE)
    if told.get("x-amzn-bedrock-performanceconfig-latency") == "optimized":
        op.tier = "optimized"
    elif op.tier is None:
        op.tier = told.get("x-amzn-bedrock-service-tier")
    took = told.get("x-amzn-bedrock-invocation-latency", "")
    if took.isdigit():
        op.timing.server = int(took) / 1000


def _model(params: Json) -> str | None:
    return string(params, "modelId")


def _nothing(_params: Json, _op: Operation) -> None: ...


_CONVERSE = Reader(
    Kind.CHAT, converse.ask, converse.answer, converse.content, converse.Events, model=_model
)
_INVOKE = {
    kind: Reader(kind, invoke.ask, invoke.answer, invoke.content, invoke.Chunks, model=_model)
    for kind in (Kind.CHAT, Kind.COMPLETION, Kind.EMBEDDINGS, Kind.RERANK, Kind.GENERATION)
}


def _invoke(params: Json) -> Reader:
    return _INVOKE[invoke.kind(params)]


# ------------------------------------------------------------------------ guardrails, retrieval


def _guarded_content(params: Json, op: Operation) -> None:
    blocks = [mapping(block, "text") for block in mappings(params, "content")]
    op.arguments = [words for block in blocks if (words := string(block, "text")) is not None]


def _guarded(reply: Any, op: Operation) -> None:
    """What an intervention means, masked or denied, only ``NONE`` says for certain."""
    reply = fields(reply)
    action = string(reply, "action")
    if action is not None:
        denied = action == "GUARDRAIL_INTERVENED"
        reason = string(reply, "actionReason") if op.capture else None
        op.verdict = Verdict("deny" if denied else "allow", reason=reason)


def _guardrail(params: Json, op: Operation) -> None:
    told = {
        "policy_id": string(params, "guardrailIdentifier"),
        "policy_version": string(params, "guardrailVersion"),
    }
    op.details = {key: value for key, value in told.items() if value is not None}


def _query(params: Json, op: Operation) -> None:
    config = mapping(mapping(params, "retrievalConfiguration"), "vectorSearchConfiguration")
    wanted = integer(config, "numberOfResults")
    op.params = {} if wanted is None else {"retrieved": wanted}


def _query_content(params: Json, op: Operation) -> None:
    op.query = string(mapping(params, "retrievalQuery"), "text")


def _found(reply: Any, op: Operation) -> None:
    results = mappings(fields(reply), "retrievalResults")
    op.documents = [_document(result, capture=op.capture) for result in results]


def _document(result: Json, *, capture: bool) -> Document:
    place = mapping(result, "location")
    source = next((fields(value) for value in place.values() if type(value) is dict), {})
    found: Document = {"id": string(source, "uri") or string(source, "url") or ""}
    score, words = result.get("score"), string(mapping(result, "content"), "text")
    if type(score) is float:
        found["score"] = score
    if capture and words is not None:
        found["content"] = words
    return found


def _rag_model(params: Json) -> str | None:
    config = mapping(params, "retrieveAndGenerateConfiguration")
    kinds = ("knowledgeBaseConfiguration", "externalSourcesConfiguration")
    return next((m for kind in kinds if (m := string(mapping(config, kind), "modelArn"))), None)


def _rag_content(params: Json, op: Operation) -> None:
    _hear(string(mapping(params, "input"), "text"), op)


def _rag_answer(reply: Any, op: Operation) -> None:
    reply = fields(reply)
    cited = [
        ref for c in mappings(reply, "citations") for ref in mappings(c, "retrievedReferences")
    ]
    op.documents = [_document(ref, capture=op.capture) for ref in cited]
    _say(string(mapping(reply, "output"), "text"), op)


class _RagEvents(Accumulator):
    """An answer in pieces, and what it was made of."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._said = Pieces(op)
        self._cited: list[Document] = []

    def add(self, event: Any) -> bool:
        event, capture = fields(event), self._op.capture
        words = string(mapping(event, "output"), "text")
        self._said.add(words or "")
        told = mapping(event, "citation")
        references = mappings(mapping(told, "citation") or told, "retrievedReferences")
        self._cited.extend(_document(each, capture=capture) for each in references[:_CITED])
        del self._cited[_CITED:]
        return bool(words)

    def close(self) -> None:
        self._op.documents = self._cited
        _say(self._said.whole(), self._op)


_CITED = 100
"""References of one answer that are told."""


def _reranker(params: Json) -> str | None:
    config = mapping(mapping(params, "rerankingConfiguration"), "bedrockRerankingConfiguration")
    return string(mapping(config, "modelConfiguration"), "modelArn")


def _rerank_content(params: Json, op: Operation) -> None:
    queries = (mapping(query, "textQuery") for query in mappings(params, "queries"))
    op.query = next((words for query in queries if (words := string(query, "text"))), None)


def _reranked(reply: Any, op: Operation) -> None:
    op.documents = []
    for result in mappings(fields(reply), "results"):
        document: Document = {"id": str(result.get("index", ""))}
        if type(result.get("relevanceScore")) is float:
            document["score"] = result["relevanceScore"]
        op.documents.append(document)


# ------------------------------------------------------------------------------ agents and flows


def _hear(words: str | None, op: Operation) -> None:
    if words is not None:
        op.input = [{"role": "user", "parts": [text(words)]}]


def _say(words: str | None, op: Operation) -> None:
    if op.capture and words:
        op.output = [{"role": "assistant", "parts": [text(words)]}]


def _session(params: Json, op: Operation) -> None:
    session = string(params, "sessionId") or string(params, "executionId")
    op.params = {} if session is None else {"conversation": session}


def _agent_content(params: Json, op: Operation) -> None:
    _hear(string(params, "inputText"), op)
    told = string(params, "instruction")
    op.system = [text(told)] if told is not None else None


def _flow_content(params: Json, op: Operation) -> None:
    for node in mappings(params, "inputs"):
        _hear(string(mapping(node, "content"), "document"), op)


class _AgentEvents(Accumulator):
    """What an agent says, and what its models used, which its traces tell if they are asked for."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._said = Pieces(op)
        self._used: list[Json] = []

    def add(self, event: Any) -> bool:
        event = fields(event)
        piece = mapping(event, "chunk").get("bytes")
        words = piece.decode(errors="replace") if type(piece) is bytes else _flow_words(event)
        self._said.add(words or "")
        self._used.extend(_model_usage(event))
        return bool(words)

    def close(self) -> None:
        for name in ("inputTokens", "outputTokens") if self._used else ():
            total = sum(integer(used, name) or 0 for used in self._used)
            read_usage({name: total}, self._op.usage, BEDROCK_CONVERSE)
        _say(self._said.whole(), self._op)


def _flow_words(event: Json) -> str | None:
    return string(mapping(mapping(event, "flowOutputEvent"), "content"), "document")


def _model_usage(event: Json) -> list[Json]:
    traces = mapping(mapping(event, "trace"), "trace").values()
    outputs = (mapping(fields(trace), "modelInvocationOutput") for trace in traces)
    return [used for out in outputs if (used := mapping(mapping(out, "metadata"), "usage"))]


_agent = partial(
    Reader, Kind.AGENT, _session, lambda _reply, _op: None, _agent_content, _AgentEvents
)
_FLOW = Reader(Kind.WORKFLOW, _session, lambda _reply, _op: None, _flow_content, _AgentEvents)


def _named(*keys: str) -> Any:
    return lambda params: next((name for key in keys if (name := string(params, key))), None)


_ENDPOINT = Reader(
    Kind.COMPLETION, _nothing, lambda _reply, _op: None, model=_named("EndpointName")
)
_RUNTIME, _AGENTS = "bedrock-runtime", "bedrock-agent-runtime"
_route = partial(Route, "aws.bedrock")

ROUTES = {
    (_RUNTIME, "Converse"): _route(_CONVERSE),
    (_RUNTIME, "ConverseStream"): _route(_CONVERSE, stream=True),
    (_RUNTIME, "InvokeModel"): _route(_invoke),
    (_RUNTIME, "InvokeModelWithResponseStream"): _route(_invoke, stream=True),
    (_RUNTIME, "ApplyGuardrail"): _route(
        Reader(Kind.GUARDRAIL, _guardrail, _guarded, _guarded_content),
        _named("guardrailIdentifier"),
    ),
    (_AGENTS, "InvokeAgent"): _route(_agent(), _named("agentId"), stream=True),
    (_AGENTS, "InvokeInlineAgent"): _route(
        _agent(model=lambda params: string(params, "foundationModel")),
        _named("agentName"),
        stream=True,
    ),
    (_AGENTS, "InvokeFlow"): _route(_FLOW, _named("flowIdentifier"), stream=True),
    (_AGENTS, "Retrieve"): _route(
        Reader(Kind.RETRIEVAL, _query, _found, _query_content), _named("knowledgeBaseId")
    ),
    (_AGENTS, "RetrieveAndGenerate"): _route(
        Reader(Kind.CHAT, _session, _rag_answer, _rag_content, model=_rag_model)
    ),
    (_AGENTS, "RetrieveAndGenerateStream"): _route(
        Reader(Kind.CHAT, _session, _rag_answer, _rag_content, _RagEvents, model=_rag_model),
        stream=True,
    ),
    (_AGENTS, "Rerank"): _route(
        Reader(Kind.RERANK, _nothing, _reranked, _rerank_content, model=_reranker)
    ),
    ("sagemaker-runtime", "InvokeEndpoint"): Route("aws.sagemaker", _ENDPOINT),
    ("sagemaker-runtime", "InvokeEndpointWithResponseStream"): Route(
        "aws.sagemaker", _ENDPOINT, stream=True
    ),
}

ADAPTER = Adapter(
    name="bedrock",
    distribution="botocore",
    oldest="1.34.116",
    untested="2",
    patches=botocore(ROUTES, _headers),
)
