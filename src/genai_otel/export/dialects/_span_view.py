"""A view of a canonical span: the one reader that all dialects share.

A span may come from this process, from a stored file or from another instrumentation: a value that
is not of the expected shape counts as absent.
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


class SpanView:
    """The attributes of one span, by their meaning."""

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

    def sequence(self, name: str) -> list[Any]:
        value = self.attributes.get(name)
        return list(value) if isinstance(value, tuple | list) else []

    def cost_usd(self) -> float | None:
        """The cost of the call, if it is known in USD, which is the currency of backends."""
        if names.GENAI_OTEL_COST_CURRENCY in self.attributes:
            return None
        return self.number(names.GEN_AI_USAGE_COST)

    def total_tokens(self) -> int | None:
        """Input plus output tokens, if both are known or the operation has no output."""
        input_tokens = self.count(names.GEN_AI_USAGE_INPUT_TOKENS)
        output_tokens = self.count(names.GEN_AI_USAGE_OUTPUT_TOKENS)
        if output_tokens is None and self.operation in _WITHOUT_OUTPUT:
            output_tokens = 0
        return (
            None if input_tokens is None or output_tokens is None else input_tokens + output_tokens
        )

    def parsed(self, name: str) -> Any:
        """The value of a JSON string; the text itself if it is not JSON."""
        value = self.attributes.get(name)
        return from_json(value) if isinstance(value, str) else value

    def objects(self, name: str) -> list[Json]:
        """The objects of a JSON list."""
        return objects(self.parsed(name))

    def below(self, stem: str) -> Json:
        """The attributes below ``stem``, which is a template of the conventions."""
        start = len(stem) + 1
        return {
            name[start:]: value
            for name, value in self.attributes.items()
            if name.startswith(f"{stem}.")
        }

    def input_messages(self) -> list[Json]:
        """The messages of the request; system instructions come first, as a message."""
        system = self.objects(names.GEN_AI_SYSTEM_INSTRUCTIONS)
        first = [{"role": "system", "parts": system}] if system else []
        return first + self.objects(names.GEN_AI_INPUT_MESSAGES)

    def output_messages(self) -> list[Json]:
        """The messages of the response, one for each choice."""
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


def visible_parts(message: Json) -> list[Json]:
    """The parts of a message that have content: reasoning may be hidden."""
    return [part for part in objects(message.get("parts")) if not _is_hidden(part)]


def _is_hidden(part: Json) -> bool:
    return part.get("type") == "reasoning" and part.get("content") == ""


def message_text(message: Json) -> str:
    """The texts of a message."""
    texts = (p.get("content") for p in visible_parts(message) if p.get("type") == "text")
    return "\n".join(text for text in texts if isinstance(text, str))


def split_tool_responses(messages: list[Json]) -> list[Json]:
    """The messages, with one message for each tool response, as backends read them."""
    return [each for message in messages for each in _split(message)]


def _split(message: Json) -> list[Json]:
    message_parts = visible_parts(message)
    responses = [part for part in message_parts if part.get("type") == "tool_call_response"]
    if not responses:
        return [message]
    rest = [part for part in message_parts if part not in responses]
    messages = [{"role": "tool", "parts": [answer]} for answer in responses]
    return [*messages, {**message, "parts": rest}] if rest else messages


def tool_result(value: Any) -> Any:
    """The result of a tool; the record wraps one that is no object."""
    return value["result"] if isinstance(value, dict) and value.keys() == {"result"} else value


def from_json(text: str) -> Any:
    try:
        return _load()(text)
    except (ValueError, RecursionError):
        return text


def to_json(value: Any) -> str:
    try:
        return _dump()(value, inf_nan_mode="strings", fallback=str).decode()
    except (ValueError, RecursionError):  # half of a surrogate pair, or a cycle
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
