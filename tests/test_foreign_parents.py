"""Trees among other libraries' spans, which go to a destination only if it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
    use_span,
)

import genai_otel
from genai_otel import Destination
from tests.fresh import script
from tests.receiver import Receiver
from tests.stored import run_cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REMOTE = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as it:
        yield it
        genai_otel.shutdown()


def serve(provider: TracerProvider) -> None:
    """A web server's span, a workflow in it, a database's span in that, and a call in that."""
    host = provider.get_tracer("a.web.framework")
    with (
        host.start_as_current_span("GET /"),
        genai_otel.operation("workflow", "answer"),
        genai_otel.operation("step", "look"),
        host.start_as_current_span("SELECT"),
        host.start_as_current_span("socket"),
        genai_otel.operation("step", "ask"),
        genai_otel.operation("tool", "inner"),
    ):
        pass


def tree(receiver: Receiver) -> dict[str, str | None]:
    """Parents by name; an id that is nobody's here stands for itself."""
    names = {span_id: span.name for span_id, span in receiver.spans.items()}
    found = receiver.spans.values()
    return {
        s.name: names.get(s.parent_span_id, s.parent_span_id.hex()) if s.parent_span_id else None
        for s in found
    }


OURS = {
    "invoke_workflow answer": None,
    "task look": "invoke_workflow answer",
    "task ask": "task look",
    "execute_tool inner": "task ask",
}


def send(to: Destination) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    genai_otel.instrument(tracer_provider=provider, destinations=to)
    serve(provider)
    assert genai_otel.flush()


@pytest.mark.parametrize("preset", ["phoenix", "mlflow"])
def test_a_backend_for_model_calls_gets_a_tree_of_ours(receiver: Receiver, preset: str) -> None:
    send(Destination(preset, endpoint=receiver.url))
    assert tree(receiver) == OURS
    assert len({span.trace_id for span in receiver.spans.values()}) == 1


def test_with_a_filter_the_parents_are_the_true_ones(receiver: Receiver) -> None:
    send(Destination("phoenix", endpoint=receiver.url, filter=lambda _: True))
    assert tree(receiver) == {
        "GET /": None,
        "invoke_workflow answer": "GET /",
        "task look": "invoke_workflow answer",
        "SELECT": "task look",
        "socket": "SELECT",
        "task ask": "socket",
        "execute_tool inner": "task ask",
    }


def test_where_others_send_too_nothing_is_changed(receiver: Receiver) -> None:
    """A collector may get the host's spans by another way."""
    send(Destination("otlp", endpoint=receiver.url))
    found = tree(receiver)
    assert found["execute_tool inner"] == "task ask"
    assert found["task look"] == "invoke_workflow answer"
    assert len(found["task ask"] or "") == len(found["invoke_workflow answer"] or "") == 16


def test_a_parent_in_another_process_stays(receiver: Receiver) -> None:
    """It may have been sent there as well."""
    genai_otel.instrument(destinations=Destination("phoenix", endpoint=receiver.url))
    with use_span(NonRecordingSpan(REMOTE)), genai_otel.operation("step", "s"):
        pass
    assert genai_otel.flush()
    (one,) = receiver.spans.values()
    assert one.parent_span_id.hex() == f"{8:016x}"


def test_another_trace_that_was_begun_inside(receiver: Receiver) -> None:
    """Its operations are no children of one in the trace around it."""
    provider = TracerProvider(shutdown_on_exit=False)
    genai_otel.instrument(
        tracer_provider=provider, destinations=Destination("phoenix", endpoint=receiver.url)
    )
    host = provider.get_tracer("a.queue")
    with genai_otel.operation("workflow", "outer"):
        job: Any = host.start_span("job", context=set_span_in_context(NonRecordingSpan(REMOTE)))
        with use_span(job, end_on_exit=True), genai_otel.operation("step", "s"):
            pass
    assert genai_otel.flush()
    assert tree(receiver) == {"invoke_workflow outer": None, "task s": None}


def test_what_was_stored_is_sent_as_such_a_tree(receiver: Receiver, tmp_path: Path) -> None:
    code = """
import genai_otel
from opentelemetry.sdk.trace import TracerProvider
from tests.test_foreign_parents import serve
provider = TracerProvider()
genai_otel.instrument(tracer_provider=provider, destinations="local")
serve(provider)
"""
    script(code, cwd=tmp_path)
    shown = run_cli("traces", "show", cwd=tmp_path).stdout
    assert "parent not stored" not in shown
    rows = [line for line in shown.splitlines() if any(name in line for name in OURS)]
    depths = [len(line) - len(line.lstrip(" │├└─")) for line in rows]
    assert len(set(depths)) == len(OURS), "each is inside the one before it"
    assert depths == sorted(depths)
    options = ("--endpoint", receiver.url)
    assert run_cli("send", "--to", "phoenix", *options, cwd=tmp_path).returncode == 0
    assert tree(receiver) == OURS
