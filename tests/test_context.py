"""What is inside what: scopes, parents, tasks, threads and streams that outlive their parent."""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import gc
import inspect
import logging
import multiprocessing.pool
import random
import threading
import uuid
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import openai
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY

import genai_otel
from genai_otel import operation, scope, step, suppress, workflow
from genai_otel.testing import Capture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider import Provider

ASK: list[Any] = [{"role": "user", "content": "Hello"}]


@pytest.fixture(autouse=True)
def no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """OpenTelemetry logs an error where a context is left in the wrong place."""
    yield
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


@step
def leaf(name: str = "leaf") -> None:
    op = genai_otel.current()
    assert op is not None
    op.name = name


def parents(capture: Capture) -> dict[str, str | None]:
    """Each span's name and its parent's."""
    names = {span.context.span_id: span.name for span in capture.spans}
    return {s.name: names.get(s.parent.span_id) if s.parent else None for s in capture.spans}


# -------------------------------------------------------------------------------------- scopes


def test_scopes_nest(genai_otel_capture: Capture) -> None:
    with scope(session_id="s1", user_id="u1", tags=["a", "b"], metadata={"tenant": "north"}):
        leaf("outer")
        with scope(user_id="u2", tags=["b", "c"], metadata={"plan": 3}):
            leaf("inner")
        leaf("after")
    leaf("outside")
    facts = {span.name: dict(span.attributes) for span in genai_otel_capture.spans}
    outer, inner = facts["task outer"], facts["task inner"]
    assert (outer["session.id"], outer["gen_ai.conversation.id"]) == ("s1", "s1")
    assert (outer["user.id"], outer["genai_otel.tags"]) == ("u1", ("a", "b"))
    assert (inner["session.id"], inner["user.id"]) == ("s1", "u2")
    assert inner["genai_otel.tags"] == ("a", "b", "c")
    assert inner["genai_otel.metadata.tenant"] == "north"
    assert inner["genai_otel.metadata.plan"] == "3"
    assert facts["task after"]["user.id"] == "u1"
    assert not [key for key in facts["task outside"] if key.startswith(("user", "session"))]


def test_a_scope_inside_reaches_the_root(genai_otel_capture: Capture) -> None:
    """Backends show sessions by the roots of traces: the caller may learn whose it is only then."""

    @workflow
    def handle() -> None:
        leaf("before")
        with scope(session_id="s1", user_id="u1", tags=["a"], metadata={"tenant": "north"}):
            leaf("inside")
        with scope(user_id="u2"):
            leaf("another")

    handle()
    told = {span.name: dict(span.attributes or {}) for span in genai_otel_capture.spans}
    root = told["invoke_workflow handle"]
    assert root["session.id"] == root["gen_ai.conversation.id"] == "s1"
    assert "user.id" not in root, "two users: it is neither's"
    assert "genai_otel.tags" not in root
    assert "session.id" not in told["task before"]
    assert told["task inside"]["user.id"] == "u1"


def test_a_roots_own_scope_is_kept(genai_otel_capture: Capture) -> None:
    @workflow
    def handle() -> None:
        with scope(session_id="inner", user_id="ada"):
            leaf("inside")

    with scope(session_id="outer"):
        handle()
    root = genai_otel_capture.span("invoke_workflow handle").attributes or {}
    assert (root["session.id"], root["user.id"]) == ("outer", "ada")


def test_scope_is_left_by_an_exception(genai_otel_capture: Capture) -> None:
    with pytest.raises(LookupError), scope(user_id="u1"):
        raise LookupError
    leaf()
    assert "user.id" not in genai_otel_capture.span().attributes


@pytest.mark.parametrize(
    ("user", "told"),
    [
        (5, "5"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (True, "True"),
        (b"\x00", "[1 bytes]"),
        ("\ud800", "?"),
        (object(), "[builtins.object]"),
    ],
)
def test_ids_of_any_type(genai_otel_capture: Capture, user: Any, told: str) -> None:
    with scope(user_id=user):
        leaf()
    assert genai_otel_capture.span().attributes["user.id"] == told


@pytest.mark.parametrize(
    ("value", "recorded"),
    [
        (["a", uuid.UUID(int=1)], '["a","00000000-0000-0000-0000-000000000001"]'),
        (
            {"plan": {"seats": 3}, "since": dt.date(2026, 1, 2)},
            '{"plan":{"seats":3},"since":"2026-01-02"}',
        ),
        (dt.date(2026, 1, 2), "2026-01-02"),
    ],
)
def test_metadata_of_any_type(genai_otel_capture: Capture, value: Any, recorded: str) -> None:
    with scope(metadata={"key": value}):
        leaf()
    assert genai_otel_capture.span().attributes["genai_otel.metadata.key"] == recorded


@pytest.mark.parametrize(
    "odd",
    [
        {"tags": None},
        {"tags": "one"},
        {"tags": 5},
        {"tags": [None, "", "x"]},
        {"metadata": ["no", "mapping"]},
        {"metadata": {None: None, 3: object(), "nested": {"a": [1]}}},
    ],
)
def test_odd_scopes_do_not_stop_a_program(genai_otel_capture: Capture, odd: Any) -> None:
    with scope(session_id="s", **odd):
        leaf()
    assert genai_otel_capture.span().attributes["session.id"] == "s"


def test_a_model_call_is_in_its_scope(genai_otel_capture: Capture, provider: Provider) -> None:
    client = openai.OpenAI(api_key="sk", base_url=provider.base_url)
    with scope(user_id="u1"), operation("workflow", "turn"):
        client.chat.completions.create(model="ok", messages=ASK)
    client.close()
    assert parents(genai_otel_capture) == {
        "chat ok": "invoke_workflow turn",
        "invoke_workflow turn": None,
    }
    assert {span.attributes["user.id"] for span in genai_otel_capture.spans} == {"u1"}
    for points in genai_otel_capture.metrics().values():
        assert not [point for point in points if "user.id" in point.attributes]


# ------------------------------------------------------------------------------ tasks, threads


async def test_two_hundred_tasks_never_mix(genai_otel_capture: Capture, provider: Provider) -> None:
    client = openai.AsyncOpenAI(api_key="sk", base_url=provider.base_url)

    @workflow
    async def turn(user: str) -> str:
        await asyncio.sleep(random.random() / 100)
        reply = await client.chat.completions.create(
            model="echo", messages=[{"role": "user", "content": user}], stream=user.endswith("1")
        )
        if isinstance(reply, openai.AsyncStream):
            return "".join([c.choices[0].delta.content or "" async for c in reply if c.choices])
        return reply.choices[0].message.content or ""

    async def serve(user: str) -> str:
        with scope(user_id=user, tags=[f"tag-{user}"]):
            await asyncio.sleep(0)
            return await turn(user)

    users = [f"user-{number}" for number in range(200)]
    assert await asyncio.gather(*map(serve, users)) == users
    await client.close()
    spans = genai_otel_capture.spans
    assert len(spans) == 400
    for span in spans:
        user = span.attributes["user.id"]
        assert span.attributes["genai_otel.tags"] == (f"tag-{user}",)
        said = span.attributes.get("gen_ai.input.messages") or span.attributes["genai_otel.input"]
        assert f'"{user}"' in said
    turns = {
        s.context.span_id: s.attributes["user.id"] for s in spans if not s.name.startswith("chat")
    }
    chats = [s for s in spans if s.name.startswith("chat")]
    assert all(turns[chat.parent.span_id] == chat.attributes["user.id"] for chat in chats)


async def test_tasks_and_to_thread_inherit(genai_otel_capture: Capture) -> None:
    async def task(name: str) -> None:
        leaf(name)

    with operation("workflow", "all"):
        await asyncio.gather(task("one"), asyncio.to_thread(leaf, "two"))
        asyncio.get_running_loop().call_soon(leaf, "three")
        await asyncio.sleep(0)
    found = parents(genai_otel_capture)
    assert {found[f"task {name}"] for name in ("one", "two", "three")} == {"invoke_workflow all"}


def test_threads_started_inside_belong_to_it(genai_otel_capture: Capture) -> None:
    class Mine(threading.Thread):
        def run(self) -> None:
            leaf("mine")

    seen: list[Any] = []
    with scope(user_id="u1"), operation("workflow", "all"):
        started = [threading.Thread(target=leaf, args=("plain",)), Mine(), threading.Timer(0, leaf)]
        for thread in started:
            thread.start()
    outside = threading.Thread(target=lambda: seen.append(trace.get_current_span()))
    outside.start()
    for thread in (*started, outside):
        thread.join()
    found = parents(genai_otel_capture)
    del found["invoke_workflow all"]
    assert found == dict.fromkeys(("task plain", "task mine", "task leaf"), "invoke_workflow all")
    assert {span.attributes["user.id"] for span in genai_otel_capture.spans} == {"u1"}
    assert seen == [trace.INVALID_SPAN]
    assert not [thread for thread in started if "run" in vars(thread)]


@pytest.mark.usefixtures("genai_otel_capture")
def test_a_thread_that_has_ended_is_kept_by_nobody() -> None:
    gc.collect()
    gc.disable()
    try:
        with scope(user_id="u1"):
            thread = threading.Thread(target=bool)
            thread.start()
            thread.join()
        kept = weakref.ref(thread)
        del thread
        assert kept() is None
    finally:
        gc.enable()


def test_a_thread_that_could_not_be_started_may_be_started_again(
    genai_otel_capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = next(
        name for name in ("_start_joinable_thread", "_start_new_thread") if hasattr(threading, name)
    )

    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError("can't start new thread")

    own = threading.Thread()
    run = own.run = lambda: leaf("own")  # type: ignore[method-assign]
    with operation("workflow", "all"):
        thread = threading.Thread(target=leaf, args=("plain",))
        with monkeypatch.context() as patched:
            patched.setattr(threading, starts, refuse)
            with pytest.raises(RuntimeError, match="new thread"):
                thread.start()
        assert "run" not in vars(thread)
        for each in (thread, own):
            each.start()
            each.join()
    assert vars(own)["run"] is run
    assert parents(genai_otel_capture) == {
        "invoke_workflow all": None,
        "task plain": "invoke_workflow all",
        "task own": "invoke_workflow all",
    }


POOLED: dict[str, Any] = {
    "submit": lambda work: _executed(lambda pool: [pool.submit(work, n).result() for n in "ab"]),
    "Executor.map": lambda work: _executed(lambda pool: [*pool.map(work, "ab")]),
    "run_in_executor": lambda work: asyncio.run(_in_loop(work)),
    "to_thread": lambda work: asyncio.run(_to_threads(work)),
    "apply": lambda work: _pooled(lambda pool: [pool.apply(work, (n,)) for n in "ab"]),
    "apply_async": lambda work: _pooled(
        lambda pool: [pool.apply_async(work, n).get() for n in "ab"]
    ),
    "map": lambda work: _pooled(lambda pool: pool.map(work, "ab")),
    "map, by name": lambda work: _pooled(lambda pool: pool.map(iterable="ab", func=work)),
    "map_async": lambda work: _pooled(lambda pool: pool.map_async(work, "ab").get()),
    "starmap": lambda work: _pooled(lambda pool: pool.starmap(work, [("a",), ("b",)])),
    "starmap_async": lambda work: _pooled(lambda pool: pool.starmap_async(work, ["a", "b"]).get()),
    "imap": lambda work: _pooled(lambda pool: [*pool.imap(work, "ab")]),
    "imap_unordered": lambda work: _pooled(lambda pool: sorted(pool.imap_unordered(work, "ab"))),
}


def _executed(use: Any) -> Any:
    with ThreadPoolExecutor(2) as pool:
        return use(pool)


def _pooled(use: Any) -> Any:
    with multiprocessing.pool.ThreadPool(2) as pool:
        return use(pool)


async def _in_loop(work: Any) -> Any:
    loop = asyncio.get_running_loop()
    return await asyncio.gather(*(loop.run_in_executor(None, work, name) for name in "ab"))


async def _to_threads(work: Any) -> Any:
    return await asyncio.gather(*(asyncio.to_thread(work, name) for name in "ab"))


def _work(name: str) -> str:
    leaf(name)
    return name.upper()


@pytest.mark.parametrize("way", POOLED)
def test_what_is_given_to_a_pool_belongs_to_who_gave_it(
    genai_otel_capture: Capture, way: str
) -> None:
    with scope(user_id="u1"), operation("workflow", "all"):
        assert list(POOLED[way](_work)) == ["A", "B"]
    assert parents(genai_otel_capture) == {
        "task a": "invoke_workflow all",
        "task b": "invoke_workflow all",
        "invoke_workflow all": None,
    }
    assert {span.attributes["user.id"] for span in genai_otel_capture.spans} == {"u1"}


@pytest.mark.parametrize(
    ("pool", "name"), [(ThreadPoolExecutor, "submit"), (multiprocessing.pool.ThreadPool, "map")]
)
@pytest.mark.usefixtures("genai_otel_capture")
def test_a_call_without_arguments_fails_as_it_did(pool: Any, name: str) -> None:
    said, method = [], getattr(pool, name)
    assert method is not inspect.unwrap(method)
    for each in (method, inspect.unwrap(method)):
        with pytest.raises(TypeError) as caught:
            each()
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, multiprocessing.pool.ThreadPool])
def test_a_pools_worker_keeps_nothing_of_a_task(genai_otel_capture: Capture, pool: Any) -> None:
    """A worker outlives the operation in which it was started: the next task is not inside it."""
    with pool(1) as workers:
        run = workers.submit if pool is ThreadPoolExecutor else workers.apply_async
        wait = "result" if pool is ThreadPoolExecutor else "get"
        with scope(user_id="first"), operation("workflow", "first"):
            getattr(run(leaf), wait)()
            with pytest.raises(ZeroDivisionError):
                getattr(run(divmod, (1, 0)) if wait == "get" else run(divmod, 1, 0), wait)()
        with scope(user_id="second"):
            getattr(run(leaf, ("second",)) if wait == "get" else run(leaf, "second"), wait)()
        getattr(run(leaf, ("nobody",)) if wait == "get" else run(leaf, "nobody"), wait)()
        copied = contextvars.copy_context()
        with scope(user_id="third"):  # what is copied on purpose wins
            run(copied.run, leaf, "copied") if wait == "result" else None
    facts = {span.name: span for span in genai_otel_capture.spans}
    users = {name: span.attributes.get("user.id") for name, span in facts.items()}
    assert users.pop("task copied", None) is None
    assert users == {
        "task leaf": "first",
        "invoke_workflow first": "first",
        "task second": "second",
        "task nobody": None,
    }
    assert facts["task second"].parent is facts["task nobody"].parent is None


@pytest.mark.parametrize(
    ("mode", "inside"), [("all", {"thread", "pool"}), ("threads", {"thread"}), ("off", set())]
)
def test_which_threads_inherit_can_be_set(mode: str, inside: set[str]) -> None:
    capture = Capture()
    genai_otel.shutdown()
    pools = ThreadPoolExecutor, multiprocessing.pool.ThreadPool
    before = [dict(vars(owner)) for owner in pools]
    genai_otel.instrument(
        destinations=capture.exporter, settings=genai_otel.Settings(propagate_to_threads=mode)
    )
    with operation("workflow", "all"):
        thread = threading.Thread(target=leaf, args=("thread",))
        thread.start()
        thread.join()
        _executed(lambda pool: pool.submit(leaf, "pool").result())
    found = parents(capture)
    genai_otel.shutdown()
    capture.meter_provider.shutdown()
    assert {name for name in ("thread", "pool") if found[f"task {name}"]} == inside
    assert [dict(vars(owner)) for owner in pools] == before, "the originals are back"


def test_thread_variables_of_others_are_not_inherited(genai_otel_capture: Capture) -> None:
    mine = contextvars.ContextVar("mine", default="unset")
    seen: list[str] = []
    mine.set("set")
    with operation("workflow", "all"):
        thread = threading.Thread(target=lambda: seen.append(mine.get()))
        thread.start()
        thread.join()
    assert seen == ["unset"]


# ------------------------------------------------------------------------------------- streams


def test_a_stream_read_after_its_parent_ended(
    genai_otel_capture: Capture, provider: Provider
) -> None:
    client = openai.OpenAI(api_key="sk", base_url=provider.base_url)

    @workflow
    def opens() -> Any:
        return client.chat.completions.create(model="ok", messages=ASK, stream=True)

    with scope(user_id="u1"):
        stream = opens()
    with scope(user_id="u2"), operation("workflow", "reader"):
        for _ in stream:
            leaf()
    client.close()
    found = parents(genai_otel_capture)
    assert found["chat ok"] == "invoke_workflow opens"
    assert found["task leaf"] == "invoke_workflow reader", "a stream is never current"
    chat = next(span for span in genai_otel_capture.spans if span.name == "chat ok")
    assert chat.attributes["user.id"] == "u1"


def test_a_request_is_told_as_it_was_sent(genai_otel_capture: Capture, provider: Provider) -> None:
    """An agent goes on filling its messages and tools while the answer still streams in."""
    messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "early"}]}]
    schema: dict[str, Any] = {"type": "object", "properties": {"early": {}}}
    tools: list[Any] = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    with openai.OpenAI(api_key="sk", base_url=provider.base_url) as client:
        stream = client.chat.completions.create(
            model="ok", messages=messages, tools=tools, stream=True
        )
        messages[0]["content"][0]["text"] = "late"
        messages.append({"role": "user", "content": "late"})
        schema["properties"]["late"] = {}
        tools.clear()
        list(stream)
    told = genai_otel_capture.span().attributes
    assert "early" in told["gen_ai.input.messages"]
    assert "early" in told["gen_ai.tool.definitions"]
    assert "late" not in told["gen_ai.input.messages"] + told["gen_ai.tool.definitions"]


def test_suppressed(genai_otel_capture: Capture, provider: Provider) -> None:
    client = openai.OpenAI(api_key="sk", base_url=provider.base_url)
    with suppress():
        leaf_bare = operation("step", "hidden")
        with leaf_bare as op:
            assert not op.capture
        client.chat.completions.create(model="ok", messages=ASK)
        list(client.chat.completions.create(model="ok", messages=ASK, stream=True))
        thread = threading.Thread(target=step(lambda: 1))
        thread.start()
        thread.join()
    client.close()
    assert not genai_otel_capture.spans
    assert "gen_ai.client.operation.duration" not in genai_otel_capture.metrics()
    step(lambda: 1)()
    assert len(genai_otel_capture.spans) == 1


def test_what_is_suppressed_says_nothing_of_itself_elsewhere(
    genai_otel_capture: Capture, provider: Provider
) -> None:
    client = openai.OpenAI(api_key="sk", base_url=provider.base_url)
    with operation("chat") as op:
        op.provider, op.host, op.port = "openai", "models.example", 443
        attempts = op.timing.attempts
        with suppress():
            client.chat.completions.create(model="retry-429", messages=ASK)
        assert op.timing.attempts == attempts
    client.close()


@pytest.mark.parametrize(
    "key", ["suppress_instrumentation", _SUPPRESS_INSTRUMENTATION_KEY], ids=["legacy", "current"]
)
def test_suppressed_by_others(genai_otel_capture: Capture, key: str) -> None:
    token = otel_context.attach(otel_context.set_value(key, True))
    step(lambda: 1)()
    otel_context.detach(token)
    assert not genai_otel_capture.spans
