"""Requests by bytes: what is sent at most, and what is done with one that is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from genai_otel.export.protocol import Parcel

KIB = 1024
MIB = 1024 * KIB
_HEAD = 4096  # resource and scope, about


class Limits(NamedTuple):
    """What is sent at most: bytes before compression, and seconds for one request."""

    request_bytes: int = MIB
    logs_bytes: int = MIB
    request_spans: int = 512
    span_bytes: int = 256 * KIB
    attribute_bytes: int = 64 * KIB
    timeout: float = 10.0


def packed(parcels: Sequence[Parcel], limits: Limits) -> Iterator[list[Parcel]]:
    """As many, of one signal, as a request may have; what is too large by itself goes alone."""
    request: list[Parcel] = []
    logs = bool(parcels) and parcels[0].signal == "logs"
    most = (limits.logs_bytes if logs else limits.request_bytes) - _HEAD
    room = most
    for parcel in parcels:
        if request and (parcel.size > room or len(request) >= limits.request_spans):
            yield request
            request, room = [], most
        request.append(parcel)
        room -= parcel.size
    if request:
        yield request


def halves(parcels: Sequence[Parcel]) -> tuple[list[Parcel], list[Parcel]]:
    """Two parts of about the same size; one that outweighs all others is alone in its."""
    total = sum(parcel.size for parcel in parcels)
    at = max(range(len(parcels)), key=lambda n: parcels[n].size)
    if parcels[at].size * 2 > total:
        return [parcels[at]], [*parcels[:at], *parcels[at + 1 :]]
    taken = count = 0
    while count < len(parcels) - 1 and (not count or (taken + parcels[count].size) * 2 <= total):
        taken += parcels[count].size
        count += 1
    return list(parcels[:count]), list(parcels[count:])
