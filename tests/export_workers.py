"""Export workers with short waits, and spans for them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from genai_otel import Destination
from genai_otel.export.backends.resolve import otlp_config
from genai_otel.export.otlp.exporter import OtlpExporter, sender_for
from genai_otel.export.pipeline import retry
from genai_otel.export.pipeline.worker import ExportWorker
from genai_otel.export.readable import estimated_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESOURCE = Resource({"service.name": "test"})
SCOPE = InstrumentationScope("genai_otel", "1")
_ids = iter(range(1, 10**9))


def span(name: str = "s", **attributes: Any) -> ReadableSpan:
    ids = SpanContext(next(_ids), next(_ids), is_remote=False, trace_flags=TraceFlags(1))
    return ReadableSpan(
        name,
        ids,
        resource=RESOURCE,
        instrumentation_scope=SCOPE,
        attributes=attributes,
        start_time=1,
        end_time=2,
    )


@pytest.fixture
def make_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ExportWorker]]:
    """Make export workers for an endpoint; waits are short, and all ends with the test.

    Without a ``delay`` nothing goes out before it is flushed: all that is given is one batch,
    however long giving takes on a busy machine.
    """
    monkeypatch.setattr(retry, "_INITIAL_BACKOFF", 0.05)
    made: list[ExportWorker] = []

    def make(endpoint: str, *, retry_timeout: float = 5.0, **more: Any) -> ExportWorker:
        keys = ("max_queue_bytes", "delay", "span_filter", "transform")
        own = {key: more.pop(key) for key in keys if key in more}
        to = otlp_config(Destination("otlp", endpoint=endpoint, **more))
        exporter = OtlpExporter(to, sender_for(to))
        made.append(
            ExportWorker("otlp", exporter, retry_timeout=retry_timeout, **{"delay": 3_600.0, **own})
        )
        return made[-1]

    yield make
    for each in made:
        assert end(each, 0)


def give(worker: ExportWorker, *spans: ReadableSpan) -> None:
    for each in spans:
        worker.enqueue(each, estimated_size(each), ours=True)


def end(worker: ExportWorker, seconds: float = 5.0) -> bool:
    worker.close(time.monotonic() + seconds)
    if not worker.join(time.monotonic() + seconds):
        worker.abort()
    return worker.join(time.monotonic() + 5)


def flush(worker: ExportWorker, seconds: float = 10.0) -> bool:
    return worker.request_flush(time.monotonic() + seconds).wait()
