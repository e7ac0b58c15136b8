"""The provider-neutral record of one operation, from which all telemetry is derived."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from .text_buffer import KEPT
from .usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .content import Document, Message, Part
    from .text_buffer import TextBuffer

# A value that every backend displays unchanged.
Scalar = str | bool | int | float


class Kind(StrEnum):
    """The type of an operation; users pass the values to ``operation()``."""

    CHAT = "chat"
    COMPLETION = "completion"
    GENERATION = "generation"  # images, speech, transcriptions: media in or out
    EMBEDDINGS = "embeddings"
    RETRIEVAL = "retrieval"
    RERANK = "rerank"
    TOOL = "tool"
    AGENT = "agent"
    WORKFLOW = "workflow"
    STEP = "step"
    GUARDRAIL = "guardrail"
    EVALUATION = "evaluation"
    STORE = "store"  # a database operation on records other than a search

    __hash__ = str.__hash__  # the hash of an enum runs Python code at each table lookup


_STALL = 1.0
_STALL_TIMES = 10

# Usage, Timing and Operation are plain classes with their defaults as class attributes: creating
# one costs a tenth of assigning forty defaults, and every call creates one, recorded or not.


class Gaps(NamedTuple):
    """Waits between chunks, in seconds; ``stalls`` counts waits >= max(1 s, 10 * median)."""

    p50: float
    p95: float
    max: float
    stalls: int


class Timing:
    """Readings of one monotonic clock, in seconds; ``None`` if not observed.

    A token is generated content, reasoning or a part of a tool call; an empty first chunk has none.
    ``waited`` is the total time that the reader of the stream waited for ``chunks`` chunks, without
    consumer time. ``waits`` are the newest few thousand of these waits; ``new`` are the waits not
    yet added to these totals. The newest ``silent`` chunks had no token. ``attempts`` is the number
    of requests with the client's own retries, ``backoff`` the seconds that it slept between them.
    ``server`` is the processing time that the provider reported, ``queued`` the time in its queue
    before that.
    """

    started: float = 0.0
    ended: float | None = None
    first_chunk: float | None = None
    newest: float | None = None  # the newest chunk so far
    first_token: float | None = None
    waited: float = 0.0
    chunks: int = 0
    waits: deque[float] = deque(maxlen=0)  # noqa: RUF012 - it never holds anything
    new: list[float] | None = None
    silent: int = 0
    # Number of chunks and seconds of waiting up to and including the first or last token.
    until_first_token: tuple[int, float] = (0, 0.0)
    until_last_token: tuple[int, float] = (0, 0.0)
    attempts: int = 1
    backoff: float = 0.0
    server: float | None = None
    queued: float | None = None

    def chunk(self, now: float, *, token: bool) -> None:
        """Record the newest chunk; only called if it may be the first or have no token."""
        if self.first_chunk is None:
            self.first_chunk = now
        self.silent = 0 if token else self.silent + 1
        if token and self.first_token is None:
            self.fold_waits()
            self.first_token, self.until_first_token = now, (self.chunks, self.waited)

    @property
    def arrived(self) -> int:
        """Return the number of chunks received so far."""
        return self.chunks + len(self.new or ())

    def fold_waits(self) -> None:
        """Add the new waits to the totals and to ``waits``, which is bounded."""
        if self.new:
            self.waited += sum(self.new)
            self.chunks += len(self.new)
            self.waits.extend(self.new)
            self.new.clear()

    def end(self, now: float) -> None:
        """End the operation and its stream."""
        self.ended = now
        if self.new is None:
            return
        self.fold_waits()
        if self.silent <= len(self.waits):
            silence = sum(islice(reversed(self.waits), self.silent))
            self.until_last_token = self.chunks - self.silent, self.waited - silence

    @property
    def duration(self) -> float | None:
        """Return the seconds from the call to its end."""
        return self._since_start(self.ended)

    @property
    def time_to_first_chunk(self) -> float | None:
        """Return the seconds from the call to the first chunk of a stream."""
        return self._since_start(self.first_chunk)

    @property
    def time_to_first_token(self) -> float | None:
        """Return TTFT: the seconds from the call to the first generated token of a stream."""
        return self._since_start(self.first_token)

    @property
    def time_per_output_chunk(self) -> float | None:
        """Return the mean seconds that the reader waited for a chunk after the first."""
        if self.first_chunk is None or self.chunks < 2:  # noqa: PLR2004 - one chunk, no interval
            return None
        return (self.waited - (self.first_chunk - self.started)) / (self.chunks - 1)

    @property
    def consumer_time(self) -> float | None:
        """Return the seconds that the reader of the stream spent between chunks, until the end."""
        if self.first_chunk is None or self.ended is None:
            return None
        return max(0.0, self.ended - self.started - self.waited)

    def gaps(self) -> Gaps | None:
        """Return the distribution of the waits between chunks, or ``None`` without any."""
        whole = len(self.waits) == self.chunks
        waits = sorted(islice(self.waits, 1, None) if whole else self.waits)
        if not waits:
            return None
        middle = waits[len(waits) // 2]
        stall = max(_STALL, _STALL_TIMES * middle)
        return Gaps(
            middle,
            waits[min(len(waits) - 1, len(waits) * 95 // 100)],
            waits[-1],
            len(waits) - bisect_left(waits, stall),
        )

    def time_per_output_token(self, tokens: int | None) -> float | None:
        """Return TPOT: seconds per token after the first, without consumer time.

        Return ``None`` for fewer than two ``tokens`` or chunks with tokens.
        """
        (first, waited), (last, waited_in_all) = self.until_first_token, self.until_last_token
        if tokens is None or tokens < 2 or last <= first:  # noqa: PLR2004 - one has no interval
            return None
        return (waited_in_all - waited) / (tokens - 1)

    def _since_start(self, reading: float | None) -> float | None:
        return None if reading is None else reading - self.started


# The error categories, the same for every provider; they determine who has to act.
CATEGORIES = (
    *("app", "auth", "throttle", "quota", "timeout"),
    *("provider", "content_filter", "network", "cancelled"),
)


@dataclass(slots=True, eq=False)
class Failure:
    """The error of an operation. ``message`` and ``stacktrace`` are content: they may quote it.

    ``type`` is the name of the exception class or the provider's error type, ``code`` the
    provider's error code, ``status`` the HTTP status, ``request_id`` the provider's id of the
    request: none of these is content.
    """

    type: str
    message: str | None = None
    stacktrace: str | None = None
    code: str | None = None
    status: int | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision of a guardrail.

    ``action`` is ``allow``, ``deny``, ``modify``, ``flag``, ``error``, or ``None`` for a score
    without a threshold. ``score`` is the guardrail's own number, on any scale. ``reason`` is
    content; ``category`` is not. Raise ``ValueError`` for any other action.
    """

    action: str | None
    score: float | None = None
    reason: str | None = None
    category: str | None = None

    ACTIONS = ("allow", "deny", "modify", "flag", "error")

    def __post_init__(self) -> None:
        if self.action is not None and self.action not in self.ACTIONS:
            accepted = ", ".join(self.ACTIONS)
            raise ValueError(f"unknown verdict {self.action!r}: expected one of {accepted}")


class PromptTag(NamedTuple):
    """The prompt of a model call; ``digest`` is a hash of the template."""

    name: str
    version: str
    digest: str


class Turn:
    """One turn of a session, recorded as an event of its span; ``facts`` have no content.

    ``kind`` is ``input``, ``response``, ``tool_call``, ``tool_result`` or ``error``; ``at`` is a
    reading of ``perf_counter``.
    """

    __slots__ = ("at", "facts", "kind")

    def __init__(self, kind: str, facts: Mapping[str, Any]) -> None:
        self.kind, self.facts, self.at = kind, facts, perf_counter()


class Operation:
    """The record of one operation; unknown fields are ``None``."""

    # The application fills the fields until the operation ends.
    is_manual = False
    # Reported by a framework's callbacks: values from the client below it take precedence.
    from_framework = False
    # Session, user, tags and metadata of everything inside: the arguments of ``genai_otel.scope``.
    scope: Mapping[str, Any] | None = None
    # Whether content is recorded; extractors check it before reading content.
    capture: bool = False
    provider: str | None = None
    model: str | None = None
    host: str | None = None
    port: int | None = None
    params: Mapping[str, Any] | None = None
    stream: bool = False
    output_type: str | None = None
    system: Sequence[Part] | None = None
    input: Sequence[Message] | None = None
    tools: Sequence[Mapping[str, Any]] | None = None
    prompt: PromptTag | None = None
    query: str | None = None
    # For databases: the client's name for the request; ``provider`` is the database, ``name`` the
    # collection.
    action: str | None = None
    records: int | None = None  # number of records to be written or deleted
    rows: int | None = None  # number of records returned
    arguments: Any = None
    response_id: str | None = None
    response_model: str | None = None
    finish_reasons: Sequence[str] | None = None
    output: Sequence[Message] | None = None
    documents: Sequence[Document] | None = None
    tier: str | None = None  # service tier that served the call; determines the price
    region: str | None = None  # where the model ran, if not part of the host; may affect the price
    dimensions: int | None = None
    result: Any = None
    details: dict[str, Scalar] | None = None
    verdict: Verdict | None = None
    failure: Failure | None = None
    category: str | None = None  # one of CATEGORIES; by default derived from the failure
    cost: Any = None  # pricing.cost.Cost, which record does not import
    completed: bool | None = None
    sent: bool = True  # False if a hard budget rejected the request
    expired: bool = False  # ended by this package after an hour without activity
    text_buffers: list[TextBuffer] | None = None
    text_room = KEPT  # characters that the text buffers may still hold
    turns: Sequence[Turn] | None = None  # the newest turns of a session

    def __init__(self, kind: Kind, name: str | None = None) -> None:
        self.kind, self.name = kind, name
        self.usage, self.timing = Usage(), Timing()

    def enforce_text_limit(self) -> None:
        """Enforce the limit on the text in the buffers; called every few hundred chunks."""
        for buffer in self.text_buffers or ():
            self.text_room = buffer.enforce_limit(self.text_room)

    def normalize(self) -> None:
        """Convert every field to its type; nothing to do here, since adapters set correct types."""

    def __repr__(self) -> str:
        """Return a text without content, since it may be logged."""
        return f"Operation({self.kind.value!r}, {self.name!r}, model={self.model!r})"
