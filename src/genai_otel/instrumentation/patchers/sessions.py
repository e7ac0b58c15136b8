"""Sessions: one connection over which events go both ways, from its being opened to its end.

A manager is entered and gives the connection; of that the methods are observed by which the host
sends, receives and closes. A session ends when the host closes it, when
the connection is lost and the client will not open another, or when nobody holds it any more.
Nothing in between runs in its context: what the host does there is no part of it.
"""

from __future__ import annotations

from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from genai_otel.instrumentation.adapter import Patch
from genai_otel.instrumentation.generators import manage
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.instrumentation.returned_objects import Around, around, observable
from genai_otel.instrumentation.wrappers import wrap, wrap_async
from genai_otel.record import Operation

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.instrumentation.adapter import Extractor
    from genai_otel.instrumentation.fields import Json
    from genai_otel.instrumentation.tracker import Call, Observer


class Session(NamedTuple):
    """How the sessions of one library are read.

    ``origin`` is given the manager, or the arguments of what makes a block: who serves, and the
    model asked for. ``extractor.accumulator`` makes a ``Conversation``, given what the methods of
    ``sends`` are called with (the first argument, or all of them by name) and what ``receives``
    returns. ``waits`` is the method that raises when the connection is lost. ``lost`` tells whether
    an error says so, and ``fine`` whether it was closed normally. ``reopens``: whether the client
    would open another connection by itself.
    """

    extractor: Extractor
    origin: Callable[[Any, Operation], None]
    lost: Callable[[BaseException], bool]
    fine: Callable[[BaseException], bool]
    reopens: Callable[[Any], bool]
    sends: tuple[str, ...] = ("send",)
    receives: str = "parse_event"
    waits: str = "recv_bytes"


def connections(target: str, session: Session) -> tuple[Patch, ...]:
    """The patches of the connections that are handed out, of the class ``module:Class``."""
    return observable(
        target, *dict.fromkeys((*session.sends, session.receives, session.waits, "close"))
    )


def sessions(manager: str, session: Session, *ways: str) -> tuple[Patch, ...]:
    """The patches of a manager, ``module:Class``, which is entered in these ways, of one colour."""
    made: list[tuple[Any, Observer, Any]] = []

    def once(original: Any, observer: Observer) -> Any:
        """Two names of one method stay two names of one."""
        for known, whose, stand_in in made:
            if known is original and whose is observer:
                return stand_in
        made[:] = [(original, observer, _stand_in(session, original, observer))]
        return made[0][2]

    return tuple(Patch(f"{manager}.{way}", once, optional=True) for way in ways)


def _stand_in(session: Session, original: Any, observer: Observer) -> Any:
    make = wrap_async if iscoroutinefunction(original) else wrap
    return make(original, partial(_begin, session, observer), partial(_settle, session))


def _begin(
    session: Session, observer: Observer, args: tuple[Any, ...], _kwargs: dict[str, Any]
) -> Call | None:
    guard = observer.guard
    return guard.run(_open, session, observer, args[0], {}) if guard.enabled else None


def _open(session: Session, observer: Observer, owner: Any, request: Json) -> Call | None:
    op = Operation(session.extractor.kind)
    op.turns = ()  # so that nothing is told before the end
    observer.guard.run(session.origin, owner, op)
    return observer.open(session.extractor, op, request)


def block(target: str, session: Session, *names: str) -> Patch:
    """The patch of a method that makes a block, as ``contextlib`` has them, with the connection.

    ``names`` are those of its arguments by position, itself the first.
    """

    def stand_in(original: Any, observer: Observer) -> Any:
        guard = observer.guard

        @wraps(original)
        def connect(*args: Any, **kwargs: Any) -> Any:
            made = original(*args, **kwargs)
            if guard.enabled:
                given = {**dict(zip(names, args, strict=False)), **kwargs}
                opening = partial(guard.run, _open, session, observer, given, given)
                guard.run(manage, made, opening, partial(_settle, session))
            return made

        return connect

    return Patch(target, stand_in, optional=True)


def _settle(session: Session, call: Call, connection: Any) -> None:
    _Watch(session, call, connection)


class _Watch:
    """One open session; it does not keep the connection alive."""

    def __init__(self, session: Session, call: Call, connection: Any) -> None:
        self._session, self._connection = session, ref(connection)
        self._error: BaseException | None = None
        self._events, self._waiting = 0, False
        OPEN.add(call, self)
        self._key, call.pulse = call.key, self._pulse
        methods = {
            **dict.fromkeys(session.sends, Around(_nothing, self._sent)),
            session.receives: Around(self._received),
            session.waits: Around(self._waited, self._waits),
            "close": Around(self._closed),
        }
        call.release = around(connection, methods)
        OPEN.hold(call, connection)

    def _pulse(self) -> int:
        """How many events there were; as good as another is that the host waits for one."""
        self._events += self._waiting
        return self._events

    def _waits(self, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        self._waiting = True

    def _sent(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._events += 1
        call = OPEN.get(self._key)
        if call is not None:
            call.noted(args[0] if args else kwargs)

    def _received(self, error: BaseException | None, event: Any) -> None:
        call = OPEN.get(self._key)
        if call is not None and error is None:
            self._error = None
            call.look(event)

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
