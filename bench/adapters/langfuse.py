"""langfuse: its drop-in ``langfuse.openai``, with our exporter.

It has no switch for message content (``mask`` runs over captured content).
"""

from __future__ import annotations

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(
    packages=("langfuse",),
    statements="from langfuse.openai import OpenAI",
    title="langfuse",
    content_switch=False,
)


def setup(exporters: Exporters, options: Options) -> Session:  # noqa: ARG001 - nothing to choose
    from langfuse import Langfuse

    client = Langfuse(
        public_key="pk-bench",
        secret_key="sk-bench",  # noqa: S106 - made up
        base_url="http://127.0.0.1:9",
        span_exporter=exporters.spans,
    )
    import langfuse.openai  # noqa: F401 - patches on import

    return Session(flush=client.flush)
