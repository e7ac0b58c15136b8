"""Operations by run id, for frameworks that report through callbacks.

A callback has the ids of its run and of the parent run, and nothing else is reliable: it may come
in another thread or task, twice, or never. So parents are looked up by id, only the first end
counts, and a run that never ends is ended here: the oldest beyond ``MAX_OPEN``, and idle ones.
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

from .open_registry import EXPIRE_EVERY, IDLE, MAX_EXPIRED_AT_ONCE, OPEN

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from genai_otel.record import Operation

    from .adapter import Extractor
    from .tracker import CallTracker, ObservedCall

MAX_OPEN = 10_000
_FRAMEWORK_RESULTS = (Kind.TOOL, Kind.RETRIEVAL)


class _Run(NamedTuple):
    """An open run. ``passed_through``: not recorded; its children belong to its parent's call."""

    call: ObservedCall
    parent: Hashable
    passed_through: bool


class Runs:
    """The open runs of one framework.

    Every method contains its own errors; only ``start`` raises, a ``CallRefused``.
    """

    def __init__(self, tracker: CallTracker) -> None:
        self._tracker = tracker
        self._open: dict[Hashable, _Run] = {}
        self._last_expired = 0.0
        self._lock = reentrant()  # a collected generator may report in the middle of it

    def start(
        self,
        key: Hashable,
        parent: Hashable,
        extractor: Extractor,
        op: Operation,
        request: Any = None,
        *,
        implicit_parent: bool = False,
        standalone: bool = False,
    ) -> None:
        """Start a run; ``request`` is what ``extractor`` reads.

        ``implicit_parent``: the callback comes inline, and the framework copies no context for the
        body, so whatever begins in the current context belongs to the run (a model call that the
        client's own adapter sees as well). ``standalone``: never treat it as a layer of another
        open call.
        """
        self._tracker.guard.run(
            self._begin, key, parent, extractor, op, request, implicit_parent, standalone
        )

    def pass_through(self, key: Hashable, parent: Hashable) -> None:
        """Start a run that is not recorded: its children belong to its parent."""
        outer = self._open.get(parent)
        if outer is not None:
            self._keep(key, _Run(outer.call, parent, passed_through=True))

    def end(
        self, key: Hashable, reply: Any = None, error: BaseException | None = None,
        *, completed: bool | None = True,
    ) -> None:  # fmt: skip
        """End a run, with its result or with an error.

        Frameworks do not report the end of what was open inside a cancelled run: it ends with it.
        """
        with self._lock:
            run = self._open.pop(key, None)
        if error is not None and not isinstance(error, Exception):
            for inner in [each for each, open_ in list(self._open.items()) if open_.parent == key]:
                self.end(inner, error=error)
        if run is None or run.passed_through:
            return
        call = run.call
        if not OPEN.defer_during_gc(
            partial(self._finish, call, reply, error, completed, at=call.last_seen)
        ):
            self._finish(call, reply, error, completed)

    def token(self, key: Hashable, *, generated: bool) -> None:
        """Record that a run's model has sent a chunk; its reader may now call other models."""
        run = self._open.get(key)
        if run is None:
            return
        run.call.active.touch(perf_counter())
        if run.call.op.timing.first_token is not None:
            return
        active, op = run.call.active, run.call.op
        contained(active.clear_implicit_parent)
        op.stream = op.stream or active.joined is None
        if generated and active.joined is None:
            # How long the reader took is unknown, so no other timing of the stream is recorded.
            op.timing.first_token = perf_counter()

    def enter(self, key: Hashable) -> None:
        """Make the run current in the context that the framework has copied for its body."""
        run = self._open.get(key)
        if run is not None:
            contained(run.call.active.enter_copied_context)

    def find(self, run: Callable[[Any], Hashable], given: Any) -> ObservedCall | None:
        """Return the open call of a recorded run."""
        found = self._open.get(run(given))
        return None if found is None or found.passed_through else found.call

    def methods(self, callbacks: Mapping[str, Callable[..., None]]) -> dict[str, Any]:
        """Return the methods of a handler; each calls its function with these runs first."""
        return {name: self._method(function) for name, function in callbacks.items()}

    def _method(self, function: Callable[..., None]) -> Callable[..., None]:
        guard = self._tracker.guard

        @wraps(function)
        def report(_handler: Any, *args: Any, **kwargs: Any) -> None:
            if not guard.enabled:
                return
            try:
                function(self, *args, **kwargs)
            except CallRefused:
                raise
            except Exception as error:  # noqa: BLE001 - see _support.errors
                guard.note(function.__qualname__, error)

        return report

    def expire(self, now: float, most: float = inf) -> None:
        """End at most ``most`` runs without activity for ``IDLE`` seconds."""
        for key in reversed(list(self._open)):  # what began last is inside
            run = self._open.get(key)
            if run is None or now - run.call.active.last_activity < IDLE:
                continue
            if most <= 0:
                return
            most -= 1
            with self._lock:
                run = self._open.pop(key, None)
            if run is not None and not run.passed_through:
                contained(run.call.active.clear_implicit_parent)
                run.call.expire()
        self._last_expired = now

    def end_all(self) -> None:
        """End every open run as incomplete."""
        for key in list(self._open):
            self.end(key, completed=False)

    def clear(self) -> None:
        """Drop all runs without ending them: in a forked child they belong to the parent."""
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
        implicit_parent: bool,  # noqa: FBT001
        standalone: bool,  # noqa: FBT001
    ) -> None:
        OPEN.watch_gc()
        OPEN.drain_deferred()
        if key in self._open:  # an id that is used again
            self.end(key, completed=False)
        outer = self._open.get(parent)
        parent_call = None if outer is None else outer.call
        call = self._tracker.start(extractor, op, request, parent_call, standalone=standalone)
        if call is not None:
            if implicit_parent:
                call.active.set_implicit_parent()
            self._keep(key, _Run(call, parent, passed_through=False))

    def _keep(self, key: Hashable, run: _Run) -> None:
        now = run.call.active.last_activity
        if now - self._last_expired >= 2 * EXPIRE_EVERY:  # nobody else does
            self.expire(now, MAX_EXPIRED_AT_ONCE)
        with self._lock:
            self._open[key] = run
            oldest = next(iter(self._open)) if len(self._open) > MAX_OPEN else key
        if oldest != key:
            self.end(oldest, completed=False)

    @staticmethod
    def _finish(
        call: ObservedCall,
        reply: Any,
        error: BaseException | None,
        completed: bool | None,  # noqa: FBT001 - the only caller names it so
        *,
        at: float | None = None,
    ) -> None:
        active = call.active
        contained(active.clear_implicit_parent)
        # The client below knows more of a model call than the framework; only the framework knows
        # the result of a tool or a search.
        if reply is not None and (active.joined is None or call.op.kind in _FRAMEWORK_RESULTS):
            call.read_response(reply)
        if completed is not True:
            call.op.completed = completed
        call.finish(error, completed=completed, at=at)


def wrap_context_entry(
    run: Callable[..., Hashable], original: Callable[..., Any], tracker: CallTracker
) -> Callable[..., Any]:
    """Wrap what a framework calls inside the context that it has copied for a run's body.

    ``run`` is given its positional arguments and returns the run's id. The context belongs to the
    body alone, so what is attached there need not be detached.
    """

    @wraps(original)
    def enter(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if tracker.guard.enabled:
            tracker.guard.run(_enter, tracker.runs, run, args)
        return result

    return enter


def _enter(runs: Runs, run: Callable[..., Hashable], args: tuple[Any, ...]) -> None:
    runs.enter(run(*args))


def wrap_run_body(
    run: Callable[[dict[str, Any]], Hashable], original: Callable[..., Any], tracker: CallTracker
) -> Callable[..., Any]:
    """Wrap a method that is the body of a run: the run's operation is current in its frame.

    ``run`` is given the keyword arguments and returns the run's id.
    """
    guard = tracker.guard

    def begin(_args: Any, kwargs: dict[str, Any]) -> ObservedCall | None:
        return guard.run(tracker.runs.find, run, kwargs) if guard.enabled else None

    make = _with_context_async if iscoroutinefunction(original) else _with_context
    return make(original, begin)


def _with_context(original: Any, begin: Any) -> Callable[..., Any]:
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


def _with_context_async(original: Any, begin: Any) -> Callable[..., Any]:
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


def wrap_notify(
    notice: Callable[[dict[str, Any]], None], original: Callable[..., Any], tracker: CallTracker
) -> Callable[..., Any]:
    """Wrap a function that is not recorded: ``notice`` gets its keyword arguments afterwards."""

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if tracker.guard.enabled:
            tracker.guard.run(notice, kwargs)
        return result

    return call
