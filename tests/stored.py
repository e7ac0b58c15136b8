"""Stores to read in tests, written with the plain SDK through our exporter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

import genai_otel
from genai_otel.store.write.store import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CLIENT = SpanKind.CLIENT
MADE_UP = "0.made-up"
"""The version of the scope of spans that are here to be read, and are not judged."""
SOURCES = str(Path(genai_otel.__path__[0]).parent)


@contextmanager
def tracing(directory: Path | LocalStore, service: str = "shop") -> Iterator[Tracer]:
    store = directory if isinstance(directory, LocalStore) else LocalStore(directory)
    provider = TracerProvider(resource=Resource({"service.name": service}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(store.span_exporter()))
    yield provider.get_tracer("genai_otel", MADE_UP)
    provider.shutdown()


def messages(role: str, text: str, **more: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}], **more}])


def chat(model: str = "gpt-5", **more: Any) -> dict[str, Any]:
    """A model call's attributes; keywords have ``__`` where names have dots."""
    answer = "In the post office around the corner."
    facts: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "gen_ai.response.model": f"{model}-2026-08-01",
        "gen_ai.usage.input_tokens": 1200,
        "gen_ai.usage.output_tokens": 95,
        "gen_ai.usage.cache_read.input_tokens": 128,
        "genai_otel.response.time_to_first_token": 0.212,
        "genai_otel.response.time_per_output_token": 0.0104,
        "gen_ai.input.messages": messages("user", "Where is my parcel?"),
        "gen_ai.output.messages": messages("assistant", answer, finish_reason="stop"),
    }
    return facts | {name.replace("__", "."): value for name, value in more.items()}


ASSISTANT: dict[str, dict[str, Any]] = {
    "invoke_workflow answer": {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "answer",
    },
    "retrieval handbook": {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.data_source.id": "handbook",
        "gen_ai.retrieval.query.text": "parcel",
        "gen_ai.retrieval.documents": json.dumps(
            [{"id": "returns.md", "score": 0.83, "content": "Parcels wait ten days."}]
        ),
    },
    "embeddings minilm": {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "minilm",
        "gen_ai.usage.input_tokens": 3,
    },
    "execute_tool track": {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "track",
        "error.type": "TimeoutError",
    },
    "apply_guardrail tone": {
        "gen_ai.operation.name": "apply_guardrail",
        "gen_ai.guardrail.component.name": "tone",
        "gen_ai.guardrail.result.type": "deny",
        "gen_ai.guardrail.result.reason": "rude",
    },
}


def write_assistant(directory: Path, service: str = "shop") -> str:
    """A workflow > retriever > embeddings, a chat, a failing tool, a guardrail; its trace id."""
    with tracing(directory, service) as tracer:

        def span(name: str, kind: SpanKind = SpanKind.INTERNAL, **facts: Any) -> Any:
            known = facts or ASSISTANT[name]
            return tracer.start_as_current_span(name, kind=kind, attributes=known)

        with span("invoke_workflow answer") as root:
            with span("retrieval handbook", CLIENT), span("embeddings minilm", CLIENT):
                pass
            with span("chat gpt-5", CLIENT, **chat()):
                pass
            with span("execute_tool track") as tool:
                tool.set_status(Status(StatusCode.ERROR, "no answer within 5 s"))
            with span("apply_guardrail tone"):
                pass
            with span("chat gpt-5", CLIENT, **chat(genai_otel__response__completed=False)):
                pass
    return f"{root.get_span_context().trace_id:032x}"


def lines(directory: Path, pattern: str = "traces-*.jsonl") -> list[dict[str, Any]]:
    files = sorted(directory.glob(pattern))
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


def spans(directory: Path) -> list[dict[str, Any]]:
    return [
        span
        for line in lines(directory)
        for resource in line["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def run_python(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that finds the package; fails unless it exits with ``code``."""
    paths = [SOURCES, str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=kept | {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | dict(env or {}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    if code is not None:
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def run_cli(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    return run_python("-m", "genai_otel", *arguments, cwd=cwd, env=env, code=code)
