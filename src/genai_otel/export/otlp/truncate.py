"""Spans within a number of bytes: ``privacy.truncation`` shortens their texts, here are its limits.

Only where that is not enough are attributes given up as a whole, and counted as dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.export.readable import attributes_of, copy_event, copy_span
from genai_otel.privacy import fit_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    Holders = Sequence[dict[str, Any]]

_ROUNDS = 4
_LONGEST_NAME = 256


def within(span: ReadableSpan, attribute_bytes: int) -> ReadableSpan:
    """The span with no text of an attribute beyond the limit; itself where there is none."""
    holders = _holders(span)
    if not _exceeds(holders, attribute_bytes // 4):
        return span
    return _with(span, fit_all(holders, attribute=attribute_bytes, span=_ANY))


_ANY = 1 << 62


def _exceeds(holders: Holders, most: int) -> bool:
    """Whether a text has more characters than this; asked of every span, so without a call each."""
    for holder in holders:
        for value in holder.values():
            kind = type(value)
            if kind is str:
                if len(value) > most:
                    return True
            elif kind is tuple and sum(len(item) for item in value if type(item) is str) > most:
                return True
    return False


def shrunk(
    span: ReadableSpan, limit: int, encode: Callable[[ReadableSpan], bytes]
) -> ReadableSpan | None:
    """The span in at most ``limit`` encoded bytes; ``None`` where even its bare facts take more."""
    holders = _holders(span)
    room = limit - len(encode(_with(span, [{} for _ in holders])))
    for _ in range(_ROUNDS):
        if room <= 0:
            break
        smaller = _with(span, fit_all(holders, attribute=room, span=room))
        over = len(encode(smaller)) - limit
        if over <= 0:
            return smaller
        room -= over + over // 8
    return _bare(span, limit, encode)


def _bare(
    span: ReadableSpan, limit: int, encode: Callable[[ReadableSpan], bytes]
) -> ReadableSpan | None:
    """Without events and links; then without the longer half of its attributes, again and again."""
    attributes = fit_all([attributes_of(span)], attribute=limit, span=limit)[0]
    while True:
        smaller = copy_span(
            span,
            attributes,
            name=span.name[:_LONGEST_NAME],
            events=(),
            links=(),
            count_dropped=True,
        )
        if len(encode(smaller)) <= limit:
            return smaller
        if not attributes:
            return None
        longest = sorted(attributes, key=lambda name: len(str(attributes[name])))
        attributes = {name: attributes[name] for name in longest[: len(longest) // 2]}


def _holders(span: ReadableSpan) -> Holders:
    return [attributes_of(span), *(event.attributes or {} for event in span.events)]  # type: ignore[list-item]


def _with(span: ReadableSpan, holders: Holders) -> ReadableSpan:
    own, *others = holders
    events = [copy_event(event, told) for event, told in zip(span.events, others, strict=True)]
    return copy_span(span, own, events=events)
