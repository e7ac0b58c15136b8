"""Copies of ended spans with something changed: nobody's span is changed in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan

if TYPE_CHECKING:
    from collections.abc import Mapping


def attributes_of(span: ReadableSpan) -> Mapping[str, Any]:
    """The attributes of an ended span, past two layers of proxies: all of them are read here."""
    attributes = getattr(span, "_attributes", None)
    if type(attributes) is dict:
        return attributes
    inner = getattr(attributes, "_dict", None)
    return inner if type(inner) is dict else span.attributes or {}


def changed(span: ReadableSpan, attributes: Mapping[str, Any], **more: Any) -> ReadableSpan:
    """A copy with these attributes, and with other ``events``, ``name``, ``status`` where given.

    The rest is shared with the original; the SDK's checks of values are not repeated.
    """
    same = {
        "name": span.name,
        "context": span.context,
        "parent": span.parent,
        "resource": span.resource,
        "events": span.events,
        "links": span.links,
        "kind": span.kind,
        "status": span.status,
        "start_time": span.start_time,
        "end_time": span.end_time,
        "instrumentation_scope": span.instrumentation_scope,
    }
    return ReadableSpan(**{**same, **more, "attributes": dict(attributes)})
