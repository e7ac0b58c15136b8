"""The loopback provider's server: what it remembers, and how it opens and closes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.provider import Failure, Provider, Replay, Reply, Scenario, Usage, truth
from tests.provider.openai_clients import client_of, joined

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASK: list[Any] = [{"role": "user", "content": "Good morning?"}]


@pytest.fixture(scope="module")  # making a client costs more than asking it
def client(provider_server: Provider) -> Iterator[openai.OpenAI]:
    with client_of(provider_server) as client:
        yield client


@pytest.fixture(scope="module")
def lenient(provider_server: Provider) -> Iterator[openai.OpenAI]:
    with client_of(provider_server, _strict_response_validation=False) as client:
        yield client


def test_slow_scenarios_wait(client: openai.OpenAI, provider: Provider) -> None:
    list(client.chat.completions.create(model="role-then-slow", messages=ASK, stream=True))
    first, second, third, *_ = provider.requests[0].sent
    assert truth("role-then-slow", stream=True).first_token_pause == 0.06
    assert min(second - first, third - second) > 0.05


def test_leaving_early_is_noticed(client: openai.OpenAI, provider: Provider) -> None:
    with client.chat.completions.create(model="endless", messages=ASK, stream=True) as stream:
        next(stream)
    (request,) = provider.requests
    assert request.wait()
    assert request.disconnected
    assert not request.completed
    assert provider.usage_log[0].streamed
    assert not provider.usage_log[0].completed


def test_requests_are_remembered(client: openai.OpenAI, provider: Provider) -> None:
    client.chat.completions.create(model="ok", messages=ASK, extra_headers={"X-Mark": "7"})
    reply = client.chat.completions.create(model="cached", messages=ASK)
    first, second = provider.requests
    assert (first.method, first.path) == ("POST", "/v1/chat/completions")
    assert first.headers["x-mark"] == "7"
    assert json.loads(first.raw) == first.json == {"model": "ok", "messages": ASK}
    assert (second.endpoint, second.model, second.status) == ("chat", "cached", 200)
    assert reply._request_id == second.request_id
    assert provider.usage_log[1] == ("/v1/chat/completions", "cached", 2006, 8, 200, False, True)
    provider.clear()
    assert not provider.requests
    assert not provider.usage_log


def test_connections_are_kept(client: openai.OpenAI, provider: Provider) -> None:
    for name in ("ok", "long", "ok"):
        list(client.responses.create(model=name, input="hi", stream=True))
        client.embeddings.create(model=name, input="hi", encoding_format="float")
    assert len(provider.requests) == 6
    assert all(request.completed for request in provider.requests)


def test_a_test_may_bring_its_own_scenario(client: openai.OpenAI, provider: Provider) -> None:
    own = Scenario(replies=(Reply("My own words."),), usage=Usage(1, 3))
    provider.add("mine", own)
    provider.add("mine-fails", Scenario((), Usage(0, 0), failure=Failure(418, "teapot")))
    reply = client.chat.completions.create(model="mine", messages=ASK)
    known = truth(own, model="mine")
    assert (reply.id, reply.model) == (known.response_id, known.response_model)
    assert reply.choices[0].message.content == known.text == "My own words."
    with pytest.raises(openai.APIStatusError, match="418"):
        client.chat.completions.create(model="mine-fails", messages=ASK)


def test_comments_keep_streams_alive(client: openai.OpenAI) -> None:
    ask = client.chat.completions.with_streaming_response.create
    with ask(model="comments", messages=ASK, stream=True) as response:
        lines = list(response.iter_lines())
    comments = [line for line in lines if line.startswith(":")]
    assert len(comments) == truth("comments", stream=True).chunks


def test_unknown_models_act_as_ok(client: openai.OpenAI) -> None:
    for name in ("ok-demo", "gpt-9"):
        reply = client.chat.completions.create(model=name, messages=ASK)
        assert reply.choices[0].message.content == truth("ok").text
        assert reply.model == truth(name).response_model == f"{name}-2026-11-01"


def test_azure_paths(provider: Provider) -> None:
    with openai.AzureOpenAI(
        api_key="k", api_version="2024-10-21", azure_endpoint=provider.azure_endpoint
    ) as azure:
        reply = azure.chat.completions.create(model="azure", messages=ASK)
        assert reply.choices[0].message.content == truth("azure").text
        azure.embeddings.create(model="ok", input="hi")
        azure.responses.create(model="ok", input="hi")
    assert [request.path for request in provider.requests] == [
        "/openai/deployments/azure/chat/completions?api-version=2024-10-21",
        "/openai/deployments/ok/embeddings?api-version=2024-10-21",
        "/openai/responses?api-version=2024-10-21",
    ]
    with client_of(provider).with_options(base_url=provider.root + "/openai/v1") as client:
        assert client.chat.completions.create(model="ok", messages=ASK).choices


def test_raw_and_streaming_raw_responses(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="ok", messages=ASK)
    assert raw.headers["x-request-id"].startswith("req_")
    assert json.loads(raw.text)["id"] == raw.parse().id
    raw_stream = client.chat.completions.with_raw_response.create(
        model="ok", messages=ASK, stream=True
    )
    assert joined(list(raw_stream.parse()), "content") == truth("ok").text
    with client.chat.completions.with_streaming_response.create(
        model="ok", messages=ASK, stream=True
    ) as response:
        lines = list(response.iter_lines())
    assert [line for line in lines if line][-1] == "data: [DONE]"


def test_recorded_answers(client: openai.OpenAI, lenient: openai.OpenAI) -> None:
    whole = lenient.chat.completions.create(model="replay-smollm2", messages=ASK)
    stream = lenient.chat.completions.create(
        model="replay-smollm2", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert (
        whole.choices[0].message.content
        == joined(chunks, "content")
        == ("The capital of France is Paris.")
    )
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == 8
    assert client.embeddings.create(
        model="replay-smollm2", input="no vectors were recorded", encoding_format="float"
    ).data


def test_replay_keeps_the_order_of_each_endpoint(tmp_path: Path) -> None:
    def reply(text: str) -> Any:
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}

    entries = [{"endpoint": "chat", "response": reply(text)} for text in ("first", "second")]
    entries.append({"endpoint": "chat", "chunks": [{"choices": []}], "pause": 0.001})
    (tmp_path / "answers.json").write_text(json.dumps(entries))
    with (
        Provider(replay=Replay(tmp_path / "answers.json")) as provider,
        client_of(provider, _strict_response_validation=False) as client,
    ):
        asked = [client.chat.completions.create(model="replay-x", messages=ASK) for _ in range(3)]
        assert list(client.chat.completions.create(model="replay-x", messages=ASK, stream=True))
    assert [r.choices[0].message.content for r in asked] == ["first", "second", "first"]


def test_chunked_uploads_and_unknown_paths(provider: Provider) -> None:
    body = b'{"model": "echo", "messages": [{"role": "user", "content": "piecewise"}]}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:20], body[20:])) + b"0\r\n\r\n"
    nowhere = b"GET /v1/nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    address = ("127.0.0.1", int(provider.root.rsplit(":", 1)[1]))
    with socket.create_connection(address) as connection:
        connection.sendall(head + pieces + nowhere)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b'"content":"piecewise"' in received
    assert b"HTTP/1.1 404" in received


def test_closing_ends_every_thread() -> None:
    before = set(threading.enumerate())
    with Provider() as provider, client_of(provider, timeout=20) as client:
        client.chat.completions.create(model="ok", messages=ASK)
        stream = client.chat.completions.create(model="endless", messages=ASK, stream=True)
        next(stream)
        provider.close()
        stream.close()
    assert set(threading.enumerate()) <= before


def test_command_line() -> None:
    command = [sys.executable, "-m", "tests.provider", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        word, url = process.stdout.readline().split()
        with openai.OpenAI(api_key="k", base_url=url) as client:
            assert "tools" in {model.id for model in client.models.list()}
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert word == "READY"
