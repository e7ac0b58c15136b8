"""Each item and part type of OpenAI's APIs through the real client: whole, streamed, in history."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import genai_otel
from genai_otel import _semconv as names
from tests.answers import events, serving
from tests.wire_types import example, mismatch
from tests.wire_types import openai as tables

openai = pytest.importorskip("openai", minversion=tables.CHECKED)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture

REPLIED = tables.reply_items()
GIVEN = tables.history_items()
CONTENT = tables.CONTENT.found()
CHAT = tables.CHAT.found()
IN_PIECES = {"message", "reasoning"}
USAGE = {
    "input_tokens": 7,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 12,
}
ANSWERS: dict[str, Any] = {}


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    with serving(ANSWERS) as root:
        yield root


@pytest.fixture
def client(root: str) -> Iterator[Any]:
    with openai.OpenAI(api_key="k", base_url=f"{root}/v1", max_retries=0) as client:
        yield client


def facts(capture: Capture) -> dict[str, Any]:
    return dict(capture.span().attributes or {})


def said(capture: Capture, name: str = names.GEN_AI_OUTPUT_MESSAGES) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = json.loads(facts(capture)[name])
    return messages


given = partial(said, name=names.GEN_AI_INPUT_MESSAGES)


def response(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5-mini"}
    return {**head, "status": "completed", "output": list(items), "usage": USAGE, **more}


def streamed(*items: dict[str, Any], last: dict[str, Any] | None = None) -> bytes:
    told = [{"type": "response.created", "response": response(status="in_progress", usage=None)}]
    for at, item in enumerate(items):
        told.append({"type": "response.output_item.added", "output_index": at, "item": item})
        told.append({"type": "response.output_item.done", "output_index": at, "item": item})
    if last is not None:
        told.append({"type": "response.completed", "response": last})
    return events(*({**event, "sequence_number": at} for at, event in enumerate(told)))


def ask(client: Any, answer: Any, *, stream: bool = False, **asked: Any) -> None:
    ANSWERS["/v1/responses"] = answer
    reply = client.responses.create(model="gpt-5-mini", stream=stream, **{"input": "Hi.", **asked})
    if stream:
        list(reply)


# --------------------------------------------------------------------------- the items of responses


@pytest.mark.parametrize("kind", REPLIED)
@pytest.mark.parametrize("way", ["whole", "streamed", "broken off"])
def test_items_of_a_reply(genai_otel_capture: Capture, client: Any, kind: str, way: str) -> None:
    item = example(REPLIED[kind], ("type", kind))
    if way == "whole":
        ask(client, response(item))
    elif way == "streamed":
        ask(client, streamed(item, last=response(item)), stream=True)
    elif kind in IN_PIECES:
        pytest.skip("what is said in pieces is kept as the pieces came")
    else:
        ask(client, streamed(item), stream=True)
    (message,) = said(genai_otel_capture)
    assert mismatch(tables.ITEMS, kind, item, message["parts"]) == []


@pytest.mark.parametrize("kind", GIVEN)
def test_items_of_the_history(genai_otel_capture: Capture, client: Any, kind: str) -> None:
    item = example(GIVEN[kind], ("type", kind))
    ask(client, response(), input=[item, {"role": "user", "content": "And now?"}])
    first, second = given(genai_otel_capture)
    assert mismatch(tables.ITEMS, kind, item, first["parts"]) == []
    assert second == {"role": "user", "parts": [{"type": "text", "content": "And now?"}]}
    outcome = kind.endswith("_output") or kind == "mcp_approval_response"
    assert (first["role"] == "tool") is outcome


def test_a_reply_becomes_history(genai_otel_capture: Capture, client: Any) -> None:
    """As programs do it: the client's own objects are given back."""
    call = example(REPLIED["mcp_call"], ("type", "mcp_call"))
    ANSWERS["/v1/responses"] = response(call)
    reply = client.responses.create(model="gpt-5-mini", input="Hi.")
    client.responses.create(model="gpt-5-mini", input=[*reply.output, reply.output[0]])
    first, second = genai_otel_capture.spans
    (replied,) = json.loads(first.attributes[names.GEN_AI_OUTPUT_MESSAGES])
    for message in json.loads(second.attributes[names.GEN_AI_INPUT_MESSAGES]):
        assert message == {"role": "assistant", "parts": replied["parts"]}


def test_what_a_program_needs_of_a_tool_call_is_there(
    genai_otel_capture: Capture, client: Any
) -> None:
    call = {
        "type": "mcp_call",
        "id": "mcp_1",
        "name": "search",
        "server_label": "docs",
        "arguments": '{"q": "otel"}',
        "output": "found",
    }
    ask(client, response(call))
    (message,) = said(genai_otel_capture)
    assert message["parts"] == [
        {
            "type": "server_tool_call",
            "id": "mcp_1",
            "name": "search",
            "server_tool_call": {
                "type": "mcp",
                "server_label": "docs",
                "arguments": {"q": "otel"},
            },
        },
        {
            "type": "server_tool_call_response",
            "id": "mcp_1",
            "server_tool_call_response": {"type": "mcp", "output": "found"},
        },
    ]
    assert message["finish_reason"] == "stop"


SHELL = {
    "type": "shell_call",
    "id": "sh_1",
    "call_id": "call_1",
    "action": {"commands": ["ls"]},
    "status": "completed",
}
SHELL_OUTPUT = {
    "type": "shell_call_output",
    "id": "sho_1",
    "call_id": "call_1",
    "output": [{"stdout": "a.txt", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
}
CONTAINER = {"type": "container_reference", "container_id": "cntr_1"}
SEARCH = {"type": "tool_search_call", "id": "ts_1", "call_id": "call_1", "arguments": {"q": "x"}}
ASKS = {
    kind: example(REPLIED[kind], ("type", kind))
    for kind in ("function_call", "custom_tool_call", "computer_call", "local_shell_call",
                 "apply_patch_call", "mcp_approval_request")
}  # fmt: skip


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        *(pytest.param([item], "tool_calls", id=kind) for kind, item in ASKS.items()),
        pytest.param([SHELL], "tool_calls", id="shell here"),
        pytest.param([{**SHELL, "environment": CONTAINER}], "stop", id="shell in a container"),
        pytest.param([SHELL, SHELL_OUTPUT], "stop", id="answered already"),
        pytest.param([{**SEARCH, "execution": "client"}], "tool_calls", id="tool search here"),
        pytest.param([{**SEARCH, "execution": "server"}], "stop", id="tool search there"),
        pytest.param([{"type": "web_search_call", "id": "ws_1"}], "stop", id="web search"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_reason_says_whether_the_caller_must_act(
    genai_otel_capture: Capture, client: Any, items: Any, reason: str, *, stream: bool
) -> None:
    answer = response(*items)
    ask(client, streamed(*items, last=answer) if stream else answer, stream=stream)
    assert facts(genai_otel_capture)[names.GEN_AI_RESPONSE_FINISH_REASONS] == (reason,)


def test_tools_that_either_side_may_run(genai_otel_capture: Capture, client: Any) -> None:
    hosted = [{**SHELL, "environment": CONTAINER}, SHELL_OUTPUT, {**SEARCH, "execution": "client"}]
    ask(client, response(*hosted), input=[SHELL, SHELL_OUTPUT])
    (message,) = said(genai_otel_capture)
    assert [part["type"] for part in message["parts"]] == [
        "server_tool_call",
        "server_tool_call_response",
        "tool_call",
    ]
    call, outcome = given(genai_otel_capture)
    assert call["parts"][0]["arguments"] == {"commands": ["ls"]}
    assert outcome["parts"][0]["type"] == "tool_call_response"
    assert outcome["parts"][0]["response"] == SHELL_OUTPUT["output"]


_OUTCOMES = ("output", "outputs", "error")
PIECES = {
    "function_call": ("function_call_arguments", "arguments", "arguments"),
    "custom_tool_call": ("custom_tool_call_input", "input", "arguments"),
    "mcp_call": ("mcp_call_arguments", "arguments", "arguments"),
    "code_interpreter_call": ("code_interpreter_call_code", "code", "code"),
    "shell_call": ("shell_call_command", "action", "commands"),
    "apply_patch_call": ("apply_patch_call_operation_diff", "operation", "diff"),
}


@pytest.mark.parametrize("kind", PIECES)
def test_what_was_made_of_an_item_before_the_stream_broke_off(
    genai_otel_capture: Capture, client: Any, kind: str
) -> None:
    event, field, recorded_as = PIECES[kind]
    item = example(REPLIED[kind], ("type", kind))
    opened = {key: value for key, value in item.items() if key not in {field, *_OUTCOMES}}
    delta = {"type": f"response.{event}.delta", "output_index": 0, "item_id": item["id"]}
    told: list[dict[str, Any]] = [
        {"type": "response.output_item.added", "output_index": 0, "item": opened},
        {**delta, "delta": "print("},
        {**delta, "delta": "1)"},
    ]
    ask(client, events(*told), stream=True)
    ((part,),) = [message["parts"] for message in said(genai_otel_capture)]
    assert item.get("call_id", item["id"]) == part["id"]
    assert "print(1)" in json.dumps(part)
    assert recorded_as in json.dumps(part)


SAID = [
    kind
    for kind, row in {**tables.EVENTS.rows, **tables.EVENTS.beyond}.items()
    if row.parts in {("text",), ("reasoning",)}
]


@pytest.mark.parametrize("kind", SAID)
def test_what_was_said_before_the_stream_broke_off(
    genai_otel_capture: Capture, client: Any, kind: str
) -> None:
    where = {"type": kind, "output_index": 0, "item_id": "i"}
    ask(client, events({**where, "delta": "Hel"}, {**where, "delta": "lo"}), stream=True)
    (message,) = said(genai_otel_capture)
    (kept,) = tables.EVENTS.rows[kind].parts
    assert message["parts"] == [{"type": kept, "content": "Hello"}]


def test_pieces_of_calls_are_all_tried() -> None:
    declared = {**tables.EVENTS.rows, **tables.EVENTS.beyond}
    calls = {kind for kind, row in declared.items() if row.parts and kind not in SAID}
    assert calls == {f"response.{event}.delta" for event, _, _ in PIECES.values()}


def test_sources_of_a_text(genai_otel_capture: Capture, client: Any) -> None:
    source = {"type": "url_citation", "url": "https://example.org/", "title": "E",
              "start_index": 0, "end_index": 2}  # fmt: skip
    part = {"type": "output_text", "text": "So.", "annotations": [source]}
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed",
               "content": [part]}  # fmt: skip
    ask(client, response(message))
    (told,) = said(genai_otel_capture)[0]["parts"]
    assert told == {"type": "text", "content": "So.", "citations": [source]}


@pytest.mark.parametrize("kind", CONTENT)
def test_content_of_messages_and_of_results(
    genai_otel_capture: Capture, client: Any, kind: str
) -> None:
    piece = example(CONTENT[kind], ("type", kind))
    message = {"type": "message", "role": "user", "content": [piece]}
    result = {"type": "function_call_output", "call_id": "call_1", "output": [piece]}
    ask(client, response(), input=[message, result])
    asked, answered = given(genai_otel_capture)
    types = tuple(part["type"] for part in asked["parts"])
    assert types == tables.CONTENT.rows[kind].parts
    (answer,) = answered["parts"]
    whole = answer["response"]
    if types == ("media",):
        assert whole == asked["parts"]
        assert whole[0].get("id") == piece["file_id"]
    else:
        (part,) = asked["parts"]
        assert part["content"] in piece.values()
        assert whole in (part["content"], [part])


def test_bytes_are_never_recorded(genai_otel_capture: Capture, client: Any) -> None:
    coded = "iVBORw0KGgo" * 100
    shown = f"data:image/png;base64,{coded}"
    screen = {"type": "computer_screenshot", "image_url": shown}
    outputs = [{"type": "logs", "logs": "1"}, {"type": "image", "url": shown}]
    ask(
        client,
        response(
            {"type": "image_generation_call", "id": "ig_1", "result": coded, "status": "completed"},
            {"type": "code_interpreter_call", "id": "ci_1", "code": "1", "outputs": outputs},
            {"type": "hologram", "id": "h_1", "view": {"of": [shown, coded]}},
        ),
        input=[{"type": "computer_call_output", "call_id": "call_1", "output": screen}],
    )
    assert coded[:50] not in str(facts(genai_otel_capture))
    (asked,) = given(genai_otel_capture)
    (picture,) = asked["parts"][0]["response"]
    assert picture["mime_type"] == "image/png"
    assert picture["size"] == 825
    parts = said(genai_otel_capture)[0]["parts"]
    assert parts[1]["type"] == "media"
    assert parts[3]["server_tool_call_response"]["outputs"][1]["size"] == 825
    assert parts[4]["value"] == {"view": {"of": ["[825 bytes]", "[825 bytes]"]}}


def test_an_unknown_type_is_recorded_by_its_type_id_and_value(
    genai_otel_capture: Capture, client: Any
) -> None:
    unknown = {"type": "hologram_call", "id": "hg_1", "depth": 3, "words": ["x" * 90_000] * 3}
    message = {"type": "message", "role": "user", "content": [unknown]}
    ask(client, response(unknown), input=[unknown, message])
    (replied,) = said(genai_otel_capture)
    first, second = given(genai_otel_capture)
    for parts in (replied["parts"], first["parts"], second["parts"]):
        (part,) = parts
        assert (part["type"], part["id"], part["value"]["depth"]) == ("hologram_call", "hg_1", 3)
        assert len(json.dumps(part)) < 70_000
    assert replied["finish_reason"] == "stop"


def test_compaction_is_a_call(genai_otel_capture: Capture, client: Any) -> None:
    ANSWERS["/v1/responses/compact"] = {
        "id": "cmp_1",
        "object": "response.compaction",
        "created_at": 1,
        "output": [
            {"type": "message", "id": "m_1", "role": "user", "status": "completed",
             "content": [{"type": "input_text", "text": "Hi."}]},
            {"type": "compaction", "id": "c_1", "encrypted_content": "secret"},
        ],
        "usage": USAGE,
    }  # fmt: skip
    client.responses.compact(model="gpt-5-mini", input="Hi.", instructions="Short.")
    told = facts(genai_otel_capture)
    assert genai_otel_capture.span().name == "chat gpt-5-mini"
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 7
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 5
    assert told[names.GEN_AI_RESPONSE_ID] == "cmp_1"
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("compaction",)
    kept, compacted = said(genai_otel_capture)
    assert kept["parts"] == [{"type": "text", "content": "Hi."}]
    assert compacted["parts"] == [{"type": "compaction", "id": "c_1"}]
    assert given(genai_otel_capture)[0]["parts"] == [{"type": "text", "content": "Hi."}]


def test_definitions_have_a_name_and_no_secrets(genai_otel_capture: Capture, client: Any) -> None:
    server = {
        "type": "mcp",
        "server_label": "docs",
        "server_url": "https://example.org/mcp",
        "authorization": "s3cret",
        "headers": {"X-Key": "s3cret"},
    }
    ask(client, response(), tools=[server, {"type": "web_search"}])
    told = facts(genai_otel_capture)
    assert "s3cret" not in str(told)
    first, second = json.loads(told[names.GEN_AI_TOOL_DEFINITIONS])
    assert (first["type"], first["name"]) == ("mcp", "docs")
    assert (second["type"], second["name"]) == ("web_search", "web_search")


# -------------------------------------------------------------------------------- chat completions


def completion(message: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "c_1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [choice]}  # fmt: skip


def chunks(*deltas: dict[str, Any], finish: str = "stop") -> bytes:
    head = {"id": "c_1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    told = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    end = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    return events(*told, end, end="data: [DONE]\n\n")


def chat(client: Any, answer: Any, *, stream: bool = False, **asked: Any) -> None:
    ANSWERS["/v1/chat/completions"] = answer
    asked = {"messages": [{"role": "user", "content": "Hi."}], **asked}
    reply = client.chat.completions.create(model="m", stream=stream, **asked)
    if stream:
        list(reply)


@pytest.mark.parametrize("kind", CHAT)
def test_content_of_chat_messages(genai_otel_capture: Capture, client: Any, kind: str) -> None:
    piece = example(CHAT[kind], ("type", kind))
    if kind == "file":
        del piece["file"]["file_id"]
    chat(client, completion({}), messages=[{"role": "user", "content": [piece]}])
    (asked,) = given(genai_otel_capture)
    types = tuple(part["type"] for part in asked["parts"])
    assert types == tables.CHAT.rows[kind].parts
    if types == ("media",):
        assert asked["parts"][0]["size"] > 0


@pytest.mark.parametrize("kind", ["video_url", "document_url", "audio_url"])
@pytest.mark.parametrize("form", ["object", "text"])
def test_content_of_other_servers(
    genai_otel_capture: Capture, client: Any, kind: str, form: str
) -> None:
    address = "https://example.org/it.bin?key=1"
    piece = {"type": kind, kind: address if form == "text" else {"url": address}}
    chat(client, completion({}), messages=[{"role": "user", "content": [piece]}])
    (asked,) = given(genai_otel_capture)
    assert asked["parts"] == [
        {
            "type": "media",
            "modality": kind.removesuffix("_url"),
            "uri": "https://example.org/it.bin",
        }
    ]


CALLED = {"name": "look", "arguments": '{"at": 1}'}
AT_ONE = {"type": "tool_call", "id": None, "name": "look", "arguments": {"at": 1}}


def test_the_form_that_tools_replaced(genai_otel_capture: Capture, client: Any) -> None:
    history = [
        {"role": "user", "content": "Hi.", "name": "ann"},
        {"role": "assistant", "content": None, "function_call": CALLED},
        {"role": "function", "name": "look", "content": "A dot."},
    ]
    function = {"name": "look", "parameters": {"type": "object"}}
    answer = completion({"content": None, "function_call": CALLED}, "function_call")
    chat(client, answer, messages=history, functions=[function])
    user, model, result = given(genai_otel_capture)
    assert user == {"role": "user", "name": "ann", "parts": [{"type": "text", "content": "Hi."}]}
    assert model["parts"] == [AT_ONE]
    assert result == {
        "role": "tool",
        "name": "look",
        "parts": [{"type": "tool_call_response", "id": None, "response": "A dot."}],
    }
    (message,) = said(genai_otel_capture)
    assert message["parts"] == [AT_ONE]
    assert message["finish_reason"] == "tool_call"
    (definition,) = json.loads(facts(genai_otel_capture)[names.GEN_AI_TOOL_DEFINITIONS])
    assert definition == {"type": "function", **function}


def test_the_form_that_tools_replaced_in_a_stream(genai_otel_capture: Capture, client: Any) -> None:
    deltas = [
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": ""}},
        {"function_call": {"arguments": '{"at"'}},
        {"function_call": {"arguments": ": 1}"}},
    ]
    chat(client, chunks(*deltas, finish="function_call"), stream=True)
    (message,) = said(genai_otel_capture)
    assert message["parts"] == [AT_ONE]
    assert message["finish_reason"] == "tool_call"


@pytest.mark.parametrize("stream", [False, True])
def test_arguments_that_are_no_text(
    genai_otel_capture: Capture, client: Any, *, stream: bool
) -> None:
    """Some servers send the object itself, and so do programs that give a history back."""
    call = {"index": 0, "id": "call_1", "type": "function",
            "function": {"name": "look", "arguments": {"at": 1}}}  # fmt: skip
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    answer = chunks(message, finish="tool_calls") if stream else completion(message, "tool_calls")
    chat(client, answer, stream=stream, messages=[message])
    (asked,), (replied,) = given(genai_otel_capture), said(genai_otel_capture)
    assert asked["parts"] == replied["parts"] == [{**AT_ONE, "id": "call_1"}]


@pytest.mark.parametrize("stream", [False, True])
def test_custom_tools(genai_otel_capture: Capture, client: Any, *, stream: bool) -> None:
    call = {"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "sql", "input": "SEL"}}
    more = {"index": 0, "custom": {"input": "ECT"}}
    if stream:
        chat(client, chunks({"tool_calls": [call]}, {"tool_calls": [more]}), stream=True)
    else:
        call["custom"] = {"name": "sql", "input": "SELECT"}
        chat(client, completion({"content": None, "tool_calls": [call]}))
    (message,) = said(genai_otel_capture)
    assert message["parts"] == [
        {"type": "tool_call", "id": "call_1", "name": "sql", "arguments": "SELECT"}
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_pictures_beside_the_text(
    genai_otel_capture: Capture, client: Any, *, stream: bool
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    message = {"content": "Here.", "images": [image]}
    chat(client, chunks(message) if stream else completion(message), stream=stream)
    text, picture = said(genai_otel_capture)[0]["parts"]
    assert text["content"] == "Here."
    assert (picture["type"], picture["mime_type"], picture["size"]) == ("media", "image/png", 2)


def test_sources_of_a_chat_message(genai_otel_capture: Capture, client: Any) -> None:
    source = {"type": "url_citation", "url_citation": {"url": "https://example.org/"}}
    chat(client, completion({"content": "So.", "annotations": [source]}))
    (told,) = said(genai_otel_capture)[0]["parts"]
    assert told == {"type": "text", "content": "So.", "citations": [source]}


def test_speech_in_the_history(genai_otel_capture: Capture, client: Any) -> None:
    chat(client, completion({}), messages=[{"role": "assistant", "audio": {"id": "audio_1"}}])
    (asked,) = given(genai_otel_capture)
    assert asked["parts"][0] == {"type": "media", "modality": "audio", "id": "audio_1"}


def test_parameters_given_as_extra_body(genai_otel_capture: Capture, client: Any) -> None:
    """As programs give what only their server knows: vLLM's ``top_k`` and the like."""
    chat(client, completion({}), seed=1, extra_body={"top_k": 3, "seed": 2})
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_REQUEST_TOP_K] == 3
    assert told[names.GEN_AI_REQUEST_SEED] == 2


@pytest.mark.parametrize("stream", [False, True])
def test_cached_tokens_as_mistral_counts_them(
    genai_otel_capture: Capture, client: Any, *, stream: bool
) -> None:
    usage = {"prompt_tokens": 400, "completion_tokens": 60, "total_tokens": 460,
             "num_cached_tokens": 128}  # fmt: skip
    whole = {**completion({"content": "Hi."}), "usage": usage}
    last = {"id": "c_1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [], "usage": usage}  # fmt: skip
    pieces = chunks({"content": "Hi."}).replace(b"data: [DONE]", events(last) + b"data: [DONE]")
    chat(client, pieces if stream else whole, stream=stream)
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 400
    assert told[names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS] == 128


def recorded_under(policy: genai_otel.ContentPolicy, client: Any, *items: Any) -> Any:
    genai_otel.shutdown()
    exporter = InMemorySpanExporter()
    genai_otel.instrument(destinations=exporter, content=policy)
    ask(client, response(*items), input=[*items])
    genai_otel.flush()
    (span,) = exporter.get_finished_spans()
    (message,) = json.loads((span.attributes or {})[names.GEN_AI_INPUT_MESSAGES])
    return message["parts"]


def test_what_policies_say_of_tools_of_the_provider(client: Any) -> None:
    call = {"type": "mcp_call", "id": "mcp_1", "name": "search", "server_label": "docs",
            "arguments": "{}", "output": "found"}  # fmt: skip
    use, outcome = recorded_under(genai_otel.ContentPolicy(tools="none"), client, call)
    assert (use["id"], use["name"]) == ("mcp_1", "search")
    assert set(use["server_tool_call"]) == {"type", "value"}
    assert use["server_tool_call"]["type"] == "mcp"
    assert "docs" not in str(use)
    assert "found" not in str(outcome)


def test_what_policies_say_of_pictures_in_results(client: Any) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,aGk="}
    result = {"type": "function_call_output", "call_id": "call_1", "output": [image]}
    (part,) = recorded_under(genai_otel.ContentPolicy(media="drop"), client, result)
    assert part["response"] == [{"type": "media", "modality": "image", "mime_type": "image/png"}]
