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
    """Folds a stream's chunks into an Operation; keeps text, in ``Pieces``, never chunks."""

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


class Reader(NamedTuple):
    """How one endpoint's request and reply are read.

    ``model`` is asked first, since samplers decide by it. The rest is asked only if somebody will
    look: ``request`` takes parameters, ``content`` what was said, if that may be recorded;
    ``response`` reads a whole reply, ``stream`` its pieces. ``name`` is the operation's own name,
    where it has one that is always the same. ``held`` finds the reply that a client had when it
    raised, where ``reply_in_error`` does not; ``refused`` the chunk over which it raised, in a form
    that ``stream`` takes, where ``chunk_in_error`` does not. ``extra`` tells a chunk that is there
    only because usage was asked for on the caller's behalf, and is kept from it.
    """

    kind: Kind
    request: Callable[[Any, Operation], None]
    response: Callable[[Any, Operation], None]
    content: Callable[[Any, Operation], None] | None = None
    stream: Callable[[Operation], Accumulator] | None = None
    model: Callable[[Any], str | None] | None = None
    name: str | None = None
    held: Callable[[BaseException], Any] | None = None
    refused: Callable[[BaseException], Any] | None = None
    extra: Callable[[Any], bool] | None = None


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
    """One library. Versions: from ``oldest`` on; ``untested`` is the first that was not tried."""

    name: str
    distribution: str
    oldest: str
    untested: str
    patches: tuple[Patch, ...] = ()
    bridge: Bridge | None = None

    @classmethod
    def unloaded(cls, name: str, distribution: str) -> Adapter:
        """One that is not there yet, and has nothing but its names."""
        return cls(name, distribution, oldest="0", untested="")
