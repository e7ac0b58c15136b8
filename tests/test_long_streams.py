"""Of a stream that never seems to end a few million characters are held; the caller gets all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel.adapters.clients._message_builder import MessageBuilder
from genai_otel.adapters.clients._openai_chunks import ChatChunks
from genai_otel.record import Kind, Operation, TextBuffer
from tests.provider import Reply, Scenario, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from genai_otel.testing import Capture
    from tests.provider import Provider

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

ROOM = 2_000
SAID = " ".join(f"word{number:05}" for number in range(1_000))
CALL = ToolCall("call_1", "search", json.dumps({"query": SAID}))
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "Go on"}]}


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch, provider: Provider) -> None:
    monkeypatch.setattr(Operation, "text_room", ROOM)
    provider.add("long", Scenario((Reply(SAID),), Usage(10, 2_000)))
    provider.add("long-thought", Scenario((Reply(SAID, reasoning=SAID),), Usage(10, 4_000)))
    provider.add("long-call", Scenario((Reply(calls=(CALL,)),), Usage(10, 2_000)))


def chat(provider: Provider, model: str) -> str:
    with openai.OpenAI(base_url=provider.base_url, api_key="test") as client:
        stream = client.chat.completions.create(model=model, stream=True, **ASK)
        return "".join(_of_delta(c.choices[0].delta) for c in stream if c.choices)


def _of_delta(delta: Any) -> str:
    called = "".join(call.function.arguments or "" for call in delta.tool_calls or ())
    return (delta.content or "") + called


def responses(provider: Provider, model: str) -> str:
    with openai.OpenAI(base_url=provider.base_url, api_key="test") as client:
        stream = client.responses.create(model=model, stream=True, input="Go on")
        return "".join(_of_event(event) for event in _cut_short(stream))


def _cut_short(stream: Any) -> Iterator[Any]:
    """Not up to the whole reply, of which the record would be made instead of the pieces."""
    for event in stream:
        if event.type in {"response.output_text.done", "response.function_call_arguments.done"}:
            stream.close()
            return
        yield event


def _of_event(event: Any) -> str:
    return str(event.delta) if event.type.endswith(".delta") else ""


def messages(provider: Provider, model: str) -> str:
    with anthropic.Anthropic(base_url=provider.root, api_key="test") as client:
        stream = client.messages.create(model=model, stream=True, max_tokens=9, **ASK)
        deltas = [each.delta for each in stream if each.type == "content_block_delta"]
        return "".join(
            getattr(each, "text", "") or getattr(each, "partial_json", "") for each in deltas
        )


@pytest.mark.usefixtures("little_room")
@pytest.mark.parametrize("model", ["long", "long-thought", "long-call"])
@pytest.mark.parametrize("read", [chat, responses, messages])
def test_a_long_stream_is_held_in_part_and_passed_on_whole(
    genai_otel_capture: Capture,
    provider: Provider,
    read: Callable[[Provider, str], str],
    model: str,
) -> None:
    given = read(provider, model)
    wanted = CALL.arguments if model == "long-call" else SAID
    assert given.replace(" ", "").endswith(wanted.replace(" ", ""))  # JSON is spelled in two ways
    (span,) = genai_otel_capture.spans
    (message,) = json.loads(str((span.attributes or {})["gen_ai.output.messages"]))
    texts = [str(part.get("content") or part.get("arguments")) for part in message["parts"]]
    assert sum(map(len, texts)) < ROOM + 100
    assert f"[... {len(wanted):,} characters in all ...] " in "".join(texts)
    assert texts[-1][:20] == wanted[:20] or model == "long-thought"


def test_no_word_is_cut_in_two_since_half_a_secret_is_not_known_for_one() -> None:
    op = Operation(Kind.CHAT)
    op.capture = True
    pieces = TextBuffer(op)
    op.text_room = 20
    for piece in ("write to ", "someone@exam", "ple.com", " soon"):
        pieces.add(piece)
    op.enforce_text_limit()
    pieces.add(" and then again")
    op.enforce_text_limit()
    assert pieces.text() == "write to [... 48 characters in all ...] "
    assert op.text_room == 0


def test_what_is_left_of_the_room_is_shared() -> None:
    op = Operation(Kind.CHAT)
    op.capture = True
    first, second = TextBuffer(op), TextBuffer(op)
    op.text_room = 10
    first.add("12345678")
    second.add("ab cd")
    op.enforce_text_limit()
    assert first.text() == "12345678"
    assert second.text() == " [... 5 characters in all ...] "


def test_texts_without_end_are_bounded_by_their_number_too() -> None:
    op = Operation(Kind.CHAT)
    op.capture, op.text_room = True, ROOM
    said = MessageBuilder(op)
    for number in range(10_000):
        assert said.add_text("x", ("text", "reasoning")[number % 2])
    assert len(op.text_buffers or ()) == len(said.parts()) <= ROOM / 64 + 1


def test_a_call_in_many_pieces_is_one_text() -> None:
    op = Operation(Kind.CHAT)
    op.capture = True
    fold = ChatChunks(op)
    for _ in range(300):
        called = {"index": 0, "function": {"arguments": "x"}}
        fold.add({"choices": [{"index": 0, "delta": {"tool_calls": [called]}}]})
    assert len(op.text_buffers or ()) < 5
    op.enforce_text_limit()
    fold.finish()
    assert op.output is not None
    (part,) = op.output[0]["parts"]
    assert part["arguments"] == "x" * 300  # type: ignore[typeddict-item]


def test_nothing_is_held_where_content_is_not_wanted() -> None:
    op = Operation(Kind.CHAT)
    pieces = TextBuffer(op)
    pieces.add("secret")
    assert (pieces.text(), op.text_buffers) == ("", None)
