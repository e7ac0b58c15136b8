"""``instrument()`` called again: nobody loosens what the first call has said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import genai_otel
from genai_otel import Budget, ContentPolicy, Destination, Settings, step
from genai_otel.privacy import preset, strictest
from tests import fresh

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EMAIL = "jane@example.org"


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    genai_otel.shutdown()
    yield
    genai_otel.shutdown()


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def recorded(exporter: InMemorySpanExporter, text: str = f"secret {EMAIL}") -> str:
    exporter.clear()
    step(lambda said: said)(text)
    assert genai_otel.flush()
    (span,) = exporter.get_finished_spans()
    told: str = span.to_json()
    return told


# ------------------------------------------------------------------------------------- content


@pytest.mark.parametrize("first", ["none", "redacted", "full"])
@pytest.mark.parametrize("later", ["none", "redacted", "full"])
@pytest.mark.parametrize("how", ["argument", "settings"])
def test_content_is_never_loosened(
    first: str, later: str, how: str, exporter: InMemorySpanExporter
) -> None:
    genai_otel.instrument(destinations=exporter, content=first)
    given: dict[str, Any] = (
        {"content": later} if how == "argument" else {"settings": Settings(content=later)}
    )
    genai_otel.instrument(**given)
    told = recorded(exporter)
    modes = ["none", "redacted", "full"]
    strict = min(first, later, key=modes.index)
    assert ("secret" in told, EMAIL in told) == (strict != "none", strict == "full")
    assert genai_otel.status().content == strict
    assert [each.content for each in genai_otel.status().destinations] == [strict]


def test_a_plain_call_changes_nothing(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    genai_otel.instrument(destinations=exporter, content="full", service_name="shop")
    monkeypatch.setenv("GENAI_OTEL_CONTENT", "none")
    monkeypatch.setenv("GENAI_OTEL_SERVICE_NAME", "other")
    genai_otel.instrument()
    assert EMAIL in recorded(exporter)
    assert genai_otel.status().notices == ()


def test_what_a_destination_may_have_is_made_stricter_too(tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    genai_otel.instrument(destinations=[exporter, Destination("local", content="full")])
    genai_otel.instrument(content="none")
    assert "secret" not in recorded(exporter)
    genai_otel.shutdown()
    (file,) = tmp_path.glob(".genai_otel/traces-*.jsonl")
    assert "secret" not in file.read_text("utf-8")


def test_what_is_queued_already_is_judged_anew(exporter: InMemorySpanExporter) -> None:
    """But for what was recorded of it."""
    genai_otel.instrument(destinations=exporter, content="full")
    genai_otel.instrument(content=ContentPolicy(tools="none"))
    genai_otel.instrument(content=ContentPolicy(messages="none"))
    assert genai_otel.status().content == "mixed"
    told = genai_otel.status().notices
    assert len([text for text in told if "content of that call ignored" in text]) <= 2


def test_a_provider_set_later_gets_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    genai_otel.instrument(content="full")
    genai_otel.instrument(content="none")
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    assert "secret" not in recorded(exporter)
    genai_otel.shutdown()


POLICIES = [
    *map(preset, ("none", "redacted", "full")),
    ContentPolicy(messages="full", redact=["email"]),
    ContentPolicy(tools="none", redactor=str.upper, max_chars=300, hash_users=True),
    ContentPolicy(redactor=str.lower, media="drop", hash_key="k"),
]


@pytest.mark.parametrize("one", POLICIES)
@pytest.mark.parametrize("two", POLICIES)
def test_the_strictest_lets_out_what_both_do(one: ContentPolicy, two: ContentPolicy) -> None:
    both = strictest(one, two)
    modes = ["none", "redacted", "full"]
    for each in (one, two):
        for name in ("messages", "system", "tools", "retrieved", "errors", "metadata"):
            assert modes.index(getattr(both, name)) <= modes.index(getattr(each, name))
            if getattr(each, name) == "redacted":
                assert set(each.redact) <= set(both.redact)
        assert both.max_chars <= each.max_chars
        assert both.hash_users or not each.hash_users
        assert both.media == "drop" or each.media != "drop"
    assert strictest(one, one) == one
    if one.redactor is not None and two.redactor is not None:
        assert both.redactor is not None
        assert both.redactor("aB") == two.redactor(one.redactor("aB"))


# ------------------------------------------------------------------------------- all the rest


def test_destinations_are_the_first_calls(
    exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    genai_otel.instrument(destinations=exporter)
    other = InMemorySpanExporter()
    for _ in range(3):
        genai_otel.instrument(destinations=other, service_name="library", content="redacted")
    assert "secret" in recorded(exporter)
    assert other.get_finished_spans() == ()
    (told,) = [record.getMessage() for record in caplog.records]
    place = r"genai_otel: instrument\(\) was called again at .*test_called_again\.py:\d+: "
    assert re.match(
        place + "service_name, destinations of that call ignored, because the first", told
    )
    assert genai_otel.status().notices == (told.removeprefix("genai_otel: "),)


def test_a_budget_is_not_taken_away(exporter: InMemorySpanExporter) -> None:
    budget = Budget(limit=10, unit="tokens", hard=True)
    genai_otel.instrument(destinations=exporter, budgets=[budget])
    genai_otel.instrument(budgets=[Budget(limit=1e9, unit="tokens")], prices="off")
    assert "prices, budgets of that call ignored" in genai_otel.status().notices[0]
    assert genai_otel.status().prices != "off"


def test_what_is_not_accepted_is_refused(exporter: InMemorySpanExporter) -> None:
    genai_otel.instrument(destinations=exporter)
    with pytest.raises(ValueError, match="unknown destination 'phoenx'"):
        genai_otel.instrument(destinations="phoenx")
    assert "secret" in recorded(exporter)


def test_by_force(exporter: InMemorySpanExporter) -> None:
    genai_otel.instrument(destinations=InMemorySpanExporter(), content="none")
    genai_otel.instrument(destinations=exporter, content="full", force=True)
    assert EMAIL in recorded(exporter)
    assert genai_otel.status().notices == ()
    genai_otel.instrument(destinations=InMemorySpanExporter())
    assert "secret" in recorded(exporter), "and the forced one decides from then on"


def test_after_a_shutdown(exporter: InMemorySpanExporter) -> None:
    genai_otel.instrument(content="none")
    genai_otel.shutdown()
    genai_otel.instrument(destinations=exporter, content="full")
    assert EMAIL in recorded(exporter)


_OWN = """
import genai_otel
from genai_otel._sdk import entry_point as _entry
_entry.start()
genai_otel.instrument({own})
genai_otel.instrument(service_name="library", content="full")
_entry.start()
genai_otel.step(lambda said: said)("secret jane@example.org")
genai_otel.shutdown()
"""


def test_a_program_decides_over_what_has_started_it(tmp_path: Path) -> None:
    """``genai-otel run`` and opentelemetry-instrument come first, but no code asked for it."""
    own = 'destinations=genai_otel.Destination("local", directory="own"), content="none"'
    done = fresh.script(_OWN.format(own=own), cwd=tmp_path)
    assert done.stderr.count("was called again") == 1
    (file,) = tmp_path.glob("own/traces-*.jsonl")
    assert "secret" not in file.read_text("utf-8")
    assert not (tmp_path / ".genai_otel").exists()


def test_a_program_that_says_nothing_more_has_decided_too(tmp_path: Path) -> None:
    fresh.script(_OWN.format(own=""), cwd=tmp_path)
    (file,) = tmp_path.glob(".genai_otel/traces-*.jsonl")
    assert "jane" not in file.read_text("utf-8")
