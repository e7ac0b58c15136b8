"""However a stream is cut, and wherever its reader leaves it: one span, its text what was given."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

import genai_otel
from genai_otel.adapters.clients._openai_chunks import ChatChunks
from tests.collected import collect
from tests.provider import Reply, Scenario, ToolCall, Usage
from tests.provider.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from genai_otel.testing import Capture
    from tests.provider import Provider

MODEL = "property"
ASK: list[Any] = [{"role": "user", "content": "Tell me."}]

# ------------------------------------------------------------------------- what a model may say

STORAGE = st.text(max_size=60)
ARGUMENTS = st.dictionaries(st.text(max_size=5), st.integers() | STORAGE, max_size=3).map(
    json.dumps
)
CALLS = st.lists(
    st.builds(ToolCall, st.text("abc", min_size=1), st.just("f"), ARGUMENTS), max_size=3
)
REPLIES = st.builds(
    Reply, text=STORAGE, reasoning=STORAGE, refusal=STORAGE, calls=CALLS.map(tuple)
)  # fmt: skip
# Where the wire breaks: not at all, cut after so many pieces or frames, or an error event there.
ENDINGS = st.just(("done", None)) | st.tuples(
    st.sampled_from(["cut", "error"]),
    st.tuples(st.sampled_from(["pieces", "frames"]), st.integers(0, 12)),
)
SCENARIOS = st.builds(
    lambda ending, **more: Scenario(ending=ending[0], stop=ending[1], **more),
    ending=ENDINGS,
    replies=st.lists(REPLIES, min_size=1, max_size=2).map(tuple),
    usage=st.just(Usage(12, 8)),
    report=st.sampled_from(["asked", "always", "never", "null"]),
    split=st.none() | st.integers(1, 9),
    shuffled=st.booleans(),
    comments=st.booleans(),
)  # fmt: skip


@dataclass
class Given:
    """What the reader was given, and how it came to an end."""

    chunks: list[Any] = field(default_factory=list)
    exhausted: bool = False
    failure: str | None = None

    def take(self, chunk: Any) -> None:
        self.chunks.append(chunk.model_copy(deep=True))

    def messages(self) -> list[list[tuple[str, Any]]]:
        """The parts of each choice, in the order in which a span tells them."""
        choices: dict[int, dict[str, Any]] = {}
        for choice in (choice for chunk in self.chunks for choice in chunk.choices or ()):
            so_far = choices.setdefault(choice.index, {"calls": {}})
            for name in ("reasoning_content", "content", "refusal"):
                so_far[name] = so_far.get(name, "") + (getattr(choice.delta, name, None) or "")
            for call in choice.delta.tool_calls or ():
                kept = so_far["calls"].setdefault(call.index, [call.id, ""])
                kept[1] += call.function.arguments or ""
        return [_parts(so_far) for _, so_far in sorted(choices.items())]

    def has_ended(self) -> bool:
        """Whether each choice has given its reason to finish."""
        reasons = [c.finish_reason for chunk in self.chunks for c in chunk.choices or ()]
        return any(reasons)


def _parts(so_far: dict[str, Any]) -> list[tuple[str, Any]]:
    told = [("reasoning", so_far["reasoning_content"]), ("text", so_far["content"])]
    told.append(("text", so_far["refusal"]))
    calls = [("tool_call", (kept[0], kept[1])) for _, kept in sorted(so_far["calls"].items())]
    return [part for part in told if part[1]] + calls


def _told(span: Any) -> list[list[tuple[str, Any]]]:
    messages = json.loads(span.attributes.get("gen_ai.output.messages", "[]"))
    return [[_part(part) for part in message["parts"] if _is_said(part)] for message in messages]


def _is_said(part: Any) -> bool:
    return part["type"] == "tool_call" or bool(part["content"])


def _part(part: Any) -> tuple[str, Any]:
    if part["type"] != "tool_call":
        return part["type"], part["content"]
    given = part["arguments"]
    return "tool_call", (part["id"], given if isinstance(given, str) else json.dumps(given))


# ----------------------------------------------------------------------------- ways to leave it


class Enough(Exception):
    pass


def _exhaust(stream: Any, given: Given, count: int) -> None:
    for chunk in stream:
        given.take(chunk)
    given.exhausted = True


def _some(stream: Any, given: Given, count: int) -> None:
    for _ in range(count):
        chunk = next(stream, None)
        if chunk is None:
            given.exhausted = True
            return
        given.take(chunk)


def _close(stream: Any, given: Given, count: int) -> None:
    _some(stream, given, count)
    stream.close()


def _leave_with(stream: Any, given: Given, count: int) -> None:
    with stream:
        _some(stream, given, count)


def _raise_inside(stream: Any, given: Given, count: int) -> None:
    with contextlib.suppress(Enough), stream:
        _some(stream, given, count)
        raise Enough


def _drop(stream: Any, given: Given, count: int) -> None:
    if not count:
        return
    for chunk in stream:
        given.take(chunk)
        if len(given.chunks) == count:
            return
    given.exhausted = True


def _drop_in_a_cycle(stream: Any, given: Given, count: int) -> None:
    _some(stream, given, count)
    cycle: list[Any] = [stream]
    cycle.append(cycle)


SYNC: list[Callable[[Any, Given, int], None]] = [
    _exhaust, _close, _leave_with, _raise_inside, _drop, _drop_in_a_cycle,
]  # fmt: skip


async def _aexhaust(stream: Any, given: Given, count: int) -> None:
    async for chunk in stream:
        given.take(chunk)
    given.exhausted = True


async def _asome(stream: Any, given: Given, count: int) -> None:
    for _ in range(count):
        chunk = await anext(stream, None)
        if chunk is None:
            given.exhausted = True
            return
        given.take(chunk)


async def _aclose(stream: Any, given: Given, count: int) -> None:
    await _asome(stream, given, count)
    await stream.close()


async def _aleave_with(stream: Any, given: Given, count: int) -> None:
    async with stream:
        await _asome(stream, given, count)


async def _araise_inside(stream: Any, given: Given, count: int) -> None:
    with contextlib.suppress(Enough):
        async with stream:
            await _asome(stream, given, count)
            raise Enough


async def _adrop(stream: Any, given: Given, count: int) -> None:
    await _asome(stream, given, count)


async def _acancel(stream: Any, given: Given, count: int) -> None:
    """The reader's task is cancelled; where that meets it is the loop's business."""

    async def read() -> None:
        async for chunk in stream:
            given.take(chunk)
            if len(given.chunks) >= count:
                task.cancel()
        given.exhausted = True

    task = asyncio.create_task(read())
    with contextlib.suppress(asyncio.CancelledError):
        await task


ASYNC: list[Callable[[Any, Given, int], Coroutine[Any, Any, None]]] = [
    _aexhaust, _aclose, _aleave_with, _araise_inside, _adrop, _acancel,
]  # fmt: skip


# ---------------------------------------------------------------------------------- the property


class Readers:
    """One client of each colour, and a loop, for all examples."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        options: Any = {"api_key": "sk", "base_url": provider.base_url, "max_retries": 0}
        self.client = openai.OpenAI(**options)
        self.aclient = openai.AsyncOpenAI(**options)
        self.runner = asyncio.Runner()

    def read(self, leave: Any, count: int, *, usage: bool) -> Given:
        given = Given()
        options: Any = {"stream_options": {"include_usage": True}} if usage else {}
        try:
            if leave in SYNC:
                create = self.client.chat.completions.create
                leave(create(model=MODEL, messages=ASK, stream=True, **options), given, count)
            else:
                self.runner.run(self._aread(leave, given, count, options))
        except Exception as error:  # noqa: BLE001 - older clients let errors of httpx through
            given.failure = type(error).__qualname__
        return given

    async def _aread(self, leave: Any, given: Given, count: int, options: Any) -> None:
        create = self.aclient.chat.completions.create
        await leave(await create(model=MODEL, messages=ASK, stream=True, **options), given, count)

    def close(self) -> None:
        self.client.close()
        self.runner.run(self.aclient.close())
        self.runner.close()


@pytest.fixture
def readers(provider: Provider) -> Iterator[Readers]:
    readers = Readers(provider)
    yield readers
    readers.close()


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    scenario=SCENARIOS,
    leave=st.sampled_from([*SYNC, *ASYNC]),
    count=st.integers(0, 25),
    usage=st.booleans(),
)
def test_one_span_says_what_was_given(
    readers: Readers,
    genai_otel_capture: Capture,
    scenario: Scenario,
    leave: Any,
    count: int,
    usage: bool,
) -> None:
    genai_otel_capture.clear()
    readers.provider.add(MODEL, scenario)
    seen = readers.read(leave, count, usage=usage)
    if genai_otel.status().open_streams or not seen.exhausted:
        # Nobody closed it: it ends with its last holder. And what a client's stream that was left
        # keeps open must not be collected in the middle of the next request, as chance has it:
        # httpcore closes it under a lock that it then holds itself.
        collect()
    span = genai_otel_capture.span()
    assert genai_otel.status().open_streams == 0
    assert _told(span) == seen.messages()
    _assert_ending(span.attributes, span.status.is_ok, seen)


def _assert_ending(told: Any, fine: bool, seen: Given) -> None:
    assert told.get("error.type", "").rpartition(".")[2] == (seen.failure or "")
    assert fine is (seen.failure is None)
    completed = told.get("genai_otel.response.completed", True)
    if seen.exhausted:
        assert completed
    elif seen.failure is None and not seen.has_ended():
        assert not completed
    assert told.get("genai_otel.response.chunks", 0) == len(seen.chunks)
    usages = [chunk.usage for chunk in seen.chunks if chunk.usage]
    expected = usages[-1].completion_tokens if usages else None
    assert told.get("gen_ai.usage.output_tokens") == expected


# ----------------------------------------------------- what stands beside plain text in a stream


def chunk(*choices: tuple[int, Any], **more: Any) -> dict[str, Any]:
    """One chunk: its choices by index, each with its delta, or with the text of one."""
    made = [
        {"index": index, "delta": {"content": delta} if isinstance(delta, str) else delta}
        for index, delta in choices
    ]
    return {"id": "c", "model": MODEL, "object": "chat.completion.chunk", "choices": made, **more}


SEQUENCES: dict[str, tuple[list[Any], list[list[tuple[str, Any]]]]] = {
    "choices in turn": (
        [chunk((0, "A1 ")), chunk((1, "B1 ")), chunk((0, "A2")), chunk((1, "B2"))],
        [[("text", "A1 A2")], [("text", "B1 B2")]],
    ),
    "choices together": (
        [chunk((0, "A1 ")), chunk((0, "A2"), (1, "B1 ")), chunk((1, "B2"))],
        [[("text", "A1 A2")], [("text", "B1 B2")]],
    ),
    "thoughts beside text": (
        [chunk((0, "a")), chunk((0, {"content": "b", "reasoning_content": "hm"})), chunk((0, "c"))],
        [[("reasoning", "hm"), ("text", "abc")]],
    ),
    "a refusal beside text": (
        [chunk((0, "a")), chunk((0, {"content": "b", "refusal": "no"})), chunk((0, "c"))],
        [[("text", "abc"), ("text", "no")]],
    ),
    "content in parts": (
        [
            chunk((0, "a")),
            chunk((0, {"content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]})),
            chunk((0, "d")),
        ],
        [[("text", "abcd")]],
    ),
}


@pytest.mark.parametrize("case", SEQUENCES)
def test_what_comes_after_the_first_plain_chunk(
    readers: Readers, genai_otel_capture: Capture, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    chunks, expected = SEQUENCES[case]
    _stream(monkeypatch, readers.provider, chunks)
    readers.read(_exhaust, 0, usage=False)
    assert _told(genai_otel_capture.span()) == expected


def test_counts_and_reasons_in_the_middle(
    readers: Readers, genai_otel_capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    middle = chunk((0, "b"), usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})
    middle["choices"][0]["finish_reason"] = "length"
    _stream(monkeypatch, readers.provider, [chunk((0, "a")), middle, chunk((0, "c"))])
    readers.read(_exhaust, 0, usage=False)
    facts = genai_otel_capture.span().attributes
    assert facts["gen_ai.usage.input_tokens"] == 3
    assert facts["gen_ai.usage.output_tokens"] == 4
    assert facts["gen_ai.response.finish_reasons"] == ("length",)


def _stream(monkeypatch: pytest.MonkeyPatch, provider: Provider, chunks: list[Any]) -> None:
    data = [f"data: {json.dumps(each)}\n\n" for each in chunks] + ["data: [DONE]\n\n"]
    head = {"content-type": "text/event-stream"}
    answer = Answer(headers=head, body="".join(data).encode())
    monkeypatch.setattr(provider, "answer", lambda _: answer)


# ------------------------------------------------------------ chunks seen while they are being made


class _OwnClient(openai.OpenAI):
    """Makes chunks with parameters of its own."""

    def _process_response_data(self, **given: Any) -> Any:  # type: ignore[override]
        return super()._process_response_data(**given)


class _MaskingClient(openai.OpenAI):
    """Makes chunks of what it puts in the place of their JSON."""

    def _process_response_data(self, *, data: Any, cast_to: Any, response: Any) -> Any:
        masked = json.loads(json.dumps(data).replace('"c"', '"*"'))
        return super()._process_response_data(data=masked, cast_to=cast_to, response=response)


T = TypeVar("T")


class _OwnStream(openai.Stream[T]):
    """Hands out others than the chunks that its client has made."""

    def __stream__(self) -> Iterator[Any]:
        for made in super().__stream__():
            yield made.model_copy()


class _WrappedStream(openai.Stream[T]):
    """Likewise, and says that it is the client's: so do the wrappers of other tools."""

    @functools.wraps(openai.Stream.__stream__)
    def __stream__(self) -> Iterator[Any]:
        for made in super().__stream__():
            yield made.model_copy()


@pytest.mark.parametrize(
    ("client", "stream", "models"),  # how many models the short way has to look into
    [
        (openai.OpenAI, openai.Stream, 1),
        (_OwnClient, openai.Stream, 6),
        (_MaskingClient, openai.Stream, 6),
        (openai.OpenAI, _OwnStream, 6),
        (openai.OpenAI, _WrappedStream, 6),
    ],
)
def test_whoever_makes_the_chunks_each_is_told_once(
    readers: Readers,
    genai_otel_capture: Capture,
    monkeypatch: pytest.MonkeyPatch,
    client: Any,
    stream: Any,
    models: int,
) -> None:
    added, looked = [], []
    add, short = ChatChunks.add, ChatChunks.add_fast

    def add_fast(fold: ChatChunks, each: Any) -> bool | None:  # so named: it may raise as that does
        looked.append(each)
        return short(fold, each)

    monkeypatch.setattr(ChatChunks, "add", lambda fold, each: added.append(each) or add(fold, each))
    monkeypatch.setattr(ChatChunks, "add_fast", add_fast)
    texts = [chunk((0, word)) for word in "abcdef"]
    _stream(monkeypatch, readers.provider, [*texts, chunk((0, {}), finish_reason="stop")])
    body = {"model": MODEL, "messages": ASK, "stream": True}
    with client(api_key="sk", base_url=readers.provider.base_url) as own:
        given = own.post(
            "/chat/completions", body=body, cast_to=ChatCompletionChunk, stream=True,
            stream_cls=stream[ChatCompletionChunk],
        )  # fmt: skip
        read = [each.choices[0].delta.content or "" for each in given]
    assert len(read) == len(texts) + 1
    assert _told(genai_otel_capture.span()) == [[("text", "".join(read))]]
    assert (len(added), len(looked)) == (2, models)  # added: the first and the last


def test_a_stream_that_was_left_keeps_nothing_until_the_next_collection(
    readers: Readers, genai_otel_capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds = []
    add = ChatChunks.add
    monkeypatch.setattr(ChatChunks, "add", lambda fold, c: folds.append(ref(fold)) or add(fold, c))
    _stream(monkeypatch, readers.provider, [chunk((0, word)) for word in "abcdef"])
    with openai.OpenAI(api_key="sk", base_url=readers.provider.base_url) as own:
        gc.disable()
        try:
            given = own.chat.completions.create(model=MODEL, messages=ASK, stream=True)
            newest = [ref(next(given)) for _ in range(3)][-1]
            given.close()
            del given
            assert _told(genai_otel_capture.span()) == [[("text", "abc")]]
            assert newest() is None
            assert [fold() for fold in folds] == [None]
        finally:
            gc.enable()
