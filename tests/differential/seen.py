"""What a program saw, as plain JSON: values with their types, exceptions with their chains."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import genai_otel

_HERE = str(Path(__file__).parent)
_OURS = str(genai_otel.__path__[0])
_PLAIN = (str, int, float, bool, type(None))
# What differs between any two runs of the same program.
_PASSING = (
    (re.compile(r"\b0x[0-9a-f]+"), "0x"),
    (re.compile(r"req_\d{6}"), "req"),
    (re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"), "date"),
    (re.compile(r"in \d+\.\d+ seconds"), "soon"),
    (re.compile(r"127\.0\.0\.1:\d+"), "server"),
    (re.compile(r"\('127\.0\.0\.1', \d+\)"), "server"),
    (re.compile(r"stainless-python-retry-[0-9a-f-]+"), "retry-key"),
)


def masked(text: str) -> str:
    """`text` without what is different in any two runs."""
    for pattern, word in _PASSING:
        text = pattern.sub(word, text)
    return text


def name_of(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def described(value: Any, surfaces: list[list[str]]) -> Any:
    """The value, deeply; what `dir()` says of its objects is added to `surfaces`."""
    if type(value) in _PLAIN:
        return masked(value) if type(value) is str else value
    if type(value) in (list, tuple):
        return [name_of(value), *(described(item, surfaces) for item in value)]
    if type(value) is dict:
        return {str(key): described(item, surfaces) for key, item in value.items()}
    surfaces.append(dir(value))
    return _object(value)


def _object(value: Any) -> Any:
    if isinstance(value, bytes):
        return ["bytes", masked(value.decode("utf-8", "backslashreplace"))]
    if isinstance(value, BaseModel):
        told = value.model_dump(mode="python", warnings=False)
        private = getattr(value, "_request_id", None)
        return [name_of(value), described(told, []), described(private, [])]
    if isinstance(value, BaseException):
        return failed(value)
    return [name_of(value), masked(repr(value))]


_FACTS = ("status_code", "code", "type", "param", "body", "request_id", "message", "errno")


def failed(error: BaseException) -> list[Any]:
    """The exception and all that it came from."""
    chain: list[Any] = []
    relation, link = "raised", error
    while link is not None and len(chain) < 20:
        chain.append(_one_failure(relation, link))
        relation = "cause" if link.__cause__ is not None else "context"
        link = link.__cause__ or link.__context__  # type: ignore[assignment]
    return chain


def _one_failure(relation: str, error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    host = [(f.filename, f.lineno, f.name) for f in frames if f.filename.startswith(_HERE)]
    theirs = [(f.filename, f.name) for f in frames if not f.filename.startswith(_OURS)]
    facts = {fact: getattr(error, fact, None) for fact in _FACTS}
    return {
        "relation": relation,
        "type": name_of(error),
        "text": masked(str(error)),
        "arguments": len(error.args),
        "facts": described(facts, []),
        "notes": getattr(error, "__notes__", []),
        "suppressed": error.__suppress_context__,
        "host frames": host,
        "raised in": theirs[-1:],
    }
