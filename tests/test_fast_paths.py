"""A chunk may be taken by a shorter way than ``add``; what becomes of it is the same."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from anthropic.types import RawContentBlockDeltaEvent
from cohere.core.unchecked_base_model import construct_type
from cohere.v2.types.v2chat_stream_response import ContentDeltaV2ChatStreamResponse
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseTextDeltaEvent

from genai_otel._support.errors import FAULTS, Guard
from genai_otel.adapters import catalogue
from genai_otel.adapters.clients import _openai_wire as openai_wire
from genai_otel.instrumentation import decoded_chunks, stream_wrappers, tracker
from genai_otel.instrumentation.adapter import Accumulator, Extractor
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.instrumentation.tracker import ObservedCall
from genai_otel.record import Kind, Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# ------------------------------------------------------------------------------ what may come

WORDS = st.sampled_from(["a", "b ", "", "é\n"]) | st.text(max_size=5)
ODD: st.SearchStrategy[Any] = st.sampled_from([None, "", 0, 1, True, 2.0, -1, [], {}, "x", ["y"]])
INDEX: st.SearchStrategy[Any] = st.sampled_from([0, 0, 0, 0, 1, 2, True, None, 1.0, "1", -1])


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def mostly(common: st.SearchStrategy[Any], *others: Any) -> st.SearchStrategy[Any]:
    """The common form three times in four, so that the short way is taken."""
    return st.integers(0, 3).flatmap(lambda roll: common if roll else st.one_of(*others))


def runs(event: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(event, max_size=12)


# ------------------------------------------------------------------------- chat completions

PARTS = st.lists(
    st.sampled_from([
        {"type": "text", "text": "in parts"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "thought"}]},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]), max_size=2,
)  # fmt: skip
TOOLS = st.lists(
    st.fixed_dictionaries(
        {"index": st.integers(0, 1), "function": st.fixed_dictionaries({"arguments": WORDS})},
        optional={"id": st.sampled_from(["c1", "c2"])},
    ),
    max_size=2,
)
SOURCES = st.just([{"type": "url_citation", "url_citation": {"url": "https://x"}}])
DELTA = some(
    content=WORDS | PARTS | ODD,
    role=st.sampled_from(["assistant", None]),
    reasoning_content=WORDS | ODD,
    reasoning=WORDS,
    refusal=WORDS | st.none(),
    tool_calls=TOOLS | st.none() | ODD,
    function_call=st.none() | st.just({"name": "f", "arguments": "{}"}),
    audio=st.none() | st.just({"transcript": "heard"}),
    annotations=st.none() | SOURCES,
    executed_tools=st.none() | st.just([{"index": 0, "type": "search", "arguments": "{}"}]),
    images=st.none() | st.just([{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]),
)
COUNTS = some(prompt_tokens=st.integers(0, 9), completion_tokens=st.integers(0, 9))
CHOICE = some(
    index=INDEX, delta=DELTA, finish_reason=st.sampled_from([None, "stop", "length"]), text=WORDS
)
ANY_CHUNK = some(
    id=st.sampled_from(["c", "d", None, ""]),
    model=st.sampled_from(["m", "n"]),
    choices=st.lists(CHOICE, max_size=3) | st.none(),
    usage=COUNTS | st.none() | ODD,
    x_groq=some(usage=COUNTS) | st.none(),
    service_tier=st.sampled_from(["default", "priority", None]),
    system_fingerprint=st.sampled_from(["fp", None]),
    error=st.none() | st.just({"code": 500, "message": "m"}),
    provider=st.just("a gateway"),
)
PLAIN_DELTA = st.builds(
    lambda words, more: {"content": words, **more},
    WORDS,
    mostly(
        st.just({}),
        some(reasoning_content=WORDS, refusal=WORDS, tool_calls=TOOLS, annotations=SOURCES),
    ),
)
PLAIN_CHUNK = st.builds(
    lambda index, delta, more, reason: {
        "id": "c", "model": "m", "object": "chat.completion.chunk", **more,
        "choices": [{"index": index, "delta": delta, "finish_reason": reason}],
    },
    mostly(st.just(0), INDEX),
    PLAIN_DELTA,
    mostly(st.just({}), some(usage=COUNTS, service_tier=st.just("flex"), model=st.just("n"))),
    mostly(st.none(), st.just("stop")),
)  # fmt: skip
CHUNKS = runs(mostly(PLAIN_CHUNK, ANY_CHUNK))


def chat_chunks(found: dict[str, Any]) -> Any:
    return ChatCompletionChunk.construct(**found)


_PLAIN = {
    "choices": {"id": "", "model": "", "system_fingerprint": None, "usage": None},
    "delta": {"index": 0, "finish_reason": None},
    "content": {"role": None, "content": None, "tool_calls": None},
}


def plain_chunks(found: Any) -> Any:
    """Of a client whose models keep fields that their class does not know beside the others."""
    if type(found) is list:
        return [plain_chunks(each) for each in found]
    if type(found) is not dict:
        return found
    known: dict[str, Any] = next((v for k, v in _PLAIN.items() if k in found), {})
    return SimpleNamespace(**{**known, **{k: plain_chunks(v) for k, v in found.items()}})


# ---------------------------------------------------------------------------------- responses

RESPONSE_EVENTS = runs(
    mostly(
        st.fixed_dictionaries(
            {"type": st.just("response.output_text.delta"), "delta": WORDS},
            optional={"output_index": INDEX, "content_index": INDEX},
        ),
        some(
            type=st.sampled_from([
                "response.refusal.delta", "response.reasoning_summary_text.delta",
                "response.function_call_arguments.delta", "response.output_item.added",
                "response.output_text.delta", "response.output_text.done", "error",
                "response.completed",
            ]),
            delta=WORDS | ODD,
            output_index=INDEX,
            item=st.just({"type": "function_call", "call_id": "c", "name": "f"}),
            response=st.just({"id": "r", "status": "completed", "usage": {"output_tokens": 3}}),
            text=WORDS,
        ),
    )
)  # fmt: skip


def response_events(found: dict[str, Any]) -> Any:
    return ResponseTextDeltaEvent.construct(**found)


# ----------------------------------------------------------------------------------- messages

MESSAGE_EVENTS = runs(
    mostly(
        st.builds(
            lambda words, index: {
                "type": "content_block_delta", "index": index,
                "delta": {"type": "text_delta", "text": words},
            },
            WORDS,
            mostly(st.sampled_from([0, 1]), INDEX),
        ),
        some(
            type=st.sampled_from([
                "content_block_delta", "content_block_start", "message_start", "message_delta"
            ]),
            index=INDEX,
            delta=some(text=WORDS | ODD, thinking=WORDS, partial_json=WORDS,
                       stop_reason=st.just("end_turn")),
            content_block=st.sampled_from([
                {"type": "text", "text": ""}, {"type": "thinking", "thinking": ""},
                {"type": "tool_use", "id": "t", "name": "f", "input": {}},
            ]),
            message=st.just({"id": "m", "model": "claude", "usage": {"input_tokens": 7}}),
            usage=st.just({"output_tokens": 5}),
        ),
    )
).map(lambda events: [
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    *events,
])  # fmt: skip


def message_events(found: dict[str, Any]) -> Any:
    return RawContentBlockDeltaEvent.construct(**found)


# ----------------------------------------------------------------------------------- converse

CONVERSE_EVENTS = runs(
    mostly(
        st.builds(
            lambda words, index: {
                "contentBlockDelta": {"delta": {"text": words}, "contentBlockIndex": index}
            },
            WORDS,
            mostly(st.sampled_from([0, 1]), INDEX),
        ),
        some(
            contentBlockDelta=some(
                delta=some(
                    text=WORDS | ODD,
                    reasoningContent=some(text=WORDS),
                    toolUse=some(input=WORDS),
                ),
                contentBlockIndex=INDEX,
            ),
            contentBlockStart=some(
                start=some(toolUse=st.just({"toolUseId": "t", "name": "f"})),
                contentBlockIndex=INDEX,
            ),
            messageStop=st.just({"stopReason": "end_turn"}),
            metadata=st.just({"usage": {"inputTokens": 1, "outputTokens": 2}}),
        ),
    )
)  # fmt: skip


# ------------------------------------------------------------------------------------- Cohere

COHERE_EVENTS = runs(
    mostly(
        st.builds(
            lambda words: {
                "type": "content-delta", "index": 0,
                "delta": {"message": {"content": {"text": words}}},
            },
            WORDS,
        ),
        some(
            type=st.sampled_from([
                "content-delta", "content-start", "tool-plan-delta", "tool-call-start",
                "tool-call-delta", "message-start", "message-end",
            ]),
            id=st.just("i"),
            index=INDEX,
            delta=some(
                message=some(
                    content=some(text=WORDS | ODD, thinking=WORDS | ODD),
                    tool_plan=WORDS,
                    tool_calls=st.just({"id": "t", "function": {"name": "f", "arguments": "{}"}}),
                ),
                finish_reason=st.just("COMPLETE"),
                usage=st.just({"tokens": {"input_tokens": 1, "output_tokens": 2}}),
            ),
        ),
    )
)  # fmt: skip


def cohere_events(found: dict[str, Any]) -> Any:
    return construct_type(object_=found, type_=ContentDeltaV2ChatStreamResponse)


# -------------------------------------------------------------------------------- the property


def _as_it_is(found: Any) -> Any:
    return found


def _in_data(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda found: SimpleNamespace(data=make(found))


ALL: dict[str, list[tuple[st.SearchStrategy[list[Any]], Callable[[Any], Any]]]] = {
    "_openai_chunks.ChatChunks": [
        (CHUNKS, chat_chunks), (CHUNKS, plain_chunks), (CHUNKS, _as_it_is),
    ],
    "litellm._Chunks": [(CHUNKS, chat_chunks)],
    "llama_cpp._Chunks": [(CHUNKS, _as_it_is)],
    "_openai_responses.ResponseEvents": [(RESPONSE_EVENTS, response_events)],
    "_mistral_conversations._ResponseEvents": [(RESPONSE_EVENTS, _in_data(response_events))],
    "_anthropic_wire.Events": [(MESSAGE_EVENTS, message_events)],
    "_converse_wire.Events": [(CONVERSE_EVENTS, _as_it_is)],
    "cohere._Events": [(COHERE_EVENTS, cohere_events)],
}  # fmt: skip
"""Each accumulator with a short way, by module and name: what may come, and as which objects."""


def _below(cls: type) -> Iterator[type]:
    for each in cls.__subclasses__():
        yield each
        yield from _below(each)


def _name(cls: type) -> str:
    return f"{cls.__module__.rpartition('.')[2]}.{cls.__qualname__}"


def _with_a_short_way() -> dict[str, type[Accumulator]]:
    for entry in catalogue.CATALOGUE:
        catalogue.load(entry.name)
    found = (cls for cls in _below(Accumulator) if cls.add_fast is not Accumulator.add_fast)
    return {_name(cls): cls for cls in found if cls.__module__.startswith("genai_otel.")}


ACCUMULATORS = _with_a_short_way()


def test_each_accumulator_with_a_short_way_is_here() -> None:
    assert set(ACCUMULATORS) == set(ALL)


class _Recorded:
    wanted, needs_content = True, False

    def finish(self, error: BaseException | None = None) -> None: ...

    def touch(self, now: float) -> None: ...


_OURS = {"usage", "timing", "text_buffers", "text_room"}


def _made_by(make: Any, call: ObservedCall) -> Any:
    """As a client's method makes its chunks, where they are seen in their JSON or are not."""
    make_chunk = lambda *, data, cast_to, response: make(data)  # noqa: E731 - as that method
    fold = call.accumulator()
    return (
        decoded_chunks.wrap_decoder(make_chunk, fold, call.note_error)
        if fold.reads_json
        else make_chunk
    )


def _told(accumulator: type[Accumulator], chunks: list[Any], make: Any, *, capture: bool) -> Any:
    """Everything that is recorded of such a stream, its times by a clock that ticks."""
    op = Operation(Kind.CHAT)
    op.stream, op.capture = True, capture
    reader = Extractor(
        Kind.CHAT, openai_wire.read_request, openai_wire.read_chat_response, accumulator=accumulator
    )
    call = ObservedCall(op, reader, _Recorded(), Guard("test"))  # type: ignore[arg-type]
    OPEN.add(call, SimpleNamespace())
    process = _made_by(make, call)
    made = (process(data=each, cast_to=None, response=None) for each in chunks)
    assert list(stream_wrappers.observe(made, call)) == [make(each) for each in chunks]
    facts = {
        name: value
        for name, value in vars(op).items()
        if name not in {"usage", "timing", "text_buffers", "text_room"}
    }
    timing = {name: value for name, value in vars(op.timing).items() if name != "waits"}
    return repr((facts, vars(op.usage), timing))


@pytest.fixture(scope="module", autouse=True)
def strictly() -> Iterator[None]:
    """With a clock that stands still, and errors of ours that are raised."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (tracker, stream_wrappers):
            patch.setattr(module, "perf_counter", lambda: 0.0)
        patch.setattr(FAULTS, "strict", True)
        yield


CASES = [(name, *case) for name, cases in ALL.items() for case in cases]


@pytest.mark.parametrize(
    ("name", "sequences", "make"), CASES, ids=[f"{c[0]}-{c[2].__name__}" for c in CASES]
)
def test_the_short_way_tells_what_the_long_one_tells(name: str, sequences: Any, make: Any) -> None:
    fast = ACCUMULATORS[name]
    slow = type("Slow", (fast,), {"add_fast": Accumulator.add_fast, "reads_json": False})
    of_models = type("OfModels", (fast,), {"reads_json": False})

    @settings(max_examples=300, deadline=None)
    @given(found=sequences, capture=st.sampled_from([True, True, True, False]))
    def agree(found: list[Any], capture: bool) -> None:
        told = _told(slow, found, make, capture=capture)
        assert _told(fast, found, make, capture=capture) == told
        assert _told(of_models, found, make, capture=capture) == told

    agree()


@pytest.mark.parametrize(("name", "plain", "make"), [
    ("_openai_chunks.ChatChunks",
     {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "a"}}]}, chat_chunks),
    ("_openai_chunks.ChatChunks",
     {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}}]}, plain_chunks),
    ("_openai_responses.ResponseEvents",
     {"type": "response.output_text.delta", "delta": "a"}, response_events),
    ("_anthropic_wire.Events",
     {"type": "content_block_delta", "index": 0, "delta": {"text": "a"}}, message_events),
    ("_converse_wire.Events",
     {"contentBlockDelta": {"delta": {"text": "a"}, "contentBlockIndex": 0}}, _as_it_is),
    ("cohere._Events",
     {"type": "content-delta", "delta": {"message": {"content": {"text": "a"}}}}, cohere_events),
])  # fmt: skip
def test_the_common_form_takes_the_short_way(name: str, plain: Any, make: Any) -> None:
    op = Operation(Kind.CHAT)
    op.capture = True
    accumulator = ACCUMULATORS[name](op)
    if name == "_anthropic_wire.Events":
        accumulator.add({"type": "content_block_start", "index": 0, "content_block": {}})
    accumulator.add(make(plain))
    assert accumulator.add_fast(make(plain)) is True


# ------------------------------------------------------------------- what a short way must not hide

PLAIN = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "a"}}]}
WITH_ROLE = {
    "id": "c", "choices": [{"index": 0, "delta": {"content": "a", "role": "assistant"}}],
}  # fmt: skip
ODD_CHUNKS: list[Any] = [
    None, [], {}, {"choices": None}, {"choices": []}, {"choices": [{}]}, {"choices": 5},
    {"choices": [None]}, {"choices": [{"delta": None}]}, {"choices": [{"delta": []}]},
    {"choices": [{"delta": {"content": "a"}}]}, {"choices": [PLAIN["choices"][0]] * 2},
]  # fmt: skip


class _Rude(dict[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("asked")


def _stream(make: Any) -> tuple[ObservedCall, Callable[[Any], list[Any]]]:
    """A call whose stream has had a plain chunk, and what passes further ones through it."""
    op = Operation(Kind.CHAT)
    op.stream = op.capture = True
    reader = Extractor(
        Kind.CHAT,
        openai_wire.read_request,
        openai_wire.read_chat_response,
        accumulator=ACCUMULATORS[CHATS],
    )
    call = ObservedCall(op, reader, _Recorded(), Guard("test"))  # type: ignore[arg-type]
    process = _made_by(make, call)

    def pass_through(chunks: Any) -> list[Any]:
        OPEN.add(call, SimpleNamespace())
        return list(
            stream_wrappers.observe(
                (process(data=c, cast_to=None, response=None) for c in chunks), call
            )
        )

    return call, pass_through


CHATS = "_openai_chunks.ChatChunks"


def _said(call: ObservedCall) -> str:
    return "".join(part["content"] for each in call.op.output or () for part in each["parts"])


@pytest.fixture
def leniently(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What is counted, where errors of ours are contained."""
    counts: dict[str, int] = {}
    monkeypatch.setattr(FAULTS, "strict", False)
    monkeypatch.setattr(FAULTS, "counts", counts)
    return counts


@pytest.mark.parametrize("make", [_as_it_is, plain_chunks])
def test_an_odd_chunk_is_no_fault_of_ours(leniently: dict[str, int], make: Any) -> None:
    call, pass_through = _stream(make)
    rude = [] if make is plain_chunks else [_Rude(PLAIN)]
    odd = [each for each in ODD_CHUNKS if make is _as_it_is or type(each) is dict]
    chunks = [part for each in [*odd, *rude] for part in (PLAIN, PLAIN, each)]
    assert len(pass_through(chunks)) == len(chunks)
    assert leniently == {}
    assert _said(call).startswith("aa")


OURS = """
def add_fast(self, chunk):
    return helper()
def has_more(delta):
    return helper()
def helper():
    raise ERROR
"""


@pytest.mark.parametrize("way", ["add_fast", "has_more"])
@pytest.mark.parametrize("error", [KeyError, TypeError, RuntimeError])
def test_a_fault_of_ours_in_a_short_way_is_counted(
    leniently: dict[str, int], monkeypatch: pytest.MonkeyPatch, way: str, error: Any
) -> None:
    """The application has its chunks, and the record its text, by the long way."""
    module: dict[str, Any] = {"__name__": "genai_otel.adapters.made_here", "ERROR": error}
    exec(OURS, module)
    chats = ACCUMULATORS[CHATS]
    ours = module[way]
    monkeypatch.setattr(chats, "reads_json", way == "has_more")
    monkeypatch.setattr(chats, way, staticmethod(ours) if way == "has_more" else ours)
    call, pass_through = _stream(_as_it_is)
    assert pass_through([WITH_ROLE] * 5) == [WITH_ROLE] * 5
    place = {"add_fast": "add_fast", "has_more": "decoded"}[way]
    assert leniently == {f"test.{place}: {error.__name__}": 4}
    assert _said(call) == "a" * 5
    monkeypatch.setattr(FAULTS, "strict", True)
    with pytest.raises(error):
        _stream(_as_it_is)[1]([WITH_ROLE] * 2)


@pytest.mark.parametrize("error", [ZeroDivisionError, RuntimeError])
def test_what_no_form_explains_is_a_fault(
    leniently: dict[str, int], monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    module: dict[str, Any] = {"__name__": "genai_otel.adapters.made_here", "ERROR": error}
    exec("def add_fast(self, chunk):\n    raise ERROR", module)
    monkeypatch.setattr(ACCUMULATORS[CHATS], "reads_json", False)
    monkeypatch.setattr(ACCUMULATORS[CHATS], "add_fast", module["add_fast"])
    call, pass_through = _stream(_as_it_is)
    pass_through([PLAIN] * 5)
    assert _said(call) == "a" * 5
    assert leniently == {f"test.add_fast: {error.__name__}": 4}


def test_an_adapter_catches_nothing() -> None:
    """What contains and counts is the engine."""
    folder = Path(catalogue.__file__).parent
    trees = {file.name: ast.parse(file.read_text("utf-8")) for file in folder.glob("*.py")}
    assert trees
    caught = [
        name for name, tree in trees.items() if any(isinstance(n, ast.Try) for n in ast.walk(tree))
    ]
    assert caught == []
