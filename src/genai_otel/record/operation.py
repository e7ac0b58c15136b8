"""What happened, in neutral words: the one record that everything else is derived from."""

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

Scalar = str | bool | int | float
"""A value that any backend can show as it is."""


class Kind(StrEnum):
    """What sort of thing happened; the words users give to ``operation``."""

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
    STORE = "store"  # records read from or written to a database, other than by searching

    __hash__ = str.__hash__  # that of an enum runs Python code, at each look into a table


_STALL = 1.0
_STALL_TIMES = 10

# Usage, Timing and Operation are plain classes whose defaults stand on the class: making one costs
# a tenth of assigning forty defaults, and one is made for every call, recorded or not.


class Gaps(NamedTuple):
    """Waits between chunks, in seconds; a stall is a second at least, and ten times the median."""

    p50: float
    p95: float
    max: float
    stalls: int


class Timing:
    """Readings of one monotonic clock, in seconds; ``None`` where nothing was observed.

    A token is generated content, reasoning or a piece of a tool call: an empty first chunk is none.
    ``waited`` is how long the stream made its reader wait in all, so that the reader's own time is
    left out, for ``chunks``; ``waits`` are the newest few thousand of these waits, ``new`` the ones
    not yet put to the rest. The newest ``silent`` chunks held no token. ``attempts`` and
    ``backoff`` (slept between them) are the client's own retries; ``server`` is the processing time
    that the provider told, ``queued`` how long the call waited there before.
    """

    started: float = 0.0
    ended: float | None = None
    first_chunk: float | None = None
    newest: float | None = None
    """The newest chunk so far."""
    first_token: float | None = None
    waited: float = 0.0
    chunks: int = 0
    waits: deque[float] = deque(maxlen=0)  # noqa: RUF012 - it never holds anything
    new: list[float] | None = None
    silent: int = 0
    until_first_token: tuple[int, float] = (0, 0.0)
    """Chunks and seconds of waiting, the token's included; and the same of the last one."""
    until_last_token: tuple[int, float] = (0, 0.0)
    attempts: int = 1
    backoff: float = 0.0
    server: float | None = None
    queued: float | None = None

    def chunk(self, now: float, *, token: bool) -> None:
        """Takes the newest chunk, if it may be the first or hold no token."""
        if self.first_chunk is None:
            self.first_chunk = now
        self.silent = 0 if token else self.silent + 1
        if token and self.first_token is None:
            self.fold_waits()
            self.first_token, self.until_first_token = now, (self.chunks, self.waited)

    @property
    def arrived(self) -> int:
        """Chunks that have come so far."""
        return self.chunks + len(self.new or ())

    def fold_waits(self) -> None:
        """Add the new waits to the totals, which are bounded."""
        if self.new:
            self.waited += sum(self.new)
            self.chunks += len(self.new)
            self.waits.extend(self.new)
            self.new.clear()

    def end(self, now: float) -> None:
        """The operation is over, and with it its stream."""
        self.ended = now
        if self.new is None:
            return
        self.fold_waits()
        if self.silent <= len(self.waits):
            silence = sum(islice(reversed(self.waits), self.silent))
            self.until_last_token = self.chunks - self.silent, self.waited - silence

    @property
    def duration(self) -> float | None:
        """Seconds from the call to its end."""
        return self._since_start(self.ended)

    @property
    def time_to_first_chunk(self) -> float | None:
        """Seconds from the call to the first chunk of a stream."""
        return self._since_start(self.first_chunk)

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds from the call to the first generated token of a stream."""
        return self._since_start(self.first_token)

    @property
    def time_per_output_chunk(self) -> float | None:
        """Seconds that the reader waited for a chunk after the first, on average."""
        if self.first_chunk is None or self.chunks < 2:  # noqa: PLR2004 - one chunk, no interval
            return None
        return (self.waited - (self.first_chunk - self.started)) / (self.chunks - 1)

    @property
    def consumer_time(self) -> float | None:
        """Seconds that the stream's reader took for itself, from the first chunk to the end."""
        if self.first_chunk is None or self.ended is None:
            return None
        return max(0.0, self.ended - self.started - self.waited)

    def gaps(self) -> Gaps | None:
        """How evenly the chunks came, from the waits between them."""
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
        """Seconds a token after the first, without the reader's own time; needs two tokens."""
        (first, waited), (last, waited_in_all) = self.until_first_token, self.until_last_token
        if tokens is None or tokens < 2 or last <= first:  # noqa: PLR2004 - one has no interval
            return None
        return (waited_in_all - waited) / (tokens - 1)

    def _since_start(self, reading: float | None) -> float | None:
        return None if reading is None else reading - self.started


CATEGORIES = (
    *("app", "auth", "throttle", "quota", "timeout"),
    *("provider", "content_filter", "network", "cancelled"),
)
"""What kind of failure it was, the same words for every provider; whose business it is to act."""


@dataclass(slots=True, eq=False)
class Failure:
    """Why an operation failed. ``message`` and ``stacktrace`` are content: they may quote it.

    ``type`` is the exception's or the provider's own word. ``code`` is the provider's, ``status``
    that of HTTP, ``request_id`` what the provider knows the call by: none of them is content.
    """

    type: str
    message: str | None = None
    stacktrace: str | None = None
    code: str | None = None
    status: int | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a guardrail decided.

    ``action`` is one of ``allow``, ``deny``, ``modify``, ``flag``, ``error``, or ``None`` where
    there is a score and nobody has said what it means; ``score`` is the guardrail's own number,
    whatever its scale; ``reason`` is content and ``category`` is not. Raises ``ValueError`` on
    another action.
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
    """Which prompt a model call was made with; ``digest`` is a hash of the template."""

    name: str
    version: str
    digest: str


class Turn:
    """One turn of a session, recorded as an event of its span; ``facts`` hold no content.

    ``kind`` is ``input``, ``response``, ``tool_call``, ``tool_result`` or ``error``; ``at`` is a
    reading of ``perf_counter``.
    """

    __slots__ = ("at", "facts", "kind")

    def __init__(self, kind: str, facts: Mapping[str, Any]) -> None:
        self.kind, self.facts, self.at = kind, facts, perf_counter()


class Operation:
    """One thing that happened. Unknown fields stay ``None``."""

    # Filled by the application, until it ends.
    is_manual = False
    # Reported by a framework's callbacks: values from the client below it are preferred.
    from_framework = False
    # Session, user, tags and metadata of everything inside, as ``genai_otel.scope`` has them.
    scope: Mapping[str, Any] | None = None
    # Whether content is recorded; extractors of content ask first.
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
    # Of a database: the client's name for the request; ``provider`` is the database, ``name`` the
    # collection.
    action: str | None = None
    records: int | None = None  # asked to be written or deleted
    rows: int | None = None  # returned
    arguments: Any = None
    response_id: str | None = None
    response_model: str | None = None
    finish_reasons: Sequence[str] | None = None
    output: Sequence[Message] | None = None
    documents: Sequence[Document] | None = None
    tier: str | None = None  # service tier that served the call, which decides the price
    region: str | None = None  # where the model ran, if no host shows it: some cost more there
    dimensions: int | None = None
    result: Any = None
    details: dict[str, Scalar] | None = None
    verdict: Verdict | None = None
    failure: Failure | None = None
    category: str | None = None  # one of CATEGORIES; by default derived from the failure
    cost: Any = None  # pricing.cost.Cost: record knows no prices
    completed: bool | None = None
    sent: bool = True  # False where a hard budget refused the request
    expired: bool = False  # ended by us, after an hour without activity
    text_buffers: list[TextBuffer] | None = None
    text_room = KEPT  # characters that its text buffers may still hold
    turns: Sequence[Turn] | None = None  # the newest of a session

    def __init__(self, kind: Kind, name: str | None = None) -> None:
        self.kind, self.name = kind, name
        self.usage, self.timing = Usage(), Timing()

    def enforce_text_limit(self) -> None:
        """Bound the text that is held; called every few hundred chunks."""
        for buffer in self.text_buffers or ():
            self.text_room = buffer.enforce_limit(self.text_room)

    def normalize(self) -> None:
        """Bring every field into its type; adapters have done so already."""

    def __repr__(self) -> str:
        """Without content: it may end up in a log."""
        return f"Operation({self.kind.value!r}, {self.name!r}, model={self.model!r})"
