"""One call being watched, from its opening to its single end."""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from genai_otel._support.errors import contained, is_odd_form

from .adapter import Accumulator
from .unreturned import chunk_in_error, reply_in_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from genai_otel._support.errors import Guard
    from genai_otel.record import Kind, Operation

    from .adapter import Extractor
    from .runs import Runs

WAITS_KEPT = 4_096


class Frame(Protocol):
    """What is current while the real call runs."""

    def enter(self) -> None:
        """Makes the operation the current one, for this synchronous stretch of code."""

    def leave(self) -> None:
        """Undoes ``enter``."""


class Active(Frame, Protocol):
    """What the recorder hands out for a started Operation."""

    wanted: bool
    """Whether anybody will look at the facts: a recorded span, a meter or a budget."""
    weighs: bool
    """Whether what is sent must be known, recorded or not: a hard budget is held against it."""
    stirred: float
    """When something was last seen to happen inside."""

    def stir(self, now: float) -> None:
        """Something happens inside."""

    def opened(self) -> None:
        """The request is read: what the host may change from now on is copied.

        Raises a ``CallRefused`` where the call must not be made; the operation has ended then.
        """

    def stay(self) -> None:
        """Makes the operation current in a context that was copied for its body, and stays so."""

    def stand(self) -> None:
        """What begins in this context belongs to the operation, until it ends or steps aside."""

    def step_aside(self) -> None:
        """Ends what ``stand`` began."""

    @property
    def joined(self) -> Operation | None:
        """The same call, as a layer below sees it."""

    def finish(self, error: BaseException | None = None) -> None:
        """Ends the operation; called once."""


class Recorder(Protocol):
    """Starts Operations; the engine knows nothing else of what becomes of them."""

    def start(self, op: Operation, under: Any = None, *, alone: bool = False) -> Active | None:
        """Begins to record ``op``, or ``None`` where nothing shall be recorded.

        ``under``: the ``Active`` whose child it is for certain; ``alone``: it is no layer of
        another call that is open.
        """

    def passed(self, kind: Kind) -> Frame | None:
        """The frame of a call that nobody will look at, if that is certain before it is read."""

    def current(self) -> Operation | None:
        """The operation in whose frame this code runs."""

    def unseen(self) -> bool:
        """Whether this code runs in an operation that is not recorded."""


class Observer:
    """Opens the calls of one adapter; what stand-ins get to work with."""

    __slots__ = ("calls", "guard", "recorder", "runs", "stream_usage")

    runs: Runs
    """Set for the adapter of a library: what is open of those that report by callbacks."""

    def __init__(
        self, recorder: Recorder, guard: Guard, stream_usage: frozenset[str] = frozenset()
    ) -> None:
        self.recorder, self.guard = recorder, guard
        self.calls = 0
        """How many calls were seen, recorded or not."""
        self.stream_usage = stream_usage
        """Hosts, or ``known``, where usage of streams is asked for on the caller's behalf."""

    def passed(self, kind: Kind) -> Call | None:
        """A call that nobody will look at, if that is certain before anything of it is read."""
        frame = self.recorder.passed(kind)
        if frame is None:
            return None
        self.calls += 1
        return Unwatched(frame, self.guard)

    def open(
        self,
        extractor: Extractor,
        op: Operation,
        request: Any,
        under: Call | None = None,
        *,
        alone: bool = False,
    ) -> Call | None:
        """Starts the Operation of one call; ``None`` means: straight through.

        ``under`` and ``alone`` as in ``Recorder.start``. Raises nothing but a ``CallRefused``, for
        which the host has asked.
        """
        self.calls += 1
        guard = self.guard
        if extractor.read_model is not None:
            op.model = guard.run(extractor.read_model, request)
        op.timing.started = perf_counter()
        outer = None if under is None else under.active
        active = self.recorder.start(op, outer, alone=alone)
        if active is None:
            return None
        if not active.wanted:
            return Unwatched(active, guard)
        guard.run(extractor.read_request, request, op)
        if extractor.read_content is not None and (op.capture or active.weighs):
            guard.run(extractor.read_content, request, op)
        contained(active.opened)
        return Call(op, extractor, active, guard)


class Call:
    """One watched call. Every method contains its own errors.

    ``sent`` are the arguments to send instead of the caller's, where it has allowed that, and then
    ``extra`` tells the chunks to keep from it. ``source`` is what its chunks come from, ``release``
    takes back what was put there, ``holder`` and ``watcher`` are weak references to what the host
    holds and to the generator that it reads through. ``closing`` closes an asynchronous generator
    which the host would have closed itself, had it not been given ours. ``pulse`` tells how far
    the host has come, where the number of chunks does not.
    """

    __slots__ = (
        "_ended",
        "_extractor",
        "_fold",
        "_guard",
        "active",
        "closing",
        "extra",
        "holder",
        "key",
        "op",
        "pulse",
        "release",
        "sent",
        "source",
        "stirred",
        "told",
        "watcher",
    )

    def __init__(self, op: Operation, extractor: Extractor, active: Active, guard: Guard) -> None:
        self.op = op
        self.sent: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self.extra: Callable[[Any], bool] | None = None
        self.closing: Callable[[], Awaitable[None]] | None = None
        self.source: Any = None
        self.release: Callable[[], None] | None = None
        self.holder: Any = None
        self.watcher: Any = None
        self.pulse: Callable[[], Any] | None = None
        self.told: Any = None
        self.stirred = 0.0
        self.key = -1
        self._ended = False
        self._extractor, self.active, self._guard = extractor, active, guard
        self._fold: Accumulator | None = None

    def enter(self) -> None:
        """Our context for the frame of the real call, and only for it."""
        try:
            self.active.enter()
        except Exception as error:  # noqa: BLE001 - see safety
            self._guard.note("enter", error)

    def leave(self) -> None:
        """Undoes ``enter``; in the same frame, so the context is the same."""
        try:
            self.active.leave()
        except Exception as error:  # noqa: BLE001 - see safety
            self._guard.note("leave", error)

    def reply(self, data: Any) -> None:
        """Takes the facts of a whole reply."""
        self._guard.run(self._extractor.read_response, data, self.op)

    def fold(self) -> Accumulator:
        """What the chunks of this call's stream are given to."""
        if self._fold is None:
            self._fold = (self._extractor.accumulator or _Nothing)(self.op)
        return self._fold

    def waits(self) -> list[float]:
        """Where to put how long each chunk was waited for; to be settled now and then."""
        timing = self.op.timing
        timing.waits, timing.new = deque(maxlen=WAITS_KEPT), []
        return timing.new

    def settle(self) -> None:
        """Bounds what is held of a stream's waits and texts."""
        self.op.timing.fold_waits()
        self.op.enforce_text_limit()

    @property
    def note(self) -> Callable[[str, Exception], None]:
        """What counts an error of ours, and does not refer to this call."""
        return self._guard.note

    def stumbled(self, error: Exception) -> None:
        """Notes that a chunk could not be taken."""
        self._guard.note("chunk", error)

    def unfit(self, error: Exception) -> None:
        """Notes what a short way raised, unless the chunk is only not of the common form."""
        caught = error.__traceback__
        if not is_odd_form(error, caught and caught.tb_next):
            self._guard.note("quick", error)

    def look(self, chunk: Any) -> bool:
        """Takes a chunk that is not of the common form; whether it held a token."""
        return bool(self._guard.run(self.fold().add, chunk))

    def refused(self, error: BaseException) -> None:
        """Takes the chunk over which the client raised, where it had read what it says."""
        chunk = self._guard.run(self._extractor.chunk_from_error or chunk_in_error, error)
        if chunk is not None:
            self.look(chunk)

    def examine(self, chunk: Any, now: float) -> Callable[[Any], bool | None] | None:
        """Takes a chunk that is not of the common form, or whose predecessor held no token.

        Returns what takes those of the common form from now on, if this one held a token.
        """
        token = self.look(chunk)
        self.op.timing.chunk(now, token=token)
        return self.fold().quick if token else None

    async def close_source(self) -> None:
        """Closes what the host would have closed itself, had it not been given ours."""
        if self.closing is not None:
            await self.closing()

    def hides(self, chunk: Any) -> bool:
        """Whether the chunk is there only because we have asked for it."""
        extra = self.extra
        return extra is not None and extra(chunk)

    def noted(self, event: Any) -> None:
        """Takes what the host sends in a session."""
        self._guard.run(getattr(self.fold(), "sent", bool), event)

    def reading(self) -> bool:
        """Whether the stream's generator is running: then that one sees how the stream ends."""
        watcher = self.watcher() if self.watcher is not None else None
        if watcher is None:
            return False
        return bool(getattr(watcher, "gi_running", False) or getattr(watcher, "ag_running", False))

    def idle(self, now: float) -> float:
        """Seconds for which nobody was seen to read from it; who waits for a chunk does read."""
        before = self.told
        self.told = self.op.timing.arrived, self.pulse and self.pulse()
        if self.told != before or self.reading():
            self.stir(now)
        return now - self.stirred

    def stir(self, now: float) -> None:
        """The host is seen to do something with it, and so with what is around it."""
        self.stirred = now
        self.active.stir(now)

    @property
    def last_seen(self) -> float:
        """When the last chunk came, or else when something was last seen to happen."""
        return self.op.timing.newest or max(self.stirred, self.active.stirred)

    def expire(self) -> None:
        """Ends the Operation at the last sign of life."""
        self.op.expired = True
        self.op.completed = False
        self.finish(completed=False, at=self.last_seen)

    def returned(self, settle: Callable[[Call, Any], Any], result: Any) -> Any:
        """Lets the family tell what kind of result came back; a failure there ends the call.

        What it returns goes to the host: the result, or what has to stand in its place.
        """
        try:
            stand_in = settle(self, result)
        except Exception as error:  # noqa: BLE001 - see safety
            self.finish()
            self._guard.note("returned", error)
            return result
        return result if stand_in is None else stand_in

    def failed(self, error: BaseException) -> None:
        """Ends the Operation of a call that raised, perhaps after its client had the reply."""
        reply = self._guard.run(self._extractor.response_from_error or reply_in_error, error)
        if reply is not None:
            self.reply(reply)
        self.finish(error)

    def finish(
        self,
        error: BaseException | None = None,
        *,
        completed: bool | None = True,
        at: float | None = None,
    ) -> None:
        """Ends the Operation, now or when it was ``at``; a second end is none."""
        if self._ended:
            return
        self._ended = True
        self._guard.run(self.op.timing.end, perf_counter() if at is None else at)
        if self._fold is not None:
            self._guard.run(self._fold.close)
        # A body that the host never reads is no stream left early; a function's result may be.
        if error is None and (self.op.stream or (self.op.is_manual and completed is False)):
            self.op.completed = completed
        contained(self.active.finish, error)


class Unwatched(Call):
    """A call that is not recorded: it only hands on that what is inside is not either."""

    __slots__ = ()

    def __init__(self, frame: Frame, guard: Guard) -> None:
        self.active: Any = frame
        self.op: Any = getattr(frame, "op", None)  # frameworks write to it, whoever will look
        self._guard, self.sent = guard, None

    def reply(self, data: Any) -> None: ...

    def returned(self, _settle: Callable[[Call, Any], Any], result: Any) -> Any:
        return result

    def failed(self, error: BaseException) -> None: ...

    def expire(self) -> None: ...

    @property
    def last_seen(self) -> float:
        return 0.0

    def finish(
        self,
        error: BaseException | None = None,
        *,
        completed: bool | None = True,
        at: float | None = None,
    ) -> None: ...


class _Nothing(Accumulator):
    """Folds a stream of a kind that nothing can be read from."""

    def add(self, _chunk: Any) -> bool:
        return False

    def close(self) -> None: ...
