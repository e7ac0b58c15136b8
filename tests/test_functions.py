"""The family of plain functions: every kind of result, every end, unnoticed by the host."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel.instrumentation import patching
from genai_otel.instrumentation.adapter import Accumulator, Adapter, Extractor
from genai_otel.instrumentation.fields import get_str
from genai_otel.instrumentation.installer import Installation
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.instrumentation.patchers.function import patch_function, patch_stream_class
from genai_otel.record import Kind
from genai_otel.recorder.recorder import ACTIVE
from tests import lumen
from tests.collected import collect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from genai_otel.record import Operation
    from genai_otel.testing import Capture

NAMES = [
    "ask", "ask_later", "ask_soon", "pieces", "pieces_later", "eager", "eager_later", "lazy",
    "lazy_later",
]  # fmt: skip


def _ask(given: dict[str, Any], op: Operation) -> None:
    op.params = {"temperature": given.get("temperature")}
    op.input = [
        {"role": "user", "parts": [{"type": "text", "content": get_str(given, "prompt") or ""}]}
    ]


def _answer(reply: Any, op: Operation) -> None:
    op.response_model, op.usage.output = reply["model"], reply["usage"]


class _Words(Accumulator):
    def __init__(self, op: Operation) -> None:
        self._op = op
        self._said: list[str] = []

    def add_fast(self, word: str) -> bool:
        self._said.append(word)
        return bool(word)

    add = add_fast

    def finish(self) -> None:
        words: Any = {"type": "text", "content": "".join(self._said)}
        self._op.output = [{"role": "assistant", "parts": [words]}]


READER = Extractor(
    Kind.CHAT, _ask, _answer, None, _Words, read_model=lambda given: given.get("model")
)


def _origin(given: dict[str, Any], op: Operation) -> None:
    op.provider, op.host = getattr(given.get("self"), "name", "lumen"), "lumen.example"
    op.port = 443


ADAPTER = Adapter(
    name="lumen",
    distribution="pytest",
    versions=">=1,<1000",
    patches=(
        *(patch_function(f"tests.lumen:{name}", READER, origin=_origin) for name in NAMES[:7]),
        *(
            patch_function(
                f"tests.lumen:{name}", READER, origin=_origin, arguments=("model",), lazy=True
            )
            for name in NAMES[7:]
        ),
        *(
            patch_function(
                f"tests.lumen:{name}",
                READER,
                origin=_origin,
                stream=True,
                lazy=True,
                inner="words",
            )
            for name in ("block", "block_later")
        ),
        patch_function("tests.lumen:Client.ask", READER, origin=_origin, captured=True),
        patch_function(
            "tests.lumen:Client.stream", READER, origin=_origin, stream=True, inner="_words"
        ),
        patch_function("tests.lumen:Client.stubborn", READER, origin=_origin, stream=True),
        *patch_stream_class("tests.lumen:Stubborn"),
        *patch_stream_class("tests.lumen:Stream", steps=False),
    ),
)


@pytest.fixture
def installed(genai_otel_capture: Capture) -> Iterator[Capture]:
    lumen.events.clear()
    installation = Installation(ADAPTER)
    assert ACTIVE.recorder is not None
    installation.install(ACTIVE.recorder)
    assert installation.state == "active", installation.note
    yield genai_otel_capture
    installation.remove()
    collect()
    assert not len(OPEN)


def told(capture: Capture) -> dict[str, Any]:
    """The one span's facts."""
    found = dict(capture.span().attributes or {})
    capture.clear()
    return found


def said(facts: dict[str, Any]) -> str:
    return str(facts["gen_ai.output.messages"])


# ------------------------------------------------------------------------------------ whole


def test_arguments_by_name_and_by_position(installed: Capture) -> None:
    assert lumen.ask("small", prompt="Hello", temperature=0.5)["model"] == "small-1"
    facts = told(installed)
    assert facts["gen_ai.request.model"] == "small"
    assert facts["gen_ai.response.model"] == "small-1"
    assert facts["gen_ai.request.temperature"] == 0.5
    assert "Hello" in facts["gen_ai.input.messages"]
    assert facts["gen_ai.usage.output_tokens"] == 4
    assert lumen.lazy("small")["model"] == "small-1"
    assert told(installed)["gen_ai.request.model"] == "small"


@pytest.mark.parametrize("name", ["ask_later", "ask_soon", "eager_later", "lazy_later"])
def test_coroutines(installed: Capture, name: str) -> None:
    assert asyncio.run(getattr(lumen, name)("small"))["model"] == "small-1"
    assert told(installed)["gen_ai.response.model"] == "small-1"


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_the_same_and_end_the_span(installed: Capture, name: str) -> None:
    with pytest.raises(lumen.BrokenError, match="refused"):
        drain(getattr(lumen, name)("refused"))
    assert told(installed)["error.type"].endswith("BrokenError")


def test_wrong_arguments_are_the_functions_own_business(installed: Capture) -> None:
    with pytest.raises(TypeError):
        lumen.ask()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        next(lumen.pieces())  # type: ignore[call-arg]


# ---------------------------------------------------------------------------------- streams


def drain(result: Any, take: int | None = None) -> list[str]:
    """Reads a stream of either colour, all of it or the first chunks, and closes it."""
    if inspect.iscoroutine(result) or inspect.isasyncgen(result):
        return asyncio.run(_drain_later(result, take))
    if not hasattr(result, "__next__"):
        return []
    if take is None:
        return list(result)
    chunks = [next(result) for _ in range(take)]
    result.close()
    return chunks


async def _drain_later(result: Any, take: int | None) -> list[str]:
    if inspect.iscoroutine(result):
        result = await result
    if not hasattr(result, "__anext__"):
        return []
    if take is None:
        return [chunk async for chunk in result]
    chunks = [await anext(result) for _ in range(take)]
    await result.aclose()
    return chunks


STREAMS: dict[str, Callable[[str], Any]] = {
    "generator function": lambda model: lumen.pieces(model=model),
    "async generator function": lambda model: lumen.pieces_later(model=model),
    "eager": lambda model: lumen.eager(model, stream=True),
    "eager async": lambda model: lumen.eager_later(model, stream=True),
    "lazy": lambda model: lumen.lazy(model, stream=True),
    "lazy async": lambda model: lumen.lazy_later(model, stream=True),
    "exchanged": lambda model: lumen.Client().stream(model),
    "followed": lambda model: lumen.Client().stubborn(model),
    "followed async": lambda model: _soon(lumen.Client().stubborn(model)),
}
every_stream = pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)


async def _soon(value: Any) -> Any:
    return value


@every_stream
def test_a_stream_that_is_read(installed: Capture, stream: Any) -> None:
    assert drain(stream("small")) == lumen.WORDS
    facts = told(installed)
    assert facts["gen_ai.request.model"] == "small"
    assert "one two three" in said(facts)
    assert facts["genai_otel.response.chunks"] == 4
    assert facts["genai_otel.response.time_to_first_token"] > 0
    assert "genai_otel.response.completed" not in facts
    assert lumen.events.count("sent small") == 1


@every_stream
def test_a_stream_that_is_closed_early(installed: Capture, stream: Any) -> None:
    assert drain(stream("small"), take=2) == ["", "one "]
    assert lumen.events[-1] in {"cleaned up", "closed"}, "as without us, before close returns"
    facts = told(installed)
    assert facts["genai_otel.response.completed"] is False
    assert '"one "' in said(facts)


@pytest.mark.parametrize(
    "stream",
    [stream for name, stream in STREAMS.items() if "async" not in name],
    ids=[name for name in STREAMS if "async" not in name],
)
def test_a_stream_that_is_dropped(installed: Capture, stream: Any) -> None:
    held = stream("small")
    assert [next(held), next(held)] == ["", "one "]
    del held
    assert told(installed)["genai_otel.response.completed"] is False


@pytest.mark.parametrize("name", ["pieces_later", "eager_later", "lazy_later"])
def test_an_async_stream_that_is_dropped(installed: Capture, name: str) -> None:
    async def leave() -> None:
        kinds = {} if name == "pieces_later" else {"stream": True}
        stream = getattr(lumen, name)("small", **kinds)
        stream = await stream if inspect.iscoroutine(stream) else stream
        async for _ in stream:
            break
        del stream
        await asyncio.sleep(0.01)

    asyncio.run(leave())
    assert told(installed)["genai_otel.response.completed"] is False
    assert lumen.events[-1] == "cleaned up"


@every_stream
def test_a_stream_that_breaks(installed: Capture, stream: Any) -> None:
    with pytest.raises(lumen.BrokenError):
        drain(stream("cut"))
    facts = told(installed)
    assert facts["error.type"].endswith("BrokenError")
    assert '"one "' in said(facts)


def _inside(model: str, take: int | None) -> list[str]:
    with lumen.block(model) as reply:
        assert inspect.isgenerator(reply.words)
        return list(itertools.islice(reply.words, take))


def _inside_later(model: str, take: int | None) -> list[str]:
    async def read() -> list[str]:
        chunks: list[str] = []
        async with lumen.block_later(model) as reply:
            assert inspect.isasyncgen(reply.words)
            while take is None or len(chunks) < take:
                try:
                    chunks.append(await anext(reply.words))
                except StopAsyncIteration:
                    break
        return chunks

    return asyncio.run(read())


@pytest.mark.parametrize("read", [_inside, _inside_later])
def test_a_stream_in_a_block(installed: Capture, read: Any) -> None:
    assert read("small", None) == lumen.WORDS
    facts = told(installed)
    assert "one two three" in said(facts)
    assert "genai_otel.response.completed" not in facts
    assert read("small", 2) == ["", "one "]
    assert lumen.events[-1] == "closed" or "closed" in lumen.events[-2:]
    assert told(installed)["genai_otel.response.completed"] is False
    for model, seen in (("cut", '"one "'), ("refused", "[")):
        with pytest.raises(lumen.BrokenError):
            read(model, None)
        facts = told(installed)
        assert facts["error.type"].endswith("BrokenError")
        assert seen in facts.get("gen_ai.output.messages", "[")
    assert not len(OPEN)


def test_an_error_of_the_hosts_own_passes_through_a_block(installed: Capture) -> None:
    error = ZeroDivisionError()

    def fail() -> None:
        with lumen.block("small") as reply:
            next(reply.words)
            raise error

    with pytest.raises(ZeroDivisionError) as caught:
        fail()
    assert caught.value is error
    assert lumen.events[-1] in {"closed", "cleaned up"}
    facts = told(installed)
    assert facts["genai_otel.response.completed"] is False
    assert "error.type" not in facts


def test_a_block_that_is_never_entered_is_no_call(installed: Capture) -> None:
    lumen.block("small")
    assert not installed.spans


def test_a_stream_whose_task_is_cancelled(installed: Capture) -> None:
    async def main() -> None:
        async def read() -> None:
            async for _ in lumen.pieces_later("small"):
                await asyncio.sleep(10)

        task = asyncio.create_task(read())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.01)

    asyncio.run(main())
    facts = told(installed)
    assert facts["genai_otel.response.completed"] is False
    assert "error.type" not in facts


@pytest.mark.parametrize("name", ["generator function", "lazy"])
def test_what_was_never_begun_is_no_call(installed: Capture, name: str) -> None:
    held = STREAMS[name]("small")
    held.close()
    del held
    assert not installed.spans
    assert not lumen.events


def test_what_was_begun_and_never_read_is_one(installed: Capture) -> None:
    held = lumen.eager("small", stream=True)
    held.close()
    del held
    assert told(installed)["genai_otel.response.completed"] is False


# ------------------------------------------------------------------------------ not noticed


def test_kinds_and_types_are_the_originals(installed: Capture) -> None:
    for name in NAMES:
        wrapper = getattr(lumen, name)
        original = wrapper.__wrapped__
        assert wrapper is not original
        for kind in (
            inspect.isgeneratorfunction, inspect.isasyncgenfunction, inspect.iscoroutinefunction,
            inspect.signature,
        ):  # fmt: skip
            assert kind(wrapper) == kind(original)
    assert inspect.isgenerator(lumen.eager("small", stream=True))
    assert inspect.isasyncgen(asyncio.run(lumen.eager_later("small", stream=True)))
    assert type(lumen.Client().stream("small")) is lumen.Stream
    assert type(lumen.Client().stubborn("small")) is lumen.Stubborn


def test_what_others_imported_is_found_and_given_back(genai_otel_capture: Capture) -> None:
    other = ModuleType("other")
    other.question, other.bound = lumen.ask, lumen.bound  # type: ignore[attr-defined]
    before = (lumen.ask, lumen.bound)
    sys.modules["other"] = other
    installation = Installation(ADAPTER)
    assert ACTIVE.recorder is not None
    try:
        installation.install(ACTIVE.recorder)
        other.question("small")
        other.bound("large")
        lumen.bound("huge")
        spans = genai_otel_capture.spans
        assert [dict(s.attributes or {})["gen_ai.request.model"] for s in spans] == [
            "small", "large", "huge",
        ]  # fmt: skip
        assert dict(spans[1].attributes or {})["gen_ai.provider.name"] == "bound"
        installation.remove()
        assert (other.question, other.bound) == before
        assert (lumen.ask, lumen.bound) == before
        other.question("small")
        assert len(genai_otel_capture.spans) == 3
    finally:
        installation.remove()
        del sys.modules["other"]


def test_what_nobody_has_imported_is_not_looked_for(
    genai_otel_capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sought: list[str] = []
    monkeypatch.setattr(
        patching, "_sweep", lambda original, _: sought.append(original.__qualname__) or ()
    )
    held = lumen.ask
    installation = Installation(ADAPTER)
    assert ACTIVE.recorder is not None
    installation.install(ACTIVE.recorder)
    installation.remove()
    assert held.__name__ in sought
    assert not {"pieces", "eager", "lazy_later"} & {*sought}


def test_iterators_of_the_host_stay_unread(installed: Capture) -> None:
    prompt = iter(["never read"])
    lumen.ask("small", prompt=prompt)  # type: ignore[arg-type]
    assert next(prompt) == "never read"
    installed.clear()
