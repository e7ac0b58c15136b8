"""What the suite records is judged by the checker of the conventions, after each test.

Spans and metrics that are captured in memory, and every line of a local store, written by this
process or by another one under the test's ``tmp_path``. A test that makes what the conventions do
not know, on purpose, says so and why: ``@pytest.mark.unconventional("reason")``, or, where only
findings of some kind are meant, ``unconventional("reason", "[name]", ...)`` with words of theirs.

What a test made up to be read (`tests.stored`) is nobody's emission and not judged.
"""

from __future__ import annotations

import json
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from genai_otel.store.otlp_json import metrics_request, spans_request
from genai_otel.store.write import files
from semconv.check import Checker
from tests.stored import MADE_UP

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

FORGIVEN = {
    "score is missing (retrieval_documents.compat": (
        "1.41 wants a score of every document, the head does not; none is made up"
    ),
}
"""Findings that stand, by words of theirs -> why."""
_SHOWN = 10
_TAKEN: list[Callable[[], Any]] = []
"""What was recorded since the last test, each as something that makes an OTLP request of it."""


def pytest_configure() -> None:
    """Looks over the shoulder of all who keep what was recorded."""
    _listen(InMemorySpanExporter, "export", lambda _, spans: _spans(tuple(spans)))
    _listen(InMemoryMetricReader, "_receive_metrics", lambda _, data, **__: _metrics(data))
    _listen(InMemoryMetricReader, "shutdown", lambda reader, **_: reader.collect())
    _listen(files, "_write", lambda _, line: _TAKEN.append(lambda: json.loads(line)))


def _listen(owner: Any, name: str, listener: Callable[..., Any]) -> None:
    original = getattr(owner, name)

    def listened(*args: Any, **kwargs: Any) -> Any:
        listener(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(owner, name, listened)


def _spans(spans: Any) -> None:
    _TAKEN.append(lambda: spans_request(spans))


def _metrics(data: Any) -> None:
    _TAKEN.append(lambda: metrics_request(data))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    yield
    taken = [*_TAKEN]
    _TAKEN.clear()
    forgiven = _forgiven(item)
    if forgiven is not None:
        tmp_path = getattr(item, "funcargs", {}).get("tmp_path")
        found = [
            finding
            for finding in dict.fromkeys(_findings(taken, tmp_path))
            if not any(words in finding for words in forgiven)
        ]
        if found:
            pytest.fail("\n".join(["against the conventions:", *found[:_SHOWN]]), pytrace=False)


def _forgiven(item: pytest.Item) -> list[str] | None:
    """Words of the findings that are no fault of this test's; None where it is not judged."""
    meant = [mark.args[1:] for mark in item.iter_markers("unconventional")]
    return [*FORGIVEN, *chain(*meant)] if all(meant) else None


def _findings(taken: list[Callable[[], Any]], directory: Path | None) -> Iterator[str]:
    for made in taken:
        yield from _judge(made())
    for file in directory.rglob("*.jsonl") if directory else ():
        if file.name.startswith(("traces-", "metrics-", "logs-")) and file.is_file():
            yield from _in_file(file)


def _in_file(file: Path) -> Iterator[str]:
    for line in file.read_bytes().splitlines():
        try:
            request = json.loads(line)
        except ValueError:  # torn
            continue
        yield from _judge(request)


def _judge(request: dict[str, Any]) -> Iterator[str]:
    for resource in request.get("resourceSpans", ()):
        resource["scopeSpans"] = [
            scope
            for scope in resource.get("scopeSpans", ())
            if scope.get("scope", {}).get("name") == "genai_otel"
            and scope["scope"].get("version") != MADE_UP
        ]
    yield from _checker().request(request)


@cache
def _checker() -> Checker:
    return Checker("both")
