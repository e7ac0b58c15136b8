"""One observed call, from its start to its single end."""

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


class ContextScope(Protocol):
    """A context that is attached while the real call runs."""

    def enter(self) -> None:
        """Attach the operation's context, for this synchronous stretch of code."""

    def leave(self) -> None:
        """Detach what ``enter`` attached."""


class RecordingHandle(ContextScope, Protocol):
    """The recorder's handle of a started Operation."""

    # Whether a span, a meter or a budget uses the operation's data.
    wanted: bool
    # Whether the content of the request is needed even if it is not recorded: by a hard budget.
    needs_content: bool
    # When something last happened inside.
    last_activity: float

    def touch(self, now: float) -> None:
        """Record activity inside the operation."""

    def opened(self) -> None:
        """The request has been read: copy what the host may change from now on.

        Raises ``CallRefused`` if the call must not be made; the operation has then ended.
        """

    def enter_copied_context(self) -> None:
        """Attach in a context that was copied for the operation's body; never detached."""

    def set_implicit_parent(self) -> None:
        """Become the implicit parent of what begins in this context, until the operation ends."""

    def clear_implicit_parent(self) -> None:
        """Be the implicit parent of nothing that begins from now on."""

    @property
    def joined(self) -> Operation | None:
        """The same call, seen by a layer below."""

    def finish(self, error: BaseException | None = None) -> None:
        """End the operation; called once."""


class Recorder(Protocol):
    """Starts Operations; all that instrumentation knows of recording."""

    def start(
        self, op: Operation, parent: Any = None, *, standalone: bool = False
    ) -> RecordingHandle | None:
        """Start to record ``op``; ``None`` where recording is suppressed.

        ``parent``: the handle whose child it is for certain; ``standalone``: it is no layer of
        another open call.
        """

    def pass_through(self, kind: Kind) -> ContextScope | None:
        """Return the scope of a call that is certainly not recorded, before anything is read."""

    def current(self) -> Operation | None:
        """Return the current operation."""

    def in_unrecorded(self) -> bool:
        """Whether the current operation is not recorded."""


class CallTracker:
    """Starts the calls of one adapter; given to the functions that make its wrappers."""

    __slots__ = ("calls", "guard", "recorder", "runs", "stream_usage")

    # The open runs of a framework that reports through callbacks.
    runs: Runs

    def __init__(
        self, recorder: Recorder, guard: Guard, stream_usage: frozenset[str] = frozenset()
    ) -> None:
        self.recorder, self.guard = recorder, guard
        # The number of calls seen, recorded or not.
        self.calls = 0
        # Hosts, or ``known``, where usage of streams is requested on the caller's behalf.
        self.stream_usage = stream_usage

    def pass_through(self, kind: Kind) -> ObservedCall | None:
        """Start a call that is certainly not recorded, before anything is read."""
        frame = self.recorder.pass_through(kind)
        if frame is None:
            return None
        self.calls += 1
        return PassthroughCall(frame, self.guard)

    def start(
        self,
        extractor: Extractor,
        op: Operation,
        request: Any,
        parent: ObservedCall | None = None,
        *,
        standalone: bool = False,
    ) -> ObservedCall | None:
        """Start the Operation of one call; ``None``: call the original, observe nothing.

        ``parent`` and ``standalone`` as in ``Recorder.start``. Raises only ``CallRefused``, which
        the host has asked for.
        """
        self.calls += 1
        guard = self.guard
        if extractor.read_model is not None:
            op.model = guard.run(extractor.read_model, request)
        op.timing.started = perf_counter()
        outer = None if parent is None else parent.active
        active = self.recorder.start(op, outer, standalone=standalone)
        if active is None:
            return None
        if not active.wanted:
            return PassthroughCall(active, guard)
        guard.run(extractor.read_request, request, op)
        if extractor.read_content is not None and (op.capture or active.needs_content):
            guard.run(extractor.read_content, request, op)
        contained(active.opened)
        return ObservedCall(op, extractor, active, guard)


class ObservedCall:
    """One observed call. Every method contains its own errors.

    ``replacement_args`` are sent instead of the caller's, where it has allowed that; then
    ``is_usage_chunk`` recognizes the chunks that it must not see. ``source`` is what the chunks
    come from, and ``restore`` undoes our change there. ``holder`` and ``watcher`` are weak
    references to the object that the host holds and to our generator that it reads through.
    ``close_generator`` closes the asynchronous generator that ours replaces. ``progress`` returns
    how far the host has read, where the number of chunks does not say.
    """

    __slots__ = (
        "_accumulator",
        "_ended",
        "_extractor",
        "_guard",
        "active",
        "close_generator",
        "holder",
        "is_usage_chunk",
        "key",
        "last_activity",
        "last_progress",
        "op",
        "progress",
        "replacement_args",
        "restore",
        "source",
        "watcher",
    )

    def __init__(
        self, op: Operation, extractor: Extractor, active: RecordingHandle, guard: Guard
    ) -> None:
        self.op = op
        self.replacement_args: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self.is_usage_chunk: Callable[[Any], bool] | None = None
        self.close_generator: Callable[[], Awaitable[None]] | None = None
        self.source: Any = None
        self.restore: Callable[[], None] | None = None
        self.holder: Any = None
        self.watcher: Any = None
        self.progress: Callable[[], Any] | None = None
        self.last_progress: Any = None
        self.last_activity = 0.0
        self.key = -1
        self._ended = False
        self._extractor, self.active, self._guard = extractor, active, guard
        self._accumulator: Accumulator | None = None

    def enter(self) -> None:
        """Attach our context for the frame of the real call, and only for it."""
        try:
            self.active.enter()
        except Exception as error:  # noqa: BLE001 - see _support.errors
            self._guard.note("enter", error)

    def leave(self) -> None:
        """Detach it, in the same frame and so in the same context."""
        try:
            self.active.leave()
        except Exception as error:  # noqa: BLE001 - see _support.errors
            self._guard.note("leave", error)

    def read_response(self, data: Any) -> None:
        """Read a whole response."""
        self._guard.run(self._extractor.read_response, data, self.op)

    def accumulator(self) -> Accumulator:
        """Return the accumulator of this call's stream, made at the first use."""
        if self._accumulator is None:
            self._accumulator = (self._extractor.accumulator or _NullAccumulator)(self.op)
        return self._accumulator

    def waits(self) -> list[float]:
        """Return the list of the time waited for each chunk; see ``enforce_limits``."""
        timing = self.op.timing
        timing.waits, timing.new = deque(maxlen=WAITS_KEPT), []
        return timing.new

    def enforce_limits(self) -> None:
        """Bound what is held of a stream's waits and texts."""
        self.op.timing.fold_waits()
        self.op.enforce_text_limit()

    @property
    def note_error(self) -> Callable[[str, Exception], None]:
        """The function that counts an internal error; it does not keep this call alive."""
        return self._guard.note

    def note_chunk_error(self, error: Exception) -> None:
        """Count an internal error in reading a chunk."""
        self._guard.note("chunk", error)

    def note_fast_path_error(self, error: Exception) -> None:
        """Count an error of ``add_fast``, unless the chunk only has another form."""
        caught = error.__traceback__
        if not is_odd_form(error, caught and caught.tb_next):
            self._guard.note("add_fast", error)

    def add_chunk(self, chunk: Any) -> bool:
        """Add a chunk of any form; return whether it held a token."""
        return bool(self._guard.run(self.accumulator().add, chunk))

    def add_refused_chunk(self, error: BaseException) -> None:
        """Add the chunk over which the client raised, if it can be found."""
        chunk = self._guard.run(self._extractor.chunk_from_error or chunk_in_error, error)
        if chunk is not None:
            self.add_chunk(chunk)

    def add_slow(self, chunk: Any, now: float) -> Callable[[Any], bool | None] | None:
        """Add a chunk that ``add_fast`` did not take, or whose predecessor held no token.

        Returns ``add_fast`` for the next chunks if this one held a token.
        """
        token = self.add_chunk(chunk)
        self.op.timing.chunk(now, token=token)
        return self.accumulator().add_fast if token else None

    async def close_source(self) -> None:
        """Close the generator that ours replaces, which the host would have closed itself."""
        if self.close_generator is not None:
            await self.close_generator()

    def hides(self, chunk: Any) -> bool:
        """Whether the chunk is there only because we have requested usage."""
        is_usage_chunk = self.is_usage_chunk
        return is_usage_chunk is not None and is_usage_chunk(chunk)

    def add_sent(self, event: Any) -> None:
        """Add an event that the host sends in a session."""
        self._guard.run(getattr(self.accumulator(), "add_sent", bool), event)

    def is_being_read(self) -> bool:
        """Whether our generator is running: then it sees itself how the stream ends."""
        watcher = self.watcher() if self.watcher is not None else None
        if watcher is None:
            return False
        return bool(getattr(watcher, "gi_running", False) or getattr(watcher, "ag_running", False))

    def idle_seconds(self, now: float) -> float:
        """Return the seconds without activity; waiting for a chunk is activity."""
        before = self.last_progress
        self.last_progress = self.op.timing.arrived, self.progress and self.progress()
        if self.last_progress != before or self.is_being_read():
            self.touch(now)
        return now - self.last_activity

    def touch(self, now: float) -> None:
        """Record activity of the host, here and in the operations around."""
        self.last_activity = now
        self.active.touch(now)

    @property
    def last_seen(self) -> float:
        """When the last chunk came, or else the last activity."""
        return self.op.timing.newest or max(self.last_activity, self.active.last_activity)

    def expire(self) -> None:
        """End the Operation as incomplete, at its last activity."""
        self.op.expired = True
        self.op.completed = False
        self.finish(completed=False, at=self.last_seen)

    def handle_result(self, on_result: Callable[[ObservedCall, Any], Any], result: Any) -> Any:
        """Let the patcher handle what the call returned; an internal error there ends the call.

        Returns what the host gets: the result, or its replacement.
        """
        try:
            replacement = on_result(self, result)
        except Exception as error:  # noqa: BLE001 - see _support.errors
            self.finish()
            self._guard.note("returned", error)
            return result
        return result if replacement is None else replacement

    def handle_error(self, error: BaseException) -> None:
        """End the Operation of a call that raised, perhaps after its client had the response."""
        reply = self._guard.run(self._extractor.response_from_error or reply_in_error, error)
        if reply is not None:
            self.read_response(reply)
        self.finish(error)

    def finish(
        self,
        error: BaseException | None = None,
        *,
        completed: bool | None = True,
        at: float | None = None,
    ) -> None:
        """End the Operation, now or at the time ``at``; a second end does nothing."""
        if self._ended:
            return
        self._ended = True
        self._guard.run(self.op.timing.end, perf_counter() if at is None else at)
        if self._accumulator is not None:
            self._guard.run(self._accumulator.finish)
        # A body that the host never reads is not an incomplete stream; a function's result may be.
        if error is None and (self.op.stream or (self.op.is_manual and completed is False)):
            self.op.completed = completed
        contained(self.active.finish, error)


class PassthroughCall(ObservedCall):
    """A call that is not recorded, and in whose context nothing else is."""

    __slots__ = ()

    def __init__(self, frame: ContextScope, guard: Guard) -> None:
        self.active: Any = frame
        self.op: Any = getattr(frame, "op", None)  # frameworks write to it, whoever will look
        self._guard, self.replacement_args = guard, None

    def read_response(self, data: Any) -> None: ...

    def handle_result(self, _on_result: Callable[[ObservedCall, Any], Any], result: Any) -> Any:
        return result

    def handle_error(self, error: BaseException) -> None: ...

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


class _NullAccumulator(Accumulator):
    """The accumulator of a stream that has nothing to read."""

    def add(self, _chunk: Any) -> bool:
        return False

    def finish(self) -> None: ...
