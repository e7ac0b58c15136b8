"""A real collector between us and a receiver: what went in comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.backends import servers
from tests.receiver import attributes
from tests.stored import spans

if TYPE_CHECKING:
    from tests.backends.conftest import Backends

pytestmark = pytest.mark.slow


def test_spans_come_through_as_they_are(backends: Backends) -> None:
    backends.need("rotel")
    ours = {bytes.fromhex(span["spanId"]): span for span in spans(backends.store)}
    servers.eventually(lambda: backends.sink.spans.keys() >= ours.keys())
    for span_id, span in ours.items():
        arrived = backends.sink.spans[span_id]
        assert arrived.name == span["name"]
        assert arrived.parent_span_id.hex() == span.get("parentSpanId", "")
        assert attributes(arrived).keys() == {pair["key"] for pair in span["attributes"]}
        assert len(arrived.events) == len(span.get("events", ()))


def test_metrics_come_through(backends: Backends) -> None:
    backends.need("rotel")
    wanted: set[Any] = {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"}
    servers.eventually(lambda: wanted <= backends.sink.metrics)
