"""Estimates of tokens, from what was said in a call. Imported only where they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.record import Kind
from genai_otel.tokens.estimate import ESTIMATED, estimate

from .attributes import to_json

if TYPE_CHECKING:
    from genai_otel.record import Operation, Usage
    from genai_otel.tokens.tokenizers import Tokenizers

_SAMPLE = 2_048
_SAMPLED = 8


def fill(usage: Usage, op: Operation, tokenizers: Tokenizers) -> None:
    """Tokens that nobody counted, marked with the method."""
    asked, answered = _asked(op), _said(op.output)
    chat = op.kind is Kind.CHAT
    counted = tokenizers.count(op.response_model or op.model, asked, answered, chat=chat)
    if counted is not None:
        usage.input, usage.output, usage.estimated = counted
    else:
        usage.input, usage.output, usage.estimated = _about(asked), _about(answered), ESTIMATED


def sent(op: Operation) -> int:
    """About how many tokens a call will send."""
    return _about(_asked(op))


def _asked(op: Operation) -> list[str]:
    system = [{"parts": op.system}] if op.system else []
    return _said([*system, *(op.input or ())])


def _said(messages: Any) -> list[str]:
    """A text a message, tool calls and their answers included."""
    return ["".join(map(_words, message.get("parts") or ())) for message in messages or ()]


def _words(part: Any) -> str:
    content = part.get("content")
    if type(content) is str:
        return content
    name, told = part.get("name"), part.get("arguments", part.get("response"))
    words = told if type(told) is str else "" if told is None else to_json(told)
    return name + words if type(name) is str else words


def _about(texts: list[str]) -> int:
    """About how many tokens these are; from their length and a sample of them."""
    length = sum(len(text) for text in texts)
    sample = "".join(text[:_SAMPLE] for text in texts[-_SAMPLED:])
    return round(estimate(sample) * length / len(sample)) if sample else 0
