"""The declaration of a library: which calls to patch, and the pure functions that read them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from genai_otel.record import Kind, Operation

    from .runs import Runs
    from .tracker import CallTracker


class Accumulator(ABC):
    """Folds a stream's chunks into an Operation; keeps text, in ``TextBuffer``, never chunks."""

    # Whether ``decoded_chunks`` may add a chunk from the JSON that the client decodes it from.
    reads_json: ClassVar[bool] = False
    # The newest chunk that was added from its JSON, and is not read again.
    # A list if ``reads_json``.
    added_from_json: Sequence[Any] = (object(),)
    # Set by ``decoded_chunks``: call it with the choice whose text may be added from its JSON, and
    # the function to which that text is given.
    expect_json: Callable[[Any, Callable[[str], object]], None] | None = None

    def __init__(self, op: Operation) -> None:
        self._op = op

    @staticmethod
    def has_more(_delta: Any) -> bool:
        """Whether a delta has more to read than its text; asked if ``reads_json``."""
        return True

    def add_fast(self, _chunk: Any, /) -> bool | None:
        """Add a chunk of the most common form, as ``add`` would but faster.

        ``None`` or an exception passes the chunk on to ``add``. An exception may be raised because
        the chunk has another form; raised in any other function it counts as an internal error.
        """
        return None

    @abstractmethod
    def add(self, chunk: Any) -> bool:
        """Add any chunk; return whether it carried generated output (a token)."""

    def set_stream(self, stream: Any) -> None:  # noqa: B027 - most need not know it
        """Receive the stream object, where its class is patched; never keep it alive."""

    @abstractmethod
    def finish(self) -> None:
        """Write what was gathered into the Operation; the stream may have been cut."""


class SessionAccumulator(Accumulator):
    """Folds the events of a session into its Operation; keeps only the newest turns."""

    @abstractmethod
    def add_sent(self, event: Any) -> None:
        """Add an event that the host sends; ``add`` takes those that it receives."""


class Extractor(NamedTuple):
    """The functions that read one endpoint's request and response.

    ``read_model`` is called first, since samplers decide by the model. The others are called only
    for a recorded call: ``read_request`` reads parameters, ``read_content`` the messages, only if
    content may be recorded; ``read_response`` reads a whole response, ``accumulator`` is made for a
    stream. ``name`` is the operation's own name, where that is constant.

    ``response_from_error`` finds the response that a client had received when it raised, where
    ``reply_in_error`` does not; ``chunk_from_error`` the chunk over which it raised, in a form that
    the accumulator takes, where ``chunk_in_error`` does not. ``is_usage_chunk`` recognizes a chunk
    that is sent only because usage was requested on the caller's behalf; the caller never sees it.
    """

    kind: Kind
    read_request: Callable[[Any, Operation], None]
    read_response: Callable[[Any, Operation], None]
    read_content: Callable[[Any, Operation], None] | None = None
    accumulator: Callable[[Operation], Accumulator] | None = None
    read_model: Callable[[Any], str | None] | None = None
    name: str | None = None
    response_from_error: Callable[[BaseException], Any] | None = None
    chunk_from_error: Callable[[BaseException], Any] | None = None
    is_usage_chunk: Callable[[Any], bool] | None = None


class Patch(NamedTuple):
    """One attribute to replace, ``module:Class.method``, and the function that makes its wrapper.

    ``make_wrapper`` is given the original and the tracker of its calls. If a target is missing, no
    patch of the library is applied, unless it is ``optional``: not every version has it. A module's
    function is replaced wherever it was imported to; with ``captured`` also methods bound from it.
    With ``where_defined`` a method is replaced on the base class that defines it.
    """

    target: str
    make_wrapper: Callable[[Callable[..., Any], CallTracker], Callable[..., Any]]
    optional: bool = False
    captured: bool = False
    where_defined: bool = False

    @property
    def module(self) -> str:
        """The module that defines the attribute; it is never imported to look at it."""
        return self.target.partition(":")[0]

    @property
    def path(self) -> list[str]:
        """The attribute names from the module to the target."""
        return self.target.partition(":")[2].split(".")


class Bridge(NamedTuple):
    """Subscribes to a framework that reports through callbacks, once ``module`` is imported.

    ``attach`` is given the module and the runs to report to; it returns a function that detaches.
    """

    module: str
    attach: Callable[[Any, Runs], Callable[[], None]]


class Adapter(NamedTuple):
    """One library: the distribution, the tested ``versions`` (``>=1.2,<3``), and what is patched.

    An older version is not patched; a newer one is, and ``status()`` says that it is untested.
    """

    name: str
    distribution: str
    versions: str = ""
    patches: tuple[Patch, ...] = ()
    bridge: Bridge | None = None
