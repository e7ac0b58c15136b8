"""Checks of endpoints and headers, and endpoints without secrets for display."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from urllib.parse import SplitResult

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def check_endpoint(endpoint: str, *, insecure: bool) -> None:
    """Raise ``ValueError`` unless it is an http or https URL that may be used."""
    url, shown = urlsplit(""), without_secrets(endpoint)
    with suppress(ValueError):
        url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname or not _has_valid_port(url):
        raise ValueError(f"endpoint {shown!r} is not an http or https URL")
    if url.username is not None or url.password is not None:
        raise ValueError(f"endpoint {shown!r} contains a user or password: pass them in headers")
    if url.scheme == "http" and url.hostname not in LOOPBACK and not insecure:
        raise ValueError(f"endpoint {shown!r} is not encrypted: use https, or set insecure=True")


def check_header(name: str, value: str) -> None:
    """Raise ``ValueError`` unless it is a valid header."""
    if not name or any(c in name for c in " :\r\n\0"):
        raise ValueError(f"header {name!r} is not a valid header name")
    if any(c in value for c in "\r\n\0"):
        raise ValueError(f"header {name!r} has a value with a line break")  # which is not shown


def _has_valid_port(url: SplitResult) -> bool:
    try:
        return url.port is None or url.port > 0
    except ValueError:
        return False


def without_secrets(endpoint: str) -> str:
    """The URL without user, password and query, which may be secret."""
    try:
        url = urlsplit(endpoint)
        port = f":{url.port}" if url.port else ""
    except ValueError:
        return "?"
    if not url.scheme or not url.hostname:
        return endpoint.partition("?")[0].rpartition("@")[2]
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}{port}{url.path}"
