"""How a library declares itself: which calls, read by which pure functions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from genai_otel.record import Kind, Operation

    from .runs import Runs
    from .tracker import Observer


class Accumulator(ABC):
    """Folds a stream's chunks into an Operation; keeps text, in ``TextBuffer``, never chunks."""

    reads_json: ClassVar[bool] = False
    """Whether chunks may be taken from the JSON that they are made of: see ``decoded_chunks``."""
    taken: Sequence[Any] = (object(),)
    """The newest chunk that was taken from its JSON, and is not looked at again; else none is.

    A list, where it ``reads_json``.
    """
    expect: Callable[[Any, Callable[[str], object]], None] | None = None
    """Is told which choice may be taken from the JSON, and what takes its text, if that is seen."""

    def __init__(self, op: Operation) -> None:
        self._op = op

    @staticmethod
    def has_more(_delta: Any) -> bool:
        """Whether a delta with more members than its text says more, where it ``reads_json``."""
        return True

    def quick(self, _chunk: Any, /) -> bool | None:
        """A shorter way than ``add`` for chunks of the common form, where there is one.

        ``None``, or an error, sends a chunk to ``add`` instead. One may be raised where a chunk is
        of another form; in what else is called here it counts as a fault of ours.
        """
        return None

    @abstractmethod
    def add(self, chunk: Any) -> bool:
        """Takes any chunk; whether it carried anything generated (a token)."""

    def follows(self, stream: Any) -> None:  # noqa: B027 - most need not know it
        """Is given the stream itself where its class is observed; it must not be kept alive."""

    @abstractmethod
    def close(self) -> None:
        """Writes what was gathered into the Operation; the stream may have been cut."""


class Conversation(Accumulator):
    """Folds what passes in a session into its Operation; as much as the newest turns."""

    @abstractmethod
    def sent(self, event: Any) -> None:
        """Takes what the host sends; ``add`` takes what it receives."""


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
    """One attribute to replace: ``module:Class.method``, and what makes its stand-in.

    Where one is missing none of the library's are replaced, unless it is ``optional``: then not
    every version has it, and what it tells is not told there. A module's function is replaced
    wherever it was imported to; of a method that is ``captured`` so are bound ones. One that is
    ``where_defined`` is replaced on the base class that defines it: for all that inherit it.
    """

    target: str
    stand_in: Callable[[Callable[..., Any], Observer], Callable[..., Any]]
    optional: bool = False
    captured: bool = False
    where_defined: bool = False

    @property
    def module(self) -> str:
        """Where the attribute is defined; nothing is imported to look at it."""
        return self.target.partition(":")[0]

    @property
    def path(self) -> list[str]:
        """The names that lead from the module to the attribute."""
        return self.target.partition(":")[2].split(".")


class Bridge(NamedTuple):
    """How a framework that reports by callbacks is listened to, once ``module`` is loaded.

    ``attach`` is given the module and where to report to; what it returns detaches it.
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
