"""Addresses that may be sent to, and how they are shown."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from urllib.parse import SplitResult

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def check_endpoint(endpoint: str, *, insecure: bool) -> None:
    """Raises ``ValueError`` unless it is an address that may be sent to."""
    url = urlsplit("")
    with suppress(ValueError):
        url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname or not _has_sound_port(url):
        raise ValueError(f"endpoint {shown(endpoint)!r} is no http or https address")
    if url.username is not None or url.password is not None:
        raise ValueError(
            f"endpoint {shown(endpoint)!r} has a user or password in it: give them in headers"
        )
    if url.scheme == "http" and url.hostname not in LOOPBACK and not insecure:
        raise ValueError(
            f"endpoint {shown(endpoint)!r} is not encrypted: use https, or say insecure=True"
        )


def check_header(name: str, value: str) -> None:
    """Raises ``ValueError`` unless it can be sent as a header."""
    if not name or any(c in name for c in " :\r\n\0"):
        raise ValueError(f"header {name!r} is no name of a header")
    if any(c in value for c in "\r\n\0"):
        raise ValueError(f"header {name!r} has a line break in its value")  # which is not shown


def _has_sound_port(url: SplitResult) -> bool:
    try:
        return url.port is None or url.port > 0
    except ValueError:
        return False


def shown(endpoint: str) -> str:
    """The address without user, password and query, in which keys travel."""
    try:
        url = urlsplit(endpoint)
        port = f":{url.port}" if url.port else ""
    except ValueError:
        return "?"
    if not url.scheme or not url.hostname:
        return endpoint.partition("?")[0].rpartition("@")[2]
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}{port}{url.path}"
