"""Replies that a client had and did not return, because something it did with them failed.

A call whose answer fails to validate has been paid for like any other. The answer is in a local
variable of the client's, in one of the functions that the error came through.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

_FRAMES = 100
"""So many functions are looked into, the outermost first."""
_NAMES = ("response", "http_res", "_response", "http_response", "raw_response")
"""What clients call an HTTP response."""
_VARIABLES = frozenset(_NAMES)
_REFUSED = 400
"""HTTP's first status that is no success."""


def reply_in_error(error: BaseException) -> Any:
    """The body of the whole, successful HTTP response that an error's functions hold, if any."""
    for found in _locals(error, _keeps_response):
        for name in _NAMES:
            response = found.get(name)
            if response is not None and _succeeded(response):
                body = body_of(response)
                if body is not None:
                    return body
    return None


def local_in_error(error: BaseException, function: str, name: str) -> Any:
    """A local variable of the innermost such function that the error came through."""
    value = None
    for found in _locals(error, lambda code: code.co_name == function):
        value = found.get(name)
    return value


def chunk_in_error(error: BaseException) -> Any:
    """The JSON of the chunk that a client of Stainless's was about to hand out when it raised.

    Where its source failed there is none: the variable holds the chunk before, which was taken.
    """
    data = local_in_error(error, "_process_response_data", "data")
    if data is None:
        event = local_where_raised(error, "__stream__", "sse")
        data = json_text(getattr(event, "data", None))
    return data


def local_where_raised(error: BaseException, function: str, name: str) -> Any:
    """The same of the function that has raised the error itself."""
    trace = error.__traceback__
    for _ in range(_FRAMES):
        if trace is None or trace.tb_next is None:
            break
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_name != function:
        return None
    return trace.tb_frame.f_locals.get(name)


def raised_by_helper(error: BaseException, stream: Any) -> bool:
    """Whether it was a client's own helper around ``stream`` that raised, and not its reader."""
    return any(
        getattr(found.get("self"), "__dict__", {}).get("_raw_stream") is stream
        for found in _locals(error, lambda code: code.co_name == "__stream__")
    )


def _keeps_response(code: CodeType) -> bool:
    return not _VARIABLES.isdisjoint(code.co_varnames + code.co_cellvars)


def _locals(error: BaseException, wanted: Callable[[CodeType], bool]) -> Iterator[Any]:
    """Of no other functions: until Python 3.13 a frame keeps what it was once asked for.

    That would hold the error in what has caught it, which then holds the host's objects.
    """
    trace = error.__traceback__
    for _ in range(_FRAMES):
        if trace is None:
            return
        frame, trace = trace.tb_frame, trace.tb_next
        if wanted(frame.f_code):
            yield frame.f_locals


def _succeeded(response: Any) -> bool:
    status = getattr(response, "status_code", None)
    return type(status) is int and status < _REFUSED


def body_of(response: Any) -> Any:
    """A whole reply that the client has read but not decoded; ``None`` where it has not."""
    body = getattr(response, "_content", None)
    if type(body) is not bytes:
        return None
    return decoded(body, response.headers.get("content-type") or "")


def decoded(body: bytes, kind: str) -> Any:
    """JSON, or text where that is the content type; ``None`` where it is neither.

    JSON shows itself: servers and gateways name any content type, or none.
    """
    found = json_text(body) if body[:_LOOKED_AT].lstrip().startswith((b"{", b"[")) else None
    if found is not None:
        return found
    return body.decode(errors="replace") if kind.startswith("text/") or "json" in kind else None


def json_text(found: Any) -> Any:
    """What the JSON says; ``None`` where it is none."""
    if type(found) not in (str, bytes):
        return None
    try:
        return json.loads(found)
    except (ValueError, RecursionError):
        return None


_LOOKED_AT = 64
