"""``genai-otel send``: export a local store to a backend.

Spans keep their ids and times, so that a backend that deduplicates by id stores a span that is sent
twice only once. They are exported like live spans: content policy, dialect, limits and retries.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from threading import Timer
from time import monotonic
from typing import TYPE_CHECKING, Any

from . import CommandError
from .stores import open_stores, positive, print_note, print_read_notes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.export.factory import ExportPipeline

_MAX_BATCH_BYTES = 8 * 1024 * 1024
_SECONDS = 60
# Seconds without success after which a notice is printed.
_NOTICE_AFTER = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    from genai_otel.privacy.policy import MODES

    parser.set_defaults(run=send)
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="stores or files to export (default: the local store)",
    )
    parser.add_argument(
        "--to", action="append", required=True, metavar="NAME", help="destination; repeatable"
    )
    parser.add_argument(
        "--endpoint", metavar="URL", help="URL of the destination, if not its default"
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="option of the destination; set keys in its environment variables instead",
    )
    parser.add_argument(
        "--content",
        choices=MODES,
        help="whether prompts and responses are exported, and masked (default: redacted)",
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        default=_SECONDS,
        metavar="SECONDS",
        help=f"how long to retry if the backend does not accept spans (default: {_SECONDS})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def send(options: argparse.Namespace) -> int:
    """Return 0 if every destination has acknowledged every span that could be read."""
    from genai_otel.store.read.replay import revive

    transfers = [Transfer(_make_pipeline(name, options), options.timeout) for name in options.to]
    reader = open_stores(options.files)
    _transfer_all(reader.read(revive), transfers)
    if options.json:
        print(json.dumps([transfer.as_json() for transfer in transfers], indent=1))  # noqa: T201
    else:
        for transfer in transfers:
            print(transfer.summary())  # noqa: T201 - the output of a command
            if transfer.spans and not transfer.content.content:
                print_note(
                    f"no prompts and responses were exported to {transfer.name};"
                    " --content redacted exports them"
                )
    if not transfers[0].spans:
        print_note("no spans found")
    print_read_notes(reader)
    return 1 if any(transfer.lost for transfer in transfers) else 0


def _make_pipeline(name: str, options: argparse.Namespace) -> ExportPipeline:
    from genai_otel._settings import Settings
    from genai_otel.export.destination import Destination
    from genai_otel.export.factory import make_pipeline
    from genai_otel.privacy import as_policy

    if name == "local":
        raise CommandError("the local store is the source: give another destination with --to")
    pairs = [given.partition("=") for given in options.option]
    if any(not sign for _, sign, _ in pairs):
        raise CommandError("--option must be NAME=VALUE")
    try:
        settings = Settings.from_environment()
        to = Destination(
            name,
            endpoint=options.endpoint,
            options={key: value for key, _, value in pairs} or None,
        )
        content = as_policy(options.content or settings.content or "redacted")
        return make_pipeline(to, content=content, directory=settings.store_directory)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _transfer_all(spans: Iterable[ReadableSpan], transfers: list[Transfer]) -> None:
    from genai_otel.export.readable import estimated_size

    size = 0
    try:
        for span in spans:
            span_size = estimated_size(span)
            size += span_size
            for transfer in transfers:
                transfer.add(span, span_size)
            if size > _MAX_BATCH_BYTES:
                size = 0
                for transfer in transfers:
                    transfer.flush()
    finally:
        for transfer in transfers:
            transfer.close()


@dataclass
class Transfer:
    """The export of spans to one destination, and its results."""

    pipeline: ExportPipeline
    timeout: float
    spans: int = 0
    not_tried: int = 0
    traces: set[int] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        from genai_otel.export.pipeline.redaction import SpanRedactor

        self.name, self.content = self.pipeline.name, self.pipeline.content
        self._worker = self.pipeline.make_worker(SpanRedactor(self.content, recorded_policy=None))
        self._reachable, self._ended = True, True

    def add(self, span: ReadableSpan, size: int) -> None:
        self.spans += 1
        if span.context is not None:
            self.traces.add(span.context.trace_id)
        if self._reachable:
            self._worker.enqueue(span, size, ours=True)
        else:
            self.not_tried += 1

    def flush(self) -> None:
        """Wait until everything is exported; give up early on a backend that does not respond."""
        if not self._reachable:
            return
        waiting = Timer(_NOTICE_AFTER, self._report_retries)
        waiting.daemon = True
        waiting.start()
        done = self._worker.request_flush(monotonic() + self.timeout).wait()
        waiting.cancel()
        self._reachable = done or self._worker.stats.sent > 0

    def _report_retries(self) -> None:
        error = self._worker.last_error
        if error:
            print_note(
                f"export to {self.destination} failed: {error}; retrying for {self.timeout:g} s"
            )

    def close(self) -> None:
        self.flush()
        deadline = monotonic() + 1
        self._worker.close(deadline)
        self._ended = self._worker.join(deadline)

    @property
    def reasons(self) -> dict[str, int]:
        """Spans that were not exported, by reason."""
        found = dict(self._worker.stats.dropped())
        if "shutdown" in found:  # the worker was closed because we gave up
            found["undelivered"] = found.get("undelivered", 0) + found.pop("shutdown")
        if self.not_tried:
            found["not_tried"] = self.not_tried
        missing = self.spans - self._worker.stats.sent - sum(found.values())
        if missing > 0 and not self._ended:
            found["unacknowledged"] = missing
        return found

    @property
    def lost(self) -> int:
        return min(self.spans, sum(self.reasons.values()))

    @property
    def destination(self) -> str:
        return f"{self.name} ({self.pipeline.endpoint})"

    def summary(self) -> str:
        exported = (
            f"{self.spans - self.lost:,} of {self.spans:,} spans of {len(self.traces):,} traces"
        )
        text = f"{exported} exported to {self.destination}"
        if not self.lost:
            return text
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in self.reasons.items())
        error = self._worker.last_error
        return f"{text}; dropped: {dropped}" + (f" ({error})" if error else "")

    def as_json(self) -> dict[str, Any]:
        return {
            "destination": self.name,
            "endpoint": self.pipeline.endpoint,
            "traces": len(self.traces),
            "spans": self.spans,
            "exported": self.spans - self.lost,
            "dropped": self.reasons,
            "last_error": self._worker.last_error,
        }
