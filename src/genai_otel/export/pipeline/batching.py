"""Batches within the limits of a receiver, and how one that is refused is split."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from genai_otel.export.protocol import Payload, RequestLimits

_HEADER_BYTES = 4096  # resource and scope, about


def batches(payloads: Sequence[Payload], limits: RequestLimits) -> Iterator[list[Payload]]:
    """Payloads of one signal in requests; one that is too large by itself is sent alone."""
    batch: list[Payload] = []
    logs = bool(payloads) and payloads[0].signal == "logs"
    max_bytes = (limits.logs_bytes if logs else limits.request_bytes) - _HEADER_BYTES
    room = max_bytes
    for payload in payloads:
        if batch and (payload.size > room or len(batch) >= limits.request_spans):
            yield batch
            batch, room = [], max_bytes
        batch.append(payload)
        room -= payload.size
    if batch:
        yield batch


def split(payloads: Sequence[Payload]) -> tuple[list[Payload], list[Payload]]:
    """Two parts of about the same size; a payload larger than all others together is alone."""
    total = sum(payload.size for payload in payloads)
    largest = max(range(len(payloads)), key=lambda n: payloads[n].size)
    if payloads[largest].size * 2 > total:
        return [payloads[largest]], [*payloads[:largest], *payloads[largest + 1 :]]
    size = count = 0
    while count < len(payloads) - 1 and (not count or (size + payloads[count].size) * 2 <= total):
        size += payloads[count].size
        count += 1
    return list(payloads[:count]), list(payloads[count:])
