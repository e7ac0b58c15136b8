"""Google: one of each part, step, delta and piece through the real client."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel import _semconv as names
from tests.adapters.kin import facts
from tests.adapters.test_more_clients import serving
from tests.wire_types import example, google, unrecorded

if TYPE_CHECKING:
    from genai_otel.testing import Capture

pytest.importorskip("google.genai._gaos", reason="came with google-genai 2")
from google import genai
from google.genai import types

pytestmark = pytest.mark.filterwarnings("ignore")
MODEL = "gemini"
WHOLE = f"/v1/models/{MODEL}:generateContent"
STREAMED = f"/v1/models/{MODEL}:streamGenerateContent?alt=sse"
SIGNED = base64.b64encode(b"signature").decode()
PICTURE = {"data": base64.b64encode(b"12345").decode(), "mimeType": "image/png"}
ODD: dict[str, dict[str, Any]] = {
    "text": {"text": "Hello."},
    "thought": {"thought": True, "text": "Hm."},
    "thoughtSignature": {"text": "", "thoughtSignature": SIGNED},
    "inlineData": {"inlineData": PICTURE},
    "fileData": {"fileData": {"fileUri": "gs://bucket/film", "mimeType": "video/mp4"}},
    "functionCall": {"functionCall": {"id": "f1", "name": "camera", "args": {"room": "hall"}}},
    "functionResponse": {
        "functionResponse": {
            "id": "f1",
            "name": "camera",
            "response": {"seen": "a dog"},
            "parts": [
                {"inlineData": PICTURE},
                {"fileData": {"fileUri": "gs://bucket/dog", "mimeType": "image/png"}},
            ],
        }
    },
}


def part_of(name: str) -> dict[str, Any]:
    """A part with this field, as the API has it; what is said of media beside some."""
    if name in ODD:
        return ODD[name]
    value = example(google.PARTS.found()[name])
    alone = google.PARTS.rows[name].parts != ("media",)
    return {name: value} if alone else {"inlineData": PICTURE, name: value}


def answer(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": [*parts]}, **more}]}


def client_of(root: str) -> Any:
    options = {"base_url": root, "api_version": "v1"}
    return genai.Client(api_key="k", http_options=options)


def ask(answers: dict[str, Any], contents: Any = "Hi.", *, stream: bool = False) -> list[Any]:
    with serving(answers) as root:
        client = client_of(root)
        method = "generate_content_stream" if stream else "generate_content"
        reply = getattr(client.models, method)(model=MODEL, contents=contents)
        found = list(reply) if stream else [reply]
        client.close()
        return found


def frames(*answers: Any) -> bytes:
    return "".join(f"data: {json.dumps(each)}\r\n\r\n" for each in answers).encode()


def parts(capture: Capture, name: str = names.GEN_AI_OUTPUT_MESSAGES) -> list[Any]:
    (message,) = json.loads(facts(capture)[name])
    found: list[Any] = message["parts"]
    return found


def check(name: str, sent: dict[str, Any], found: list[Any]) -> None:
    row = google.PARTS.rows[name]
    assert tuple(part["type"] for part in found) == row.parts
    value = sent[name]
    if isinstance(value, dict):
        assert unrecorded(value, found) <= row.left_out
    elif name != "thoughtSignature":
        assert value is True or not unrecorded({name: value}, found)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", google.PARTS.found())
def test_a_part_that_comes_back(genai_otel_capture: Capture, name: str, *, stream: bool) -> None:
    sent = part_of(name)
    ask({WHOLE: answer(sent), STREAMED: frames(answer(sent))}, stream=stream)
    check(name, sent, parts(genai_otel_capture))


@pytest.mark.parametrize("name", google.PARTS.found())
def test_a_part_that_is_sent(genai_otel_capture: Capture, name: str) -> None:
    content = types.Content(role="user", parts=[types.Part.model_validate(part_of(name))])
    ask({WHOLE: answer({"text": "Yes."})}, content)
    found = parts(genai_otel_capture, names.GEN_AI_INPUT_MESSAGES)
    assert tuple(part["type"] for part in found) == google.PARTS.rows[name].parts


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_said_of_a_text(genai_otel_capture: Capture, *, stream: bool) -> None:
    told = {"text": "Yes.", "partMetadata": {"source": "memory"}}
    sent = answer({"text": "So: "}, told, {"text": "No."})
    ask({WHOLE: sent, STREAMED: frames(sent)}, stream=stream)
    before, part, after = parts(genai_otel_capture)
    metadata = {"part_metadata": {"source": "memory"}}
    assert part == {"type": "text", "content": "Yes.", "metadata": metadata}
    assert [before["content"], after["content"]] == ["So: ", "No."]


def test_a_part_of_a_newer_api(genai_otel_capture: Capture) -> None:
    ask({WHOLE: answer({"hologramData": {"depth": 3, "bytes": "A" * 800}})})
    (part,) = parts(genai_otel_capture)
    assert part == {
        "type": "hologram_data",
        "value": {"depth": 3, "bytes": "[600 bytes]"},
    }


def test_a_signature_alone_is_no_text(genai_otel_capture: Capture) -> None:
    """As streams of Gemini 3 end: an empty text that carries the signature."""
    signed = {"text": "", "thoughtSignature": SIGNED}
    replies = frames(answer({"text": "Hel"}), answer({"text": "lo."}), answer(signed))
    ask({STREAMED: replies}, stream=True)
    assert parts(genai_otel_capture) == [
        {"type": "text", "content": "Hello."},
        {"type": "reasoning", "content": ""},
    ]
    assert SIGNED not in str(facts(genai_otel_capture))


def test_a_functions_answer_with_an_image(genai_otel_capture: Capture) -> None:
    content = types.Content(role="user", parts=[types.Part.model_validate(ODD["functionResponse"])])
    ask({WHOLE: answer({"text": "A dog."})}, content)
    (turn,) = json.loads(facts(genai_otel_capture)[names.GEN_AI_INPUT_MESSAGES])
    ((part),) = turn["parts"]
    assert (turn["role"], part["type"], part["id"]) == ("tool", "tool_call_response", "f1")
    response, image, file = part["response"]
    assert response == {"seen": "a dog"}
    assert (image["type"], image["size"], image["mime_type"]) == ("media", 5, "image/png")
    assert file["uri"] == "gs://bucket/dog"


def test_a_tool_of_googles_has_its_name_and_id(genai_otel_capture: Capture) -> None:
    call = {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["x"]}}
    result = {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "response": {"found": 2}}
    ask({WHOLE: answer({"toolCall": call}, {"toolResponse": result})})
    called, found = parts(genai_otel_capture)
    assert called["name"] == "google_search_web"
    assert called["id"] == found["id"] == "t1"
    told = {"type": "google_search_web", "args": {"queries": ["x"]}}
    assert called["server_tool_call"] == told
    told = {"type": "google_search_web", "response": {"found": 2}}
    assert found["server_tool_call_response"] == told


def test_arguments_that_come_in_pieces(genai_otel_capture: Capture) -> None:
    pieces: list[dict[str, Any]] = [
        {"id": "c1", "name": "weather", "willContinue": True},
        {
            "partialArgs": [{"jsonPath": "$.city", "stringValue": "Pa", "willContinue": True}],
            "willContinue": True,
        },
        {
            "partialArgs": [
                {"jsonPath": "$.city", "stringValue": "ris"},
                {"jsonPath": "$.days", "numberValue": 3},
            ],
            "willContinue": True,
        },
        {},
    ]
    replies = frames(*(answer({"functionCall": piece}) for piece in pieces))
    ask({STREAMED: replies}, stream=True)
    (part,) = parts(genai_otel_capture)
    assert (part["type"], part["id"], part["name"]) == ("tool_call", "c1", "weather")
    assert part["arguments"] == {"city": "Paris", "days": 3}


def test_tools_of_both_kinds_in_one(genai_otel_capture: Capture) -> None:
    declared = types.FunctionDeclaration(name="weather", description="Tell the weather.")
    tool = types.Tool(function_declarations=[declared], google_search=types.GoogleSearch())
    with serving({WHOLE: answer({"text": "Yes."})}) as root:
        client = client_of(root)
        config = types.GenerateContentConfig(tools=[tool])
        client.models.generate_content(model=MODEL, contents="Hi.", config=config)
        client.close()
    told = json.loads(facts(genai_otel_capture)[names.GEN_AI_TOOL_DEFINITIONS])
    assert {each["name"] for each in told} == {"weather", "googleSearch"}


# -------------------------------------------------------------------------------- interactions

PATH = "/v1/interactions"


def interaction(*steps: Any) -> dict[str, Any]:
    return {"id": "i1", "model": MODEL, "status": "completed", "steps": [*steps]}


def interact(answers: dict[str, Any], **more: Any) -> None:
    with serving(answers) as root:
        client = client_of(root)
        found = client.interactions.create(model=MODEL, **{"input": "Hi.", **more})
        if more.get("stream"):
            list(found)
        client.close()


WORDS = {"type": "text", "text": "Hello."}
ODD_STEPS: dict[str, dict[str, Any]] = {
    "model_output": {"content": [WORDS]},
    "user_input": {"content": [WORDS]},
    "thought": {"summary": [WORDS], "signature": SIGNED},
    "thought_summary": {"content": WORDS},
    "image": {"data": PICTURE["data"], "mime_type": "image/png", "resolution": "high"},
}


def step_of(name: str, wire: Any = google.STEPS) -> dict[str, Any]:
    """One with every field; media lie in it, or somewhere else."""
    if name in ODD_STEPS:
        return {"type": name, **ODD_STEPS[name]}
    made: dict[str, Any] = example(wire.found()[name], ("type", name))
    if "uri" in made:
        made["uri"] = "gs://bucket/file"
    return {key: value for key, value in made.items() if key != "data" or "uri" not in made}


@pytest.mark.parametrize("name", [n for n in google.STEPS.found() if n != "user_input"])
def test_a_step(genai_otel_capture: Capture, name: str) -> None:
    sent, row = step_of(name), google.STEPS.rows[name]
    interact({PATH: interaction(sent)})
    found = parts(genai_otel_capture)
    assert tuple(part["type"] for part in found) == row.parts
    assert unrecorded(sent, found) - {"type"} <= row.left_out | google.STEPS.left_out


@pytest.mark.parametrize("name", google.STEPS.found())
def test_a_step_of_the_history(genai_otel_capture: Capture, name: str) -> None:
    sent, row = step_of(name), google.STEPS.rows[name]
    interact({PATH: interaction()}, input=[sent])
    found = parts(genai_otel_capture, names.GEN_AI_INPUT_MESSAGES)
    assert tuple(part["type"] for part in found) == row.parts


@pytest.mark.parametrize("name", google.PIECES.found())
def test_a_piece_of_content(genai_otel_capture: Capture, name: str) -> None:
    sent, row = step_of(name, google.PIECES), google.PIECES.rows[name]
    interact({PATH: interaction({"type": "model_output", "content": [sent]})})
    found = parts(genai_otel_capture)
    assert tuple(part["type"] for part in found) == row.parts
    assert unrecorded(sent, found) - {"type"} <= row.left_out


@pytest.mark.parametrize("name", google.DELTAS.found())
def test_a_delta(genai_otel_capture: Capture, name: str) -> None:
    sent, row = step_of(name, google.DELTAS), google.DELTAS.rows[name]
    begun: dict[str, Any] = {"type": "model_output"}
    if name in google.STEPS.found():
        begun = {"type": name}
        begun[("call_id" if name.endswith("_result") else "id")] = "s1"
    elif name == "arguments_delta":
        begun = {"type": "function_call", "id": "s1", "name": "weather", "arguments": {}}
    elif name.startswith("thought"):
        begun = {"type": "thought"}
    events = (
        {"event_type": "interaction.created", "interaction": {"id": "i1"}},
        {"event_type": "step.start", "index": 0, "step": begun},
        {"event_type": "step.delta", "index": 0, "delta": sent},
        {"event_type": "step.stop", "index": 0},
        {"event_type": "interaction.completed", "interaction": interaction()},
    )
    lines = (f"event: {each['event_type']}\ndata: {json.dumps(each)}\n\n" for each in events)
    interact({PATH: "".join(lines).encode()}, stream=True)
    found = parts(genai_otel_capture)
    assert tuple(part["type"] for part in found) == row.parts
    if row.parts:
        assert unrecorded(sent, found) - {"type"} <= row.left_out | google.DELTAS.left_out
    if begun.get("id") or begun.get("call_id"):
        assert found[0]["id"] == "s1"


def test_a_step_of_a_newer_api(genai_otel_capture: Capture) -> None:
    """The client has no class for it; what it was is recorded all the same."""
    interact({PATH: interaction({"type": "hologram_call", "id": "h1", "depth": 3})})
    (part,) = parts(genai_otel_capture)
    assert (part["type"], part["id"], part["name"]) == ("server_tool_call", "h1", "hologram")
    assert part["server_tool_call"] == {"type": "hologram_call", "depth": 3}
