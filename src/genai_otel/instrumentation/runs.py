"""Operations by run id, for frameworks that report what happens through callbacks.

A callback knows its run and that run's parent, and cannot be relied on for anything else: it may
come in another thread or task, twice, or never. So parents are looked up by id, an end counts once,
and a run that does not end is ended here: the oldest of too many, and after too long a time.
"""

from __future__ import annotations

from functools import partial, wraps
from inspect import iscoroutinefunction
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from genai_otel._support.errors import CallRefused, contained
from genai_otel._support.locks import reentrant
from genai_otel.record import Kind

from .open_registry import AT_ONCE, IDLE, LOOK_EVERY, OPEN

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from genai_otel.record import Operation

    from .adapter import Extractor
    from .tracker import Call, Observer

MAX_OPEN = 10_000
_COMPOSED = (Kind.TOOL, Kind.RETRIEVAL)


class _Run(NamedTuple):
    """An open run. ``lent``: it is not recorded, and its children are the call's own."""

    call: Call
    parent: Hashable
    lent: bool


class Runs:
    """The open runs of one framework. Every method contains its own errors.

    Raises nothing but a ``CallRefused``, from ``open``.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._open: dict[Hashable, _Run] = {}
        self._looked = 0.0
        self._lock = reentrant()  # a collected generator may report in the middle of it

    def open(
        self,
        key: Hashable,
        parent: Hashable,
        extractor: Extractor,
        op: Operation,
        request: Any = None,
        *,
        stands: bool = False,
        alone: bool = False,
    ) -> None:
        """A run begins; ``request`` is what ``extractor`` reads.

        ``stands``: the callback comes inline, and the framework makes no context for the run's
        body, so that what begins in this one belongs to it (a model call, which the client's own
        adapter sees as well). ``alone``: it is no layer of another call, but its sibling.
        """
        self._observer.guard.run(self._begin, key, parent, extractor, op, request, stands, alone)

    def lend(self, key: Hashable, parent: Hashable) -> None:
        """A run begins that is not recorded: what happens in it happens in its parent."""
        outer = self._open.get(parent)
        if outer is not None:
            self._keep(key, _Run(outer.call, parent, lent=True))

    def close(
        self, key: Hashable, reply: Any = None, error: BaseException | None = None,
        *, completed: bool | None = True,
    ) -> None:  # fmt: skip
        """A run ended, with what it made or with an error.

        What is cancelled may not be told of what was open inside: that ends with it.
        """
        with self._lock:
            run = self._open.pop(key, None)
        if error is not None and not isinstance(error, Exception):
            for inner in [each for each, open_ in list(self._open.items()) if open_.parent == key]:
                self.close(inner, error=error)
        if run is None or run.lent:
            return
        call = run.call
        if not OPEN.later(partial(self._end, call, reply, error, completed, at=call.last_seen)):
            self._end(call, reply, error, completed)

    def token(self, key: Hashable, *, generated: bool) -> None:
        """A run's model has sent a chunk; whoever reads it may call other models now."""
        run = self._open.get(key)
        if run is None:
            return
        run.call.active.stir(perf_counter())
        if run.call.op.timing.first_token is not None:
            return
        active, op = run.call.active, run.call.op
        contained(active.step_aside)
        op.stream = op.stream or active.joined is None
        if generated and active.joined is None:
            # The reader's own time is not known, so of the stream's timing this is all.
            op.timing.first_token = perf_counter()

    def enter(self, key: Hashable) -> None:
        """The framework has copied a context for the body of this run, and runs code in it."""
        run = self._open.get(key)
        if run is not None:
            contained(run.call.active.stay)

    def lookup(self, run: Callable[[Any], Hashable], given: Any) -> Call | None:
        """The open call of a run that is recorded, if there is one."""
        found = self._open.get(run(given))
        return None if found is None or found.lent else found.call

    def methods(self, callbacks: Mapping[str, Callable[..., None]]) -> dict[str, Any]:
        """Methods of a handler: each hands these runs, and what it was given, to its function."""
        return {name: self._method(function) for name, function in callbacks.items()}

    def _method(self, function: Callable[..., None]) -> Callable[..., None]:
        guard = self._observer.guard

        @wraps(function)
        def report(_handler: Any, *args: Any, **kwargs: Any) -> None:
            if not guard.enabled:
                return
            try:
                function(self, *args, **kwargs)
            except CallRefused:
                raise
            except Exception as error:  # noqa: BLE001 - see safety
                guard.note(function.__qualname__, error)

        return report

    def expire(self, now: float, most: float = inf) -> None:
        """Ends the runs in which nothing has happened for long, ``most`` of them."""
        for key in reversed(list(self._open)):  # what began last is inside
            run = self._open.get(key)
            if run is None or now - run.call.active.stirred < IDLE:
                continue
            if most <= 0:
                return
            most -= 1
            with self._lock:
                run = self._open.pop(key, None)
            if run is not None and not run.lent:
                contained(run.call.active.step_aside)
                run.call.expire()
        self._looked = now

    def end_all(self) -> None:
        """Ends every run that is still open, as left."""
        for key in list(self._open):
            self.close(key, completed=False)

    def forget(self) -> None:
        """Drops all without ending it: in a forked child the runs belong to the parent."""
        self._lock = reentrant()
        self._open.clear()

    def __len__(self) -> int:
        return len(self._open)

    def _begin(  # noqa: PLR0917 - called through the guard
        self,
        key: Hashable,
        parent: Hashable,
        extractor: Extractor,
        op: Operation,
        request: Any,
        stands: bool,  # noqa: FBT001
        alone: bool,  # noqa: FBT001
    ) -> None:
        OPEN.attend()
        OPEN.settle()
        if key in self._open:  # an id that is used again
            self.close(key, completed=False)
        outer = self._open.get(parent)
        under = None if outer is None else outer.call
        call = self._observer.open(extractor, op, request, under, alone=alone)
        if call is not None:
            if stands:
                call.active.stand()
            self._keep(key, _Run(call, parent, lent=False))

    def _keep(self, key: Hashable, run: _Run) -> None:
        now = run.call.active.stirred
        if now - self._looked >= 2 * LOOK_EVERY:  # nobody else does
            self.expire(now, AT_ONCE)
        with self._lock:
            self._open[key] = run
            oldest = next(iter(self._open)) if len(self._open) > MAX_OPEN else key
        if oldest != key:
            self.close(oldest, completed=False)

    @staticmethod
    def _end(
        call: Call,
        reply: Any,
        error: BaseException | None,
        completed: bool | None,  # noqa: FBT001 - the only caller names it so
        *,
        at: float | None = None,
    ) -> None:
        active = call.active
        contained(active.step_aside)
        # Of a model call the client below knows more than the framework; what a tool or a search
        # came to is the framework's to say.
        if reply is not None and (active.joined is None or call.op.kind in _COMPOSED):
            call.reply(reply)
        if completed is not True:
            call.op.completed = completed
        call.finish(error, completed=completed, at=at)


def entering(
    run: Callable[..., Hashable], original: Callable[..., Any], observer: Observer
) -> Callable[..., Any]:
    """Stands in for what a framework calls inside the context that it has copied for a run's body.

    ``run`` is given its positional arguments and returns the run's id. The context goes with the
    body, so nothing that is set there has to be undone, whoever resumes it and wherever it ends.
    """

    @wraps(original)
    def enter(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if observer.guard.enabled:
            observer.guard.run(_enter, observer.runs, run, args)
        return result

    return enter


def _enter(runs: Runs, run: Callable[..., Hashable], args: tuple[Any, ...]) -> None:
    runs.enter(run(*args))


def inside(
    run: Callable[[dict[str, Any]], Hashable], original: Callable[..., Any], observer: Observer
) -> Callable[..., Any]:
    """Stands in for a method that is the body of a run, whose operation is current in its frame.

    ``run`` is given the keyword arguments and returns the run's id.
    """
    guard = observer.guard

    def begin(_args: Any, kwargs: dict[str, Any]) -> Call | None:
        return guard.run(observer.runs.lookup, run, kwargs) if guard.enabled else None

    make = _inside_async if iscoroutinefunction(original) else _inside
    return make(original, begin)


def _inside(original: Any, begin: Any) -> Callable[..., Any]:
    @wraps(original)
    def body(*args: Any, **kwargs: Any) -> Any:
        call = begin(args, kwargs)
        if call is None:
            return original(*args, **kwargs)
        call.enter()
        try:
            return original(*args, **kwargs)
        finally:
            call.leave()

    return body


def _inside_async(original: Any, begin: Any) -> Callable[..., Any]:
    @wraps(original)
    async def body(*args: Any, **kwargs: Any) -> Any:
        call = begin(args, kwargs)
        if call is None:
            return await original(*args, **kwargs)
        call.enter()
        try:
            return await original(*args, **kwargs)
        finally:
            call.leave()

    return body


def noticing(
    notice: Callable[[dict[str, Any]], None], original: Callable[..., Any], observer: Observer
) -> Callable[..., Any]:
    """Stands in for a function that is not recorded; ``notice`` gets its keyword arguments."""

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if observer.guard.enabled:
            observer.guard.run(notice, kwargs)
        return result

    return call
