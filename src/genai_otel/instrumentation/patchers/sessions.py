"""Patch sessions: one connection with events in both directions, as one operation.

A context manager returns the connection, whose methods for sending, receiving and closing are
observed. The session ends when the host closes it, when the connection is lost and the client will
not open another, or when it is dropped. It is never the current operation: what the host does
meanwhile is not inside it.
"""

from __future__ import annotations

from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from genai_otel.instrumentation.adapter import Patch
from genai_otel.instrumentation.generators import wrap_context_manager
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.instrumentation.returned_objects import (
    MethodHooks,
    observable_methods,
    observe_object,
)
from genai_otel.instrumentation.wrappers import wrap, wrap_async
from genai_otel.record import Operation

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.instrumentation.adapter import Extractor
    from genai_otel.instrumentation.fields import Json
    from genai_otel.instrumentation.tracker import CallTracker, ObservedCall


class Session(NamedTuple):
    """How to observe the sessions of one library.

    ``origin`` is given the manager, or the arguments of what makes a block: who serves, and the
    model asked for. ``extractor.accumulator`` makes a ``SessionAccumulator``, given what the
    methods of ``sends`` are called with (the first argument, or all of them by name) and what
    ``receives`` returns. ``waits`` is the method that raises when the connection is lost. ``lost``
    tells whether an error says so, and ``fine`` whether it was closed normally. ``reopens``:
    whether the client would open another connection by itself.
    """

    extractor: Extractor
    origin: Callable[[Any, Operation], None]
    lost: Callable[[BaseException], bool]
    fine: Callable[[BaseException], bool]
    reopens: Callable[[Any], bool]
    sends: tuple[str, ...] = ("send",)
    receives: str = "parse_event"
    waits: str = "recv_bytes"


def patch_connections(target: str, session: Session) -> tuple[Patch, ...]:
    """Return the patches of the class of connections, ``module:Class``."""
    return observable_methods(
        target, *dict.fromkeys((*session.sends, session.receives, session.waits, "close"))
    )


def patch_sessions(manager: str, session: Session, *ways: str) -> tuple[Patch, ...]:
    """Return the patches of a context manager, ``module:Class``, entered by these methods."""
    made: list[tuple[Any, CallTracker, Any]] = []

    def once(original: Any, tracker: CallTracker) -> Any:
        """Make one wrapper for two names of one method."""
        for known, whose, wrapper in made:
            if known is original and whose is tracker:
                return wrapper
        made[:] = [(original, tracker, _make_wrapper(session, original, tracker))]
        return made[0][2]

    return tuple(Patch(f"{manager}.{way}", once, optional=True) for way in ways)


def _make_wrapper(session: Session, original: Any, tracker: CallTracker) -> Any:
    make = wrap_async if iscoroutinefunction(original) else wrap
    return make(original, partial(_begin, session, tracker), partial(_handle_result, session))


def _begin(
    session: Session, tracker: CallTracker, args: tuple[Any, ...], _kwargs: dict[str, Any]
) -> ObservedCall | None:
    guard = tracker.guard
    return guard.run(_open, session, tracker, args[0], {}) if guard.enabled else None


def _open(session: Session, tracker: CallTracker, owner: Any, request: Json) -> ObservedCall | None:
    op = Operation(session.extractor.kind)
    op.turns = ()  # so that nothing is written before the end
    tracker.guard.run(session.origin, owner, op)
    return tracker.start(session.extractor, op, request)


def patch_session_block(target: str, session: Session, *names: str) -> Patch:
    """Return the patch of a method that returns a ``contextlib`` context manager.

    ``names`` are its positional arguments, ``self`` first.
    """

    def make_wrapper(original: Any, tracker: CallTracker) -> Any:
        guard = tracker.guard

        @wraps(original)
        def connect(*args: Any, **kwargs: Any) -> Any:
            made = original(*args, **kwargs)
            if guard.enabled:
                given = {**dict(zip(names, args, strict=False)), **kwargs}
                opening = partial(guard.run, _open, session, tracker, given, given)
                guard.run(wrap_context_manager, made, opening, partial(_handle_result, session))
            return made

        return connect

    return Patch(target, make_wrapper, optional=True)


def _handle_result(session: Session, call: ObservedCall, connection: Any) -> None:
    _OpenSession(session, call, connection)


class _OpenSession:
    """One open session; does not keep the connection alive."""

    def __init__(self, session: Session, call: ObservedCall, connection: Any) -> None:
        self._session, self._connection = session, ref(connection)
        self._error: BaseException | None = None
        self._events, self._waiting = 0, False
        OPEN.add(call, self)
        self._key, call.progress = call.key, self._progress
        methods = {
            **dict.fromkeys(session.sends, MethodHooks(_nothing, self._sent)),
            session.receives: MethodHooks(self._received),
            session.waits: MethodHooks(self._waited, self._waits),
            "close": MethodHooks(self._closed),
        }
        call.restore = observe_object(connection, methods)
        OPEN.tie_to(call, connection)

    def _progress(self) -> int:
        """Return the number of events so far, counting each check while the host waits for one."""
        self._events += self._waiting
        return self._events

    def _waits(self, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        self._waiting = True

    def _sent(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._events += 1
        call = OPEN.get(self._key)
        if call is not None:
            call.add_sent(args[0] if args else kwargs)

    def _received(self, error: BaseException | None, event: Any) -> None:
        call = OPEN.get(self._key)
        if call is not None and error is None:
            self._error = None
            call.add_chunk(event)

    def _waited(self, error: BaseException | None, message: Any) -> None:
        self._events, self._waiting = self._events + 1, False
        session = self._session
        if session.receives == session.waits:
            self._received(error, message)
        if error is None or not session.lost(error):
            return
        self._error = None if session.fine(error) else error
        connection = self._connection()
        if connection is None or not session.reopens(connection):
            OPEN.end(self._key, self._error)

    def _closed(self, _error: BaseException | None, _result: Any) -> None:
        OPEN.end(self._key, self._error)


def _nothing(_error: BaseException | None, _result: Any) -> None: ...
