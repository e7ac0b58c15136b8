"""Our bug is never the host's: contained, counted, said once a minute, switched off in the end."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

import openai
import pytest

import genai_otel
from genai_otel import scope, step, suppress
from genai_otel._support import errors
from genai_otel.testing import Capture
from tests.collected import collect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.provider import Provider

ASK: list[Any] = [{"role": "user", "content": "Hello"}]


@pytest.fixture(autouse=True)
def contained(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in production: nothing is raised again, nothing was said yet."""
    # Imported before anything is patched: what one of them takes then it would keep.
    homes = [import_module(f"genai_otel.{home}") for home in ("_sdk.lifecycle", "_sdk.runtime")]
    monkeypatch.setattr(errors, "FAULTS", faults := errors.Faults())
    for home in homes:
        monkeypatch.setattr(home, "FAULTS", faults)
    monkeypatch.setenv("GENAI_OTEL_STRICT", "0")


@pytest.fixture
def capture(contained: None) -> Iterator[Capture]:
    genai_otel.shutdown()
    capture = Capture()
    genai_otel.instrument(
        destinations=capture.exporter, content="full", meter_provider=capture.meter_provider
    )
    yield capture
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


@pytest.fixture
def client(provider: Provider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="sk", base_url=provider.base_url, max_retries=0) as client:
        yield client


def breaks(*_: Any, **__: Any) -> Any:
    raise RecursionError("ours")


def test_a_dropped_stream_is_quiet_even_if_we_fail(
    capture: Capture, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finalisers have nobody to raise to: Python would print a traceback."""
    monkeypatch.setattr("genai_otel.instrumentation.open_registry.OpenRegistry.abandon", breaks)
    stream = client.chat.completions.create(model="ok", messages=ASK, stream=True)
    next(stream)
    del stream
    collect()
    assert genai_otel.status().internal_errors


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_not_ours_to_contain_passes(
    capture: Capture,
    client: openai.OpenAI,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    """Ctrl-C may arrive while our code runs."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("genai_otel.recorder.recorder.Recorder.start", interrupted)
    with pytest.raises(error):
        client.chat.completions.create(model="ok", messages=ASK)


# ------------------------------------------------------------------------- counted, said, switched


def fail(times: int, error: Exception | None = None, name: str = "place") -> None:
    def place() -> None:
        raise error or ValueError("secret")

    place.__qualname__ = name
    for _ in range(times):
        errors.contained(place)


def test_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    fail(7)
    fail(2, KeyError("secret"))
    assert genai_otel.status().internal_errors == {"place: ValueError": 7, "place: KeyError": 2}
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "genai_otel: internal error contained in place: ValueError",
        "genai_otel: internal error contained in place: KeyError",
    ]
    assert "secret" not in caplog.text


def test_said_again_after_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(errors.time, "monotonic", lambda: now)
    said = []
    for seconds in (0, 30, 29, 2, 59, 1):
        now += seconds
        fail(3)
        said.append(len(caplog.records))
    assert said == [1, 1, 1, 2, 2, 3]


def test_kinds_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1_000):
        fail(1, name=f"place {number}")
    counts = genai_otel.status().internal_errors
    assert len(counts) <= 201
    assert sum(counts.values()) == 1_000
    assert len(caplog.records) <= 201


def test_what_keeps_failing_is_switched_off(
    capture: Capture,
    client: openai.OpenAI,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    entered = 0

    def opens(*_: Any) -> None:
        nonlocal entered
        entered += 1
        raise ValueError

    monkeypatch.setattr("genai_otel.instrumentation.patchers.stainless._Begin._open", opens)
    for _ in range(40):
        assert client.chat.completions.create(model="ok", messages=ASK).choices
    assert entered == 20
    status = genai_otel.status()
    assert status.libraries[0].state == "broken"
    off = [r for r in caplog.records if "disabled after repeated internal errors" in r.getMessage()]
    assert len(off) == 1
    assert off[0].levelno == logging.WARNING
    monkeypatch.undo()
    client.chat.completions.create(model="ok", messages=ASK)
    assert not capture.spans, "it stays off until it is set up anew"
    genai_otel.instrument(destinations=capture.exporter, content="none", force=True)
    client.chat.completions.create(model="ok", messages=ASK)
    assert genai_otel.status().libraries[0].state == "active"
    genai_otel.flush()
    assert capture.exporter.get_finished_spans() or capture.exporter._stopped


def test_failures_now_and_then_break_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(errors.time, "monotonic", lambda: now)
    guard = errors.Guard("library")
    for _ in range(200):
        now += 4
        guard.note("place", ValueError())
    assert guard.enabled


def test_decorators_are_switched_off_too(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("genai_otel.api.decorators.take", breaks)
        work = step(lambda: 1)
        for _ in range(25):
            assert work() == 1
    assert len(capture.spans) == 20
    capture.clear()
    assert work() == 1
    assert not capture.spans
    genai_otel.shutdown()
    again = Capture()
    genai_otel.instrument(destinations=again.exporter)
    assert work() == 1
    assert len(again.spans) == 1, "set up anew, they record again"
    again.meter_provider.shutdown()


# ------------------------------------------------------------------------------------------ strict


def test_strict_raises_again(monkeypatch: pytest.MonkeyPatch, client: openai.OpenAI) -> None:
    monkeypatch.setenv("GENAI_OTEL_STRICT", "1")
    capture = Capture()
    genai_otel.shutdown()
    genai_otel.instrument(destinations=capture.exporter)
    monkeypatch.setattr("genai_otel.recorder.recorder.outcome", breaks)
    with pytest.raises(RecursionError, match="ours"):
        client.chat.completions.create(model="ok", messages=ASK)
    monkeypatch.undo()
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


def test_strict_is_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even under pytest: the hosts' own suites must not get our errors."""
    monkeypatch.delenv("GENAI_OTEL_STRICT")
    assert not genai_otel.Settings.from_environment().strict


def test_scopes_and_suppression_never_fail(capture: Capture) -> None:
    bodies: list[Callable[[], Any]] = [
        lambda: scope(tags=object(), metadata=object()),  # type: ignore[arg-type]
        lambda: scope(metadata={object(): object()}),  # type: ignore[dict-item]
        suppress,
    ]
    for make in bodies:
        with make():
            assert step(lambda: 1)() == 1
