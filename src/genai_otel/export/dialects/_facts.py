"""What a canonical span says, read back: the one reader that every dialect shares.

A span may come from this process, from a stored file or from somebody else's instrumentation: what
is not of the expected shape counts as not said.
"""

from __future__ import annotations

import json
import math
from functools import cache
from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

    Json = dict[str, Any]


_WITHOUT_OUTPUT = ("embeddings", "rerank")


class Facts:
    """The attributes of one span, by what they mean."""

    __slots__ = ("attributes", "operation", "scope")

    def __init__(self, span: ReadableSpan) -> None:
        self.attributes: Mapping[str, Any] = span.attributes or {}
        self.operation = self.text(names.GEN_AI_OPERATION_NAME)
        scope = span.instrumentation_scope
        self.scope = None if scope is None else scope.name

    def text(self, name: str) -> str | None:
        value = self.attributes.get(name)
        return value if isinstance(value, str) and value else None

    def count(self, name: str) -> int | None:
        value = self.attributes.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def number(self, name: str) -> float | None:
        value = self.attributes.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if math.isfinite(value) else None

    def several(self, name: str) -> list[Any]:
        value = self.attributes.get(name)
        return list(value) if isinstance(value, tuple | list) else []

    def dollars(self) -> float | None:
        """The call's cost, where it is known in the one currency that backends take."""
        if names.GENAI_OTEL_COST_CURRENCY in self.attributes:
            return None
        return self.number(names.GEN_AI_USAGE_COST)

    def total_tokens(self) -> int | None:
        """Input and output, where both are known, or there is no output: no part of a sum."""
        given = self.count(names.GEN_AI_USAGE_INPUT_TOKENS)
        made = self.count(names.GEN_AI_USAGE_OUTPUT_TOKENS)
        if made is None and self.operation in _WITHOUT_OUTPUT:
            made = 0
        return None if given is None or made is None else given + made

    def parsed(self, name: str) -> Any:
        """The value of a JSON string; the text itself where it is no JSON."""
        value = self.attributes.get(name)
        return from_json(value) if isinstance(value, str) else value

    def objects(self, name: str) -> list[Json]:
        """The objects of a JSON list."""
        return objects(self.parsed(name))

    def under(self, stem: str) -> Json:
        """The attributes below ``stem``, which is a template of the conventions."""
        start = len(stem) + 1
        return {
            name[start:]: value
            for name, value in self.attributes.items()
            if name.startswith(f"{stem}.")
        }

    def said(self) -> list[Json]:
        """The messages of the request; the system's instructions come first, as one of them."""
        system = self.objects(names.GEN_AI_SYSTEM_INSTRUCTIONS)
        first = [{"role": "system", "parts": system}] if system else []
        return first + self.objects(names.GEN_AI_INPUT_MESSAGES)

    def answered(self) -> list[Json]:
        """The messages of the reply, one a choice."""
        return self.objects(names.GEN_AI_OUTPUT_MESSAGES)

    def verdict(self) -> Json:
        """What a guardrail decided, and why."""
        known = {key: self.attributes.get(name) for key, name in _VERDICT.items()}
        return {key: value for key, value in known.items() if value is not None}


_VERDICT = {
    "verdict": names.GEN_AI_GUARDRAIL_RESULT_TYPE,
    "score": names.GEN_AI_GUARDRAIL_RESULT_VALUE,
    "category": names.GEN_AI_GUARDRAIL_RISK_CATEGORY,
    "reason": names.GEN_AI_GUARDRAIL_RESULT_REASON,
}


def objects(value: Any) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def parts(message: Json) -> list[Json]:
    """The parts of a message that say something: a model may not show what it thought."""
    return [part for part in objects(message.get("parts")) if not _hidden(part)]


def _hidden(part: Json) -> bool:
    return part.get("type") == "reasoning" and part.get("content") == ""


def words(message: Json) -> str:
    """All that a message says in plain text."""
    said = (p.get("content") for p in parts(message) if p.get("type") == "text")
    return "\n".join(text for text in said if isinstance(text, str))


def apart(messages: list[Json]) -> list[Json]:
    """The messages, each tool's answer as one of its own: a turn holds many, readers take one."""
    return [each for message in messages for each in _apart(message)]


def _apart(message: Json) -> list[Json]:
    said = parts(message)
    answers = [part for part in said if part.get("type") == "tool_call_response"]
    if not answers:
        return [message]
    rest = [part for part in said if part not in answers]
    told = [{"role": "tool", "parts": [answer]} for answer in answers]
    return [*told, {**message, "parts": rest}] if rest else told


def tool_result(value: Any) -> Any:
    """What a tool returned; the record wraps what is no object."""
    return value["result"] if isinstance(value, dict) and value.keys() == {"result"} else value


def from_json(text: str) -> Any:
    try:
        return _load()(text)
    except (ValueError, RecursionError):
        return text


def to_json(value: Any) -> str:
    try:
        return _dump()(value, inf_nan_mode="strings", fallback=str).decode()
    except (ValueError, RecursionError):  # a half of a character, or what holds itself
        return json.dumps(value, default=str, skipkeys=True)


def as_text(value: Any) -> str:
    """Text as it is, anything else as JSON."""
    return value if isinstance(value, str) else to_json(value)


@cache
def _dump() -> Callable[..., bytes]:
    from pydantic_core import to_json as dump

    return dump


@cache
def _load() -> Callable[[str], Any]:
    from pydantic_core import from_json as load

    return load
