"""Mistral, Cohere, Groq and Ollama: one of each chunk, entry and event through the real client."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel import _semconv as names
from tests.adapters.kin import facts
from tests.adapters.test_more_clients import serving
from tests.closing import closing
from tests.wire_types import chats, example, mistral, unrecorded

if TYPE_CHECKING:
    from genai_otel.testing import Capture

pytestmark = pytest.mark.filterwarnings("ignore")
PICTURE = base64.b64encode(b"12345").decode()


def parts(capture: Capture, name: str = names.GEN_AI_OUTPUT_MESSAGES) -> list[Any]:
    (message,) = json.loads(facts(capture)[name])
    found: list[Any] = message["parts"]
    return found


def frames(*events: dict[str, Any]) -> bytes:
    lines = (f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events)
    return "".join(lines).encode()


# ------------------------------------------------------------------------------------- Mistral

TALKS = "/v1/conversations"


def mistral_of(root: str) -> Any:
    return pytest.importorskip("mistralai.client").Mistral(api_key="k", server_url=root)


def talk(answers: dict[str, Any], **more: Any) -> None:
    with serving(answers) as root, mistral_of(root) as client:
        asked = {"model": "mistral-small", "inputs": "Hi.", **more}
        if "stream" not in more:
            client.beta.conversations.start(**asked)
            return
        del asked["stream"]
        with client.beta.conversations.start_stream(**asked) as stream:
            list(stream)


def conversation(*outputs: Any) -> dict[str, Any]:
    return {
        "object": "conversation.response",
        "conversation_id": "c1",
        "outputs": [*outputs],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


ADDRESSES = {
    "image_url": "https://a.example/cat.png",
    "document_url": "https://a.example/a.pdf",
    "input_audio": PICTURE,
}


def chunk_of(name: str) -> dict[str, Any]:
    made: dict[str, Any] = example(mistral.CHUNKS.found()[name], ("type", name))
    if name in ADDRESSES:
        made[name] = ADDRESSES[name]
    if name == "thinking":
        made["thinking"] = [{"type": "text", "text": "Hm, "}, {"type": "text", "text": "so."}]
    return made


@pytest.mark.parametrize("name", mistral.CHUNKS.found())
def test_a_chunk_that_is_sent(genai_otel_capture: Capture, name: str) -> None:
    sent, row = chunk_of(name), mistral.CHUNKS.rows[name]
    body = {"id": "r1", "object": "chat.completion", "model": "m", "created": 1, "choices": []}
    body["usage"] = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    with serving({"/v1/chat/completions": body}) as root, mistral_of(root) as client:
        client.chat.complete(model="m", messages=[{"role": "user", "content": [sent]}])
    found = parts(genai_otel_capture, names.GEN_AI_INPUT_MESSAGES)
    assert tuple(part["type"] for part in found) == row.parts
    assert unrecorded(sent, found) - {"type"} <= row.left_out
    if name == "document_url":
        assert (found[0]["modality"], found[0]["uri"]) == ("document", sent["document_url"])
    if name == "thinking":
        assert found[0]["content"] == "Hm, so."


def entry_of(name: str) -> dict[str, Any]:
    made: dict[str, Any] = example(mistral.ENTRIES.found()[name], ("type", name))
    dates = dict.fromkeys(("created_at", "completed_at"), "2026-01-01T00:00:00Z")
    return {**made, **{key: dates[key] for key in made if key in dates}}


@pytest.mark.parametrize("name", mistral.ENTRIES.found())
def test_an_entry(genai_otel_capture: Capture, name: str) -> None:
    sent, row = entry_of(name), mistral.ENTRIES.rows[name]
    outputs = [] if name in {"message.input", "function.result"} else [sent]
    talk({TALKS: conversation(*outputs)}, inputs=[sent])
    heard = parts(genai_otel_capture, names.GEN_AI_INPUT_MESSAGES)
    found = parts(genai_otel_capture) if outputs else heard
    assert tuple(part["type"] for part in found) == row.parts
    assert [each["type"] for each in heard] == [each["type"] for each in found]
    left_out = row.left_out | mistral.ENTRIES.left_out
    assert unrecorded(sent, found) - {"type"} <= left_out


def test_an_event_of_a_newer_api(genai_otel_capture: Capture) -> None:
    """Of which the client makes one of its unknown ones; an unknown entry it refuses itself."""
    talk({TALKS: frames({"type": "hologram", "id": "h1", "depth": 3})}, stream=True)
    (part,) = parts(genai_otel_capture)
    assert part == {"type": "hologram", "id": "h1", "value": {"type": "hologram", "depth": 3}}


def test_a_conversation_in_a_stream(genai_otel_capture: Capture) -> None:
    tool = {"id": "t1", "name": "web_search"}
    hand = {"id": "a1", "next_agent_id": "ag:2", "next_agent_name": "poet"}
    said = {"id": "m1", "role": "assistant"}
    reference = {"type": "tool_reference", "tool": "web_search", "title": "A page"}
    body = frames(
        {"type": "conversation.response.started", "conversation_id": "c1"},
        {"type": "tool.execution.started", "arguments": "", **tool},
        {"type": "tool.execution.delta", "arguments": '{"q":', **tool},
        {"type": "tool.execution.delta", "arguments": ' "x"}', **tool},
        {"type": "tool.execution.done", "info": {"pages": 2}, **tool},
        {"type": "agent.handoff.done", **hand},
        {"type": "message.output.delta", "content": "So.", **said},
        {"type": "message.output.delta", "content": reference, **said},
        {
            "type": "conversation.response.done",
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        },
    )
    talk({TALKS: body}, stream=True)
    called, handed, words, cited = parts(genai_otel_capture)
    assert (called["type"], called["id"], called["name"]) == (
        "server_tool_call",
        "t1",
        "web_search",
    )
    told = {"type": "tool.execution", "arguments": {"q": "x"}, "info": {"pages": 2}}
    assert called["server_tool_call"] == told
    assert handed["value"]["next_agent_name"] == "poet"
    assert words == {"type": "text", "content": "So."}
    assert (cited["type"], cited["value"]["title"]) == ("tool_reference", "A page")


# -------------------------------------------------------------------------------------- Cohere

CITED = {"start": 0, "end": 3, "text": "Yes", "sources": [], "type": "TEXT_CONTENT"}


def cohere_of(root: str) -> Any:
    client = pytest.importorskip("cohere").ClientV2(api_key="k", base_url=root)
    return closing(client, client._client_wrapper.httpx_client.httpx_client)


def test_what_cohere_says_and_cites(genai_otel_capture: Capture) -> None:
    content = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes."}]
    message = {"role": "assistant", "content": content, "citations": [CITED]}
    reply = {"id": "r1", "finish_reason": "COMPLETE", "message": message}
    result = [{"type": "document", "document": {"id": "d1", "data": {"dry": "yes"}}}]
    messages: list[Any] = [
        {"role": "user", "content": "Is it dry?"},
        {"role": "tool", "tool_call_id": "t1", "content": result},
    ]
    with serving({"/v2/chat": reply}) as root:
        documents = [{"id": "d2", "data": {"title": "A"}}]
        cohere_of(root).chat(model="command-a", messages=messages, documents=documents)
    thought, said = parts(genai_otel_capture)
    assert thought == {"type": "reasoning", "content": "Hm."}
    assert (said["type"], said["content"]) == ("text", "Yes.")
    assert (said["citations"][0]["text"], said["citations"][0]["end"]) == ("Yes", 3)
    _, tool = json.loads(facts(genai_otel_capture)[names.GEN_AI_INPUT_MESSAGES])
    given, answered = tool["parts"]
    assert (given["type"], given["value"]["id"]) == ("document", "d2")
    assert answered["response"][0]["type"] == "document"
    assert answered["response"][0]["value"]["document"]["data"] == {"dry": "yes"}


def test_what_cohere_cites_in_a_stream(genai_otel_capture: Capture) -> None:
    def delta(kind: str, **message: Any) -> dict[str, Any]:
        return {"type": kind, "index": 0, "delta": {"message": message}}

    end = {"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 1}}}
    body = frames(
        {"type": "message-start", "id": "r1", "delta": {"message": {"role": "assistant"}}},
        delta("content-start", content={"type": "text", "text": ""}),
        delta("content-delta", content={"text": "Ye"}),
        delta("content-delta", content={"text": "s."}),
        delta("citation-start", citations=CITED),
        {"type": "citation-end", "index": 0},
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": end},
    )
    messages: list[Any] = [{"role": "user", "content": "Is it dry?"}]
    with serving({"/v2/chat": body}) as root:
        list(cohere_of(root).chat_stream(model="command-a", messages=messages))
    (said,) = parts(genai_otel_capture)
    assert (said["content"], said["citations"][0]["text"]) == ("Yes.", "Yes")


# ----------------------------------------------------------------------------- Groq and Ollama


TOGETHER_ADDRESSES = {
    name: {"url": f"https://a.example/{name}"} for name in ("image_url", "video_url", "audio_url")
}


@pytest.mark.parametrize("name", chats.TOGETHER.rows)
def test_a_piece_that_is_sent_to_together(genai_otel_capture: Capture, name: str) -> None:
    together = pytest.importorskip("together")
    cls = chats.TOGETHER.found()[name]
    sent = example(cls, ("type", name))
    if name in TOGETHER_ADDRESSES:
        sent[name] = TOGETHER_ADDRESSES[name]
    body = {"id": "r", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
    with serving({"/v1/chat/completions": body, "/chat/completions": body}) as root:
        client = together.Together(api_key="k", base_url=root)
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": [sent]}])
        client.close()
    found = parts(genai_otel_capture, names.GEN_AI_INPUT_MESSAGES)
    row = chats.TOGETHER.rows[name]
    assert tuple(part["type"] for part in found) == row.parts
    assert unrecorded({name: sent[name]}, found) - {"format"} <= row.left_out


def test_texts_that_stand_alone_in_a_list(genai_otel_capture: Capture) -> None:
    """OpenAI's API wants objects there; servers that speak it take texts as well."""
    groq = pytest.importorskip("groq")
    body = {"id": "r", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
    content: Any = ["Look: ", {"type": "text", "text": "a cat."}]
    answer = {"role": "tool", "tool_call_id": "t1", "content": ["Dry", "."]}
    with serving({"/openai/v1/chat/completions": body}) as root:
        client = groq.Groq(api_key="k", base_url=root)
        client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": content}, answer]
        )
        client.close()
    asked, told = json.loads(facts(genai_otel_capture)[names.GEN_AI_INPUT_MESSAGES])
    assert [part["content"] for part in asked["parts"]] == ["Look: ", "a cat."]
    assert told["parts"][0]["response"] == "Dry."


def test_what_groq_has_run(genai_otel_capture: Capture) -> None:
    groq = pytest.importorskip("groq")
    ran = {"index": 0, "type": "search", "arguments": '{"q": "x"}', "output": "Found."}
    message = {"role": "assistant", "content": "So.", "executed_tools": [ran]}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    body = {"id": "r", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
    document = {"type": "document", "document": {"data": {"a": "b"}, "id": "d1"}}
    with serving({"/openai/v1/chat/completions": body}) as root:
        client = groq.Groq(api_key="k", base_url=root)
        client.chat.completions.create(
            model="compound", messages=[{"role": "user", "content": [document]}]
        )
        client.close()
    said, called, found = parts(genai_otel_capture)
    assert said["content"] == "So."
    assert called["name"] == "search"
    assert called["server_tool_call"] == {"type": "search", "arguments": {"q": "x"}}
    assert found["server_tool_call_response"] == {"type": "search", "output": "Found."}
    (given,) = parts(genai_otel_capture, names.GEN_AI_INPUT_MESSAGES)
    assert given["type"] == chats.GROQ.rows["document"].parts[0]
    assert given["value"]["document"]["data"] == {"a": "b"}


def streamed(*deltas: dict[str, Any]) -> bytes:
    chunk = {"id": "r", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    told = [json.dumps({**chunk, "choices": [choice]}) for choice in choices]
    return "".join(f"data: {each}\n\n" for each in (*told, "[DONE]")).encode()


def test_what_groq_runs_in_a_stream(genai_otel_capture: Capture) -> None:
    """It is told twice: as it begins, and with what came of it."""
    groq = pytest.importorskip("groq")
    begun = {"index": 0, "type": "search", "arguments": '{"q": "x"}'}
    other = {**begun, "index": 1, "arguments": '{"q": "y"}', "output": "None."}
    body = streamed(
        {"role": "assistant", "content": "Let me see. "},
        {"executed_tools": [begun]},
        {"executed_tools": [{**begun, "output": "Found."}, other]},
        {"content": "So."},
    )
    with serving({"/openai/v1/chat/completions": body}) as root:
        client = groq.Groq(api_key="k", base_url=root)
        ask: list[Any] = [{"role": "user", "content": "Is it so?"}]
        list(client.chat.completions.create(model="compound", messages=ask, stream=True))
        client.close()
    said, *ran = parts(genai_otel_capture)
    assert said["content"] == "Let me see. So."
    assert [each["type"] for each in ran] == ["server_tool_call", "server_tool_call_response"] * 2
    assert ran[0]["server_tool_call"] == {"type": "search", "arguments": {"q": "x"}}
    assert ran[1]["server_tool_call_response"] == {"type": "search", "output": "Found."}
    assert ran[3]["server_tool_call_response"] == {"type": "search", "output": "None."}


def test_the_sources_of_a_streamed_text(genai_otel_capture: Capture) -> None:
    openai = pytest.importorskip("openai")
    sources = [
        {"type": "url_citation", "url_citation": {"url": f"https://example.com/{n}"}}
        for n in range(2)
    ]
    body = streamed(
        {"role": "assistant", "content": "It "},
        {"content": "is ", "annotations": sources[:1]},
        {"content": "so."},
        {"content": "", "annotations": sources[1:]},
    )
    with serving({"/v1/chat/completions": body}) as root:
        client = openai.OpenAI(api_key="k", base_url=f"{root}/v1")
        ask: list[Any] = [{"role": "user", "content": "Is it so?"}]
        list(client.chat.completions.create(model="m", messages=ask, stream=True))
        client.close()
    assert parts(genai_otel_capture) == [
        {"type": "text", "content": "It is so.", "citations": sources}
    ]


def test_what_a_tool_told_ollama(genai_otel_capture: Capture) -> None:
    ollama = pytest.importorskip("ollama")
    reply = {"model": "m", "message": {"role": "assistant", "content": "Dry."}, "done": True}
    asked = {"role": "tool", "tool_name": "weather", "content": "dry", "images": [PICTURE]}
    with serving({"/api/chat": reply}) as root:
        client = ollama.Client(host=root)
        closing(client, client._client).chat(model="m", messages=[asked])
    answered, image = parts(genai_otel_capture, names.GEN_AI_INPUT_MESSAGES)
    assert (answered["name"], answered["response"]) == ("weather", "dry")
    assert (image["type"], image["size"]) == ("media", 5)
