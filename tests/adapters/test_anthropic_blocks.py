"""Each block type of Anthropic's messages through the real client: whole, streamed, in history."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel import _semconv as names
from tests.answers import events, serving
from tests.wire_types import anthropic as tables
from tests.wire_types import example, mismatch

anthropic = pytest.importorskip("anthropic", minversion=tables.CHECKED)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture

REPLIED = tables.reply_blocks()
GIVEN = tables.history_blocks()
RESULTS = tables.result_blocks()
SOURCES = tables.sources()
ANSWERS: dict[str, Any] = {}
HELLO = [{"role": "user", "content": "Hi."}]


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    with serving(ANSWERS) as root:
        yield root


@pytest.fixture
def client(root: str) -> Iterator[Any]:
    with anthropic.Anthropic(api_key="k", base_url=root, max_retries=0) as client:
        yield client


def facts(capture: Capture) -> dict[str, Any]:
    return dict(capture.span().attributes or {})


def replied(capture: Capture) -> list[dict[str, Any]]:
    (message,) = json.loads(facts(capture)[names.GEN_AI_OUTPUT_MESSAGES])
    parts: list[dict[str, Any]] = message["parts"]
    return parts


def given(capture: Capture) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = json.loads(facts(capture)[names.GEN_AI_INPUT_MESSAGES])
    return messages


def message(*blocks: Any, **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 7, "output_tokens": 5}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude"}
    return {**head, "content": [*blocks], "stop_reason": "end_turn", "usage": usage, **more}


def stream_of(*blocks: tuple[Any, list[Any]], end: bool = True, **last: Any) -> bytes:
    """Each block as it is opened, and its deltas."""
    told: list[Any] = [{"type": "message_start", "message": message(stop_reason=None)}]
    for at, (block, deltas) in enumerate(blocks):
        told.append({"type": "content_block_start", "index": at, "content_block": block})
        told += [{"type": "content_block_delta", "index": at, "delta": delta} for delta in deltas]
        if end:
            told.append({"type": "content_block_stop", "index": at})
    if end:
        stop = {"stop_reason": "end_turn", "stop_sequence": None, **last}
        told.append({"type": "message_delta", "delta": stop, "usage": {"output_tokens": 5}})
        told.append({"type": "message_stop"})
    return events(*told)


def ask(client: Any, answer: Any, *, beta: bool = False, **asked: Any) -> None:
    ANSWERS["/v1/messages"] = ANSWERS["/v1/messages?beta=true"] = answer
    asked = {"model": "claude", "max_tokens": 10, "messages": HELLO, **asked}
    reply = (client.beta.messages if beta else client.messages).create(**asked)
    if asked.get("stream"):
        list(reply)


@pytest.mark.parametrize("kind", REPLIED)
@pytest.mark.parametrize("way", ["whole", "streamed", "broken off"])
def test_blocks_of_a_reply(genai_otel_capture: Capture, client: Any, kind: str, way: str) -> None:
    block = example(REPLIED[kind], ("type", kind))
    if way == "whole":
        ask(client, message(block), beta=True)
    else:
        answer = stream_of((block, []), end=way == "streamed")
        ask(client, answer, beta=True, stream=True)
    assert mismatch(tables.BLOCKS, kind, block, replied(genai_otel_capture)) == []


@pytest.mark.parametrize("kind", GIVEN)
def test_blocks_of_the_history(genai_otel_capture: Capture, client: Any, kind: str) -> None:
    block = example(GIVEN[kind], ("type", kind))
    ask(client, message(), beta=True, messages=[{"role": "user", "content": [block]}])
    (asked,) = given(genai_otel_capture)
    assert mismatch(tables.BLOCKS, kind, block, asked["parts"]) == []


@pytest.mark.parametrize("kind", RESULTS)
def test_blocks_of_a_tools_result(genai_otel_capture: Capture, client: Any, kind: str) -> None:
    block = example(RESULTS[kind], ("type", kind))
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [block]}
    ask(client, message(), messages=[{"role": "user", "content": [result]}])
    (asked,) = given(genai_otel_capture)
    (part,) = asked["parts"]
    assert (asked["role"], part["id"]) == ("tool", "toolu_1")
    if kind == "text":
        assert part["response"] == block["text"]
    else:
        assert tuple(p["type"] for p in part["response"]) == tables.RESULTS.rows[kind].parts


@pytest.mark.parametrize("failed", [True, False])
def test_a_tool_that_failed(genai_otel_capture: Capture, client: Any, *, failed: bool) -> None:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "No.", "is_error": failed}
    ask(client, message(), messages=[{"role": "user", "content": [result]}])
    (asked,) = given(genai_otel_capture)
    assert asked["parts"][0].get("is_error") == (failed or None)


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("of", ["image", "document"])
def test_sources_of_media(genai_otel_capture: Capture, client: Any, kind: str, of: str) -> None:
    source = example(SOURCES[kind], ("type", kind))
    ask(
        client,
        message(),
        messages=[{"role": "user", "content": [{"type": of, "source": source, "title": "T"}]}],
    )
    (part,) = given(genai_otel_capture)[0]["parts"]
    assert (part["type"],) == tables.SOURCES.rows[kind].parts
    if part["type"] == "media":
        assert part["modality"] == of
        assert part["metadata"] == {"title": "T"}
        assert {"id", "uri", "sha256"} & set(part)
    else:
        assert part["content"] in source.values()


DELTAS: dict[str, tuple[Any, list[Any], Any]] = {
    "text_delta": (
        {"type": "text", "text": ""},
        [{"type": "text_delta", "text": "Hel"}, {"type": "text_delta", "text": "lo"}],
        {"type": "text", "content": "Hello"},
    ),
    "citations_delta": (
        {"type": "text", "text": ""},
        [
            {"type": "text_delta", "text": "So."},
            {"type": "citations_delta", "citation": {"type": "char_location", "cited_text": "x"}},
            {"type": "text_delta", "text": " It is."},
        ],
        {
            "type": "text",
            "content": "So. It is.",
            "citations": [{"type": "char_location", "cited_text": "x"}],
        },
    ),
    "thinking_delta": (
        {"type": "thinking", "thinking": "", "signature": ""},
        [{"type": "thinking_delta", "thinking": "Hm."}],
        {"type": "reasoning", "content": "Hm."},
    ),
    "signature_delta": (
        {"type": "thinking", "thinking": "", "signature": ""},
        [{"type": "signature_delta", "signature": "abc"}],
        {"type": "reasoning", "content": ""},
    ),
    "input_json_delta": (
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        [
            {"type": "input_json_delta", "partial_json": '{"query":'},
            {"type": "input_json_delta", "partial_json": ' "otel"}'},
        ],
        {
            "type": "server_tool_call",
            "id": "srvtoolu_1",
            "name": "web_search",
            "server_tool_call": {"type": "web_search", "arguments": {"query": "otel"}},
        },
    ),
    "compaction_delta": (
        {"type": "compaction", "content": None},
        [{"type": "compaction_delta", "content": "We said hello."}],
        {"type": "compaction", "content": "We said hello."},
    ),
}


def test_each_delta_has_a_stream() -> None:
    assert set(DELTAS) == set(tables.DELTAS.rows)


@pytest.mark.parametrize("kind", DELTAS)
@pytest.mark.parametrize("end", [True, False])
def test_deltas(genai_otel_capture: Capture, client: Any, kind: str, *, end: bool) -> None:
    block, deltas, part = DELTAS[kind]
    ask(client, stream_of((block, deltas), end=end), beta=True, stream=True)
    assert replied(genai_otel_capture) == [part]


def test_what_an_mcp_server_did(genai_otel_capture: Capture, client: Any) -> None:
    use = {
        "type": "mcp_tool_use",
        "id": "mcptoolu_1",
        "name": "search",
        "server_name": "docs",
        "input": {"q": "otel"},
    }
    result = {
        "type": "mcp_tool_result",
        "tool_use_id": "mcptoolu_1",
        "is_error": True,
        "content": [{"type": "text", "text": "down"}],
    }
    ask(client, message(use, result), beta=True)
    call, outcome = replied(genai_otel_capture)
    assert call == {
        "type": "server_tool_call",
        "id": "mcptoolu_1",
        "name": "search",
        "server_tool_call": {"type": "mcp", "arguments": {"q": "otel"}, "server_name": "docs"},
    }
    assert outcome == {
        "type": "server_tool_call_response",
        "id": "mcptoolu_1",
        "server_tool_call_response": {"type": "mcp", "content": "down", "is_error": True},
    }


@pytest.mark.parametrize("stream", [False, True])
def test_the_container_is_named(genai_otel_capture: Capture, client: Any, *, stream: bool) -> None:
    container = {"id": "container_1", "expires_at": "2026-12-01T00:00:00Z"}
    answer = stream_of(container=container) if stream else message(container=container)
    ask(client, answer, stream=stream)
    assert facts(genai_otel_capture)[names.GENAI_OTEL_RESPONSE_CONTAINER_ID] == "container_1"


def test_content_that_is_a_text(genai_otel_capture: Capture, client: Any) -> None:
    """As requests may have it everywhere, and as some servers reply."""
    source = {"type": "content", "content": "A page."}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "21"}
    ask(
        client,
        message(content="Hello."),
        system="Be brief.",
        messages=[
            {"role": "user", "content": [{"type": "document", "source": source}]},
            {"role": "assistant", "content": "Read."},
            {"role": "user", "content": [result]},
        ],
    )
    page, read, answered = given(genai_otel_capture)
    assert page["parts"] == [{"type": "text", "content": "A page."}]
    assert read["parts"] == [{"type": "text", "content": "Read."}]
    assert answered["parts"][0]["response"] == "21"
    assert replied(genai_otel_capture) == [{"type": "text", "content": "Hello."}]


def test_parameters_given_as_extra_body(genai_otel_capture: Capture, client: Any) -> None:
    """They are sent over the others, and recorded as what was sent."""
    more = {"top_k": 3, "system": "Be brief.", "max_tokens": 20}
    ask(client, message(), extra_body=more)
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_REQUEST_TOP_K] == 3
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 20
    assert "Be brief." in told[names.GEN_AI_SYSTEM_INSTRUCTIONS]


def test_an_unknown_block_is_recorded_by_its_type_id_and_value(
    genai_otel_capture: Capture, client: Any
) -> None:
    unknown = {"type": "hologram", "id": "h_1", "depth": 3}
    new_tool = {"type": "weather_tool_use", "id": "w_1", "name": "weather", "input": {"at": 1}}
    new_result = {"type": "weather_tool_result", "tool_use_id": "w_1", "content": {"sun": True}}
    ask(client, message(unknown, new_tool, new_result), messages=[
        {"role": "user", "content": [unknown, new_tool, new_result]}
    ])  # fmt: skip
    parts = replied(genai_otel_capture)
    assert parts[0] == {"type": "hologram", "id": "h_1", "value": {"depth": 3}}
    assert (parts[1]["type"], parts[1]["id"]) == ("server_tool_call", "w_1")
    assert parts[2]["server_tool_call_response"] == {"type": "weather", "content": {"sun": True}}
    assert given(genai_otel_capture)[0]["parts"] == parts


def test_definitions_of_tools_that_the_provider_knows(
    genai_otel_capture: Capture, client: Any
) -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    own = {"name": "look", "input_schema": {"type": "object"}}
    ask(client, message(), tools=[search, own])
    first, second = json.loads(facts(genai_otel_capture)[names.GEN_AI_TOOL_DEFINITIONS])
    assert first == search
    assert second == {"type": "function", "name": "look", "parameters": {"type": "object"}}
