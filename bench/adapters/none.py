"""The bare client: measures the harness against itself (the noise)."""

from __future__ import annotations

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(packages=(), statements="pass", metrics=True)


def setup(exporters: Exporters, options: Options) -> Session:  # noqa: ARG001 - nothing to set up
    return Session()
