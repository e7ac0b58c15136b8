"""openlit: ``openlit.init()`` over an existing TracerProvider (it reuses it).

By default ``init()`` downloads its price list; it gets a local one here.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(packages=("openlit",), statements="import openlit", title="openlit", metrics=True)
_PRICES = {
    "chat": {"gpt-4o-mini": {"promptPrice": 0.00015, "completionPrice": 0.0006}},
    "embeddings": {"text-embedding-3-small": 0.00002},
}


def setup(exporters: Exporters, options: Options) -> Session:
    import openlit
    from opentelemetry import metrics, trace

    from bench.harness.exporters import make_meter_provider, make_tracer_provider

    provider = make_tracer_provider(exporters)
    trace.set_tracer_provider(provider)
    if options.metrics:
        metrics.set_meter_provider(make_meter_provider(exporters))
    prices = Path(tempfile.mkdtemp(prefix="bench-openlit-")) / "prices.json"
    prices.write_text(json.dumps(_PRICES))
    openlit.init(
        pricing_json=str(prices),
        capture_message_content=options.content,
        disable_metrics=not options.metrics,
        disable_events=True,
    )
    return Session(flush=provider.force_flush)
