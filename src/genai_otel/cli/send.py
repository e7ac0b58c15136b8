"""``genai-otel send``: what a local store holds, to a backend.

Spans keep their ids and times, so that what is sent twice is there once wherever a backend knows
what it has. They go the way of live ones: the destination's content, dialect, limits and retries.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from threading import Timer
from time import monotonic
from typing import TYPE_CHECKING, Any

from . import CommandError
from .stores import open_stores, positive, tell, tell_notes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.export.factory import Outlet

_AT_ONCE = 8 * 1024 * 1024
_SECONDS = 60
_NOTICE_AFTER = 1.0
"""Seconds without success after which a person is told what is waited for."""


def configure(parser: argparse.ArgumentParser) -> None:
    from genai_otel.privacy.policy import MODES

    parser.set_defaults(run=send)
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="stores or files to send (the default store)"
    )
    parser.add_argument(
        "--to", action="append", required=True, metavar="NAME", help="a destination; repeatable"
    )
    parser.add_argument("--endpoint", metavar="URL", help="where it listens, if elsewhere")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the destination; keys are better left in its variables",
    )
    parser.add_argument(
        "--content", choices=MODES, help="what of prompts and replies is sent (redacted)"
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        default=_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for a backend that is away ({_SECONDS})",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def send(options: argparse.Namespace) -> int:
    """0 if everything that could be read was acknowledged by every destination."""
    from genai_otel.store.read.replay import revive

    ways = [Way(_outlet(name, options), options.timeout) for name in options.to]
    reader = open_stores(options.files)
    _carry(reader.read(revive), ways)
    if options.json:
        print(json.dumps([way.as_json() for way in ways], indent=1))  # noqa: T201
    else:
        for way in ways:
            print(way.sentence())  # noqa: T201 - speaks to a person
            if way.spans and not way.content.content:
                tell(f"{way.name} was sent no prompts and replies; --content redacted sends them")
    if not ways[0].spans:
        tell("no spans were found")
    tell_notes(reader)
    return 1 if any(way.lost for way in ways) else 0


def _outlet(name: str, options: argparse.Namespace) -> Outlet:
    from genai_otel._settings import Settings
    from genai_otel.export.destination import Destination
    from genai_otel.export.factory import outlet
    from genai_otel.privacy import as_policy

    if name == "local":
        raise CommandError("the local store is what is read: name another destination with --to")
    pairs = [given.partition("=") for given in options.option]
    if any(not sign for _, sign, _ in pairs):
        raise CommandError("an option is NAME=VALUE")
    try:
        settings = Settings.from_environment()
        to = Destination(
            name,
            endpoint=options.endpoint,
            options={key: value for key, _, value in pairs} or None,
        )
        content = as_policy(options.content or settings.content or "redacted")
        return outlet(to, content=content, directory=settings.store_directory)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _carry(spans: Iterable[ReadableSpan], ways: list[Way]) -> None:
    from genai_otel.export.readable import weight

    size = 0
    try:
        for span in spans:
            heavy = weight(span)
            size += heavy
            for way in ways:
                way.take(span, heavy)
            if size > _AT_ONCE:
                size = 0
                for way in ways:
                    way.settle()
    finally:
        for way in ways:
            way.close()


@dataclass
class Way:
    """One destination, and what became of the spans that went there."""

    outlet: Outlet
    timeout: float
    spans: int = 0
    unreached: int = 0
    traces: set[int] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        from genai_otel.export.pipeline.redaction import Judge

        self.name, self.content = self.outlet.name, self.outlet.content
        self._delivery = self.outlet.delivery(Judge(self.content, recorded=None))
        self._arrives, self._ended = True, True

    def take(self, span: ReadableSpan, weight: int) -> None:
        self.spans += 1
        if span.context is not None:
            self.traces.add(span.context.trace_id)
        if self._arrives:
            self._delivery.enqueue(span, weight, ours=True)
        else:
            self.unreached += 1

    def settle(self) -> None:
        """Waits until all is there; a backend of which nothing is heard is not tried for long."""
        if not self._arrives:
            return
        waiting = Timer(_NOTICE_AFTER, self._say_that_it_tries)
        waiting.daemon = True
        waiting.start()
        done = self._delivery.request_flush(monotonic() + self.timeout).wait()
        waiting.cancel()
        self._arrives = done or self._delivery.stats.sent > 0

    def _say_that_it_tries(self) -> None:
        problem = self._delivery.last_error
        if problem:
            where = f"{self.name} ({self.outlet.where})"
            tell(f"{where} takes nothing yet: {problem}; trying again, for {self.timeout:g} s")

    def close(self) -> None:
        self.settle()
        deadline = monotonic() + 1
        self._delivery.close(deadline)
        self._ended = self._delivery.join(deadline)

    @property
    def reasons(self) -> dict[str, int]:
        """Spans that did not arrive, by reason."""
        found = dict(self._delivery.stats.dropped())
        if "shutdown" in found:  # it is our giving up that ends the delivery
            found["undelivered"] = found.get("undelivered", 0) + found.pop("shutdown")
        if self.unreached:
            found["not tried"] = self.unreached
        missing = self.spans - self._delivery.stats.sent - sum(found.values())
        if missing > 0 and not self._ended:
            found["not acknowledged"] = missing
        return found

    @property
    def lost(self) -> int:
        return min(self.spans, sum(self.reasons.values()))

    def sentence(self) -> str:
        told = f"{self.spans - self.lost:,} of {self.spans:,} spans of {len(self.traces):,} traces"
        if not self.lost:
            return f"{told} are at {self.name} ({self.outlet.where})"
        lost = ", ".join(f"{count:,} {reason}" for reason, count in self.reasons.items())
        why = self._delivery.last_error
        return f"{told} are at {self.name} ({self.outlet.where}); {lost}" + (
            f": {why}" if why else ""
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "destination": self.name,
            "where": self.outlet.where,
            "traces": len(self.traces),
            "spans": self.spans,
            "sent": self.spans - self.lost,
            "not_sent": self.reasons,
            "problem": self._delivery.last_error,
        }
