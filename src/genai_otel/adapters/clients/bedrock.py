"""Amazon Bedrock through boto3, botocore and aiobotocore: models, agents, flows, guardrails.

Also SageMaker's endpoints, whose bodies are of no known shape: their calls are told, not what they
say.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Extractor
from genai_otel.instrumentation.fields import Json, as_dict, get_dict, get_dicts, get_str
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
    return get_str(params, "modelId")


def _nothing(_params: Json, _op: Operation) -> None: ...


def _refused(error: BaseException) -> Json | None:
    """The event that the client was parsing."""
    event = as_dict(local_in_error(error, "_parse_event", "event"))
    kind = get_str(get_dict(event, "headers"), ":event-type")
    said = json_text(event.get("payload"))
    return None if kind is None or said is None else {kind: said}


_CONVERSE = Extractor(
    Kind.CHAT,
    converse.ask,
    converse.answer,
    converse.content,
    converse.Events,
    read_model=_model,
    chunk_from_error=_refused,
)
_INVOKE = {
    kind: Extractor(
        kind, invoke.ask, invoke.answer, invoke.content, invoke.Chunks, read_model=_model
    )
    for kind in (Kind.CHAT, Kind.COMPLETION, Kind.EMBEDDINGS, Kind.RERANK, Kind.GENERATION)
}


def _invoke(params: Json) -> Extractor:
    return _INVOKE[invoke.kind(params)]


# ---------------------------------------------------------------------------------- guardrails


def _guarded_content(params: Json, op: Operation) -> None:
    given = parts(
        {"content": [{"guardContent": b} for b in get_dicts(params, "content")]}, "content"
    )
    op.arguments = [part.get("content", part) for part in given]


def _guarded(reply: Any, op: Operation) -> None:
    """What an intervention means, masked or denied, only ``NONE`` says for certain."""
    reply = as_dict(reply)
    action = get_str(reply, "action")
    if action is not None:
        denied = action == "GUARDRAIL_INTERVENED"
        reason = get_str(reply, "actionReason") if op.capture else None
        op.verdict = Verdict("deny" if denied else "allow", reason=reason)


def _guardrail(params: Json, op: Operation) -> None:
    told = {
        "policy_id": get_str(params, "guardrailIdentifier"),
        "policy_version": get_str(params, "guardrailVersion"),
    }
    op.details = {key: value for key, value in told.items() if value is not None}


def _checked_content(params: Json, op: Operation) -> None:
    op.arguments = [
        {"role": get_str(turn, "role") or "user", "parts": parts(turn, "content")}
        for turn in get_dicts(params, "messages")
    ]


def _checked(reply: Any, op: Operation) -> None:
    """Scores, of which the caller makes the verdict."""
    if op.capture:
        op.result = bounded(as_dict(reply).get("results"))


def _checks(params: Json) -> str | None:
    """Which were asked for: there is no guardrail that would have a name."""
    return ", ".join(sorted(get_dict(params, "checks"))) or None


# ------------------------------------------------------------------------------------- the table

_agent = partial(
    Extractor,
    Kind.AGENT,
    agents.session,
    lambda _reply, _op: None,
    agents.agent_content,
    agents.AgentEvents,
)
_FLOW = Extractor(
    Kind.WORKFLOW,
    agents.session,
    lambda _reply, _op: None,
    agents.flow_content,
    agents.AgentEvents,
)
_RAG = Extractor(
    Kind.CHAT,
    agents.session,
    knowledge.rag_answer,
    knowledge.rag_content,
    knowledge.RagEvents,
    read_model=knowledge.rag_model,
)


_AGENTIC = {
    kind: Extractor(
        kind,
        knowledge.ask_agentic,
        lambda _reply, _op: None,
        knowledge.agentic_content,
        knowledge.AgenticEvents,
        read_model=knowledge.agentic_model,
    )
    for kind in (Kind.CHAT, Kind.RETRIEVAL)
}


def _agentic(params: Json) -> Extractor:
    return _AGENTIC[Kind.CHAT if params.get("generateResponse") is True else Kind.RETRIEVAL]


def _base(params: Json) -> str | None:
    """The knowledge base, where only one is asked; an answer is the model's."""
    retrievers = [] if params.get("generateResponse") is True else get_dicts(params, "retrievers")
    config = get_dict(retrievers[0], "configuration") if len(retrievers) == 1 else {}
    return get_str(get_dict(config, "knowledgeBase"), "knowledgeBaseId")


def _named(*keys: str) -> Any:
    return lambda params: next((name for key in keys if (name := get_str(params, key))), None)


_ENDPOINT = Extractor(
    Kind.COMPLETION, _nothing, lambda _reply, _op: None, read_model=_named("EndpointName")
)
_RUNTIME, _AGENTS = "bedrock-runtime", "bedrock-agent-runtime"
_route = partial(Route, "aws.bedrock")

ROUTES = {
    (_RUNTIME, "Converse"): _route(_CONVERSE),
    (_RUNTIME, "ConverseStream"): _route(_CONVERSE, stream=True),
    (_RUNTIME, "InvokeModel"): _route(_invoke),
    (_RUNTIME, "InvokeModelWithResponseStream"): _route(_invoke, stream=True),
    (_RUNTIME, "ApplyGuardrail"): _route(
        Extractor(Kind.GUARDRAIL, _guardrail, _guarded, _guarded_content),
        _named("guardrailIdentifier"),
    ),
    (_RUNTIME, "InvokeGuardrailChecks"): _route(
        Extractor(Kind.GUARDRAIL, _nothing, _checked, _checked_content), _checks
    ),
    (_AGENTS, "InvokeAgent"): _route(_agent(), stream=True),
    (_AGENTS, "InvokeInlineAgent"): _route(
        _agent(read_model=lambda params: get_str(params, "foundationModel")),
        _named("agentName"),
        stream=True,
    ),
    (_AGENTS, "InvokeFlow"): _route(_FLOW, _named("flowIdentifier"), stream=True),
    (_AGENTS, "Retrieve"): _route(
        Extractor(Kind.RETRIEVAL, knowledge.ask_search, knowledge.found, knowledge.search_content),
        _named("knowledgeBaseId"),
    ),
    (_AGENTS, "AgenticRetrieveStream"): _route(_agentic, _base, stream=True),
    (_AGENTS, "RetrieveAndGenerate"): _route(_RAG),
    (_AGENTS, "RetrieveAndGenerateStream"): _route(_RAG, stream=True),
    (_AGENTS, "Rerank"): _route(
        Extractor(
            Kind.RERANK,
            _nothing,
            knowledge.reranked,
            knowledge.rerank_content,
            read_model=knowledge.reranker,
        )
    ),
    ("sagemaker-runtime", "InvokeEndpoint"): Route("aws.sagemaker", _ENDPOINT),
    ("sagemaker-runtime", "InvokeEndpointWithResponseStream"): Route(
        "aws.sagemaker", _ENDPOINT, stream=True
    ),
}

ADAPTER = declare(
    "bedrock",
    patches=botocore(ROUTES, _headers),
)
