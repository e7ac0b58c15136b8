"""OpenInference: every row of the machine-readable mapping, and what Phoenix needs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from genai_otel.export.dialects import openinference
from tests.dialects.spans import (
    AGENT,
    ALL,
    CHAT,
    EMBEDDINGS,
    GUARDRAIL,
    RETRIEVAL,
    TOOL,
    failed,
    span,
)

SEMCONV = Path(__file__).resolve().parent.parent.parent / "semconv"
REGISTRY = json.loads((SEMCONV / "openinference.json").read_text("utf-8"))
CANONICAL = json.loads((SEMCONV / "gen_ai.json").read_text("utf-8"))
ROWS = REGISTRY["mapping"]


def told(attributes: dict[str, Any]) -> dict[str, Any]:
    return dict(openinference.project(span(attributes)).attributes or {})


def test_every_operation_has_the_kind_of_the_mapping() -> None:
    known = {k: v for k, v in REGISTRY["operation_to_kind"].items() if not k.startswith("mcp")}
    assert {**known, "task": "CHAIN"} == {**openinference.KINDS, "task": "CHAIN"}
    assert told({"mcp.method.name": "tools/call"})["openinference.span.kind"] == "TOOL"
    assert told({"gen_ai.operation.name": "new_thing"})["openinference.span.kind"] == "CHAIN"


def test_every_provider_is_called_as_in_the_mapping() -> None:
    known = {name: tuple(pair) for name, pair in REGISTRY["provider_to_oi"].items()}
    assert known == openinference.PROVIDERS
    assert told({**CHAT, "gen_ai.provider.name": "house"})["llm.provider"] == "house"


# A value for the type that the canonical registry gives the attribute.
VALUES = {"string": "word", "int": 3, "double": 0.5, "boolean": True, "string[]": ("a", "b")}


def _value(name: str) -> Any:
    definition = CANONICAL["attributes"].get(name) or CANONICAL["extensions"]["attributes"].get(
        name
    )
    return VALUES.get((definition or {}).get("type", "string"), "word")


def _operation(row: dict[str, Any]) -> str:
    if row["gen_ai"].startswith("gen_ai.tool"):
        return "execute_tool"
    if row["gen_ai"].startswith("gen_ai.request.encoding"):
        return "embeddings"
    return "invoke_agent" if row["gen_ai"].startswith("gen_ai.agent") else "chat"


COPIED = [
    row
    for row in ROWS
    if (row["transform"] or "").startswith(("copy", "same name"))
    and row["gen_ai"] in CANONICAL["attributes"]
    and not row["gen_ai"].startswith("gen_ai.evaluation")  # an event, not on the span
]
KEYED = [
    (row, key[1])
    for row in ROWS
    if (key := re.match(r"key (\w+)", row["transform"] or ""))
    and row["gen_ai"] in CANONICAL["attributes"]
]


@pytest.mark.parametrize("row", COPIED, ids=lambda row: row["gen_ai"])
def test_copied_attributes(row: dict[str, Any]) -> None:
    value = _value(row["gen_ai"])
    found = told({"gen_ai.operation.name": _operation(row), row["gen_ai"]: value})
    places = re.split(r", | and ", re.sub(r" \(.*?\)", "", row["openinference"]))
    assert {place: found[place] for place in places} == dict.fromkeys(places, value)
    assert found[row["gen_ai"]] == value


@pytest.mark.parametrize(
    ("row", "key"), KEYED, ids=lambda each: each["gen_ai"] if isinstance(each, dict) else each
)
def test_attributes_in_json_objects(row: dict[str, Any], key: str) -> None:
    name = row["gen_ai"]
    value = {"gen_ai.output.type": "json", "gen_ai.request.encoding_formats": ("float",)}.get(
        name, _value(name)
    )
    found = told({"gen_ai.operation.name": _operation(row), name: value})
    keyed = json.loads(found[row["openinference"]])
    expected = {
        "gen_ai.output.type": {"type": "json_object"},
        "gen_ai.request.encoding_formats": "float",
    }
    assert keyed == {key: expected.get(name, list(value) if isinstance(value, tuple) else value)}


def test_no_row_of_the_mapping_is_left_out() -> None:
    """What is neither copied nor keyed is one of those that the tests below are about."""
    rest = {row["gen_ai"] for row in ROWS if row["openinference"]}
    rest -= {row["gen_ai"] for row in COPIED} | {row["gen_ai"] for row, _ in KEYED}
    elsewhere = {
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.id",  # in metadata
        "gen_ai.usage.input_tokens + gen_ai.usage.output_tokens",
        "gen_ai.usage.cost.amount (proposed)",
        "gen_ai.system_instructions",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.output.type",
        "gen_ai.tool.definitions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.retrieval.query.text",
        "gen_ai.retrieval.documents",
        "gen_ai.prompt.variable.<name>",
        "gen_ai.guardrail.* (proposed)",
        "gen_ai.memory.query.text",
        "gen_ai.memory.records",
        "embedding inputs (not in gen_ai)",
        "error.type + span status",
    }
    not_recorded = {
        "prompt template text (not in gen_ai)",
        "gen_ai.evaluation.result (event)",
        "gen_ai.evaluation.name",
        "gen_ai.evaluation.score.value",
        "gen_ai.evaluation.score.label",
        "gen_ai.evaluation.explanation",
    }
    assert rest - elsewhere - not_recorded == set()


def test_a_conversation_is_written_out_in_the_order_it_was_said() -> None:
    found = told(CHAT)
    said = {k: v for k, v in found.items() if k.startswith("llm.input_messages.")}
    calls = "llm.input_messages.2.message.tool_calls"
    assert said == {
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "Be brief.",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.content": "Where is my parcel?",
        "llm.input_messages.2.message.role": "assistant",
        "llm.input_messages.2.message.contents.0.message_content.type": "reasoning",
        "llm.input_messages.2.message.contents.0.message_content.text": "I must look.",
        f"{calls}.0.tool_call.id": "c1",
        f"{calls}.0.tool_call.function.name": "track",
        f"{calls}.0.tool_call.function.arguments": '{"number":"JD014"}',
        f"{calls}.1.tool_call.id": "c2",
        f"{calls}.1.tool_call.function.name": "hours",
        f"{calls}.1.tool_call.function.arguments": "{}",
        "llm.input_messages.3.message.role": "tool",
        "llm.input_messages.3.message.tool_call_id": "c1",
        "llm.input_messages.3.message.content": '{"place":"post office"}',
        "llm.input_messages.4.message.role": "tool",
        "llm.input_messages.4.message.tool_call_id": "c2",
        "llm.input_messages.4.message.content": "9 to 17",
        "llm.input_messages.5.message.role": "user",
        "llm.input_messages.5.message.contents.0.message_content.type": "text",
        "llm.input_messages.5.message.contents.0.message_content.text": "And this?",
        "llm.input_messages.5.message.contents.1.message_content.type": "image",
        "llm.input_messages.5.message.contents.1.message_content.image.image.url": "https://example.org/label.png",
    }
    assert found["llm.output_messages.0.message.content"] == "In the post office."
    assert found["llm.output_messages.0.message.finish_reason"] == "stop"
    assert json.loads(found["llm.tools.0.tool.json_schema"])["function"]["name"] == "track"
    assert not [name for name in found if name.startswith(("gen_ai.input", "gen_ai.output."))]


def test_the_columns_of_the_list() -> None:
    columns = {
        name: tuple(told(each).get(f"{side}.value") for side in ("input", "output"))
        for name, each in ALL.items()
    }
    assert columns["chat"] == ("And this?", "In the post office.")
    assert columns["tool"] == ('{"number":"JD014"}', "post office")
    assert columns["retrieval"][0] == "parcel"
    assert columns["workflow"] == ("Where is my parcel?", "In the post office.")
    assert json.loads(columns["guardrail"][1] or "") == {
        "verdict": "deny",
        "score": 0.9,
        "category": "toxicity",
        "reason": "rude",
    }
    assert columns["agent"] == (None, None)
    assert told(CHAT)["input.mime_type"] == "text/plain"
    assert told(TOOL)["input.mime_type"] == "application/json"


def test_the_format_asked_for_is_a_parameter() -> None:
    found = told({"gen_ai.operation.name": "chat", "gen_ai.output.type": "json"})
    asked = json.loads(found["llm.invocation_parameters"])
    assert asked == {"response_format": {"type": "json_object"}}


def test_numbers_prices_and_sessions() -> None:
    found = told(CHAT)
    assert found["llm.token_count.total"] == 1295
    assert found["llm.token_count.prompt_details.cache_write"] == 64
    assert found["llm.token_count.completion_details.reasoning"] == 40
    assert found["llm.cost.total"] == 0.0123
    assert (found["session.id"], found["user.id"]) == ("s-1", "ada")
    assert found["llm.model_name"] == "gpt-5-2026-08-01"
    assert found["llm.request.model_name"] == "gpt-5"
    assert found["llm.finish_reason"] == "stop"
    assert json.loads(found["llm.prompt_template.variables"]) == {"tone": "kind"}
    assert json.loads(found["metadata"])["tenant"] == "north"
    assert found["tag.tags"] == ("beta", "eu")
    assert found["gen_ai.usage.input_tokens"] == 1200


def test_documents_do_not_need_a_score() -> None:
    found = told(RETRIEVAL)
    assert found["retrieval.documents.0.document.score"] == 0.83
    assert found["retrieval.documents.0.document.metadata"] == '{"page":3}'
    assert found["retrieval.documents.1.document.content"] == "Open from 9."
    assert "retrieval.documents.1.document.score" not in found
    reranked = told({**RETRIEVAL, "gen_ai.operation.name": "rerank", "gen_ai.request.model": "r"})
    assert reranked["reranker.output_documents.0.document.id"] == "returns.md"
    assert reranked["reranker.query"] == "parcel"
    assert reranked["reranker.model_name"] == "r"


def test_embeddings_agents_and_guardrails() -> None:
    assert told(EMBEDDINGS)["embedding.embeddings.1.embedding.text"] == "post"
    assert told(EMBEDDINGS)["embedding.model_name"] == "minilm"
    assert told(AGENT)["agent.name"] == told(AGENT)["graph.node.id"] == "helper"
    assert json.loads(told(GUARDRAIL)["metadata"])["guardrail_verdict"] == "deny"
    assert told(TOOL)["tool.parameters"] == '{"number": "JD014"}'


@pytest.mark.parametrize("given", ["parcel", ["parcel", "post"]])
def test_the_texts_of_embeddings(given: Any) -> None:
    """As clients of models are recorded: the argument, not messages."""
    asked = {key: value for key, value in EMBEDDINGS.items() if "messages" not in key}
    found = told({**asked, "genai_otel.input": json.dumps(given)})
    texts = [given] if isinstance(given, str) else given
    places = [f"embedding.embeddings.{i}.embedding.text" for i in range(len(texts))]
    assert [found[place] for place in places] == texts
    shown = found["input.value"]
    assert (shown if isinstance(given, str) else json.loads(shown)) == given
    assert not [key for key in told(asked) if key.startswith("embedding.embeddings")]


UPSERT: dict[str, Any] = {
    "db.system.name": "chroma",
    "db.operation.name": "upsert",
    "db.collection.name": "docs",
    "genai_otel.store.records": 2,
}


def test_a_store_that_is_written() -> None:
    found = told(UPSERT)
    assert found["openinference.span.kind"] == "CHAIN"
    asked = {"operation": "upsert", "collection": "docs", "records": 2}
    assert json.loads(found["input.value"]) == asked
    assert json.loads(found["output.value"]) == {"records": 2}
    written = {"ids": ["a"], "documents": ["Rain."]}
    found = told({**UPSERT, "genai_otel.input": json.dumps(written)})
    assert json.loads(found["input.value"]) == written


def test_databases_of_other_libraries_stay_as_they_are() -> None:
    other = span(UPSERT, instrumentation_scope=InstrumentationScope("their.psycopg", "1"))
    assert openinference.project(other) is other


@pytest.mark.parametrize("name", ALL)
def test_every_name_is_one_of_openinference(name: str) -> None:
    given = ALL[name]
    suffixes = set(REGISTRY["attributes"])
    for attribute in set(told(given)) - set(given):
        steps = re.split(r"\.\d+\.", attribute)
        assert all(step in suffixes or _nested(step, suffixes) for step in steps), attribute


def _nested(step: str, known: set[str]) -> bool:
    """Such as message_content.image.image.url or tool_call.function.name."""
    return any(
        step.startswith(f"{name}.") and step[len(name) + 1 :] in known for name in known
    ) or any(step == f"message.{name}" for name in known)


def test_beyond_the_limit_a_list_stays_as_it_was_and_nothing_is_lost() -> None:
    many = [{"role": "user", "parts": [{"type": "text", "content": f"m{i}"}]} for i in range(200)]
    found = told({**CHAT, "gen_ai.input.messages": json.dumps(many)})
    assert len(found) <= openinference.MAX_ATTRIBUTES
    assert json.loads(found["gen_ai.input.messages"]) == many
    assert "gen_ai.system_instructions" in found
    assert "llm.input_messages.0.message.role" not in found
    assert found["llm.output_messages.0.message.content"] == "In the post office."


def test_somebody_elses_words_are_left_alone() -> None:
    foreign = span({"gen_ai.operation.name": "chat", "openinference.span.kind": "LLM"})
    plain = span({"http.request.method": "GET"})
    assert openinference.project(foreign) is foreign
    assert openinference.project(plain) is plain
    assert told({**CHAT, "input.value": "mine"})["input.value"] == "mine"


def test_what_is_no_attribute_stays() -> None:
    before = failed()
    after = openinference.project(before)
    assert after.events == before.events
    assert after.status is before.status
    assert after.context is before.context
    assert (after.start_time, after.end_time, after.kind) == (
        before.start_time,
        before.end_time,
        before.kind,
    )
