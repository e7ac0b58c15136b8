"""IBM watsonx.ai: its client takes no plain HTTP, so its server on loopback has a certificate."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("ibm_watsonx_ai")

import ibm_watsonx_ai as ibm
from ibm_watsonx_ai.foundation_models import Embeddings, ModelInference, Rerank, schema

from genai_otel import _semconv as names
from tests.receiver import certificate
from tests.wire_types import WireFormat, mismatch
from tests.wire_types import watsonx as tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from genai_otel.testing import Capture

MODEL = "ibm/granite-3-8b-instruct"
SERVED = {"model_id": MODEL, "model_version": "1.1.0", "created_at": "2026-01-01T00:00:00Z"}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
}
COUNTED = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def chat(body: dict[str, Any]) -> Any:
    message: dict[str, Any] = {"role": "assistant", "content": "Hello."}
    reason = "stop"
    if body.get("tools"):
        message, reason = {"role": "assistant", "tool_calls": [CALL]}, "tool_calls"
    choices = [{"index": 0, "message": message, "finish_reason": reason}]
    return {"id": "chat-1", **SERVED, "choices": choices, "usage": COUNTED}


def chat_stream(_body: dict[str, Any]) -> Any:
    deltas = [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo."}]
    for delta in deltas:
        reason = "stop" if delta.get("content") == "lo." else None
        yield {
            "id": "chat-1",
            **SERVED,
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }
    yield {"id": "chat-1", **SERVED, "choices": [], "usage": COUNTED}


def text(body: dict[str, Any]) -> Any:
    said = {"generated_text": f"{body['input']}!", "stop_reason": "eos_token"}
    return {**SERVED, "results": [{**said, "generated_token_count": 4, "input_token_count": 9}]}


def text_stream(_body: dict[str, Any]) -> Any:
    rows = (("Hel", 1, 9, "not_finished"), ("lo.", 4, 0, "eos_token"))
    for words, made, asked, reason in rows:
        result = {"generated_text": words, "generated_token_count": made}
        result |= {"input_token_count": asked, "stop_reason": reason}
        yield {**SERVED, "results": [result]}


ROUTES = {
    "chat": chat,
    "chat_stream": chat_stream,
    "generation": text,
    "generation_stream": text_stream,
    "embeddings": lambda body: {
        "model_id": MODEL,
        "results": [{"embedding": [0.5, 0.25]} for _ in body["inputs"]],
        "input_token_count": 3,
    },
    "rerank": lambda _body: {
        "model_id": MODEL,
        "results": [{"index": 1, "score": 0.75}, {"index": 0, "score": 0.5}],
        "input_token_count": 7,
    },
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        storage = {"entity": {"storage": {"type": "local_git_storage"}}}
        self._send(json.dumps(storage).encode(), "application/json")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if body.get("model_id") == "refused":
            self._send(b'{"errors": [{"code": "x", "message": "no"}]}', "application/json", 429)
            return
        found = ROUTES[self.path.partition("?")[0].rpartition("/")[2]](body)
        if isinstance(found, bytes):
            self._send(found, "application/json")
        elif isinstance(found, dict):
            self._send(json.dumps(found).encode(), "application/json")
        else:
            texts = [each if type(each) is str else json.dumps(each) for each in found]
            lines = [f"id: 1\nevent: message\ndata: {each}\n\n" for each in texts]
            self._send("".join(lines).encode(), "text/event-stream")

    def _send(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    directory: Path = tmp_path_factory.mktemp("tls")
    _, context = certificate(directory)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    url = f"https://127.0.0.1:{server.server_port}"
    given = ibm.Credentials(url=url, token="t", instance_id="openshift", version="5.2")
    yield ibm.APIClient(given, verify=False)
    server.shutdown()
    thread.join()
    server.server_close()


def model(client: Any, name: str = MODEL) -> Any:
    return ModelInference(model_id=name, api_client=client, project_id="p", validate=False)


pytestmark = pytest.mark.filterwarnings("ignore")  # of the certificate, and of ageing models
ASK = [{"role": "user", "content": "Hi."}]


def check(span: Any, name: str, said: str = "Hello.") -> dict[str, Any]:
    told = dict(span.attributes or {})
    assert span.name == f"{name} {MODEL}"
    assert told[names.GEN_AI_PROVIDER_NAME] == "ibm.watsonx.ai"
    assert told[names.SERVER_ADDRESS] == "127.0.0.1"
    assert told[names.GEN_AI_RESPONSE_MODEL] == MODEL
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 9
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 4
    (asked,) = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert asked["parts"] == [{"type": "text", "content": "Hi."}]
    (reply,) = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])
    assert reply["parts"] == [{"type": "text", "content": said}]
    assert reply["finish_reason"] == "stop"
    return told


@pytest.mark.parametrize("streamed", [False, True])
def test_chat(genai_otel_capture: Capture, client: Any, streamed: bool) -> None:
    params = {"temperature": 0.5, "max_tokens": 9}
    if streamed:
        for chunk in model(client).chat_stream(ASK, params=params):
            assert chunk["id"] == "chat-1"
    else:
        assert model(client).chat(ASK, params=params)["choices"]
    (span,) = genai_otel_capture.spans
    told = check(span, "chat")
    assert told[names.GEN_AI_REQUEST_TEMPERATURE] == 0.5
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 9
    assert told[names.GEN_AI_RESPONSE_ID] == "chat-1"
    assert (names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN in told) is streamed


def test_a_tool(genai_otel_capture: Capture, client: Any) -> None:
    weather = {"type": "function", "function": {"name": "weather", "parameters": {}}}
    model(client).chat(ASK, tools=[weather])
    told = genai_otel_capture.span(f"chat {MODEL}").attributes or {}
    assert json.loads(str(told[names.GEN_AI_TOOL_DEFINITIONS]))[0]["name"] == "weather"
    (reply,) = json.loads(str(told[names.GEN_AI_OUTPUT_MESSAGES]))
    assert reply["parts"][0]["arguments"] == {"city": "Paris"}


@pytest.mark.parametrize("way", ["generate", "generate_text", "stream", "raw stream"])
def test_generation(genai_otel_capture: Capture, client: Any, way: str) -> None:
    made = model(client)
    if way.startswith("generate"):
        getattr(made, way)("Hi.", params={"max_new_tokens": 5})
    else:
        pieces = list(made.generate_text_stream("Hi.", raw_response=way == "raw stream"))
        assert len(pieces) == 2
    (span,) = genai_otel_capture.spans
    if way == "stream":  # nothing but its text is there to be read
        assert names.GEN_AI_USAGE_OUTPUT_TOKENS not in (span.attributes or {})
        assert "Hello." in str((span.attributes or {})[names.GEN_AI_OUTPUT_MESSAGES])
    else:
        check(span, "text_completion", "Hello." if "stream" in way else "Hi.!")


async def test_asynchronously(genai_otel_capture: Capture, client: Any) -> None:
    """In one event loop, which the client's connections belong to."""
    made = model(client)
    await made.achat(ASK)
    async for _chunk in await made.achat_stream(ASK):
        pass
    await made.agenerate("Hi.")
    async for _piece in await made.agenerate_stream("Hi."):
        pass
    await made.aclose_persistent_connection()
    spans = genai_otel_capture.spans
    kinds = ["chat", "chat", "text_completion", "text_completion"]
    said = ["Hello.", "Hello.", "Hi.!", "Hello."]
    for span, name, words in zip(spans, kinds, said, strict=True):
        check(span, name, words)


def test_prompts_in_a_list_are_a_request_each(genai_otel_capture: Capture, client: Any) -> None:
    assert len(model(client).generate(["a", "b", "c"])) == 3
    assert [span.name for span in genai_otel_capture.spans] == [f"text_completion {MODEL}"] * 3


def test_embeddings_and_reranking(genai_otel_capture: Capture, client: Any) -> None:
    more = {"api_client": client, "project_id": "p"}
    assert Embeddings(model_id=MODEL, **more).embed_documents(["a", "b"]) == [[0.5, 0.25]] * 2
    assert Rerank(model_id=MODEL, **more).generate("Which?", ["a", "b"])["results"]
    embedded, ranked = (dict(span.attributes or {}) for span in genai_otel_capture.spans)
    assert embedded[names.GEN_AI_USAGE_INPUT_TOKENS] == 3
    assert embedded[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] == 2
    documents = json.loads(ranked[names.GEN_AI_RETRIEVAL_DOCUMENTS])
    assert documents == [{"id": "1", "score": 0.75}, {"id": "0", "score": 0.5}]
    assert ranked[names.GEN_AI_RETRIEVAL_QUERY_TEXT] == "Which?"


def test_an_error(
    genai_otel_capture: Capture, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    refused = model(client, "refused")
    with pytest.raises(Exception, match="429"):
        refused.chat(ASK)
    (span,) = genai_otel_capture.spans
    assert (span.attributes or {})[names.ERROR_TYPE].endswith("ApiRequestFailure")


# ------------------------------------------------------------------------------ the tables of types


def requested(capture: Capture) -> set[str]:
    """Which parameters are on the span."""
    (span,) = capture.spans
    told = {name for name in span.attributes or {} if name.startswith("gen_ai.request.")}
    told |= {names.GEN_AI_OUTPUT_TYPE} & set(span.attributes or {})
    return told - {names.GEN_AI_REQUEST_MODEL, names.GEN_AI_REQUEST_STREAM}


def declared(wire: WireFormat) -> set[str]:
    return {name for row in wire.rows.values() for name in row.parts}


@pytest.mark.parametrize("made", [dict, schema.TextChatParameters])
def test_parameters_of_a_chat(genai_otel_capture: Capture, client: Any, made: Any) -> None:
    """All there are, in a dict or in the client's own object."""
    sample = {**schema.TextChatParameters.get_sample_params(), "max_tokens": None, "n": 2}
    model(client).chat(ASK, params=made(**sample))
    assert requested(genai_otel_capture) == declared(tables.CHAT)
    told = genai_otel_capture.spans[0].attributes or {}
    assert told[names.GEN_AI_OUTPUT_TYPE] == "json"
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == sample["max_completion_tokens"]
    assert told[names.GEN_AI_REQUEST_REASONING_LEVEL] == "high"


@pytest.mark.parametrize("made", [dict, schema.TextGenParameters])
def test_parameters_of_a_generation(genai_otel_capture: Capture, client: Any, made: Any) -> None:
    sample = {**schema.TextGenParameters.get_sample_params(), "stop_sequences": ["x"]}
    del sample["prompt_variables"]  # of a prompt that the service has
    model(client).generate("Hi.", params=made(**sample))
    assert requested(genai_otel_capture) == declared(tables.TEXT)


PICTURE = "data:image/png;base64,MTIzNDU="
SENT: dict[str, Any] = {
    "text": {"text": "Look:"},
    "image_url": {"image_url": {"url": PICTURE, "detail": "low"}},
    "video_url": {"video_url": {"url": "https://a.example/a.mp4"}},
    "input_audio": {"input_audio": {"data": "MTIzNDU=", "format": "wav"}},
}


@pytest.mark.parametrize("kind", tables.CONTENT.beyond)
def test_content_that_is_sent(genai_otel_capture: Capture, client: Any, kind: str) -> None:
    sent = {"type": kind, **SENT[kind]}
    model(client).chat([{"role": "user", "content": [sent]}])
    told = genai_otel_capture.spans[0].attributes or {}
    (turn,) = json.loads(str(told[names.GEN_AI_INPUT_MESSAGES]))
    (part,) = turn["parts"]
    assert (part["type"],) == tables.CONTENT.beyond[kind].parts
    if kind == "text":
        assert part["content"] == "Look:"
    elif kind == "video_url":
        assert (part["modality"], part["uri"]) == ("video", "https://a.example/a.mp4")
    else:
        assert (part["modality"], part["size"]) == (kind.strip("_url").removeprefix("input_"), 5)


REPLIED: dict[str, Any] = {
    "content": "Hello.",
    "reasoning_content": "Hm.",
    "refusal": "No.",
    "tool_calls": [CALL],
    "role": "assistant",
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("field", tables.REPLY.beyond)
def test_fields_of_a_reply(
    genai_otel_capture: Capture,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
    field: str,
    streamed: bool,
) -> None:
    head, said = {"id": "chat-1", **SERVED}, {field: REPLIED[field]}
    choice = {"index": 0, "finish_reason": "stop", "delta" if streamed else "message": said}
    answer = {**head, "choices": [choice], "usage": COUNTED}
    route = "chat_stream" if streamed else "chat"
    monkeypatch.setitem(ROUTES, route, lambda _: [answer] if streamed else answer)
    if streamed:
        list(model(client).chat_stream(ASK))
    else:
        model(client).chat(ASK)
    told = genai_otel_capture.spans[0].attributes or {}
    (turn,) = json.loads(str(told[names.GEN_AI_OUTPUT_MESSAGES]))
    assert mismatch(tables.REPLY, field, {} if field == "role" else said, turn["parts"]) == []


GENERATED: dict[str, Any] = {
    "generated_text": "Hello.",
    "generated_token_count": 4,
    "input_token_count": 9,
    "stop_reason": "eos_token",
    "seed": 41_000_001,
    "input_text": "input-texts",
    "generated_tokens": [{"text": "made-token", "logprob": -0.25, "rank": 1}],
    "input_tokens": [{"text": "sent-token"}],
    "moderations": {"hap": [{"score": 0.97531, "input": False, "entity": "found-hap"}]},
}


@pytest.mark.parametrize("streamed", [False, True])
def test_fields_of_a_generation(
    genai_otel_capture: Capture, client: Any, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    assert set(GENERATED) == set(tables.GENERATED.beyond)
    answer = {**SERVED, "results": [GENERATED]}
    route = "generation_stream" if streamed else "generation"
    monkeypatch.setitem(ROUTES, route, lambda _: [answer] if streamed else answer)
    if streamed:
        list(model(client).generate_text_stream("Hi.", raw_response=True))
    else:
        model(client).generate("Hi.")
    told = check(genai_otel_capture.spans[0], "text_completion")
    words = str(told)
    lost = ("41000001", "input-texts", "made-token", "sent-token", "0.97531")
    assert [each for each in lost if each in words] == []


# ----------------------------------------------------------------------- what the client refuses

HALF = '{"results": [{"generated_text": "lo.", "generated_token_count": 4, '
COUNTS = {"generated_token_count": 4, "input_token_count": 9}
MASKED = {"generated_text": "lo.", "moderations": {"hap": ["odd"]}, **COUNTS}
ODD = {**SERVED, "results": [MASKED]}


def serving(monkeypatch: pytest.MonkeyPatch, route: str, *pieces: Any) -> None:
    """The route's own pieces but for the last, and these; with one of bytes, that alone."""
    usual = ROUTES[route]

    def answer(body: dict[str, Any]) -> Any:
        return pieces[0] if type(pieces[0]) is bytes else [*list(usual(body))[:-1], *pieces]

    monkeypatch.setitem(ROUTES, route, answer)


REFUSED: dict[str, tuple[str, Any, Any, dict[str, Any]]] = {
    "no JSON": ("chat", b'{"id": "chat-1", ', lambda m: m.chat(ASK), {}),
    "no JSON, generated": ("generation", HALF.encode(), lambda m: m.generate("Hi."), {}),
    "a chunk that is no JSON": (
        "generation_stream", HALF, lambda m: list(m.generate_text_stream("Hi.")), {"said": "Hel"}
    ),
    "a raw chunk that is none": (
        "generation_stream", HALF,
        lambda m: list(m.generate_text_stream("Hi.", raw_response=True)),
        {"said": "Hel", names.GEN_AI_USAGE_INPUT_TOKENS: 9, names.GEN_AI_USAGE_OUTPUT_TOKENS: 1},
    ),
    "a chunk without its text": (
        "generation_stream", ODD, lambda m: list(m.generate_text_stream("Hi.")),
        {"said": "Hello.", names.GEN_AI_USAGE_INPUT_TOKENS: 9, names.GEN_AI_USAGE_OUTPUT_TOKENS: 4},
    ),
    "a chunk of a chat": (
        "chat_stream", '{"id": "chat-1", "usage": {', lambda m: list(m.chat_stream(ASK)),
        {"said": "Hello."},
    ),
}  # fmt: skip
"""The route, what it answers, the call, and what of it was read before the client raised."""


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_client_had_read_is_recorded(
    genai_otel_capture: Capture, client: Any, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    route, answer, ask, known = REFUSED[case]
    serving(monkeypatch, route, answer)
    with pytest.raises(Exception, match=r"\w") as raised:
        ask(model(client))
    (span,) = genai_otel_capture.spans
    told = dict(span.attributes or {})
    assert told[names.ERROR_TYPE].endswith(type(raised.value).__name__)
    output = json.loads(told.get(names.GEN_AI_OUTPUT_MESSAGES, "[]"))
    said = "".join(part["content"] for message in output for part in message["parts"])
    assert said == known.get("said", "")
    counts = (names.GEN_AI_USAGE_INPUT_TOKENS, names.GEN_AI_USAGE_OUTPUT_TOKENS)
    assert [told.get(each) for each in counts] == [known.get(each) for each in counts]
