"""Every function of ours that a program comes by, failing in turn: the program sees nothing of it.

A function fails by having its code exchanged, so wherever it was imported to, it fails.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import openai
import pytest
from starlette.responses import StreamingResponse

import genai_otel
from genai_otel import guardrail, operation, retriever, scope, step, suppress, workflow
from genai_otel._support.errors import FAULTS, MANUAL_GUARD
from genai_otel.testing import Capture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider import Provider

pytestmark = [
    pytest.mark.slow,
    pytest.mark.unconventional("parts of our own fail, and leave what they would have said"),
]
ASK: list[Any] = [{"role": "user", "content": "Hello"}]
OURS = genai_otel.__path__[0]

# What contains the others' errors and makes the host's call, in as few words as possible, and the
# public names themselves.
CONTAINING = {
    "genai_otel._sdk.threads._Inside.__call__",
    "genai_otel.api._stepping.LazyStart.__call__",
    "genai_otel.api._stepping._Steps.__del__",
    "genai_otel.api._stepping._async_generator",
    "genai_otel.api._stepping._awaitable",
    "genai_otel.api._stepping._coroutine",
    "genai_otel.api._stepping._generator",
    "genai_otel.api._stepping._make_body",
    "genai_otel.api._stepping._step",
    "genai_otel.api.decorators._Begin.__call__",
    "genai_otel.api.decorators._decorate",
    "genai_otel.api.decorators.guardrail",
    "genai_otel.api.decorators.operation",
    "genai_otel.api.decorators.retriever",
    "genai_otel.api.decorators.step",
    "genai_otel.api.decorators.workflow",
    "genai_otel.instrumentation.decoded_chunks.DecodingClient._process_response_data",
    "genai_otel.instrumentation.patchers.stainless._Begin.__call__",
    "genai_otel.instrumentation.call_context.run_within",
    "genai_otel.instrumentation.tracker.ObservedCall.enter",
    "genai_otel.instrumentation.tracker.ObservedCall.handle_error",
    "genai_otel.instrumentation.tracker.ObservedCall.finish",
    "genai_otel.instrumentation.tracker.ObservedCall.leave",
    "genai_otel.instrumentation.tracker.ObservedCall.handle_result",
    "genai_otel.instrumentation.open_registry.OpenRegistry._on_gc",
    "genai_otel.instrumentation.http_responses._Body.passing",
    "genai_otel.instrumentation.http_responses._Tap.__aiter__",
    "genai_otel.instrumentation.http_responses._Tap.__iter__",
    "genai_otel.instrumentation.http_responses._Tap.aclose",
    "genai_otel.instrumentation.http_responses._Tap.close",
    "genai_otel._support.errors.Guard.run",
    "genai_otel._support.errors.contained",
    "genai_otel.instrumentation.generators.without_asyncgen_hooks",
    "genai_otel.record.manual.ManualUsage.__setattr__",
    "genai_otel.record.operation.Operation.__init__",
}


def breaks(*_: Any, **__: Any) -> Any:
    raise RecursionError("ours")


# ----------------------------------------------------------------------------------- the program


def _calls(client: openai.OpenAI) -> list[Any]:
    create = client.chat.completions.create
    chunks = list(create(model="tools", messages=ASK, stream=True))
    with create(model="ok", messages=ASK, stream=True) as left:
        first = next(left)
    raw = client.chat.completions.with_raw_response.create(model="ok", messages=ASK)
    with client.chat.completions.with_streaming_response.create(model="ok", messages=ASK) as body:
        lines = list(body.iter_lines())
    with client.chat.completions.stream(model="ok", messages=ASK) as helper:
        final = helper.get_final_completion()
    with pytest.raises(openai.BadRequestError) as refused:
        create(model="err400", messages=ASK)
    patient = client.with_options(max_retries=1)
    retried = patient.chat.completions.create(model="retry-500", messages=ASK)
    reply = client.responses.create(model="ok", input="Hello")
    events = list(client.responses.create(model="reasoning", input="Hello", stream=True))
    vectors = client.embeddings.create(model="ok", input="one")
    told = [chunks, first, raw.parse(), lines, final, str(refused.value)]
    return [*told, retried, reply, events, vectors]


async def _async_calls(client: openai.AsyncOpenAI) -> list[Any]:
    create = client.chat.completions.create
    reply = await create(model="retry-429", messages=ASK)
    raw = await client.chat.completions.with_raw_response.create(model="ok", messages=ASK)
    streamed = [c async for c in await create(model="ok", messages=ASK, stream=True)]
    return [reply, raw.parse(), streamed]


async def _soon(word: str) -> str:
    await asyncio.sleep(0)
    return word


async def _read(response: StreamingResponse) -> list[Any]:
    return [piece async for piece in response.body_iterator]


class _Sent:
    """A response that makes its body when it is sent, as Litestar's."""

    def __init__(self, make: Any) -> None:
        self.iterator = make

    def to_asgi_response(self) -> Any:
        return self.iterator()


def _by_hand(run: Any) -> list[Any]:
    @step
    def pieces(count: int) -> Iterator[int]:
        yield from range(count)

    @step
    async def later(word: str) -> str:
        return word

    @step
    async def letters(word: str) -> Any:
        for letter in word:
            yield letter

    async def read() -> list[str]:
        return [letter async for letter in letters("abc")]

    with operation("chat", "by hand") as op:
        op.usage.input = 3
    found: list[Any] = [step(str.upper)("a"), list(pieces(3)), run(later("b"))]
    found += [run(read()), guardrail(lambda _: 0.5)("x"), retriever(lambda _: ["d"])("q")]
    response = workflow(lambda: StreamingResponse(iter("abc")))()
    found += [
        list(step(lambda: pieces(2))()),
        run(_read(response)),
        list(workflow(lambda: _Sent(lambda: iter("abc")))().to_asgi_response()),
        run(step(lambda: _soon("d"))()),
    ]
    with pytest.raises(ZeroDivisionError):
        step(lambda: 1 / 0)()
    return found


def _around() -> list[Any]:
    found: list[Any] = []
    with scope(user_id="u", tags=["a"], metadata={"b": 1}):
        thread = threading.Thread(target=step(lambda: found.append(1)))
        thread.start()
        thread.join()
    with suppress():
        found.append(step(lambda: 2)())
    with scope(user_id="u"), ThreadPoolExecutor(1) as pool:
        found.append(pool.submit(step(lambda: 3)).result())
    return found


class Program:
    """A bit of everything, as the host sees it; each time in a context that nobody cleans up."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._client = openai.OpenAI(api_key="sk", base_url=url, max_retries=0)
        self._aclient = openai.AsyncOpenAI(api_key="sk", base_url=url)

    def __call__(self) -> list[Any]:
        return contextvars.copy_context().run(self._act)

    def _act(self) -> list[Any]:
        later = self._run(_async_calls(self._aclient))
        return [_calls(self._client), later, _by_hand(self._run), _around()]

    def _run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine, context=contextvars.copy_context())

    def close(self) -> None:
        self._client.close()
        self._runner.run(self._aclient.close())
        self._runner.close()


# ------------------------------------------------------------------------------------- the sweep


def functions() -> dict[types.CodeType, types.FunctionType]:
    """Every function and method of ours by its code, as far as it is loaded."""
    found = {}
    for module in [m for name, m in sys.modules.items() if name.startswith("genai_otel")]:
        for value in _members(module):
            for function in [value, *(_members(value) if isinstance(value, type) else ())]:
                plain = _plain(function)
                if isinstance(plain, types.FunctionType):
                    found[plain.__code__] = plain
    return found


def _members(owner: Any) -> list[Any]:
    return list(vars(owner).values())


def _plain(function: Any) -> Any:
    """The function behind a property, a class method or a cache."""
    if isinstance(function, property):
        return function.fget
    if isinstance(function, functools._lru_cache_wrapper):
        return function.__wrapped__
    return getattr(function, "__func__", function)


def called(program: Program) -> list[types.FunctionType]:
    """Those of ours that the program comes by."""
    seen: set[types.CodeType] = set()

    def note(frame: types.FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            seen.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(note)
    threading.setprofile(note)
    try:
        program()
    finally:
        sys.setprofile(before)
        threading.setprofile(before)  # type: ignore[arg-type]
    known = functions()
    return [known[code] for code in seen if code in known and not code.co_freevars]


def name_of(function: types.FunctionType) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def outcome(function: types.FunctionType, program: Program) -> Any:
    """What the program sees while ``function`` fails."""
    code = function.__code__
    function.__code__ = breaks.__code__
    try:
        return program()
    except Exception as error:  # noqa: BLE001 - then that is what it sees
        return repr(error)
    finally:
        function.__code__ = code


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> Iterator[Capture]:
    """Set up as in production, where nothing of ours is raised again."""
    monkeypatch.setenv("GENAI_OTEL_STRICT", "0")
    monkeypatch.setattr(FAULTS, "counts", {})
    genai_otel.shutdown()
    capture = Capture()
    genai_otel.instrument(
        destinations=capture.exporter, content="full", meter_provider=capture.meter_provider
    )
    yield capture
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


@pytest.fixture
def program(provider: Provider) -> Iterator[Program]:
    program = Program(provider.base_url)
    yield program
    program.close()


def test_whatever_fails_the_host_sees_nothing(capture: Capture, program: Program) -> None:
    runtime: Any = genai_otel._sdk.lifecycle._RUNTIME
    genai_otel.uninstrument()
    expected = program()
    runtime.install()
    todo = {name_of(function): function for function in called(program)}
    seen = {}
    for name in sorted(todo.keys() - CONTAINING):
        seen[name] = outcome(todo[name], program)
        for guard in (MANUAL_GUARD, *(each.guard for each in runtime.libraries)):
            guard.reset()
    assert {name: saw for name, saw in seen.items() if saw != expected} == {}
    assert {name_of(function) for function in functions().values()} >= CONTAINING
    assert sum(FAULTS.counts.values()) > 150
