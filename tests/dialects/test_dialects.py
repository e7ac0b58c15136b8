"""Langfuse, LangSmith, MLflow and AWS, and what holds for every dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genai_otel import _semconv as names
from genai_otel.export import dialects
from genai_otel.export.dialects import aws
from genai_otel.export.pipeline.redaction import SpanRedactor
from genai_otel.privacy import preset
from tests.dialects.spans import (
    ALL,
    CHAT,
    EMBEDDINGS,
    GUARDRAIL,
    RETRIEVAL,
    START,
    TOOL,
    WORKFLOW,
    failed,
    span,
)


def told(dialect: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return dict(dialects.load(dialect).project(span(attributes)).attributes or {})


def parsed(dialect: str, attributes: dict[str, Any], name: str) -> Any:
    return json.loads(told(dialect, attributes)[name])


CHAT_TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where is my parcel?"},
    {
        "role": "assistant",
        "content": None,
        "reasoning_content": "I must look.",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "track", "arguments": '{"number":"JD014"}'},
            },
            {"id": "c2", "type": "function", "function": {"name": "hours", "arguments": "{}"}},
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": '{"place":"post office"}'},
    {"role": "tool", "tool_call_id": "c2", "content": "9 to 17"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "And this?"},
            {"type": "image_url", "image_url": {"url": "https://example.org/label.png"}},
        ],
    },
]
REPLY = {"role": "assistant", "content": "In the post office."}

# ------------------------------------------------------------------------------------- Langfuse


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("chat", "generation"),
        ("tool", "tool"),
        ("retrieval", "retriever"),
        ("guardrail", "guardrail"),
        ("workflow", "chain"),
        ("embeddings", "embedding"),
        ("agent", "agent"),
    ],
)
def test_langfuse_types(name: str, kind: str) -> None:
    assert told("langfuse", ALL[name])["langfuse.observation.type"] == kind


def test_langfuse_buckets_do_not_overlap() -> None:
    found = told("langfuse", CHAT)
    usage = json.loads(found["langfuse.observation.usage_details"])
    assert usage == {
        "input": 1200 - 128 - 64,
        "input_cached_tokens": 128,
        "input_cache_creation": 64,
        "output": 95 - 40,
        "output_reasoning_tokens": 40,
        "total": 1295,
    }
    assert sum(usage.values()) == 2 * usage["total"]
    assert not [name for name in found if name.startswith("gen_ai.usage.")]
    assert json.loads(found["langfuse.observation.cost_details"]) == {"total": 0.0123}


def test_langfuse_takes_input_and_output_from_one_place() -> None:
    found = told("langfuse", CHAT)
    asked = json.loads(found["langfuse.observation.input"])
    assert asked["messages"] == CHAT_TURNS
    assert asked["tools"][0]["function"]["name"] == "track"
    assert json.loads(found["langfuse.observation.output"]) == REPLY
    assert names.GEN_AI_INPUT_MESSAGES not in found
    assert told("langfuse", TOOL)["langfuse.observation.output"] == "post office"
    assert told("langfuse", RETRIEVAL)["langfuse.observation.input"] == "parcel"
    assert parsed("langfuse", WORKFLOW, "langfuse.observation.input") == {
        "question": "Where is my parcel?"
    }


def test_langfuse_times_prompts_tags_and_levels() -> None:
    found = told("langfuse", CHAT)
    began = found["langfuse.observation.completion_start_time"]
    assert began == "2026-09-21T14:13:20.250000+00:00"
    assert START == 1_790_000_000_000_000_000
    assert found["langfuse.observation.prompt.name"] == "answer"
    assert found["langfuse.observation.prompt.version"] == 7
    assert found["langfuse.trace.tags"] == ("beta", "eu")
    assert found["langfuse.trace.metadata.tenant"] == "north"
    assert (found["session.id"], found["user.id"]) == ("s-1", "ada")
    denied = told("langfuse", GUARDRAIL)
    assert denied["langfuse.observation.level"] == "WARNING"
    assert denied["langfuse.observation.status_message"] == "rude"
    named = told("langfuse", {**CHAT, "gen_ai.prompt.version": "v2"})
    assert "langfuse.observation.prompt.version" not in named


def test_an_amount_in_another_currency_is_not_told_as_dollars() -> None:
    euros = {**CHAT, "genai_otel.cost.currency": "EUR"}
    assert "langfuse.observation.cost_details" not in told("langfuse", euros)
    assert "mlflow.llm.cost" not in told("mlflow", euros)
    assert "llm.cost.total" not in told("openinference", euros)
    assert "total_cost" not in parsed("langsmith", euros, "langsmith.usage_metadata")


# ------------------------------------------------------------------------------------ LangSmith


def test_langsmith_documented_keys() -> None:
    found = told("langsmith", CHAT)
    assert found["langsmith.span.kind"] == "llm"
    assert found["langsmith.span.tags"] == "beta,eu"
    assert found["langsmith.metadata.thread_id"] == found["langsmith.metadata.session_id"] == "s-1"
    assert found["langsmith.metadata.user_id"] == "ada"
    assert found["langsmith.metadata.tenant"] == "north"
    assert found["langsmith.metadata.ls_provider"] == "openai"
    assert found["langsmith.metadata.ls_model_name"] == "gpt-5-2026-08-01"
    assert json.loads(found["gen_ai.prompt"])["messages"] == CHAT_TURNS
    assert json.loads(found["gen_ai.completion"]) == {"messages": [REPLY]}
    assert json.loads(found["langsmith.usage_metadata"]) == {
        "input_tokens": 1200,
        "output_tokens": 95,
        "total_tokens": 1295,
        "input_token_details": {"cache_read": 128, "cache_creation": 64},
        "output_token_details": {"reasoning": 40},
        "total_cost": 0.0123,
    }


@pytest.mark.parametrize(
    ("given", "kind", "prompt", "completion"),
    [
        (TOOL, "tool", {"number": "JD014"}, {"output": "post office"}),
        (RETRIEVAL, "retriever", {"query": "parcel"}, None),
        (WORKFLOW, "chain", {"question": "Where is my parcel?"}, {"output": "In the post office."}),
    ],
)
def test_langsmith_inputs_are_objects(
    given: dict[str, Any], kind: str, prompt: Any, completion: Any
) -> None:
    found = told("langsmith", given)
    assert found["langsmith.span.kind"] == kind
    assert json.loads(found["gen_ai.prompt"]) == prompt
    assert completion is None or json.loads(found["gen_ai.completion"]) == completion


# --------------------------------------------------------------------------------------- MLflow


def test_mlflow_conversation_tools_and_cost() -> None:
    assert parsed("mlflow", CHAT, "mlflow.spanInputs") == {"messages": CHAT_TURNS}
    assert parsed("mlflow", CHAT, "mlflow.spanOutputs") == {
        "choices": [{"index": 0, "message": REPLY, "finish_reason": "stop"}]
    }
    found = told("mlflow", CHAT)
    assert (found["mlflow.spanType"], found["mlflow.message.format"]) == ("CHAT_MODEL", "openai")
    assert json.loads(found["mlflow.llm.cost"]) == {"total_cost": 0.0123}
    assert found["gen_ai.usage.input_tokens"] == 1200
    assert json.loads(found["mlflow.chat.tokenUsage"]) == {
        "input_tokens": 1200,
        "output_tokens": 95,
        "cache_read_input_tokens": 128,
        "cache_creation_input_tokens": 64,
        "total_tokens": 1295,
    }
    assert parsed("mlflow", EMBEDDINGS, "mlflow.chat.tokenUsage")["total_tokens"] == 3


def test_mlflow_documents_and_types() -> None:
    assert parsed("mlflow", RETRIEVAL, "mlflow.spanOutputs")[0] == {
        "page_content": "Parcels wait ten days.",
        "metadata": {"page": 3, "score": 0.83},
        "id": "returns.md",
    }
    types = {name: told("mlflow", each)["mlflow.spanType"] for name, each in ALL.items()}
    assert types == {
        "chat": "CHAT_MODEL",
        "tool": "TOOL",
        "retrieval": "RETRIEVER",
        "guardrail": "GUARDRAIL",
        "workflow": "WORKFLOW",
        "embeddings": "EMBEDDING",
        "agent": "AGENT",
    }
    assert parsed("mlflow", WORKFLOW, "mlflow.spanOutputs") == "In the post office."


# ------------------------------------------------------------------------------------------ AWS


@pytest.mark.parametrize("name", ALL)
def test_aws_spans_have_no_content(name: str) -> None:
    after = aws.project(span(ALL[name]))
    assert not aws.CONTENT & set(after.attributes or {})
    assert after.resource.attributes["aws.service.type"] == "gen_ai_agent"
    assert after.resource.attributes["service.name"] == "shop"


def test_aws_spans_of_one_resource_stay_of_one() -> None:
    first, second = span(CHAT), span(TOOL, resource=span(CHAT).resource)
    again = span(TOOL, resource=first.resource)
    assert aws.project(first).resource is aws.project(again).resource
    assert aws.log_records(first)[0].resource is aws.project(first).resource
    assert aws.project(second).resource is not aws.project(first).resource


def test_aws_content_is_an_event_of_the_span() -> None:
    given = span(CHAT)
    (event,) = aws.log_records(given)
    assert given.context is not None
    assert (event.trace_id, event.span_id) == (given.context.trace_id, given.context.span_id)
    assert event.time_ns == given.end_time
    assert event.attributes == {"event.name": "genai_otel", "session.id": "s-1"}
    said = event.body["input"]["messages"]
    assert [turn["role"] for turn in said] == ["system", "user", "assistant", "tool", "user"]
    assert said[1]["content"] == "Where is my parcel?"
    assert json.loads(said[2]["content"])[1]["name"] == "track"
    assert event.body["output"]["messages"] == [
        {"role": "assistant", "content": "In the post office."}
    ]


def test_aws_other_values_are_messages_too_and_nothing_makes_no_event() -> None:
    (event,) = aws.log_records(span(TOOL))
    assert event.body["input"]["messages"] == [{"role": "user", "content": '{"number":"JD014"}'}]
    assert event.body["output"]["messages"] == [{"role": "assistant", "content": "post office"}]
    assert aws.log_records(SpanRedactor(preset("none"), None).redact(span(CHAT))) == []


# --------------------------------------------------------------------------------------- of all

# Where each dialect has the counts of a call, and by which names: input, output, sum.
COUNTS: dict[str, tuple[str | None, str, str, str]] = {
    "langfuse": ("langfuse.observation.usage_details", "input", "output", "total"),
    "langsmith": ("langsmith.usage_metadata", "input_tokens", "output_tokens", "total_tokens"),
    "mlflow": ("mlflow.chat.tokenUsage", "input_tokens", "output_tokens", "total_tokens"),
    "openinference": (None, "llm.token_count.prompt", "llm.token_count.completion",
                      "llm.token_count.total"),
    "aws": (None, names.GEN_AI_USAGE_INPUT_TOKENS, names.GEN_AI_USAGE_OUTPUT_TOKENS,
            "gen_ai.usage.total_tokens"),
}  # fmt: skip


def test_no_dialect_is_left_out_of_the_counts() -> None:
    assert set(COUNTS) == set(dialects.NAMES)


@pytest.mark.parametrize("dialect", COUNTS)
@pytest.mark.parametrize("given", [None, 0, 7])
@pytest.mark.parametrize("made", [None, 0, 3])
def test_what_was_not_counted_is_no_0_and_in_no_sum(
    dialect: str, given: int | None, made: int | None
) -> None:
    call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    counts = {names.GEN_AI_USAGE_INPUT_TOKENS: given, names.GEN_AI_USAGE_OUTPUT_TOKENS: made}
    known = {name: count for name, count in counts.items() if count is not None}
    found = told(dialect, {**call, **known})
    where, *words = COUNTS[dialect]
    within = found if where is None else json.loads(found.get(where, "{}"))
    total = None if given is None or made is None or dialect == "aws" else given + made
    assert [within.get(word) for word in words] == [given, made, total]
    assert where not in found or known, "an empty object is read as 0"


@pytest.mark.parametrize("dialect", [name for name in COUNTS if name != "aws"])
def test_the_sums_of_a_workflow_are_of_no_call(dialect: str) -> None:
    """Backends add up what the calls inside have told: the same again would count twice."""
    sums = {
        "genai_otel.total.model_calls": 2,
        "genai_otel.total.input_tokens": 10,
        "genai_otel.total.cost": 0.5,
        "genai_otel.total.uncounted_calls": 1,
        "genai_otel.total.partial": True,
    }
    before = told(dialect, WORKFLOW)
    after = told(dialect, {**WORKFLOW, **sums})
    assert after == {**before, **sums}


@pytest.mark.parametrize("dialect", dialects.NAMES)
@pytest.mark.parametrize("name", ALL)
def test_canonical_facts_stay(dialect: str, name: str) -> None:
    """All but content, which is told elsewhere, and the usage that Langfuse would add up."""
    found = told(dialect, ALL[name])
    moved = {*aws.CONTENT, *(n for n in ALL[name] if dialect == "langfuse" and "usage" in n)}
    for attribute in set(ALL[name]) - moved:
        assert found[attribute] == ALL[name][attribute]


@pytest.mark.parametrize("dialect", dialects.NAMES)
def test_a_failure_stays_one(dialect: str) -> None:
    before = failed()
    after = dialects.load(dialect).project(before)
    assert (after.status, after.events) == (before.status, before.events)
    assert dict(after.attributes or {})["error.type"] == "TimeoutError"


@pytest.mark.parametrize("dialect", dialects.NAMES)
@pytest.mark.parametrize("given", [*ALL.values(), EMBEDDINGS], ids=[*ALL, "again"])
def test_nothing_comes_of_content_that_was_left_out(dialect: str, given: dict[str, Any]) -> None:
    given = _marked(given)
    after = dialects.load(dialect).project(SpanRedactor(preset("none"), None).redact(span(given)))
    assert "SECRET" not in json.dumps(dict(after.attributes or {}))
    shown = json.dumps(dict(dialects.load(dialect).project(span(given)).attributes or {}))
    assert dialect == "aws" or "SECRET" in shown or given is ALL["agent"] or "agent" in shown


def _marked(given: dict[str, Any]) -> dict[str, Any]:
    """The same with a word in every text of content."""

    def mark(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                k: v if k in ("type", "role", "modality") else mark(v) for k, v in value.items()
            }
        if isinstance(value, list):
            return [mark(each) for each in value]
        return f"SECRET {value}" if isinstance(value, str) else value

    def content(name: str, value: Any) -> Any:
        if name in (names.GEN_AI_RETRIEVAL_QUERY_TEXT, names.GEN_AI_GUARDRAIL_RESULT_REASON):
            return f"SECRET {value}"
        return json.dumps(mark(json.loads(value)))

    return {name: content(name, v) if name in aws.CONTENT else v for name, v in given.items()}


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(
        ValueError, match="unknown dialect 'klingon': expected one of openinference"
    ):
        dialects.load("klingon")


_SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=8)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "parts", "content", "id", "name", "arguments", "score"]
            )
            | st.text(max_size=3),
            inner
            | st.sampled_from(["text", "tool_call", "tool_call_response", "media", "reasoning"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)
_WRITTEN = {
    "metadata",
    "llm.invocation_parameters",
    "langfuse.observation.usage_details",
    "langfuse.observation.cost_details",
    "langsmith.usage_metadata",
    "gen_ai.prompt",
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
}
_NAMES = sorted(set().union(*ALL.values()) | aws.CONTENT)


@pytest.mark.parametrize("dialect", dialects.NAMES)
@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(_NAMES),
        _SCALARS | _JSON.map(json.dumps) | st.lists(st.text(max_size=3), max_size=2).map(tuple),
        max_size=12,
    ),
    st.sampled_from([each["gen_ai.operation.name"] for each in ALL.values()]),
)
def test_odd_values_are_not_said_and_nothing_is_raised(
    dialect: str, attributes: dict[str, Any], operation: str
) -> None:
    given = span({**attributes, "gen_ai.operation.name": operation})
    after = dialects.load(dialect).project(given)
    assert all(type(name) is str for name in after.attributes or {})
    assert len(after.attributes or {}) <= 128
    for name in _WRITTEN & set(after.attributes or {}):
        json.loads((after.attributes or {})[name], parse_constant=pytest.fail)
    if dialect == "aws":
        for record in aws.log_records(given):
            json.dumps(record.body)


@pytest.mark.parametrize("dialect", dialects.NAMES)
def test_the_span_itself_is_not_changed(dialect: str) -> None:
    given = span(dict(CHAT))
    project = dialects.load(dialect).project
    assert dict(project(given).attributes or {}) == dict(project(given).attributes or {})
    assert given.attributes == CHAT
    assert dict(given.resource.attributes) == {"service.name": "shop"}
