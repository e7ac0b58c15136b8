"""Find a response that a client received but did not return, because it raised.

A call whose response fails to validate is billed like any other. The response is a local variable
of one of the client's functions in the traceback.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

# The most frames of a traceback that are searched, outermost first.
_MAX_FRAMES = 100
# Names of variables in which clients keep an HTTP response.
_RESPONSE_NAMES = ("response", "http_res", "_response", "http_response", "raw_response")
_RESPONSE_NAME_SET = frozenset(_RESPONSE_NAMES)
_FIRST_ERROR_STATUS = 400


def reply_in_error(error: BaseException) -> Any:
    """Return the body of a complete, successful HTTP response in the error's traceback."""
    for found in _locals(error, _keeps_response):
        for name in _RESPONSE_NAMES:
            response = found.get(name)
            if response is not None and _is_success(response):
                body = body_of(response)
                if body is not None:
                    return body
    return None


def local_in_error(error: BaseException, function: str, name: str) -> Any:
    """Return a local variable of the innermost such function in the error's traceback."""
    value = None
    for found in _locals(error, lambda code: code.co_name == function):
        value = found.get(name)
    return value


def chunk_in_error(error: BaseException) -> Any:
    """Return the JSON of the chunk that a Stainless client was about to return when it raised.

    ``None`` where its source failed: then the variable holds the previous chunk.
    """
    data = local_in_error(error, "_process_response_data", "data")
    if data is None:
        event = local_where_raised(error, "__stream__", "sse")
        data = json_text(getattr(event, "data", None))
    return data


def local_where_raised(error: BaseException, function: str, name: str) -> Any:
    """Return a local variable of the function that raised the error, if it has this name."""
    trace = error.__traceback__
    for _ in range(_MAX_FRAMES):
        if trace is None or trace.tb_next is None:
            break
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_name != function:
        return None
    return trace.tb_frame.f_locals.get(name)


def raised_by_helper(error: BaseException, stream: Any) -> bool:
    """Whether a client's own helper around ``stream`` raised, and not the code that reads it."""
    return any(
        getattr(found.get("self"), "__dict__", {}).get("_raw_stream") is stream
        for found in _locals(error, lambda code: code.co_name == "__stream__")
    )


def _keeps_response(code: CodeType) -> bool:
    return not _RESPONSE_NAME_SET.isdisjoint(code.co_varnames + code.co_cellvars)


def _locals(error: BaseException, wanted: Callable[[CodeType], bool]) -> Iterator[Any]:
    """Yield the local variables of wanted functions only.

    Until Python 3.13 a frame keeps the dict of its locals once it was requested, which would keep
    the error and the host's objects alive in the frame that caught it.
    """
    trace = error.__traceback__
    for _ in range(_MAX_FRAMES):
        if trace is None:
            return
        frame, trace = trace.tb_frame, trace.tb_next
        if wanted(frame.f_code):
            yield frame.f_locals


def _is_success(response: Any) -> bool:
    status = getattr(response, "status_code", None)
    return type(status) is int and status < _FIRST_ERROR_STATUS


def body_of(response: Any) -> Any:
    """Return the decoded body of a response that the client has read; else ``None``."""
    body = getattr(response, "_content", None)
    if type(body) is not bytes:
        return None
    return decoded(body, response.headers.get("content-type") or "")


def decoded(body: bytes, kind: str) -> Any:
    """Decode JSON, or text where that is the content type; ``None`` where it is neither.

    JSON is recognized by its start: servers and gateways send any content type, or none.
    """
    found = json_text(body) if body[:_SNIFFED_BYTES].lstrip().startswith((b"{", b"[")) else None
    if found is not None:
        return found
    return body.decode(errors="replace") if kind.startswith("text/") or "json" in kind else None


def json_text(found: Any) -> Any:
    """Decode JSON; ``None`` where it is invalid."""
    if type(found) not in (str, bytes):
        return None
    try:
        return json.loads(found)
    except (ValueError, RecursionError):
        return None


_SNIFFED_BYTES = 64
