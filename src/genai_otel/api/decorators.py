"""Manual instrumentation: decorators for functions, and a context manager."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from genai_otel._support.errors import MANUAL_GUARD, contained
from genai_otel.instrumentation.adapter import Extractor
from genai_otel.instrumentation.tracker import CallTracker
from genai_otel.instrumentation.wrappers import lazy_flag, wrap, wrap_lazy
from genai_otel.record import (
    Kind,
    ManualOperation,
    Operation,
    Verdict,
    misused,
    snapshot,
    sort_of,
    take,
    unknown,
)
from genai_otel.recorder import ACTIVE, current

from ._stepping import ItemAccumulator, LazyStart, handle_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import _GeneratorContextManager

    from genai_otel.instrumentation.tracker import ContextScope, ObservedCall, RecordingHandle
    from genai_otel.record import Document

    Function = TypeVar("Function", bound=Callable[..., Any])

_DOCUMENTS = 100
# Methods that ``functools.lru_cache`` adds and ``functools.wraps`` does not copy.
_OF_CACHES = ("cache_info", "cache_clear", "cache_parameters")


class _Recorder:
    """The active recorder; decorators exist before ``instrument()`` and after ``shutdown()``."""

    def start(
        self, op: Operation, parent: Any = None, *, standalone: bool = False
    ) -> RecordingHandle | None:
        recorder = ACTIVE.recorder
        return None if recorder is None else recorder.start(op, parent, standalone=standalone)

    def pass_through(self, kind: Kind) -> ContextScope | None:
        recorder = ACTIVE.recorder
        return None if recorder is None else recorder.pass_through(kind)

    def current(self) -> Operation | None:
        return current()

    def in_unrecorded(self) -> bool:
        recorder = ACTIVE.recorder
        return recorder is not None and recorder.in_unrecorded()


_TRACKER = CallTracker(_Recorder(), MANUAL_GUARD)


class _Subject:
    """A decorated function: the name of its calls, and the names of its arguments."""

    def __init__(self, function: Any, name: str | None) -> None:
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        self.first_line = (inspect.getdoc(function) or "").partition("\n")[0]
        code = getattr(inspect.unwrap(function), "__code__", None)
        self.place = None if code is None else (code.co_filename, code.co_firstlineno)
        self._parameters = code.co_varnames[: code.co_argcount] if code is not None else ()

    def arguments(self, given: tuple[tuple[Any, ...], dict[str, Any]]) -> dict[str, Any]:
        """Return the arguments by name, without ``self`` and ``cls``; bind no signature."""
        args, kwargs = given
        names = self._parameters
        named = {
            names[i] if i < len(names) else f"arg{i}": value
            for i, value in enumerate(args)
            if i > 0 or not names or names[0] not in ("self", "cls")
        }
        return {**named, **kwargs}


class _Begin:
    """Open the calls of one function; not a closure, so that it can be pickled by value."""

    def __init__(self, extractor: Extractor, name: str) -> None:
        self._extractor, self._name = extractor, name

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ObservedCall | None:
        if ACTIVE.recorder is None or not MANUAL_GUARD.enabled:
            return None
        return contained(_open, self._extractor, self._name, (args, kwargs))


def _observed(function: Any, begin: _Begin) -> Any:
    """Wrap a function of any kind so that each call is recorded."""
    flag = lazy_flag(function)
    if flag:
        return wrap_lazy(function, LazyStart(begin, flag))
    made = wrap(function, begin, handle_result)
    for name in _OF_CACHES:
        if hasattr(function, name):
            setattr(made, name, getattr(function, name))
    return made


def _open(extractor: Extractor, name: str, given: Any) -> ObservedCall | None:
    op = ManualOperation(extractor.kind, name)
    if op.kind is Kind.TOOL:
        extractor.read_request(
            given, op
        )  # before the start: the description identifies the same tool call of a framework
    return _TRACKER.start(extractor, op, given)


def _decorate(kind: Kind, function: Any, name: str | None, more: Any = None) -> Any:
    """Decorate ``function``, or return a decorator if it is ``None`` or a name.

    ``more`` returns a modified extractor. Objects that are not functions or cannot be decorated are
    returned unchanged.
    """
    if type(function) is str:
        function, name = None, name or function

    def make(function: Any) -> Any:
        subject = _Subject(function, name)
        extractor = Extractor(kind, _nothing, _result, read_content=partial(_arguments, subject))
        if more is not None:
            extractor = more(subject, extractor)
        extractor = extractor._replace(
            accumulator=partial(ItemAccumulator, extractor.read_response)
        )
        return _observed(function, _Begin(extractor, subject.name))

    def decorate(function: Any) -> Any:
        if isinstance(function, staticmethod | classmethod):
            return type(function)(decorate(function.__func__))
        if isinstance(function, type) or not callable(function):
            sort = "a class" if isinstance(function, type) else sort_of(function)
            misused(f"decorators accept functions only: {sort} is not recorded")
            return function
        made = contained(make, function)
        return function if made is None else made

    return decorate if function is None else decorate(function)


def _nothing(_given: Any, _op: Operation) -> None:
    """Read nothing: the request of a function has content only."""


def _arguments(subject: _Subject, given: Any, op: Operation) -> None:
    arguments = subject.arguments(given)
    if arguments:
        take(op, "arguments", arguments)


def _result(result: Any, op: Operation) -> None:
    if op.capture and op.result is None:
        take(op, "result", result)


# ------------------------------------------------------------------------------ decorators


@overload
def workflow(function: Function, /) -> Function: ...
@overload
def workflow(name: str | None = None, /) -> Callable[[Function], Function]: ...
@overload
def workflow(*, name: str | None = None) -> Callable[[Function], Function]: ...
def workflow(function: Any = None, /, *, name: str | None = None) -> Any:
    """Record each call as a workflow: the handling of one user request from beginning to end."""
    return _decorate(Kind.WORKFLOW, function, name)


@overload
def agent(function: Function, /) -> Function: ...
@overload
def agent(name: str | None = None, /) -> Callable[[Function], Function]: ...
@overload
def agent(*, name: str | None = None) -> Callable[[Function], Function]: ...
def agent(function: Any = None, /, *, name: str | None = None) -> Any:
    """Record each call as one run of an agent."""
    return _decorate(Kind.AGENT, function, name)


@overload
def step(function: Function, /) -> Function: ...
@overload
def step(name: str | None = None, /) -> Callable[[Function], Function]: ...
@overload
def step(*, name: str | None = None) -> Callable[[Function], Function]: ...
def step(function: Any = None, /, *, name: str | None = None) -> Any:
    """Record each call as a step of a workflow."""
    return _decorate(Kind.STEP, function, name)


@overload
def tool(function: Function, /) -> Function: ...
@overload
def tool(name: str | None = None, /) -> Callable[[Function], Function]: ...
@overload
def tool(*, name: str | None = None) -> Callable[[Function], Function]: ...
def tool(function: Any = None, /, *, name: str | None = None) -> Any:
    """Record each call as a tool execution; the docstring's first line describes the tool."""
    return _decorate(Kind.TOOL, function, name, _tool_extractor)


def _tool_extractor(subject: _Subject, extractor: Extractor) -> Extractor:
    return extractor._replace(read_request=partial(_describe, subject.first_line))


def _describe(description: str, _given: Any, op: Operation) -> None:
    op.params = {"description": description or None}


@overload
def retriever(function: Function, /) -> Function: ...
@overload
def retriever(name: str | None = None, /) -> Callable[[Function], Function]: ...
@overload
def retriever(*, name: str | None = None) -> Callable[[Function], Function]: ...
def retriever(function: Any = None, /, *, name: str | None = None) -> Any:
    """Record each call as a retrieval; ``name`` is the data source.

    The query is the first ``str`` among the arguments. The result, a list or tuple, is read as
    documents: texts, dicts or objects with ``id``, ``score`` and ``content`` (or ``text``,
    ``page_content``), or pairs of one of these and its score.
    """
    return _decorate(Kind.RETRIEVAL, function, name, _retrieval_extractor)


def _retrieval_extractor(subject: _Subject, extractor: Extractor) -> Extractor:
    return extractor._replace(read_response=_documents, read_content=partial(_query, subject))


def _query(subject: _Subject, given: Any, op: Operation) -> None:
    given = subject.arguments(given).values()
    texts = (value for value in given if issubclass(type(value), str))
    op.query = next(texts, None)


def _documents(result: Any, op: Operation) -> None:
    if op.capture and op.documents is None and type(result) in (list, tuple):
        op.documents = [_document(item, rank) for rank, item in enumerate(result[:_DOCUMENTS])]


def _document(item: Any, rank: int) -> Document:
    """Return one result as a document; ``rank`` replaces a missing id, a score is optional."""
    plain = snapshot(item, depth=4, nodes=200)
    score = None
    if type(plain) is list and len(plain) == 2:  # noqa: PLR2004 - a document and its score
        plain, score = plain
    fields = plain if type(plain) is dict else {"content": plain}
    score = fields.get("score", score)
    content = fields.get("content") or fields.get("text") or fields.get("page_content")
    document: Document = {"id": str(fields.get("id", rank))}
    if isinstance(score, int | float):
        document["score"] = float(score)
    if content is not None:
        document["content"] = content if type(content) is str else str(content)
    if type(fields.get("metadata")) is dict:
        document["metadata"] = fields["metadata"]
    return document


@overload
def guardrail(function: Function, /) -> Function: ...
@overload
def guardrail(
    positional_name: str | None = None,
    /,
    *,
    name: str | None = None,
    layer: str | None = None,
    phase: str | None = None,
    threshold: float | None = None,
) -> Callable[[Function], Function]: ...
def guardrail(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    layer: str | None = None,
    phase: str | None = None,
    threshold: float | None = None,
) -> Any:
    """Record each call as a guardrail's decision; a deny is not an error.

    The function returns a bool (``True`` allows), a ``Verdict``, or a score. A score equal to or
    above ``threshold`` denies, a lower one allows; without a threshold the score is recorded
    without an action. ``layer`` and ``phase`` (``pre`` or ``post``) are the guardrail's position in
    the application. The result is returned unchanged.
    """
    places = {"guardrail_layer": layer, "guardrail_phase": phase}
    details = {key: value for key, value in places.items() if value is not None}

    if threshold is not None and type(snapshot(threshold)) not in (int, float):
        misused(f"threshold is {sort_of(threshold)} and ignored: expected a number")
        threshold = None
    if phase is not None and (type(phase) is not str or phase not in _PHASES):
        misused(unknown("phase", phase, _PHASES))

    def judge(subject: _Subject, extractor: Extractor) -> Extractor:
        decide = partial(_decide, threshold, subject)
        return extractor._replace(read_request=partial(_place, details), read_response=decide)

    return _decorate(Kind.GUARDRAIL, function, name, judge)


def _place(details: dict[str, Any], _given: Any, op: Operation) -> None:
    op.details = dict(details)


_PHASES = ("pre", "post")


def _decide(threshold: float | None, subject: _Subject, result: Any, op: Operation) -> None:
    if op.verdict is not None:
        return
    op.verdict = _verdict(result, threshold)
    if op.verdict is None and result is not None and not issubclass(type(result), float):
        misused(
            f"the guardrail {subject.name!r} returned {sort_of(result)}, which is not a verdict: "
            "expected True (allow), False (deny), a number (a score), a Verdict or None",
            subject.place,
        )


def _verdict(result: Any, threshold: float | None) -> Verdict | None:
    if type(result) is Verdict:
        return result
    score = snapshot(result)
    if type(score) is bool:  # also a NumPy bool
        return Verdict("allow" if score else "deny")
    if type(score) not in (int, float):  # snapshot() turns NaN and infinity into text: no verdict
        return None
    if threshold is None:
        return Verdict(None, float(score))
    return Verdict("deny" if score >= threshold else "allow", float(score))


# ------------------------------------------------------------------------- context manager


# The values of ``Kind``, so that type checkers find a misspelled one.
_Word = Literal[
    "chat",
    "completion",
    "generation",
    "embeddings",
    "retrieval",
    "rerank",
    "tool",
    "agent",
    "workflow",
    "step",
    "guardrail",
    "evaluation",
    "store",
]


def operation(
    kind: Kind | _Word, name: str | None = None
) -> _GeneratorContextManager[ManualOperation]:
    """Record the block as one operation; yield the Operation, which the application fills.

    ``kind`` is one of ``chat``, ``completion``, ``generation``, ``embeddings``, ``retrieval``,
    ``rerank``, ``tool``, ``agent``, ``workflow``, ``step``, ``guardrail``, ``evaluation``,
    ``store``.
    """
    return _operation(contained(_kind, kind) or Kind.STEP, name)


@contextmanager
def _operation(kind: Kind, name: str | None) -> Iterator[ManualOperation]:
    op = contained(ManualOperation, kind, name)
    if op is None:  # internal error: yield an Operation all the same, which is not recorded
        yield cast("ManualOperation", Operation(Kind.STEP))
        return
    run = contained(_TRACKER.recorder.start, op)
    if run is None:
        yield op
        return
    contained(run.enter)
    try:
        yield op
    except BaseException as error:
        contained(run.leave)
        contained(run.finish, error)
        raise
    contained(run.leave)
    contained(run.finish)


def _kind(kind: Kind | str) -> Kind:
    """Return the kind; an unknown one is a step: a typo must not stop a running program."""
    try:
        return Kind(kind)
    except Exception:  # noqa: BLE001 - the value may be of any type
        misused(f"{unknown('kind', kind, Kind)}; it is recorded as a step")
        return Kind.STEP
