"""The adapters of a process: selected, installed and removed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from genai_otel.adapters import catalogue
from genai_otel.instrumentation import entry_points
from genai_otel.instrumentation.adapter import Adapter
from genai_otel.instrumentation.entry_points import PublishedAdapter
from genai_otel.instrumentation.installer import Installation, LazyAdapter

from . import threads
from .thread_pools import Pools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from genai_otel._settings import Settings
    from genai_otel.recorder import Recorder

    from .status import LibraryStatus


class Instrumentors:
    """Our adapters, and those of other distributions; named ones are loaded at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._carriers = (Pools(), _waiting_for("fastapi", "fastapi.concurrency", _fastapi))
        self._servers = _waiting_for("uvicorn", "uvicorn.server", _uvicorn)
        self._own = [waiting(each) for each in catalogue.CATALOGUE if self._wants(each.name)]
        self._published = [
            PublishedAdapter(point, refused, named=name in settings.libraries)
            for name, (point, refused) in entry_points.discover(catalogue.NAMES).items()
            if self._wants(name)
        ]

    def __iter__(self) -> Iterator[Installation]:
        yield from self._own
        yield from self._published

    def _wants(self, name: str) -> bool:
        if name in self._settings.exclude:
            return False
        return "auto" in self._settings.libraries or name in self._settings.libraries

    def install(self, recorder: Recorder) -> None:
        """Place the wrappers that are not in place, also after ``remove``."""
        for each in self:
            if each.guard.enabled:
                each.catch_up()
            elif not each.guard.broken:
                each.install(recorder, self._settings.request_stream_usage)
        if self._settings.handle_sigterm and not self._servers.guard.enabled:
            self._servers.install(recorder)
        if self._settings.propagate_to_threads != "off":
            threads.install()
        for carrier in self._carriers if self._settings.propagate_to_threads == "all" else ():
            if not carrier.guard.enabled:
                carrier.install(recorder)

    def remove(self, names: Sequence[str] = ()) -> None:
        """Restore the original functions, of these libraries or of all."""
        for each in self:
            if not names or each.adapter.name in names:
                each.remove()
        if not names:
            threads.remove()
            for each in (*self._carriers, self._servers):
                each.remove()

    def status(self) -> tuple[LibraryStatus, ...]:
        """Return the status of every supported library, the excluded ones too."""
        from .status import library_status, published_status

        kept = {each.adapter.name: each for each in self._own}
        return (
            *(library_status(entry, kept.get(entry.name)) for entry in catalogue.CATALOGUE),
            *(published_status(each) for each in self._published),
        )


def waiting(entry: catalogue.Entry) -> Installation:
    """Return an installation whose adapter is loaded when the library is imported."""
    later = LazyAdapter((entry.module, *entry.more), partial(catalogue.load, entry.name))
    return Installation(Adapter(entry.name, entry.distribution), later)


def _waiting_for(name: str, module: str, load: Callable[[], Adapter]) -> Installation:
    """Return patches of a library without model calls, loaded when the module is imported."""
    return Installation(Adapter(name, name), LazyAdapter((module,), load))


def _fastapi() -> Adapter:
    from .fastapi import ADAPTER

    return ADAPTER


def _uvicorn() -> Adapter:
    from .uvicorn import ADAPTER

    return ADAPTER
