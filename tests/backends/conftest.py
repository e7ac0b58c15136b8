"""The real backends, started once a run, and one trace of the shop's sent to all of them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel import Destination
from tests.backends import servers
from tests.receiver import Receiver
from tests.stored import spans

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.provider import Provider

SESSION, PROJECT = "session-1", "shop"


@dataclass
class Backends:
    """Those that are installed here, by name; ``store`` has the same trace as canonical spans."""

    store: Path
    sink: Receiver
    running: dict[str, servers.Server] = field(default_factory=dict)
    trace_id: str = ""

    def need(self, name: str) -> str:
        """The address of a backend which has the trace; skips where there is none."""
        reason = servers.why_not(name)
        if reason is not None:
            pytest.skip(reason)
        return self.running[name].url

    def destinations(self) -> list[Destination]:
        """All at once, from one process, and the local store beside them."""
        known = {
            "phoenix": ("phoenix", {"project": PROJECT}),
            "mlflow": ("mlflow", {"timeout": "60"}),
            "rotel": ("otlp", {}),
        }
        found = [
            Destination(preset, endpoint=self.running[name].url, options=options)
            for name, (preset, options) in known.items()
            if name in self.running
        ]
        return [*found, Destination("local", directory=str(self.store))]

    def canonical(self) -> list[dict[str, Any]]:
        """The spans as the local store has them."""
        return spans(self.store)


@pytest.fixture(scope="session")
def backends(
    tmp_path_factory: pytest.TempPathFactory, provider_server: Provider
) -> Iterator[Backends]:
    if not servers.FOLDER:
        pytest.skip("the real backends are started by `make backends`")
    pytest.importorskip("openai")
    from tests.backends import shop

    folder = tmp_path_factory.mktemp("backends")
    with ExitStack() as stack:
        found = Backends(folder / "store", stack.enter_context(Receiver()))
        makers = {
            "phoenix": servers.phoenix,
            "mlflow": servers.mlflow,
            "rotel": lambda place: servers.rotel(place, found.sink.url),
        }
        for name, make in makers.items():  # all start before any is waited for
            if servers.why_not(name) is None:
                found.running[name] = stack.enter_context(make(folder / name))
        shop.prepare(provider_server)
        genai_otel.instrument(
            service_name="shop",
            content="full",
            prices=shop.PRICES,
            destinations=found.destinations(),
        )
        try:
            shop.run(provider_server.base_url, SESSION)
            assert genai_otel.flush(120)
        finally:
            genai_otel.shutdown()
        found.trace_id = found.canonical()[0]["traceId"]
        yield found
