"""Amazon Bedrock through boto3, botocore and aiobotocore: models, agents, flows, guardrails.

Also SageMaker's endpoints, whose bodies are of no known shape: their calls are told, not what they
say.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Adapter, Reader
from genai_otel.instrumentation.fields import Json, fields, mapping, mappings, string
from genai_otel.instrumentation.patchers.botocore import Route, botocore
from genai_otel.instrumentation.unreturned import json_text, local_in_error
from genai_otel.record import Kind, Verdict, bounded
from genai_otel.record.usage import BEDROCK_CONVERSE, read_usage

from . import _bedrock_agents as agents
from . import _bedrock_knowledge as knowledge
from . import _converse_wire as converse
from . import _invoke_wire as invoke
from ._converse_parts import parts

if TYPE_CHECKING:
    from genai_otel.record import Operation

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


def _refused(error: BaseException) -> Json | None:
    """The event that the client was parsing."""
    event = fields(local_in_error(error, "_parse_event", "event"))
    kind = string(mapping(event, "headers"), ":event-type")
    said = json_text(event.get("payload"))
    return None if kind is None or said is None else {kind: said}


_CONVERSE = Reader(
    Kind.CHAT,
    converse.ask,
    converse.answer,
    converse.content,
    converse.Events,
    model=_model,
    refused=_refused,
)
_INVOKE = {
    kind: Reader(kind, invoke.ask, invoke.answer, invoke.content, invoke.Chunks, model=_model)
    for kind in (Kind.CHAT, Kind.COMPLETION, Kind.EMBEDDINGS, Kind.RERANK, Kind.GENERATION)
}


def _invoke(params: Json) -> Reader:
    return _INVOKE[invoke.kind(params)]


# ---------------------------------------------------------------------------------- guardrails


def _guarded_content(params: Json, op: Operation) -> None:
    given = parts(
        {"content": [{"guardContent": b} for b in mappings(params, "content")]}, "content"
    )
    op.arguments = [part.get("content", part) for part in given]


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


def _checked_content(params: Json, op: Operation) -> None:
    op.arguments = [
        {"role": string(turn, "role") or "user", "parts": parts(turn, "content")}
        for turn in mappings(params, "messages")
    ]


def _checked(reply: Any, op: Operation) -> None:
    """Scores, of which the caller makes the verdict."""
    if op.capture:
        op.result = bounded(fields(reply).get("results"))


def _checks(params: Json) -> str | None:
    """Which were asked for: there is no guardrail that would have a name."""
    return ", ".join(sorted(mapping(params, "checks"))) or None


# ------------------------------------------------------------------------------------- the table

_agent = partial(
    Reader,
    Kind.AGENT,
    agents.session,
    lambda _reply, _op: None,
    agents.agent_content,
    agents.AgentEvents,
)
_FLOW = Reader(
    Kind.WORKFLOW,
    agents.session,
    lambda _reply, _op: None,
    agents.flow_content,
    agents.AgentEvents,
)
_RAG = Reader(
    Kind.CHAT,
    agents.session,
    knowledge.rag_answer,
    knowledge.rag_content,
    knowledge.RagEvents,
    model=knowledge.rag_model,
)


_AGENTIC = {
    kind: Reader(
        kind,
        knowledge.ask_agentic,
        lambda _reply, _op: None,
        knowledge.agentic_content,
        knowledge.AgenticEvents,
        model=knowledge.agentic_model,
    )
    for kind in (Kind.CHAT, Kind.RETRIEVAL)
}


def _agentic(params: Json) -> Reader:
    return _AGENTIC[Kind.CHAT if params.get("generateResponse") is True else Kind.RETRIEVAL]


def _base(params: Json) -> str | None:
    """The knowledge base, where only one is asked; an answer is the model's."""
    retrievers = [] if params.get("generateResponse") is True else mappings(params, "retrievers")
    config = mapping(retrievers[0], "configuration") if len(retrievers) == 1 else {}
    return string(mapping(config, "knowledgeBase"), "knowledgeBaseId")


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
    (_RUNTIME, "InvokeGuardrailChecks"): _route(
        Reader(Kind.GUARDRAIL, _nothing, _checked, _checked_content), _checks
    ),
    (_AGENTS, "InvokeAgent"): _route(_agent(), stream=True),
    (_AGENTS, "InvokeInlineAgent"): _route(
        _agent(model=lambda params: string(params, "foundationModel")),
        _named("agentName"),
        stream=True,
    ),
    (_AGENTS, "InvokeFlow"): _route(_FLOW, _named("flowIdentifier"), stream=True),
    (_AGENTS, "Retrieve"): _route(
        Reader(Kind.RETRIEVAL, knowledge.ask_search, knowledge.found, knowledge.search_content),
        _named("knowledgeBaseId"),
    ),
    (_AGENTS, "AgenticRetrieveStream"): _route(_agentic, _base, stream=True),
    (_AGENTS, "RetrieveAndGenerate"): _route(_RAG),
    (_AGENTS, "RetrieveAndGenerateStream"): _route(_RAG, stream=True),
    (_AGENTS, "Rerank"): _route(
        Reader(
            Kind.RERANK,
            _nothing,
            knowledge.reranked,
            knowledge.rerank_content,
            model=knowledge.reranker,
        )
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
