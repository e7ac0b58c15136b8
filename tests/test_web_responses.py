"""Web frameworks: whose request it is, and responses that are still sent when the endpoint is done.

The real frameworks, served as they serve themselves in tests: in threads and tasks of their own.
"""

from __future__ import annotations

import asyncio
import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import fastapi
import flask
import pytest
from aiohttp import test_utils, web
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.testclient import TestClient
from opentelemetry import context as otel_context

import genai_otel
from genai_otel import operation, scope, step, workflow
from genai_otel.instrumentation.open_registry import OPEN
from tests.collected import collect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from genai_otel.testing import Capture


@pytest.fixture(autouse=True)
def nothing_is_left(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    collect()
    OPEN.drain_deferred()
    assert not len(OPEN)
    assert genai_otel.current() is None
    assert not otel_context.get_current()
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING and r.name != "asyncio"]


@step
def leaf() -> None: ...


def words() -> Iterator[str]:
    for word in ("Good ", "day"):
        leaf()
        yield word


async def words_later() -> AsyncIterator[str]:
    for word in ("Good ", "day"):
        leaf()
        await asyncio.sleep(0)
        yield word


def encoded() -> Iterator[bytes]:
    for word in words():
        yield word.encode()


async def encoded_later() -> AsyncIterator[bytes]:
    async for word in words_later():
        yield word.encode()


WORDS: dict[str, Callable[[], Any]] = {
    "sync": words, "async": words_later, "bytes": encoded, "iterator": lambda: map(str, words()),
}  # fmt: skip
each_body = pytest.mark.parametrize("body", WORDS)


def parents(capture: Capture) -> dict[str, str | None]:
    names = {span.context.span_id: span.name for span in capture.spans}
    return {s.name: names.get(s.parent.span_id) if s.parent else None for s in capture.spans}


def get(app: Any, path: str = "/") -> str:
    with TestClient(app) as client:
        return str(client.get(path).text)


def check_whole(capture: Capture) -> None:
    """The endpoint's span lasts as long as its response, with all that happens in it."""
    span = capture.span("invoke_workflow serve")
    told = dict(span.attributes or {})
    assert json.loads(told["genai_otel.output"]) == "Good day"
    leaves = [each for each in capture.spans if each.name == "task leaf"]
    assert [s.parent and s.parent.span_id for s in leaves] == [span.context.span_id] * 2
    assert all(s.end_time <= span.end_time for s in leaves if s.end_time and span.end_time)


# ---------------------------------------------------------------------------------------- FastAPI


@each_body
@pytest.mark.parametrize("sort", ["sync", "async"])
def test_a_streaming_response_is_followed(
    genai_otel_capture: Capture, body: str, sort: str
) -> None:
    app = fastapi.FastAPI()
    responses: list[Any] = []

    def respond() -> StreamingResponse:
        responses.append(StreamingResponse(WORDS[body](), media_type="text/plain"))
        return responses[0]

    if sort == "sync":

        @app.get("/", response_model=None)
        @workflow
        def serve() -> Any:
            return respond()
    else:

        @app.get("/", response_model=None)
        @workflow
        async def serve() -> Any:
            return respond()

    assert get(app) == "Good day"
    assert type(responses.pop()) is StreamingResponse
    check_whole(genai_otel_capture)


class CalledToo:
    """An iterator that can be called for something else."""

    def __init__(self) -> None:
        self._words = words_later()

    def __call__(self) -> None: ...

    def __aiter__(self) -> AsyncIterator[str]:
        return self._words


def test_a_body_that_can_be_called_too(genai_otel_capture: Capture) -> None:
    app = fastapi.FastAPI()

    @app.get("/")
    @workflow
    def serve() -> StreamingResponse:
        return StreamingResponse(CalledToo())

    assert get(app) == "Good day"
    check_whole(genai_otel_capture)


@pytest.mark.parametrize("maker", [words, words_later])
def test_a_decorated_generator_in_a_response(
    genai_otel_capture: Capture, maker: Callable[[], Any]
) -> None:
    app = fastapi.FastAPI()
    answer = workflow(maker)

    @app.get("/")
    async def serve() -> StreamingResponse:
        with scope(session_id="s1", user_id="u1"), operation("workflow", "request"):
            return StreamingResponse(answer())

    assert get(app) == "Good day"
    found = parents(genai_otel_capture)
    assert found[f"invoke_workflow {maker.__name__}"] == "invoke_workflow request"
    assert found["task leaf"] == f"invoke_workflow {maker.__name__}"
    facts = [dict(span.attributes or {}) for span in genai_otel_capture.spans]
    assert {(each["session.id"], each["user.id"]) for each in facts} == {("s1", "u1")}


def test_a_response_that_is_whole(genai_otel_capture: Capture) -> None:
    app = fastapi.FastAPI()

    @app.get("/", response_model=None)
    @workflow
    def serve() -> Any:
        leaf()
        return JSONResponse({"word": "tree"})

    assert get(app) == '{"word":"tree"}'
    assert parents(genai_otel_capture)["task leaf"] == "invoke_workflow serve"


def test_a_body_that_fails(genai_otel_capture: Capture) -> None:
    app = fastapi.FastAPI()

    def fails() -> Iterator[str]:
        yield "Good "
        raise LookupError("not here")

    @app.get("/")
    @workflow
    def serve() -> StreamingResponse:
        return StreamingResponse(fails())

    with pytest.raises(LookupError, match="not here"):
        get(app)
    told = dict(genai_otel_capture.span().attributes or {})
    assert told["error.type"] == "LookupError"
    assert json.loads(told["genai_otel.output"]) == "Good "


def test_a_response_that_is_never_sent(genai_otel_capture: Capture) -> None:
    workflow(lambda: StreamingResponse(words()))()
    collect()
    told = dict(genai_otel_capture.span().attributes or {})
    assert told["genai_otel.response.completed"] is False
    assert "genai_otel.output" not in told


def test_an_endpoint_that_is_a_generator(genai_otel_capture: Capture) -> None:
    """FastAPI asks what sort of function it is."""
    app = fastapi.FastAPI()

    @app.get("/")
    @workflow
    async def serve() -> AsyncIterator[dict[str, str]]:
        async for word in words_later():
            yield {"word": word}

    assert [json.loads(line)["word"] for line in get(app).splitlines()] == ["Good ", "day"]
    found = genai_otel_capture.spans
    assert [span.name for span in found] == ["task leaf", "task leaf", "invoke_workflow serve"]


def sync_dependency() -> Iterator[str]:
    with scope(session_id="s1"), operation("workflow", "request"):
        yield "given"


async def async_dependency() -> AsyncIterator[str]:
    with scope(session_id="s1"), operation("workflow", "request"):
        yield "given"


@step
def decorated_dependency() -> Iterator[str]:
    with scope(session_id="inside"):
        leaf()
        yield "given"


@pytest.mark.parametrize("endpoint", ["sync", "async"])
@pytest.mark.parametrize("dependency", [sync_dependency, async_dependency])
def test_a_dependency_opens_a_scope(
    genai_otel_capture: Capture, dependency: Any, endpoint: str
) -> None:
    app = fastapi.FastAPI()
    given = Annotated[str, fastapi.Depends(dependency)]

    def plain(value: given) -> str:  # type: ignore[valid-type]
        leaf()
        return value  # type: ignore[no-any-return]

    async def later(value: given) -> str:  # type: ignore[valid-type]
        return plain(value)

    for function in (plain, later):
        function.__annotations__["value"] = given
    app.get("/")(plain if endpoint == "sync" else later)
    app.get("/bare")(leaf)
    with TestClient(app) as client:
        for _ in range(2):
            assert client.get("/").json() == "given"
            client.get("/bare")
    found = genai_otel_capture.spans
    requests = [s for s in found if s.name == "invoke_workflow request"]
    leaves = [s for s in found if s.name == "task leaf"]
    inside = [s.parent.span_id for s in leaves if s.parent is not None]
    assert inside == [s.context.span_id for s in requests]
    sessions = [(s.attributes or {}).get("session.id") for s in leaves]
    assert sessions == ["s1", None, "s1", None]


def test_a_dependency_that_is_decorated(genai_otel_capture: Capture) -> None:
    """It is the dependency's own body that is recorded: the endpoint is not inside it."""
    app = fastapi.FastAPI()

    def serve(value: Annotated[str, fastapi.Depends(decorated_dependency)]) -> str:
        with operation("workflow", "request"):
            return value

    serve.__annotations__["value"] = Annotated[str, fastapi.Depends(decorated_dependency)]
    app.get("/")(serve)
    assert get(app) == '"given"'
    assert parents(genai_otel_capture) == {
        "task decorated_dependency": None,
        "task leaf": "task decorated_dependency",
        "invoke_workflow request": None,
    }


def test_errors_pass_through_a_dependency(genai_otel_capture: Capture) -> None:
    app = fastapi.FastAPI()
    seen: list[str] = []

    def dependency() -> Iterator[None]:
        with scope(session_id="s1"):
            try:
                yield
            except LookupError as error:
                seen.append(str(error))
                raise

    @app.get("/", dependencies=[fastapi.Depends(dependency)])
    def serve() -> None:
        leaf()
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        get(app)
    assert seen == ["mine"]
    assert dict(genai_otel_capture.span().attributes or {})["session.id"] == "s1"


def test_fastapi_is_put_back() -> None:
    from fastapi import concurrency
    from fastapi.dependencies import utils

    genai_otel.shutdown()
    original = concurrency.contextmanager_in_threadpool
    assert utils.contextmanager_in_threadpool is original
    genai_otel.instrument(destinations="console")
    assert utils.contextmanager_in_threadpool is not original
    genai_otel.uninstrument()
    assert concurrency.contextmanager_in_threadpool is original
    assert utils.contextmanager_in_threadpool is original
    genai_otel.shutdown()


# -------------------------------------------------------------------------------- Flask and Django

FLASK: dict[str, Callable[[], Any]] = {
    "response": lambda: flask.Response(words(), mimetype="text/plain"),
    "bytes": lambda: flask.Response(encoded()),
    "with context": lambda: flask.Response(flask.stream_with_context(words())),
    "generator": words,
    "and a status": lambda: (flask.Response(words()), 200),
    "generator and a status": lambda: (words(), 200),
}


@pytest.mark.parametrize("sort", FLASK)
def test_flask_streams(genai_otel_capture: Capture, sort: str) -> None:
    app = flask.Flask("app")

    @app.get("/")
    @workflow(name="serve")
    def serve() -> Any:
        return FLASK[sort]()

    with app.test_client() as client, client.get("/") as response:
        assert response.text == "Good day"
    check_whole(genai_otel_capture)


def test_flask_answers(genai_otel_capture: Capture) -> None:
    app = flask.Flask("app")

    @app.get("/")
    @workflow
    def serve() -> flask.Response:
        return flask.Response("Good day")

    with app.test_client() as client, client.get("/") as response:
        assert response.text == "Good day"
    genai_otel_capture.span("invoke_workflow serve")


@pytest.mark.parametrize("sort", ["sync", "async"])
def test_django_streams(genai_otel_capture: Capture, sort: str) -> None:
    django_conf: Any = pytest.importorskip("django.conf")
    from django.http import StreamingHttpResponse  # type: ignore[import-untyped]

    if not django_conf.settings.configured:
        django_conf.settings.configure()
    response = workflow(name="serve")(lambda: StreamingHttpResponse(WORDS[sort]()))()
    if sort == "sync":
        assert response.getvalue() == b"Good day"
    else:
        assert asyncio.run(_joined(response)) == b"Good day"
    response.close()
    check_whole(genai_otel_capture)


async def _joined(response: Any) -> bytes:
    return b"".join([part async for part in response])


# ------------------------------------------------------------------------------ Quart and Litestar


@pytest.mark.parametrize("sort", ["response", "with its status", "async", "sync"])
async def test_quart_streams(genai_otel_capture: Capture, sort: str) -> None:
    quart = pytest.importorskip("quart")
    app = quart.Quart(__name__)

    @workflow(name="serve")
    async def answer() -> Any:
        if sort == "with its status":
            return words_later(), 200
        body = words() if sort == "sync" else words_later()
        return quart.Response(body) if sort == "response" else body

    app.get("/")(answer)
    sent = await app.test_client().get("/")
    assert await sent.get_data() == b"Good day"
    check_whole(genai_otel_capture)


class Litestar:
    """An application with one endpoint, which returns what ``respond`` makes."""

    def __init__(self, respond: Callable[[Any], Any]) -> None:
        litestar = pytest.importorskip("litestar")
        self._testing = pytest.importorskip("litestar.testing")
        responses = pytest.importorskip("litestar.response")

        @workflow(name="serve")
        async def answer() -> Any:
            return respond(responses)

        answer.__annotations__["return"] = responses.Stream
        self._app = litestar.Litestar([litestar.get("/")(answer)])

    def get(self) -> str:
        with self._testing.TestClient(self._app) as client:
            return str(client.get("/").text)


def listed() -> list[str]:
    leaf()
    leaf()
    return ["Good ", "day"]


LITESTAR: dict[str, Callable[[], Any]] = {
    "sync": words,
    "async": words_later,
    "function": lambda: words,
    "async function": lambda: words_later,
    "partial": lambda: partial(words),
    "iterator": lambda: lambda: map(str, words()),
}


@pytest.mark.parametrize("sort", LITESTAR)
def test_litestar_streams(genai_otel_capture: Capture, sort: str) -> None:
    app = Litestar(lambda responses: responses.Stream(LITESTAR[sort]()))
    assert app.get() == "Good day"
    check_whole(genai_otel_capture)


@pytest.mark.parametrize("body", [words, words_later])
@pytest.mark.parametrize("makes", [False, True])
def test_litestar_events(genai_otel_capture: Capture, body: Any, *, makes: bool) -> None:
    app = Litestar(lambda responses: responses.ServerSentEvent(body if makes else body()))
    assert app.get() == "data: Good \r\n\r\ndata: day\r\n\r\n"
    span = genai_otel_capture.span("invoke_workflow serve")
    parts = [s.parent and s.parent.span_id for s in genai_otel_capture.spans if s is not span]
    assert parts == [span.context.span_id] * 2


def test_litestar_a_function_that_makes_a_list(genai_otel_capture: Capture) -> None:
    app = Litestar(lambda responses: responses.Stream(listed))
    assert app.get() == "Good day"
    span = genai_otel_capture.span("invoke_workflow serve")
    told = dict(span.attributes or {})
    assert json.loads(told["genai_otel.output"]) == ["Good ", "day"]
    assert parents(genai_otel_capture)["task leaf"] == "invoke_workflow serve"


def test_litestar_a_function_that_fails(genai_otel_capture: Capture) -> None:
    def fails() -> Any:
        raise LookupError("not here")

    app = Litestar(lambda responses: responses.Stream(fails))
    assert "Internal Server Error" in app.get()
    told = dict(genai_otel_capture.span().attributes or {})
    assert told["error.type"] == "LookupError"


def test_litestar_a_response_for_every_request(genai_otel_capture: Capture) -> None:
    """The function may be called again: the same response is sent as often as it is returned."""
    kept: list[Any] = []

    def respond(responses: Any) -> Any:
        kept.append(kept[0] if kept else responses.Stream(words))
        return kept[0]

    app = Litestar(respond)
    assert [app.get(), app.get(), app.get()] == ["Good day"] * 3
    assert kept[0].iterator.__wrapped__ is words
    spans = [s for s in genai_otel_capture.spans if s.name == "invoke_workflow serve"]
    outputs = [json.loads(dict(s.attributes or {})["genai_otel.output"]) for s in spans]
    assert outputs == ["Good day"] * 3


def test_litestar_a_response_that_is_never_sent(genai_otel_capture: Capture) -> None:
    responses = pytest.importorskip("litestar.response")
    made = workflow(lambda: responses.Stream(words))()
    assert made.iterator.__name__ == "words"
    del made
    collect()
    told = dict(genai_otel_capture.span().attributes or {})
    assert told["genai_otel.response.completed"] is False
    assert "genai_otel.output" not in told


# ---------------------------------------------------------------------------------------- aiohttp


@pytest.mark.parametrize("sort", ["stream", "whole"])
async def test_aiohttp_answers(genai_otel_capture: Capture, sort: str) -> None:
    @workflow(name="serve")
    async def answer(_request: web.Request) -> web.Response:
        if sort == "whole":
            leaf()
            return web.Response(text="Good day")
        return web.Response(body=encoded_later())

    app = web.Application()
    app.router.add_get("/", answer)
    server = test_utils.TestServer(app)
    async with test_utils.TestClient(server) as client, client.get("/") as response:
        assert await response.text() == "Good day"
    if sort == "stream":
        check_whole(genai_otel_capture)
    assert parents(genai_otel_capture)["task leaf"] == "invoke_workflow serve"
