"""Bedrock: one of each block, delta, location and body through the real client."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from genai_otel import _semconv as names
from tests.adapters.kin import facts
from tests.adapters.test_bedrock_agents import OPTIONS, coded
from tests.adapters.test_more_clients import serving
from tests.provider.bedrock_wire import encode
from tests.provider.wire import Frame
from tests.wire_types import bedrock as wire
from tests.wire_types import leaves, unrecorded

if TYPE_CHECKING:
    from genai_otel.testing import Capture

MODEL = "nova"
CONVERSE, STREAM = f"/model/{MODEL}/converse", f"/model/{MODEL}/converse-stream"
KEPT_ELSEWHERE = {"bytes", "type", "format", "source", "qualifiers"}


def on_the_wire(value: Any) -> Any:
    """As JSON has it: bytes in base64."""
    if isinstance(value, dict):
        return {key: on_the_wire(each) for key, each in value.items()}
    if isinstance(value, list):
        return [on_the_wire(each) for each in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def block(name: str) -> dict[str, Any]:
    return {name: wire.shape_example(wire.BLOCKS.found()[name], name)}


def reply(*content: Any) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": on_the_wire([*content])}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
        "metrics": {"latencyMs": 1},
    }


def events(*told: tuple[str, Any]) -> bytes:
    whole = [
        ("messageStart", {"role": "assistant"}),
        *told,
        ("messageStop", {"stopReason": "end_turn"}),
    ]
    return b"".join(encode(Frame(on_the_wire(event), kind)) for kind, event in whole)


def ask(answers: dict[str, Any], method: str, service: str = wire.RUNTIME, **asked: Any) -> Any:
    """The answer, any stream in it read to its end."""
    with serving(answers) as root:
        client = boto3.client(service, endpoint_url=root, **OPTIONS)
        try:
            found = getattr(client, method)(**asked)
            return [list(each) for each in found.values() if hasattr(each, "__iter__")]
        finally:
            client.close()


def converse(*content: Any) -> dict[str, Any]:
    return {"modelId": MODEL, "messages": [{"role": "user", "content": [*content]}]}


def parts(capture: Capture, name: str = names.GEN_AI_OUTPUT_MESSAGES) -> list[Any]:
    (message,) = json.loads(facts(capture)[name])
    found: list[Any] = message["parts"]
    return found


@pytest.mark.parametrize("name", wire.BLOCKS.found())
def test_a_block_that_is_sent(genai_otel_capture: Capture, name: str) -> None:
    row, sent = wire.BLOCKS.rows[name], block(name)
    ask({CONVERSE: reply({"text": "Yes."})}, "converse", **converse(sent))
    found = parts(genai_otel_capture, names.GEN_AI_INPUT_MESSAGES)
    assert tuple(part["type"] for part in found) == row.parts
    if isinstance(sent[name], dict):
        assert unrecorded(sent[name], found) - KEPT_ELSEWHERE <= row.left_out


@pytest.mark.parametrize("name", wire.BLOCKS.found())
def test_a_block_that_comes_back(genai_otel_capture: Capture, name: str) -> None:
    row, sent = wire.BLOCKS.rows[name], block(name)
    ask({CONVERSE: reply(sent)}, "converse", **converse({"text": "Hi."}))
    found = parts(genai_otel_capture)
    assert tuple(part["type"] for part in found) == row.parts
    if isinstance(sent[name], dict):
        assert unrecorded(sent[name], found) - KEPT_ELSEWHERE <= row.left_out


@pytest.mark.parametrize("name", wire.RESULTS.found())
def test_what_a_tool_gave_back(genai_otel_capture: Capture, name: str) -> None:
    row, of = wire.RESULTS.rows[name], wire.RESULTS.found()[name]
    given = {name: wire.shape_example(of, name)}
    result = {"toolResult": {"toolUseId": "t1", "content": [given, {"text": "and"}]}}
    ask({CONVERSE: reply({"text": "Yes."})}, "converse", **converse(result))
    (part,) = parts(genai_otel_capture, names.GEN_AI_INPUT_MESSAGES)
    assert (part["type"], part["id"]) == ("tool_call_response", "t1")
    if name == "json":
        assert part["response"][0] == given["json"]
    elif name == "text":
        assert part["response"] == f"{given['text']}and"
    else:
        assert part["response"][0]["type"] == row.parts[0]


@pytest.mark.parametrize("status", ["error", "success", None])
@pytest.mark.parametrize("kind", [None, "server_tool_use"])
def test_a_tool_that_failed(
    genai_otel_capture: Capture, status: str | None, kind: str | None
) -> None:
    more = {"status": status, "type": kind}
    result = {"toolUseId": "t1", "content": [{"text": "No."}]}
    result |= {key: value for key, value in more.items() if value is not None}
    ask({CONVERSE: reply({"text": "Yes."})}, "converse", **converse({"toolResult": result}))
    (part,) = parts(genai_otel_capture, names.GEN_AI_INPUT_MESSAGES)
    told = part if kind is None else part["server_tool_call_response"]
    assert told.get("is_error") == (True if status == "error" else None)


def test_a_block_that_the_client_does_not_know(genai_otel_capture: Capture) -> None:
    ask({CONVERSE: reply({"hologram": {"depth": 3}})}, "converse", **converse({"text": "Hi."}))
    assert parts(genai_otel_capture) == [{"type": "hologram"}]


# botocore's name of each enumeration of formats, and the member that has it
FORMATS = {"document": "DocumentFormat", "image": "ImageFormat", "video": "VideoFormat"}
FORMATS["audio"] = "AudioFormat"
ODD = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "mkv": "video/x-matroska",
    "three_gp": "video/3gpp",
    "md": "text/markdown",
    "pdf": "application/pdf",
    "jpeg": "image/jpeg",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_has_a_type_that_is_one(genai_otel_capture: Capture, name: str) -> None:
    forms = wire.shape(wire.RUNTIME, FORMATS[name]).enum
    more = {"name": "File"} if name == "document" else {}
    sent = [{name: {"format": form, "source": {"bytes": b"1"}, **more}} for form in forms]
    ask({CONVERSE: reply({"text": "Yes."})}, "converse", **converse(*sent))
    found = parts(genai_otel_capture, names.GEN_AI_INPUT_MESSAGES)
    for form, part in zip(forms, found, strict=True):
        kind = part["mime_type"]
        assert (part["modality"], part["size"]) == (name, 1)
        assert kind.partition("/")[0] in {name, "text" if name == "document" else name} or (
            name == "document" and kind.startswith("application/")
        )
        assert form not in ODD or name == "audio" or kind == ODD[form]


def test_a_document_that_is_text(genai_otel_capture: Capture) -> None:
    pieces = {"content": [{"text": "One, "}, {"text": "two."}]}
    sent = {"document": {"format": "txt", "name": "File", "source": pieces}}
    ask({CONVERSE: reply({"text": "Yes."})}, "converse", **converse(sent))
    (part,) = parts(genai_otel_capture, names.GEN_AI_INPUT_MESSAGES)
    assert part == {"type": "text", "content": "One, two."}


# ------------------------------------------------------------------------------------- streams

STARTED: dict[str, Any] = {
    "toolUse": {"toolUse": {"toolUseId": "t1", "name": "weather"}},
    "toolResult": {"toolResult": {"toolUseId": "t1", "type": "nova_grounding_result"}},
    "image": {"image": {"format": "png"}},
}


@pytest.mark.parametrize("name", wire.DELTAS.found())
def test_a_delta(genai_otel_capture: Capture, name: str) -> None:
    row = wire.DELTAS.rows[name]
    delta = wire.shape_example(wire.DELTAS.found()[name], name)
    opened = [("contentBlockStart", {"start": STARTED.get(name), "contentBlockIndex": 0})]
    told = [
        *(opened if name in STARTED else []),
        ("contentBlockDelta", {"delta": {name: delta}, "contentBlockIndex": 0}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
    ]
    ask({STREAM: events(*told)}, "converse_stream", **converse({"text": "Hi."}))
    (part,) = parts(genai_otel_capture)
    assert (part["type"],) == row.parts
    if name == "toolUse":
        assert (part["id"], part["arguments"]) == ("t1", delta["input"])
    elif name != "image":
        assert not unrecorded({name: delta}, [part])
    else:
        assert (part["mime_type"], part["size"]) == ("image/png", 2)


def test_a_search_of_the_providers_own_in_a_stream(genai_otel_capture: Capture) -> None:
    """As Nova's grounding has it: the call, its result, and an answer with its sources."""
    use = {"toolUseId": "s1", "name": "nova_grounding", "type": "server_tool_use"}
    result = {"toolUseId": "s1", "type": "nova_grounding_result", "status": "success"}
    web = {"location": {"web": {"url": "https://a.example", "domain": "a.example"}}}
    told: list[tuple[str, Any]] = [
        ("contentBlockStart", {"start": {"toolUse": use}, "contentBlockIndex": 0}),
        ("contentBlockDelta", {"delta": {"toolUse": {"input": '{"q":'}}, "contentBlockIndex": 0}),
        ("contentBlockDelta", {"delta": {"toolUse": {"input": ' "x"}'}}, "contentBlockIndex": 0}),
        ("contentBlockStart", {"start": {"toolResult": result}, "contentBlockIndex": 1}),
        (
            "contentBlockDelta",
            {"delta": {"toolResult": [{"text": "Fou"}]}, "contentBlockIndex": 1},
        ),
        ("contentBlockDelta", {"delta": {"toolResult": [{"text": "nd."}]}, "contentBlockIndex": 1}),
        ("contentBlockDelta", {"delta": {"text": "It is "}, "contentBlockIndex": 2}),
        ("contentBlockDelta", {"delta": {"text": "so."}, "contentBlockIndex": 2}),
        ("contentBlockDelta", {"delta": {"citation": web}, "contentBlockIndex": 2}),
    ]
    ask({STREAM: events(*told)}, "converse_stream", **converse({"text": "Hi."}))
    called, found, said = parts(genai_otel_capture)
    assert called["type"] == "server_tool_call"
    assert called["name"] == "nova_grounding"
    assert called["server_tool_call"] == {"type": "server_tool_use", "input": {"q": "x"}}
    assert found["type"] == "server_tool_call_response"
    assert called["id"] == found["id"] == "s1"
    answered = found["server_tool_call_response"]
    assert answered == {"type": "nova_grounding_result", "content": "Found."}
    assert (said["type"], said["content"]) == ("text", "It is so.")
    assert said["citations"] == [web]


# --------------------------------------------------------------------- retrieval, agents, flows


def retrieved(**result: Any) -> dict[str, Any]:
    return {"/knowledgebases/KB12345678/retrieve": {"retrievalResults": [on_the_wire(result)]}}


def search(answers: dict[str, Any]) -> None:
    asked = {"knowledgeBaseId": "KB12345678", "retrievalQuery": {"text": "Which?"}}
    ask(answers, "retrieve", wire.AGENTS, **asked)


def document(capture: Capture) -> dict[str, Any]:
    (found,) = json.loads(facts(capture)[names.GEN_AI_RETRIEVAL_DOCUMENTS])
    told: dict[str, Any] = found
    return told


@pytest.mark.parametrize("name", [name for name in wire.LOCATIONS.found() if name != "type"])
def test_a_location(genai_otel_capture: Capture, name: str) -> None:
    place = wire.shape_example(wire.LOCATIONS.found()[name], name)
    search(retrieved(content={"text": "So."}, location={"type": "S3", name: place}))
    (value,) = place.values()
    assert document(genai_otel_capture) == {"id": value, "content": "So."}


@pytest.mark.parametrize("name", [name for name in wire.CONTENT.found() if name != "type"])
def test_what_is_found(genai_otel_capture: Capture, name: str) -> None:
    held = wire.shape_example(wire.CONTENT.found()[name], name)
    search(retrieved(content={name: held}, documentId="d1", score=0.5))
    found = document(genai_otel_capture)
    assert (found["id"], found["score"]) == ("d1", 0.5)
    media = found.get("metadata", {}).get("media", {})
    if name in {"text", "row"}:
        assert held == found["content"] if name == "text" else not unrecorded({name: held}, found)
        return
    assert media["modality"] == {"byteContent": "image"}.get(name, name)
    assert name == "byteContent" or found["content"] in leaves(held)


AGENT = {"agentId": "AGENT1", "agentAliasId": "a", "sessionId": "s1", "inputText": "Hi."}
AGENT_PATH = "/agents/AGENT1/agentAliases/a/sessions/s1/text"
CONTROL = {
    "invocationId": "i1",
    "invocationInputs": [
        {
            "functionInvocationInput": {
                "actionGroup": "g",
                "function": "weather",
                "parameters": [{"name": "city", "type": "string", "value": "Paris"}],
            }
        },
        {
            "apiInvocationInput": {
                "actionGroup": "g",
                "httpMethod": "GET",
                "apiPath": "/time",
                "parameters": [{"name": "zone", "type": "string", "value": "UTC"}],
            }
        },
    ],
}
CITED = {
    "retrievedReferences": [
        {"content": {"text": "So."}, "location": {"customDocumentLocation": {"id": "d1"}}}
    ]
}


def agent_events() -> bytes:
    file = {"name": "plot.png", "type": "image/png", "bytes": coded("1234")["bytes"]}
    told = (
        ("chunk", {**coded("Hello."), "attribution": {"citations": [CITED]}}),
        ("files", {"files": [file]}),
        ("returnControl", CONTROL),
    )
    return b"".join(encode(Frame(event, kind)) for kind, event in told)


def test_an_agent(genai_otel_capture: Capture) -> None:
    state = {
        "invocationId": "i0",
        "returnControlInvocationResults": [
            {
                "functionResult": {
                    "actionGroup": "g",
                    "function": "time",
                    "responseBody": {"TEXT": {"body": "noon"}},
                }
            }
        ],
        "files": [
            {
                "name": "a.csv",
                "source": {
                    "sourceType": "BYTE_CONTENT",
                    "byteContent": {"mediaType": "text/csv", "data": b"a,b"},
                },
                "useCase": "CHAT",
            }
        ],
    }
    ask({AGENT_PATH: agent_events()}, "invoke_agent", wire.AGENTS, **AGENT, sessionState=state)
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_AGENT_ID] == "AGENT1"
    assert names.GEN_AI_AGENT_NAME not in told, "an id is no name"
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("tool_calls",)
    tool, said, given = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert tool["parts"] == [{"type": "tool_call_response", "id": "i0", "response": "noon"}]
    assert said["parts"] == [{"type": "text", "content": "Hi."}]
    assert (given["parts"][0]["mime_type"], given["parts"][0]["size"]) == ("text/csv", 3)
    words, file, function, api = parts(genai_otel_capture)
    assert words == {"type": "text", "content": "Hello."}
    assert (file["modality"], file["mime_type"], file["size"]) == ("image", "image/png", 4)
    assert (function["id"], function["name"]) == ("i1", "weather")
    assert function["arguments"] == {"city": "Paris"}
    assert (api["name"], api["arguments"]) == ("GET /time", {"zone": "UTC"})
    assert document(genai_otel_capture) == {"id": "d1", "content": "So."}


# What each model of one answer used -> the sum, of what all of them have told.
USED: dict[str, tuple[list[dict[str, Any]], dict[str, int]]] = {
    "all told": (
        [{"inputTokens": 7, "outputTokens": 3}, {"inputTokens": 5, "outputTokens": 0}],
        {"input_tokens": 12, "output_tokens": 3}),
    "one did not tell its output": (
        [{"inputTokens": 7, "outputTokens": 3}, {"inputTokens": 5}], {"input_tokens": 12}),
    "one told nothing": ([{"inputTokens": 7, "outputTokens": 3}, {}], {}),
    "none told anything": ([{}, {}], {}),
    "no model was asked": ([], {}),
}  # fmt: skip


@pytest.mark.parametrize("case", USED)
def test_a_sum_that_nobody_knows_is_absent(genai_otel_capture: Capture, case: str) -> None:
    used, sums = USED[case]
    outputs = [{"traceId": "t", **({"metadata": {"usage": each}} if each else {})} for each in used]
    told = [
        {"trace": {"orchestrationTrace": {"modelInvocationOutput": output}}} for output in outputs
    ]
    events = [encode(Frame(coded("Hello."), "chunk"))]
    events += [encode(Frame(each, "trace")) for each in told]
    ask({AGENT_PATH: b"".join(events)}, "invoke_agent", wire.AGENTS, **AGENT)
    found = facts(genai_otel_capture)
    prefix = "gen_ai.usage."
    assert {name[len(prefix) :]: found[name] for name in found if name.startswith(prefix)} == sums


def test_a_flow_whose_documents_are_no_texts(genai_otel_capture: Capture) -> None:
    out = {"nodeName": "Out", "nodeType": "FlowOutputNode", "content": {"document": {"a": [1]}}}
    body = encode(Frame(out, "flowOutputEvent"))
    given = {"nodeName": "In", "nodeOutputName": "document", "content": {"document": {"q": "x"}}}
    asked = {"flowIdentifier": "FLOW", "flowAliasIdentifier": "a", "inputs": [given]}
    ask({"/flows/FLOW/aliases/a": body}, "invoke_flow", wire.AGENTS, **asked)
    (heard,) = parts(genai_otel_capture, names.GEN_AI_INPUT_MESSAGES)
    (said,) = parts(genai_otel_capture)
    assert json.loads(heard["content"]) == {"q": "x"}
    assert json.loads(said["content"]) == {"a": [1]}


# ------------------------------------------------------------------------------ bodies of models

CLAUDE = {"prompt": "\n\nHuman: Hi.\n\nAssistant:", "max_tokens_to_sample": 9}
BODIES: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, str | None]]]] = {
    "anthropic.claude-v2": (
        CLAUDE,
        {"type": "completion", "completion": " Yes.", "stop_reason": "stop_sequence"},
        [(" Yes.", "stop")],
    ),
    "ai21.j2-ultra": (
        {"prompt": "Hi.", "maxTokens": 9, "numResults": 2},
        {
            "id": 17,
            "completions": [
                {"data": {"text": "A."}, "finishReason": {"reason": "endoftext"}},
                {"data": {"text": "B."}, "finishReason": {"reason": "length"}},
            ],
        },
        [("A.", "endoftext"), ("B.", "length")],
    ),
    "cohere.command-text": (
        {"prompt": "Hi.", "max_tokens": 9, "num_generations": 2},
        {
            "id": "g1",
            "generations": [
                {"id": "1", "text": "A.", "finish_reason": "COMPLETE"},
                {"id": "2", "text": "B.", "finish_reason": "MAX_TOKENS"},
            ],
        },
        [("A.", "stop"), ("B.", "length")],
    ),
    "mistral.large": (
        {"prompt": "Hi.", "max_tokens": 9},
        {
            "outputs": [
                {"text": "A.", "stop_reason": "stop"},
                {"text": "B.", "stop_reason": "length"},
            ]
        },
        [("A.", "stop"), ("B.", "length")],
    ),
    "amazon.titan-text": (
        {"inputText": "Hi.", "textGenerationConfig": {"maxTokenCount": 9}},
        {
            "inputTextTokenCount": 1,
            "results": [{"outputText": "A.", "tokenCount": 1, "completionReason": "FINISH"}],
        },
        [("A.", "finish")],
    ),
}


def check_choices(capture: Capture, expected: list[tuple[str, str | None]]) -> None:
    told = facts(capture)
    said = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])
    found = [(turn["parts"][0]["content"], turn.get("finish_reason")) for turn in said]
    assert [(words, reason.lower()) for words, reason in found] == expected


@pytest.mark.parametrize("model", BODIES)
@pytest.mark.parametrize("buffered", [False, True])
def test_a_body_of_an_older_model(
    genai_otel_capture: Capture, model: str, *, buffered: bool
) -> None:
    asked, answered, expected = BODIES[model]
    body = json.dumps(asked).encode()
    given: Any = io.BytesIO(body) if buffered else body
    ask({f"/model/{model}/invoke": answered}, "invoke_model", modelId=model, body=given)
    check_choices(genai_otel_capture, expected)
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 9
    assert "Hi." in told[names.GEN_AI_INPUT_MESSAGES]


PIECES: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str | None]]]] = {
    "anthropic.claude-v2": (
        [
            {"type": "completion", "completion": " Ye", "stop_reason": None},
            {"type": "completion", "completion": "s.", "stop_reason": "stop_sequence"},
        ],
        [(" Yes.", "stop")],
    ),
    "cohere.command-text": (
        [
            {"text": "A", "is_finished": False, "index": 0},
            {"text": "B", "is_finished": False, "index": 1},
            {"text": ".", "is_finished": False, "index": 0},
            {"text": ".", "is_finished": False, "index": 1},
            {"is_finished": True, "finish_reason": "COMPLETE", "index": 0},
            {"is_finished": True, "finish_reason": "MAX_TOKENS", "index": 1},
        ],
        [("A.", "stop"), ("B.", "length")],
    ),
    "mistral.large": (
        [
            {"outputs": [{"text": "A", "stop_reason": None}]},
            {"outputs": [{"text": ".", "stop_reason": "stop"}]},
        ],
        [("A.", "stop")],
    ),
    "cohere.command-r": (
        [
            {"event_type": "stream-start", "is_finished": False, "generation_id": "g"},
            {"event_type": "text-generation", "is_finished": False, "text": "A"},
            {"event_type": "text-generation", "is_finished": False, "text": "."},
            {
                "event_type": "stream-end",
                "is_finished": True,
                "finish_reason": "COMPLETE",
                "response": {"generation_id": "g", "text": "A.", "finish_reason": "COMPLETE"},
            },
        ],
        [("A.", "stop")],
    ),
}


@pytest.mark.parametrize("model", PIECES)
def test_a_stream_of_an_older_model(genai_otel_capture: Capture, model: str) -> None:
    pieces, expected = PIECES[model]
    body = b"".join(encode(Frame(coded(json.dumps(piece)), "chunk")) for piece in pieces)
    path, method = f"/model/{model}/invoke-with-response-stream", "invoke_model"
    ask({path: body}, f"{method}_with_response_stream", modelId=model, body=json.dumps(CLAUDE))
    check_choices(genai_otel_capture, expected)


def test_tools_of_command_r(genai_otel_capture: Capture) -> None:
    call = {"name": "weather", "parameters": {"city": "Paris"}}
    asked = {
        "message": "Is it dry?",
        "tools": [{"name": "weather", "description": "", "parameter_definitions": {}}],
        "tool_results": [{"call": call, "outputs": [{"dry": True}]}],
    }
    answered = {"text": "", "tool_calls": [call], "finish_reason": "COMPLETE"}
    path = "/model/cohere.command-r/invoke"
    ask({path: answered}, "invoke_model", modelId="cohere.command-r", body=json.dumps(asked))
    (part,) = parts(genai_otel_capture)
    assert (part["type"], part["arguments"]) == ("tool_call", {"city": "Paris"})
    assert '"dry"' in facts(genai_otel_capture)[names.GEN_AI_INPUT_MESSAGES]
