"""Every client of the families of functions: one table, the same questions to each."""

from __future__ import annotations

import gc
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel import _names as names
from genai_otel.engine.observe import OPEN
from genai_otel.testing import Capture
from tests.adapters.kin import PROMPT, Row, asked, assert_true, facts, read
from tests.adapters.rows import ROWS
from tests.provider import truth

if TYPE_CHECKING:
    from tests.provider import Provider

STREAMS = [row for row in ROWS if row.stream is not None]
pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession"),  # Google's
    # What aiohttp says of a stream that is dropped while it is read; with or without us.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <function Connection.__del__"),
]
every = pytest.mark.parametrize("row", ROWS, ids=str)
every_stream = pytest.mark.parametrize("row", STREAMS, ids=str)


def cells(rows: list[Row]) -> Any:
    found = [(row, scenario) for row in rows for scenario in row.scenarios]
    return pytest.mark.parametrize(
        ("row", "scenario"), found, ids=[f"{row}-{scenario}" for row, scenario in found]
    )


@cells(ROWS)
def test_whole(genai_otel_capture: Capture, provider: Provider, row: Row, scenario: str) -> None:
    asked(row, provider.root, scenario)
    known = truth(scenario, row.endpoint)
    assert_true(facts(genai_otel_capture), known, row, stream=False)


@cells(STREAMS)
def test_streamed(genai_otel_capture: Capture, provider: Provider, row: Row, scenario: str) -> None:
    chunks = read(row, provider.root, scenario)
    known = truth(scenario, row.endpoint, stream=True, include_usage=True)
    if row.rewrites:
        known = replace(known, chunks=len(chunks), response_model=scenario)
    assert len(chunks) == known.chunks
    assert_true(facts(genai_otel_capture), known, row, stream=True)
    assert not len(OPEN)


@every_stream
@pytest.mark.parametrize("leave", ["close", "drop"])
def test_left_early(genai_otel_capture: Capture, provider: Provider, row: Row, leave: str) -> None:
    read(row, provider.root, "long", 5, leave)
    for _ in range(200):  # LiteLLM's own threads hold what was dropped for a moment
        gc.collect()
        if genai_otel_capture.spans:
            break
        time.sleep(0.02)
    told = facts(genai_otel_capture)
    assert told[names.GENAI_OTEL_RESPONSE_COMPLETED] is False
    assert names.ERROR_TYPE not in told
    assert "w0" in told[names.GEN_AI_OUTPUT_MESSAGES]
    assert "w9" not in told[names.GEN_AI_OUTPUT_MESSAGES]
    assert names.GEN_AI_USAGE_OUTPUT_TOKENS not in told
    assert not len(OPEN)


@every_stream
def test_never_read(genai_otel_capture: Capture, provider: Provider, row: Row) -> None:
    read(row, provider.root, "ok", 0, "drop")
    gc.collect()
    assert len(genai_otel_capture.spans) == len(provider.requests)
    assert row.lazy in {None, not provider.requests}
    assert not len(OPEN)


@every
@pytest.mark.parametrize("scenario", ["err400", "err401"])
def test_refused(genai_otel_capture: Capture, provider: Provider, row: Row, scenario: str) -> None:
    ways = [asked, read] if row.stream is not None else [asked]
    for way in ways:
        with pytest.raises(Exception) as caught:
            way(row, provider.root, scenario)
        told = facts(genai_otel_capture)
        assert told[names.ERROR_TYPE].endswith(type(caught.value).__name__)
        genai_otel_capture.clear()


@every_stream
def test_cut(genai_otel_capture: Capture, provider: Provider, row: Row) -> None:
    """The connection breaks in the middle: what was said until then is kept."""
    with pytest.raises(Exception) as caught:
        read(row, provider.root, "cut")
    told = facts(genai_otel_capture)
    assert told[names.ERROR_TYPE].endswith(type(caught.value).__name__)
    known = truth("cut", row.endpoint, stream=True)
    assert known.text.split()[0] in told[names.GEN_AI_OUTPUT_MESSAGES]


@every
def test_without_content(provider: Provider, row: Row) -> None:
    capture = Capture()
    genai_otel.instrument(destinations=capture.exporter, content="none")
    asked(row, provider.root, "tools")
    if row.stream is not None:
        read(row, provider.root, "tools")
    spans = capture.spans
    genai_otel.shutdown()
    capture.meter_provider.shutdown()
    assert len(spans) == len(provider.requests)
    for span in spans:
        told = dict(span.attributes or {})
        assert told.get(names.GEN_AI_REQUEST_MODEL, "tools") == "tools"  # or an address
        models = {truth("tools", row.endpoint).response_model, "tools"}
        assert told.get(names.GEN_AI_RESPONSE_MODEL) in models
        assert PROMPT not in json.dumps(told, default=str)
        assert "get_weather" not in json.dumps(told, default=str)


@every
def test_the_request_is_what_it_is_without_us(
    provider: Provider, row: Row, genai_otel_capture: Capture
) -> None:
    def sent() -> list[Any]:
        asked(row, provider.root, "ok")
        if row.stream is not None:
            read(row, provider.root, "ok")
        return [request.json for request in provider.requests]

    recorded = sent()
    provider.clear()
    genai_otel.uninstrument()
    assert sent() == recorded
    assert len(genai_otel_capture.spans) == len(recorded)
