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
from genai_otel.instrumentation.patchers.botocore import Route, patch_botocore
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


def _read_model(params: Json) -> str | None:
    return get_str(params, "modelId")


def _read_nothing(_params: Json, _op: Operation) -> None: ...


def _chunk_from_error(error: BaseException) -> Json | None:
    """The event that the client was parsing."""
    event = as_dict(local_in_error(error, "_parse_event", "event"))
    kind = get_str(get_dict(event, "headers"), ":event-type")
    said = json_text(event.get("payload"))
    return None if kind is None or said is None else {kind: said}


_CONVERSE = Extractor(
    Kind.CHAT,
    converse.read_request,
    converse.read_response,
    converse.read_content,
    converse.Events,
    read_model=_read_model,
    chunk_from_error=_chunk_from_error,
)
_INVOKE = {
    kind: Extractor(
        kind,
        invoke.read_request,
        invoke.read_response,
        invoke.read_content,
        invoke.Chunks,
        read_model=_read_model,
    )
    for kind in (Kind.CHAT, Kind.COMPLETION, Kind.EMBEDDINGS, Kind.RERANK, Kind.GENERATION)
}


def _invoke(params: Json) -> Extractor:
    return _INVOKE[invoke.kind(params)]


# ---------------------------------------------------------------------------------- guardrails


def _read_guardrail_content(params: Json, op: Operation) -> None:
    given = parts(
        {"content": [{"guardContent": b} for b in get_dicts(params, "content")]}, "content"
    )
    op.arguments = [part.get("content", part) for part in given]


def _read_guardrail_response(reply: Any, op: Operation) -> None:
    """What an intervention means, masked or denied, only ``NONE`` says for certain."""
    reply = as_dict(reply)
    action = get_str(reply, "action")
    if action is not None:
        denied = action == "GUARDRAIL_INTERVENED"
        reason = get_str(reply, "actionReason") if op.capture else None
        op.verdict = Verdict("deny" if denied else "allow", reason=reason)


def _read_guardrail_request(params: Json, op: Operation) -> None:
    told = {
        "policy_id": get_str(params, "guardrailIdentifier"),
        "policy_version": get_str(params, "guardrailVersion"),
    }
    op.details = {key: value for key, value in told.items() if value is not None}


def _read_checks_content(params: Json, op: Operation) -> None:
    op.arguments = [
        {"role": get_str(turn, "role") or "user", "parts": parts(turn, "content")}
        for turn in get_dicts(params, "messages")
    ]


def _read_checks_response(reply: Any, op: Operation) -> None:
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
    agents.read_session_id,
    lambda _reply, _op: None,
    agents.read_agent_content,
    agents.AgentEvents,
)
_FLOW = Extractor(
    Kind.WORKFLOW,
    agents.read_session_id,
    lambda _reply, _op: None,
    agents.read_flow_content,
    agents.AgentEvents,
)
_RAG = Extractor(
    Kind.CHAT,
    agents.read_session_id,
    knowledge.read_rag_response,
    knowledge.read_rag_content,
    knowledge.RagEvents,
    read_model=knowledge.read_rag_model,
)


_AGENTIC = {
    kind: Extractor(
        kind,
        knowledge.read_agentic_request,
        lambda _reply, _op: None,
        knowledge.read_agentic_content,
        knowledge.AgenticEvents,
        read_model=knowledge.read_agentic_model,
    )
    for kind in (Kind.CHAT, Kind.RETRIEVAL)
}


def _agentic(params: Json) -> Extractor:
    return _AGENTIC[Kind.CHAT if params.get("generateResponse") is True else Kind.RETRIEVAL]


def _knowledge_base(params: Json) -> str | None:
    """The knowledge base, where only one is asked; an answer is the model's."""
    retrievers = [] if params.get("generateResponse") is True else get_dicts(params, "retrievers")
    config = get_dict(retrievers[0], "configuration") if len(retrievers) == 1 else {}
    return get_str(get_dict(config, "knowledgeBase"), "knowledgeBaseId")


def _first_param(*keys: str) -> Any:
    return lambda params: next((name for key in keys if (name := get_str(params, key))), None)


_ENDPOINT = Extractor(
    Kind.COMPLETION,
    _read_nothing,
    lambda _reply, _op: None,
    read_model=_first_param("EndpointName"),
)
_RUNTIME, _AGENTS = "bedrock-runtime", "bedrock-agent-runtime"
_route = partial(Route, "aws.bedrock")

ROUTES = {
    (_RUNTIME, "Converse"): _route(_CONVERSE),
    (_RUNTIME, "ConverseStream"): _route(_CONVERSE, stream=True),
    (_RUNTIME, "InvokeModel"): _route(_invoke),
    (_RUNTIME, "InvokeModelWithResponseStream"): _route(_invoke, stream=True),
    (_RUNTIME, "ApplyGuardrail"): _route(
        Extractor(
            Kind.GUARDRAIL,
            _read_guardrail_request,
            _read_guardrail_response,
            _read_guardrail_content,
        ),
        _first_param("guardrailIdentifier"),
    ),
    (_RUNTIME, "InvokeGuardrailChecks"): _route(
        Extractor(Kind.GUARDRAIL, _read_nothing, _read_checks_response, _read_checks_content),
        _checks,
    ),
    (_AGENTS, "InvokeAgent"): _route(_agent(), stream=True),
    (_AGENTS, "InvokeInlineAgent"): _route(
        _agent(read_model=lambda params: get_str(params, "foundationModel")),
        _first_param("agentName"),
        stream=True,
    ),
    (_AGENTS, "InvokeFlow"): _route(_FLOW, _first_param("flowIdentifier"), stream=True),
    (_AGENTS, "Retrieve"): _route(
        Extractor(
            Kind.RETRIEVAL,
            knowledge.read_search_request,
            knowledge.read_documents,
            knowledge.read_search_content,
        ),
        _first_param("knowledgeBaseId"),
    ),
    (_AGENTS, "AgenticRetrieveStream"): _route(_agentic, _knowledge_base, stream=True),
    (_AGENTS, "RetrieveAndGenerate"): _route(_RAG),
    (_AGENTS, "RetrieveAndGenerateStream"): _route(_RAG, stream=True),
    (_AGENTS, "Rerank"): _route(
        Extractor(
            Kind.RERANK,
            _read_nothing,
            knowledge.read_ranking,
            knowledge.read_rerank_content,
            read_model=knowledge.read_rerank_model,
        )
    ),
    ("sagemaker-runtime", "InvokeEndpoint"): Route("aws.sagemaker", _ENDPOINT),
    ("sagemaker-runtime", "InvokeEndpointWithResponseStream"): Route(
        "aws.sagemaker", _ENDPOINT, stream=True
    ),
}

ADAPTER = declare(
    "bedrock",
    patches=patch_botocore(ROUTES, _headers),
)
