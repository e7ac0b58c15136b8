"""Spans within limits of bytes, by means of ``privacy.truncation``.

Only if that is not enough, whole attributes are removed, and counted as dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.export.readable import attributes_of, copy_event, copy_span
from genai_otel.privacy import fit_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    AttributeDicts = Sequence[dict[str, Any]]

_MAX_ROUNDS = 4
_MAX_NAME_CHARS = 256


def truncate_attributes(span: ReadableSpan, attribute_bytes: int) -> ReadableSpan:
    """The span with no text of an attribute beyond the limit; itself where there is none."""
    dicts = _attribute_dicts(span)
    if not _exceeds(dicts, attribute_bytes // 4):
        return span
    return _copy_with(span, fit_all(dicts, attribute=attribute_bytes, span=_NO_LIMIT))


_NO_LIMIT = 1 << 62


def _exceeds(dicts: AttributeDicts, max_chars: int) -> bool:
    """Whether a text has more characters; inline, as it is computed for every span."""
    for attributes in dicts:
        for value in attributes.values():
            kind = type(value)
            if kind is str:
                if len(value) > max_chars:
                    return True
            elif (
                kind is tuple and sum(len(item) for item in value if type(item) is str) > max_chars
            ):
                return True
    return False


def truncate_span(
    span: ReadableSpan, limit: int, encode: Callable[[ReadableSpan], bytes]
) -> ReadableSpan | None:
    """The span in at most ``limit`` encoded bytes; ``None`` where even its bare facts take more."""
    dicts = _attribute_dicts(span)
    room = limit - len(encode(_copy_with(span, [{} for _ in dicts])))
    for _ in range(_MAX_ROUNDS):
        if room <= 0:
            break
        smaller = _copy_with(span, fit_all(dicts, attribute=room, span=room))
        over = len(encode(smaller)) - limit
        if over <= 0:
            return smaller
        room -= over + over // 8
    return _truncate_to_bare(span, limit, encode)


def _truncate_to_bare(
    span: ReadableSpan, limit: int, encode: Callable[[ReadableSpan], bytes]
) -> ReadableSpan | None:
    """Without events and links; then without the longer half of its attributes, again and again."""
    attributes = fit_all([attributes_of(span)], attribute=limit, span=limit)[0]
    while True:
        smaller = copy_span(
            span,
            attributes,
            name=span.name[:_MAX_NAME_CHARS],
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


def _attribute_dicts(span: ReadableSpan) -> AttributeDicts:
    return [attributes_of(span), *(event.attributes or {} for event in span.events)]  # type: ignore[list-item]


def _copy_with(span: ReadableSpan, dicts: AttributeDicts) -> ReadableSpan:
    own, *others = dicts
    events = [copy_event(event, kept) for event, kept in zip(span.events, others, strict=True)]
    return copy_span(span, own, events=events)
