"""One instrumented process: the same workloads bare and through the peer."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from .toggle import Toggle
from .workloads import WORKLOADS, Run

if TYPE_CHECKING:
    from .contract import Adapter, Exporters, Options, Session


def load(name: str) -> Adapter:
    return cast("Adapter", importlib.import_module(f"bench.adapters.{name}"))


def start(adapter: Adapter, options: Options) -> tuple[Exporters, Session]:
    """Instruments this process."""
    exporters: Exporters
    try:
        from .exporters import make_exporters
    except ImportError:  # a peer without the OpenTelemetry SDK
        exporters = cast("Exporters", SimpleNamespace(spans=None, logs=None, metrics=None))
    else:
        exporters = make_exporters(options)
    return exporters, adapter.setup(exporters, options)


class Both:
    """Clients made before and after the peer came, and the switch between them.

    The clients made before serve the bare blocks: some peers change instances.
    """

    def __init__(self, adapter: Adapter, options: Options, names: list[str]) -> None:
        self.names = [n for n in names if n != "embeddings" or adapter.PEER.embeddings]
        self._bare = {n: WORKLOADS[n].make(lambda client: client) for n in self.names}
        for name, run in self._bare.items():  # loads what the client loads lazily
            run(WORKLOADS[name].calls)
        self._toggle = Toggle()
        self.exporters, self.session = start(adapter, options)
        self.patched = self._toggle.learn()
        self._traced = {n: WORKLOADS[n].make(self.session.wrap) for n in self.names}

    def run(self, name: str, *, traced: bool) -> Run:
        """The workload, with the patches switched to suit it."""
        self._toggle.switch(on=traced)
        return (self._traced if traced else self._bare)[name]

    def delivered(self) -> int:
        """Spans delivered so far."""
        self.session.flush()
        if self.session.count is not None:
            return self.session.count()
        return int(getattr(self.exporters.spans, "count", 0))

    def spans(self, name: str, *, traced: bool) -> float:
        """Spans a call: what shows that a peer records, and that the switch works."""
        calls = WORKLOADS[name].calls
        run, before = self.run(name, traced=traced), self.delivered()
        run(calls)
        return (self.delivered() - before) / calls

    def text(self, name: str) -> str:
        """Everything one traced block put into spans and log records, as text."""
        stores = [s for s in self._stores() if s is not None]
        for store in stores:
            store.keep = True
        self.spans(name, traced=True)
        found = "".join(_values(item) for store in stores for item in store.kept)
        for store in stores:
            store.keep = False
            store.kept.clear()
        return found

    def _stores(self) -> tuple[Any, ...]:
        return getattr(self.exporters, "spans", None), vars(self.exporters).get("logs")


def _values(item: Any) -> str:
    """A kept span's or log record's attributes, events and body."""
    record = getattr(item, "log_record", item)
    events = [dict(e.attributes or {}) for e in getattr(item, "events", ())]
    return f"{dict(record.attributes or {})} {events} {getattr(record, 'body', None)}"
