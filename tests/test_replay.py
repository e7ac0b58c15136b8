"""Stored spans come back as they were: what is read and written again is the same line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel.store.otlp_json import spans_request
from genai_otel.store.read.reader import StoreReader
from genai_otel.store.read.replay import revive
from tests.stored import lines, write_assistant

if TYPE_CHECKING:
    from pathlib import Path


def test_a_store_read_and_written_again_is_the_same(tmp_path: Path) -> None:
    write_assistant(tmp_path)
    for request in lines(tmp_path):
        spans, bad = revive(request)
        assert (json.loads(json.dumps(spans_request(spans))), bad) == (request, 0)


EVERYTHING: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "schemaUrl": "https://opentelemetry.io/schemas/1.41.1",
            "scopeSpans": [
                {
                    "scope": {"name": "genai_otel", "version": "0.1"},
                    "spans": [
                        {
                            "traceId": "0af7651916cd43dd8448eb211c80319c",
                            "spanId": "b7ad6b7169203331",
                            "traceState": "vendor=1",
                            "parentSpanId": "b7ad6b7169203330",
                            "flags": 768,
                            "name": "chat gpt-5",
                            "kind": 3,
                            "startTimeUnixNano": "1790000000000000000",
                            "endTimeUnixNano": "1790000001000000000",
                            "attributes": [
                                {"key": "a", "value": {"intValue": "3"}},
                                {"key": "b", "value": {"boolValue": True}},
                                {"key": "c", "value": {"doubleValue": 0.5}},
                                {"key": "d", "value": {"bytesValue": "AAE="}},
                                {
                                    "key": "e",
                                    "value": {"arrayValue": {"values": [{"stringValue": "x"}]}},
                                },
                            ],
                            "droppedAttributesCount": 2,
                            "events": [
                                {"timeUnixNano": "1790000000500000000", "name": "exception"}
                            ],
                            "droppedEventsCount": 1,
                            "links": [
                                {
                                    "traceId": "0af7651916cd43dd8448eb211c80319d",
                                    "spanId": "b7ad6b7169203332",
                                    "flags": 256,
                                }
                            ],
                            "droppedLinksCount": 3,
                            "status": {"message": "no answer", "code": 2},
                        }
                    ],
                }
            ],
        }
    ]
}


def test_links_states_flags_and_counts_stay() -> None:
    spans, _ = revive(EVERYTHING)
    again = json.loads(json.dumps(spans_request(spans)))
    assert again == EVERYTHING


@pytest.mark.parametrize(
    "spoiled",
    [
        {"traceId": "xyz"},
        {"traceId": "0" * 32},
        {"spanId": None},
        {"kind": []},
        {"links": [{"spanId": "1"}]},
        {"status": {"code": 9}},
        {"attributes": [{"value": {}}]},
    ],
)
def test_what_is_no_span_is_counted_and_its_neighbours_come_back(spoiled: dict[str, Any]) -> None:
    request = json.loads(json.dumps(EVERYTHING))
    spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans.append({**spans[0], **spoiled})
    revived, bad = revive(request)
    assert (len(revived), bad) == (1, 1)


def test_lines_that_are_no_requests_are_noted(tmp_path: Path) -> None:
    write_assistant(tmp_path)
    (tmp_path / "other.jsonl").write_text('{"resourceSpans": [1]}\n[]\nnot json\n')
    reader = StoreReader(tmp_path)
    assert len(list(reader.read(revive))) == 7
    assert reader.notes.skipped_lines == 3
