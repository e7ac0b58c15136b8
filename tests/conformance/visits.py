"""Going through a door: once for both colours.

Doors are coroutines that await only what may be awaited. With a synchronous client nothing ever
is, so the coroutine runs to its end without an event loop.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import re
import warnings
from contextlib import asynccontextmanager
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from tests.conformance.table import ENDINGS, Cell, Library, listed
from tests.surfaces import surface

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine


_BY_CHANCE = re.compile(r"req_\d{6}|'date': '[^']*'")
"""What is another one at each call, of headers that an error tells."""


class Visit:
    """One call through one door, and all that the host saw of it."""

    def __init__(self, library: Library, cell: Cell, client: Any) -> None:
        self.client, self.cell = client, cell
        self.limit: int | None = None
        self.endpoint = library.endpoints[cell.endpoint]
        self.door = library.doors[cell.door]
        self.mode = next(mode for mode in self.endpoint.modes if mode.name == cell.mode)
        self.ending = ENDINGS[cell.ending]
        self.arguments = {
            **self._named(),
            **self.endpoint.arguments,
            **self.mode.arguments,
            **library.arguments.get(cell.scenario, {}),
        }
        self.types: list[str] = []
        self.surfaces: list[dict[str, Any]] = []
        """What can be seen of what was handed out, and again while it is read."""
        self.items: list[str] = []
        self.chunks = 0
        self.reply: str | None = None
        self.final: Any = None
        self.error: str | None = None
        self.told = ""
        self.warned: list[str] = []
        self._hand: Any = None
        self._shown = library.shown
        self._later = library.later if cell.colour == "async" else str

    def _named(self) -> dict[str, str]:
        named = self.endpoint.model
        return {named: self.endpoint.spelled(self.cell.scenario)} if named else {}

    # ------------------------------------------------------------------- what doors are made of

    def method(self, name: str = "") -> Any:
        """A method of the endpoint's resource; without a name, its usual one."""
        path = filter(None, (self.endpoint.resource, name or self.verb))
        return attrgetter(".".join(path))(self.client)

    @property
    def unread(self) -> bool:
        """Whether this door, in this mode, leaves the answer unread."""
        return self.door.unread == "always" or (self.door.unread == "streams" and self.mode.stream)

    @property
    def verb(self) -> str:
        """The usual method's name."""
        return self._later(self.mode.verb or self.endpoint.verb)

    def method_by(self, accessor: str) -> Any:
        """The usual method, reached by one of the resource's accessors."""
        return self.method(f"{accessor}.{self.verb}")

    def given(self, thing: Any) -> Any:
        """Notes what the host got from the client, and holds it."""
        self.types.append(name_of(type(thing)))
        self._hand = thing
        self._look()
        return thing

    def _look(self) -> None:
        self.surfaces.append(surface(self._hand, deep=1))

    async def read(self, thing: Any) -> None:
        """Reads a whole reply, or a stream as the cell's ending has it."""
        self.given(thing)
        if self.mode.stream:
            await self.read_stream(thing)
        else:
            self.reply = self._shown(thing)

    async def read_stream(self, stream: Any) -> None:
        if self.ending.leave == "with":
            async with entered(stream) as entered_stream:
                await self.take(self.given(entered_stream))
        else:
            await self.take(stream)
        if self.ending.leave == "close":
            await now(_closing(stream)())

    async def take(self, stream: Any) -> None:
        """Reads as many chunks as the ending wants, and cancels itself if it wants that."""
        later = self.cell.colour == "async" and hasattr(stream, "__aiter__")  # some have both
        iterator = _Steps(stream.__aiter__() if later else iter(stream), later=later)
        while self.limit is None or self.chunks < self.limit:
            try:
                item = await anext(iterator)
            except (StopIteration, StopAsyncIteration):
                return
            self.note(item)
        if self.ending.leave == "cancel":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await anext(iterator)

    def saw(self, thing: Any) -> None:
        """Notes what the host saw beside the reply and the chunks."""
        self.items.append(self._shown(thing))

    def note(self, item: Any) -> None:
        self.items.append(self._shown(item))
        if not self.chunks:
            self._look()  # once more, in the middle of it
        counted = self.door.counts.get(self.cell.endpoint)
        self.chunks += counted is None or getattr(item, "type", None) in listed(counted)

    # ---------------------------------------------------------------------------- going through

    def go(self, runner: asyncio.Runner) -> None:
        """Through the door and, for better or worse, out again."""
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            gc.disable()  # what is made from here on stays young, and is quickly collected
            try:
                self._go(runner)
            finally:
                gc.enable()
        self.warned = [str(each.message) for each in warned if not self._by_chance(each.category)]

    def _by_chance(self, warned: type[Warning]) -> bool:
        """What the collector finds first decides whether a socket is closed, or is told not to."""
        return issubclass(warned, ResourceWarning) and self._collects

    @property
    def _collects(self) -> bool:
        return self.ending.early or self.unread or self.error is not None

    def _go(self, runner: asyncio.Runner) -> None:
        through = self._through()
        if self.cell.colour == "sync":
            run_plainly(through)
        else:
            runner.run(through)
        self._hand = None
        for generation in (0, 1) if self._collects else ():
            gc.collect(generation)
            if self.cell.colour == "async":  # the loop closes what was collected, and lets it go
                runner.run(pause())

    async def _through(self) -> None:
        try:
            await self.door.go(self)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - compared afterwards
            self.error = name_of(type(error))  # the error itself would keep the stream alive
            self.told = _BY_CHANCE.sub("...", f"{error}, from {error.__cause__!r}")

    def seen(self) -> dict[str, Any]:
        """What the host saw, to be compared with what it sees without us."""
        return {
            "types": self.types,
            "surfaces": self.surfaces,
            "items": self.items,
            "reply": self.reply,
            "error": self.error,
            "told": self.told,
            "warned": self.warned,
        }


def _closing(stream: Any) -> Any:
    """The stream's way to be closed; that of some is only to be left as a block."""
    for name in ("close", "aclose"):
        if hasattr(stream, name):
            return getattr(stream, name)
    leave = stream.__aexit__ if hasattr(stream, "__aexit__") else stream.__exit__
    return partial(leave, None, None, None)


def name_of(cls: type) -> str:
    """As spans name an exception."""
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )


async def now(thing: Any) -> Any:
    """The value, awaited where it is to be awaited."""
    return await thing if inspect.isawaitable(thing) else thing


async def closed(client: Any) -> None:
    """Closes a client, if that can be done."""
    closing = getattr(client, "close", None) or getattr(client, "aclose", None)
    if closing is not None:
        await now(closing())


class _Steps:
    """An iterator of either colour, to be stepped with ``await``."""

    def __init__(self, iterator: Any, *, later: bool) -> None:
        self._iterator, self._later = iterator, later

    async def __anext__(self) -> Any:
        if self._later:
            return await anext(self._iterator)
        item = next(self._iterator, _END)  # a StopIteration cannot leave a coroutine
        if item is _END:
            raise StopAsyncIteration
        return item


_END = object()


@asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    """`with` or `async with`."""
    if hasattr(manager, "__aenter__"):
        async with manager as inside:
            yield inside
    else:
        with manager as inside:
            yield inside


async def pause() -> None:
    """Lets the loop finish what a dropped asynchronous generator left to it."""
    for _ in range(3):
        await asyncio.sleep(0)


def run_plainly(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine which never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise AssertionError("a synchronous client made its caller wait")
