"""Sessions over a WebSocket: one span from connect to close, its turns as events on it."""

from __future__ import annotations

import itertools
import json
import time
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.closing import closing
from tests.collected import collect

pytest.importorskip("websockets")

import openai
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import genai_otel
from genai_otel import _semconv as names
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.instrumentation.returned_objects import _OBSERVED
from tests.provider.realtime import CHUNK, PLAIN, Server, serving
from tests.surfaces import differences, surface
from tests.wire_types import at_least, example, mismatch
from tests.wire_types import openai as tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture
    from tests.wire_types import Found

# What the client itself is warned of by the newest websockets.
pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used:DeprecationWarning")
MODEL = "gpt-realtime"
SPAN = f"generate_content {MODEL}"
ASKED = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi."}]}
DRY = {"type": "function_call_output", "call_id": "call_1", "output": "dry"}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as answering:
        yield answering


def client(server: Server, cls: Any = openai.OpenAI) -> Any:
    return cls(api_key="k", base_url="http://127.0.0.1:9/v1", websocket_base_url=server.root)


def until(connection: Any, kind: str) -> Any:
    return next(event for event in connection if event.type == kind)


async def until_async(connection: Any, kind: str) -> Any:
    async for event in connection:
        if event.type == kind:
            return event
    raise AssertionError(kind)


def turns(span: Any) -> list[dict[str, Any]]:
    assert {event.name for event in span.events} <= {names.EVENT_GENAI_OTEL_SESSION_TURN}
    return [dict(event.attributes or {}) for event in span.events]


def converse(connection: Any) -> None:
    until(connection, "session.created")
    connection.conversation.item.create(item=ASKED)
    connection.response.create(response={"metadata": {"want": "tool"}})
    until(connection, "response.done")
    connection.conversation.item.create(item=DRY)
    connection.input_audio_buffer.append(audio=CHUNK)
    connection.input_audio_buffer.append(audio=CHUNK)
    connection.input_audio_buffer.commit()
    until(connection, "conversation.item.input_audio_transcription.completed")
    connection.response.create()
    until(connection, "response.done")


async def converse_async(connection: Any) -> None:
    await until_async(connection, "session.created")
    await connection.conversation.item.create(item=ASKED)
    await connection.response.create(response={"metadata": {"want": "tool"}})
    await until_async(connection, "response.done")
    await connection.conversation.item.create(item=DRY)
    await connection.input_audio_buffer.append(audio=CHUNK)
    await connection.input_audio_buffer.append(audio=CHUNK)
    await connection.input_audio_buffer.commit()
    await until_async(connection, "conversation.item.input_audio_transcription.completed")
    await connection.response.create()
    await until_async(connection, "response.done")


def check_conversation(span: Any, server: Server) -> None:
    told = dict(span.attributes)
    assert span.name == SPAN
    assert told[names.GEN_AI_PROVIDER_NAME] == "openai"
    assert told[names.SERVER_ADDRESS] == "127.0.0.1"
    assert told[names.GEN_AI_REQUEST_MODEL] == MODEL
    assert told[names.GEN_AI_RESPONSE_MODEL] == "gpt-realtime-2025-08-28"
    assert told[names.GEN_AI_OUTPUT_TYPE] == "speech"
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 120
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 60
    assert told[names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS] == 20
    assert told[names.GENAI_OTEL_USAGE_AUDIO_INPUT_TOKENS] == 80
    assert told[names.GENAI_OTEL_USAGE_AUDIO_OUTPUT_TOKENS] == 40
    assert told[names.GENAI_OTEL_SESSION_TURNS] == 6
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("stop",)
    assert [turn[names.GENAI_OTEL_SESSION_TURN_KIND] for turn in turns(span)] == [
        *("input", "response", "tool_call", "tool_result", "input", "response"),
    ]
    _, first, called, answered, heard, last = turns(span)
    assert first[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("tool_calls",)
    assert first[names.GEN_AI_USAGE_INPUT_TOKENS] == 60
    assert called[names.GEN_AI_TOOL_NAME] == "weather"
    assert called[names.GEN_AI_TOOL_CALL_ID] == answered[names.GEN_AI_TOOL_CALL_ID] == "call_1"
    assert heard[names.GENAI_OTEL_SESSION_TURN_AUDIO_SIZE] == 12
    assert last[names.GENAI_OTEL_SESSION_TURN_AUDIO_SIZE] == 12
    assert last[names.GEN_AI_RESPONSE_ID] == told[names.GEN_AI_RESPONSE_ID]
    inputs = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert [message["role"] for message in inputs] == ["user", "assistant", "tool", "user"]
    assert inputs[1]["parts"][0]["arguments"] == {"city": "Paris"}
    assert inputs[3]["parts"] == [
        {"type": "media", "modality": "audio", "size": 12},
        {"type": "text", "content": "Is it raining?"},
    ]
    (reply,) = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])
    assert reply["parts"][1]["content"] == "It is dry."
    assert json.loads(told[names.GEN_AI_SYSTEM_INSTRUCTIONS])[0]["content"] == "Be kind."
    assert json.loads(told[names.GEN_AI_TOOL_DEFINITIONS])[0]["name"] == "weather"
    assert CHUNK not in str(told)
    assert CHUNK not in str(turns(span))


@pytest.mark.parametrize("door", ["realtime", "beta.realtime"])
@pytest.mark.parametrize("way", ["with", "enter"])
def test_a_session(genai_otel_capture: Capture, server: Server, door: str, way: str) -> None:
    owner = client(server)
    for name in door.split("."):
        owner = getattr(owner, name, None)
    if owner is None:
        pytest.skip(f"this version has no {door}")
    if way == "with":
        with owner.connect(model=MODEL) as connection:
            converse(connection)
    else:
        connection = owner.connect(model=MODEL).enter()
        converse(connection)
        connection.close()
    (span,) = genai_otel_capture.spans
    check_conversation(span, server)
    assert not {"send", "close", "parse_event", "recv_bytes"} & vars(connection).keys()


@pytest.mark.parametrize("way", ["with", "enter"])
async def test_an_asynchronous_session(
    genai_otel_capture: Capture, server: Server, way: str
) -> None:
    realtime = client(server, openai.AsyncOpenAI).realtime
    if way == "with":
        async with realtime.connect(model=MODEL) as connection:
            await converse_async(connection)
    else:
        connection = await realtime.connect(model=MODEL).enter()
        await converse_async(connection)
        await connection.close()
    (span,) = genai_otel_capture.spans
    check_conversation(span, server)


def test_the_host_gets_and_sends_what_it_would_without_us(
    genai_otel_capture: Capture, server: Server
) -> None:
    def seen() -> tuple[list[str], list[Any], set[str]]:
        server.received.clear()
        with client(server).realtime.connect(model=MODEL) as connection:
            connection.send({"type": "conversation.item.create", "item": ASKED})
            got = [connection.parse_event(connection.recv_bytes()), connection.recv()]
        return [repr(event) for event in got], [*server.received], {type(e).__name__ for e in got}

    with_us = seen()
    genai_otel.uninstrument("openai")
    assert seen() == with_us
    assert len(genai_otel_capture.spans) == 1


def test_errors_are_turns_and_the_session_goes_on(
    genai_otel_capture: Capture, server: Server
) -> None:
    with client(server).realtime.connect(model=MODEL) as connection:
        connection.input_audio_buffer.clear()
        until(connection, "error")
        connection.response.create(response={"metadata": {"want": "failure"}})
        until(connection, "response.done")
        connection.response.create()
        until(connection, "response.done")
    (span,) = genai_otel_capture.spans
    first, second, third = turns(span)
    assert first[names.ERROR_TYPE] == "invalid_request_error"
    assert first[names.GENAI_OTEL_ERROR_CODE] == "buffer_empty"
    assert second[names.ERROR_TYPE] == "server_error"
    assert third[names.GENAI_OTEL_SESSION_TURN_KIND] == "response"
    assert span.attributes[names.GEN_AI_USAGE_INPUT_TOKENS] == 60
    assert names.ERROR_TYPE not in span.attributes


def test_a_broken_connection(genai_otel_capture: Capture, server: Server) -> None:
    connection = client(server).realtime.connect(model=MODEL).enter()
    connection.send({"type": "response.cancel"})
    with pytest.raises(Exception, match="1011") as raised:
        until(connection, "never")
    assert type(raised.value).__name__ == "ConnectionClosedError"
    (span,) = genai_otel_capture.spans
    assert span.attributes[names.ERROR_TYPE].endswith("ConnectionClosedError")


def test_nobody_there(genai_otel_capture: Capture) -> None:
    absent = openai.OpenAI(api_key="k", websocket_base_url="ws://127.0.0.1:9/v1")
    with pytest.raises(OSError, match="refused"):
        absent.realtime.connect(model=MODEL).enter()
    (span,) = genai_otel_capture.spans
    assert span.attributes[names.ERROR_TYPE] == "ConnectionRefusedError"


def _surfaces(server: Server) -> list[dict[str, Any]]:
    with client(server).realtime.connect(model=MODEL) as connection:
        seen = [surface(connection)]
        until(connection, "session.created")
        connection.send({"type": "response.create"})
        until(connection, "response.done")
        seen.append(surface(connection))
    return [*seen, surface(connection)]


def test_a_connection_shows_nothing_of_us(genai_otel_capture: Capture, server: Server) -> None:
    with_us = _surfaces(server)
    assert len(genai_otel_capture.spans) == 1
    assert len(_OBSERVED) == 0
    genai_otel.uninstrument()
    assert differences(with_us, _surfaces(server)) == []


def test_a_forgotten_session_ends(genai_otel_capture: Capture, server: Server) -> None:
    connection = client(server).realtime.connect(model=MODEL).enter()
    until(connection, "session.created")
    connection._connection.close()
    del connection
    for _ in range(3_000):  # a collection under way in the server's thread makes ours do nothing
        collect()
        genai_otel.flush()
        if genai_otel_capture.spans:
            break
        time.sleep(0.02)
    assert [span.name for span in genai_otel_capture.spans] == [SPAN]


def test_calls_in_a_session_are_their_own(
    genai_otel_capture: Capture, server: Server, provider: Any
) -> None:
    with client(server).realtime.connect(model=MODEL) as connection:
        until(connection, "session.created")
        plain = closing(openai.OpenAI(api_key="k", base_url=provider.base_url))
        plain.chat.completions.create(
            model="gpt-plain", messages=[{"role": "user", "content": "Hi."}]
        )
    chat, session = genai_otel_capture.spans
    assert (chat.name, session.name) == ("chat gpt-plain", SPAN)
    assert chat.parent is None


def test_responses_over_one_connection(genai_otel_capture: Capture, server: Server) -> None:
    responses = client(server).responses
    if not hasattr(responses, "connect"):
        pytest.skip("this version has no connections of responses")
    with responses.connect() as connection:
        for _ in range(2):
            connection.response.create(model="gpt-5-mini", input="Hi.")
            until(connection, "response.completed")
    (span,) = genai_otel_capture.spans
    assert span.name == "chat gpt-5-mini"
    assert span.attributes[names.GEN_AI_USAGE_INPUT_TOKENS] == 2 * PLAIN["input_tokens"]
    kinds = [turn[names.GENAI_OTEL_SESSION_TURN_KIND] for turn in turns(span)]
    assert kinds == ["input", "response"] * 2
    (reply,) = json.loads(span.attributes[names.GEN_AI_OUTPUT_MESSAGES])
    assert reply["parts"][0]["content"] == "Hello."


CURRENT = at_least("openai", tables.CHECKED)
"""Whether the client has the types of the tables."""
ITEMS: Found = tables.REALTIME.found() if CURRENT else {}
SPOKEN: Found = tables.SPOKEN.found() if CURRENT else {}
REPLIED: Found = tables.reply_items() if CURRENT else {}


@pytest.mark.parametrize("kind", ITEMS)
def test_items_of_a_session(genai_otel_capture: Capture, server: Server, kind: str) -> None:
    made = example(ITEMS[kind], ("type", kind))
    given = made if kind != "message" else {**made, "role": "user"}
    server.output = [made]
    with client(server).realtime.connect(model=MODEL) as connection:
        until(connection, "session.created")
        connection.send({"type": "conversation.item.create", "item": given})
        until(connection, "conversation.item.added")
        connection.response.create()
        until(connection, "response.done")
    (span,) = genai_otel_capture.spans
    (reply,) = json.loads(span.attributes[names.GEN_AI_OUTPUT_MESSAGES])
    assert mismatch(tables.REALTIME, kind, made, reply["parts"]) == []
    asks = kind in {"function_call", "mcp_approval_request"}
    reasons = span.attributes[names.GEN_AI_RESPONSE_FINISH_REASONS]
    assert reasons == (("tool_calls",) if asks else ("stop",))
    asked = json.loads(span.attributes.get(names.GEN_AI_INPUT_MESSAGES, "[]"))
    if kind in {"message", "function_call", "function_call_output", "mcp_approval_response"}:
        (message,) = asked
        assert mismatch(tables.REALTIME, kind, made, message["parts"]) == []
        roles = {"message": "user", "function_call": "assistant"}
        assert message["role"] == roles.get(kind, "tool")


@pytest.mark.parametrize("kind", SPOKEN)
def test_content_of_a_session(genai_otel_capture: Capture, server: Server, kind: str) -> None:
    """What is said is told by the server; audio of the history is not."""
    of_others = {"input_image": ("text", "transcript")}  # one class has the fields of all kinds
    made = example(SPOKEN[kind], ("type", kind))
    piece = {key: value for key, value in made.items() if key not in of_others.get(kind, ())}
    role = "assistant" if kind.startswith("output") else "user"
    with client(server).realtime.connect(model=MODEL) as connection:
        until(connection, "session.created")
        item = {"type": "message", "role": role, "content": [piece]}
        connection.send({"type": "conversation.item.create", "item": item})
        until(connection, "conversation.item.added")
    (span,) = genai_otel_capture.spans
    (message,) = json.loads(span.attributes[names.GEN_AI_INPUT_MESSAGES])
    assert tuple(part["type"] for part in message["parts"]) == tables.SPOKEN.rows[kind].parts


def test_what_is_given_for_one_response_or_while_it_is_made(
    genai_otel_capture: Capture, server: Server
) -> None:
    with client(server).realtime.connect(model=MODEL) as connection:
        until(connection, "session.created")
        connection.response.create(response={"conversation": "none", "input": [ASKED]})
        until(connection, "response.done")
        connection.send({"type": "response.steer", "input": [{**ASKED, "content": "Slower."}]})
    (span,) = genai_otel_capture.spans
    messages = json.loads(span.attributes[names.GEN_AI_INPUT_MESSAGES])
    asked = [message["parts"] for message in messages if message["role"] == "user"]
    assert asked == [[{"type": "text", "content": words}] for words in ("Hi.", "Slower.")]


@pytest.mark.parametrize("kind", REPLIED)
def test_items_of_responses_over_a_connection(
    genai_otel_capture: Capture, server: Server, kind: str
) -> None:
    made = example(REPLIED[kind], ("type", kind))
    server.output = [made]
    with client(server).responses.connect() as connection:
        connection.response.create(model="gpt-5-mini", input="Hi.")
        until(connection, "response.completed")
    (span,) = genai_otel_capture.spans
    (reply,) = json.loads(span.attributes[names.GEN_AI_OUTPUT_MESSAGES])
    assert mismatch(tables.ITEMS, kind, made, reply["parts"]) == []


def test_without_content(genai_otel_capture: Capture, server: Server) -> None:
    exporter = InMemorySpanExporter()
    genai_otel.shutdown()
    genai_otel.instrument(destinations=exporter, content="none")
    with client(server).realtime.connect(model=MODEL) as connection:
        converse(connection)
    genai_otel.flush()
    (span,) = exporter.get_finished_spans()
    everything = str(dict(span.attributes)) + str(turns(span))
    assert span.attributes[names.GENAI_OTEL_SESSION_TURNS] == 6
    assert not any(said in everything for said in ("Hi.", "dry", "raining", "kind.", "Paris"))


def test_a_session_in_which_nothing_happens(genai_otel_capture: Capture, server: Server) -> None:
    """It is no more after an hour; one whose host waits for an event is."""
    now = perf_counter()
    with client(server).realtime.connect(model=MODEL) as connection:
        receive = connection._connection.recv

        def slow(*args: Any, **kwargs: Any) -> Any:
            for _ in range(3):
                OPEN.expire(now + 4_000 * next(hours))
            return receive(*args, **kwargs)

        hours = itertools.count(1)
        connection._connection.recv = slow
        until(connection, "session.created")
        connection._connection.recv = receive
        assert genai_otel_capture.spans == ()
        for _ in range(3):
            OPEN.expire(now + 4_000 * next(hours))
        (span,) = genai_otel_capture.spans
        assert span.attributes[names.GENAI_OTEL_EXPIRED] is True
        connection.conversation.item.create(item=ASKED)
        connection.response.create(response={"metadata": {"want": "tool"}})
        until(connection, "response.done")
    assert len(genai_otel_capture.spans) == 1
