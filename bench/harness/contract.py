"""What the harness gives an adapter, and what an adapter gives back.

An adapter is one file, ``adapters/NAME.py``, with ``PEER`` and
``setup(exporters, options) -> Session``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Peer:
    """How to install a peer, and what it can be asked for."""

    packages: tuple[str, ...]
    """Requirements; ``openai`` is always installed."""
    statements: str
    """The imports an application would write, for the start-up figures."""
    title: str = ""
    """The distribution whose version stands for it; empty: nothing to install."""
    content_switch: bool = True
    """Whether message content can be left out."""
    metrics: bool = False
    """Whether it records metrics, given a MeterProvider."""
    opentelemetry: bool = True
    """False for a wire format of its own: no sampler, no OTLP."""
    overrides: tuple[str, ...] = ()
    """Requirements that replace what packages ask for, where no index can satisfy them."""
    embeddings: bool = True
    """Whether it records embeddings at all."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the peer is to be configured."""

    content: bool = True
    """Record message content, where the peer can choose."""
    metrics: bool = False
    """Give the peer a MeterProvider, where it can do without one."""
    endpoint: str | None = None
    """Base URL of the loopback OTLP sink; None: in-process counting exporters."""
    mode: str = ""
    """Ours only: ``redacted``, ``host`` or ``encoded``; see ``adapters/ours.py``."""


class Exporters(Protocol):
    """OpenTelemetry exporters the peer must use; real OTLP ones with an endpoint.

    Each is made on first use, so that a peer without logs or metrics does not
    pay for the import of those parts of the SDK.
    """

    @property
    def spans(self) -> Any: ...
    @property
    def logs(self) -> Any: ...
    @property
    def metrics(self) -> Any: ...


def _nothing() -> None:
    return None


def _same(client: Any) -> Any:
    return client


@dataclass(slots=True)
class Session:
    """An instrumented process."""

    flush: Callable[[], Any] = _nothing
    """Export everything that is queued, and return when that is done."""
    wrap: Callable[[Any], Any] = _same
    """Instruments a client, for peers that work on instances."""
    count: Callable[[], int] | None = None
    """Spans delivered so far, for peers that do not use the given exporters."""


class Adapter(Protocol):
    """The module protocol of ``adapters/NAME.py``."""

    PEER: Peer

    @staticmethod
    def setup(exporters: Exporters, options: Options) -> Session: ...
