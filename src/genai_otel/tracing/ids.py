"""Trace and span ids from the operating system's entropy.

The SDK's own generator draws from ``random``, which a host may have seeded: the same ids again in
each of its processes, and the host's random numbers changed by our drawing.
"""

from __future__ import annotations

from os import urandom

from opentelemetry.sdk.trace.id_generator import IdGenerator

_TRACE_BYTES = 16
_SPAN_BYTES = 8


class OsEntropyIds(IdGenerator):
    """Random ids; all zeros, which would be invalid, is drawn again."""

    def generate_trace_id(self) -> int:
        return int.from_bytes(urandom(_TRACE_BYTES)) or self.generate_trace_id()

    def generate_span_id(self) -> int:
        return int.from_bytes(urandom(_SPAN_BYTES)) or self.generate_span_id()

    def is_trace_id_random(self) -> bool:
        return True
