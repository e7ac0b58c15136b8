"""Reading a store: whatever its files hold, what can be read is, and the rest is counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genai_otel.store.otlp_json import any_value, spans_request
from genai_otel.store.read import reader as reading
from genai_otel.store.read.decoder import StoredSpan, attributes, decode_spans
from genai_otel.store.read.reader import StoreReader
from genai_otel.store.read.traces import Trace
from tests.stored import chat, tracing, write_assistant
from tests.test_otlp_json import SPANS, VALUES

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

pytestmark = pytest.mark.unconventional("spans of every shape, and damage, to be read")

TRACE = "0af7651916cd43dd8448eb211c80319c"


def line(*spans: dict[str, Any]) -> str:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}) + "\n"


def raw(span_id: str, parent: str = "", start: int = 1, **more: Any) -> dict[str, Any]:
    times = {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 10)}
    ids = {"traceId": TRACE, "spanId": span_id, "parentSpanId": parent, "name": span_id}
    return ids | times | more


def stored(span_id: str, parent: str = "", start: int = 1) -> StoredSpan:
    return StoredSpan(TRACE, span_id, parent, name=span_id, start_ns=start, end_ns=start + 10)


def shape(spans: list[StoredSpan]) -> list[tuple[str, int, bool]]:
    return [(b.span.name, len(b.lasts), b.orphan) for b in Trace(TRACE, spans).walk()]


# --------------------------------------------------------------------------------- round trip


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_values_come_back_as_they_were(value: Any) -> None:
    expected = json.dumps(plain(value), sort_keys=True)
    (decoded,) = attributes([{"key": "k", "value": any_value(value)}]).values()
    assert json.dumps(plain(decoded), sort_keys=True) == expected


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return repr(value) if isinstance(value, bytes | float) else value


@settings(max_examples=100, deadline=None)
@given(SPANS)
def test_spans_come_back_as_they_were(span: ReadableSpan) -> None:
    ((decoded,), bad) = decode_spans(json.loads(json.dumps(spans_request([span]))))
    assert bad == 0
    assert span.context is not None
    assert decoded.trace_id == f"{span.context.trace_id:032x}"
    assert decoded.parent_id == (f"{span.parent.span_id:016x}" if span.parent else "")
    assert (decoded.name, decoded.kind) == (span.name, span.kind.name.lower())
    assert (decoded.start_ns, decoded.end_ns) == (span.start_time, span.end_time)
    assert decoded.status == span.status.status_code.name.lower()
    assert decoded.status_message == (span.status.description or "")
    assert set(decoded.attributes) == set(span.attributes or ())
    assert [event.name for event in decoded.events] == [event.name for event in span.events]


def test_a_store_gives_its_traces(tmp_path: Path) -> None:
    first = write_assistant(tmp_path, "shop")
    second = write_assistant(tmp_path, "office")
    reader = StoreReader(tmp_path)
    newest, oldest = reader.summaries()
    assert (newest.trace_id, oldest.trace_id) == (second, first)
    assert (newest.name, newest.service, newest.spans) == ("invoke_workflow answer", "office", 7)
    assert newest.models == ["minilm", "gpt-5-2026-08-01"]
    assert (newest.input_tokens, newest.output_tokens) == (2403, 190)
    assert (newest.errors, newest.root_failed) == (1, False)
    assert reader.notes.sentences() == []
    trace = reader.trace(first)
    assert trace.root is not None
    assert trace.root.name == "invoke_workflow answer"
    assert [len(branch.lasts) for branch in trace.walk()] == [0, 1, 2, 1, 1, 1, 1]


def test_tokens_that_nobody_counted_are_unknown_and_those_of_layers_count_once(
    tmp_path: Path,
) -> None:
    layer = {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 1200}
    with tracing(tmp_path) as tracer:
        tracer.start_span("quiet").end()
        with tracer.start_as_current_span("agent", attributes=layer):
            tracer.start_span("chat", attributes=chat()).end()
    agent, quiet = StoreReader(tmp_path).summaries()
    assert (agent.input_tokens, agent.output_tokens) == (1200, 95)
    assert (quiet.input_tokens, quiet.output_tokens) == (None, None)


def test_a_trace_is_called_after_its_first_span_until_the_root_has_ended(tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    file.write_text(line(raw("b1", "a0", 5), raw("b2", "a0", 3)))
    assert StoreReader(file).summaries()[0].name == "b2"
    with file.open("a") as stream:
        stream.write(line(raw("a0", "", 4)))
    assert StoreReader(file).summaries()[0].name == "a0"


# ------------------------------------------------------------------------------ damaged files


def test_damage_is_skipped_and_counted(tmp_path: Path) -> None:
    good, bad = line(raw("a1")), raw("zz")
    pieces = [
        good.encode(),
        b"\n",
        b"\xff\xfe\x00garbage\n",
        b'{"resourceSpans": 7}\n',
        b"[1, 2]\n",
        b'{"resourceMetrics": []}\n',
        line(raw("a2"), bad, {"name": "no ids"}, raw("a3", startTimeUnixNano="soon")).encode(),
        b"[" * 100_000 + b"\n",
        good.replace("a1", "a4").encode()[:-20],
    ]
    file = tmp_path / "traces-20261123T08-1-0000.jsonl"
    file.write_bytes(b"".join(pieces))
    reader = StoreReader(tmp_path)
    assert [span.name for span in reader.spans()] == ["a1", "a2"]
    assert (reader.notes.skipped_lines, reader.notes.incomplete_lines) == (4, 1)
    assert reader.notes.skipped_spans == 3
    assert len(reader.notes.sentences()) == 3
    with file.open("ab") as stream:  # the writer has finished its line meanwhile
        stream.write(good.replace("a1", "a4").encode()[-20:])
    assert [span.name for span in reader.spans()] == ["a1", "a2", "a4"]
    assert reader.notes.incomplete_lines == 0


def test_a_line_beyond_all_bounds_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MAX_LINE", 1000)
    file = tmp_path / "traces.jsonl"
    file.write_text(line(raw("a1")) + "x" * 10_500 + "\n" + line(raw("a2")))
    reader = StoreReader(file)
    assert [span.name for span in reader.spans()] == ["a1", "a2"]
    assert reader.notes.skipped_lines == 1


def test_files_that_are_gone_or_not_ours_to_read_are_noted(tmp_path: Path) -> None:
    reader = StoreReader(tmp_path / "gone.jsonl")
    assert list(reader.spans()) == []
    assert reader.notes.unread_files == 1


def test_links_and_other_signals_in_a_store_are_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside.jsonl"
    outside.write_text(line(raw("a1")))
    store = tmp_path / "store"
    store.mkdir()
    (store / "traces-20261123T08-1-0000.jsonl").symlink_to(outside)
    (store / "metrics-20261123T08-1-0000.jsonl").write_text("{}\n")
    (store / "collector.jsonl").write_text(line(raw("a2")))
    assert [span.name for span in StoreReader(store, store).spans()] == ["a2"]


def test_older_collectors_write_names_of_enums(tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    file.write_text(line(raw("a1", kind="SPAN_KIND_CLIENT", status={"code": "STATUS_CODE_ERROR"})))
    (span,) = StoreReader(file).spans()
    assert (span.kind, span.status) == ("client", "error")


WORDS = [
    *("resourceSpans", "scopeSpans", "spans", "traceId", "spanId", "name", "status", "code"),
    *("attributes", "key", "value", "stringValue", "arrayValue", "kvlistValue", "intValue"),
    *("bytesValue", "values", "events", "resource"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(JSON, st.lists(JSON, max_size=2))
def test_no_json_makes_reading_fail(
    tmp_path_factory: pytest.TempPathFactory, whole: Any, spans: Any
) -> None:
    file = tmp_path_factory.mktemp("odd") / "traces.jsonl"
    file.write_text(json.dumps(whole) + "\n" + line(*spans) + line(raw("a1")))
    reader = StoreReader(file)
    assert reader.summaries()[-1].spans >= 1
    assert "a1" in [branch.span.name for branch in reader.trace(TRACE).walk()]


# --------------------------------------------------------------------------------- the tree


def test_siblings_stand_in_the_order_in_which_they_began() -> None:
    spans = [stored("root"), stored("c", "root", 9), stored("b", "root", 5), stored("d", "b", 6)]
    assert shape(spans) == [
        ("root", 0, False),
        ("b", 1, False),
        ("d", 2, False),
        ("c", 1, False),
    ]


def test_a_span_whose_parent_is_missing_is_marked() -> None:
    assert shape([stored("root"), stored("lost", "gone", 3), stored("kid", "lost", 4)]) == [
        ("root", 0, False),
        ("lost", 0, True),
        ("kid", 1, False),
    ]


def test_circles_of_parents_end() -> None:
    spans = [
        stored("a", "b"),
        stored("b", "a", 2),
        stored("self", "self", 3),
        stored("kid", "a", 4),
    ]
    walked = shape(spans)
    assert sorted(name for name, *_ in walked) == ["a", "b", "kid", "self"]


def test_a_very_deep_trace_neither_recurses_nor_grows() -> None:
    chain = [stored("0")] + [stored(str(n), str(n - 1), n) for n in range(1, 20_000)]
    walked = shape(chain)
    assert len(walked) == 20_000
    assert max(depth for _, depth, _ in walked) == 32


# ---------------------------------------------------------------------------------- bounds


def test_of_very_many_traces_the_newest_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MAX_SUMMARIES", 10)
    file = tmp_path / "traces.jsonl"
    many = [raw("a1", start=n) | {"traceId": f"{n:032x}"} for n in range(1, 101)]
    file.write_text("".join(line(span) for span in many))
    known = StoreReader(file).summaries()
    assert [int(summary.trace_id, 16) for summary in known[:5]] == [100, 99, 98, 97, 96]
    assert len(known) <= 10


def test_of_a_huge_trace_the_first_spans_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MAX_SPANS", 10)
    file = tmp_path / "traces.jsonl"
    file.write_text(line(*(raw(f"{n:04x}", start=n) for n in range(1, 26))))
    reader = StoreReader(file)
    assert len(reader.trace(TRACE).spans) == 10
    assert reader.notes.left_out_spans == 15
