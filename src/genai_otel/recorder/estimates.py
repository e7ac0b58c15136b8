"""Usage estimates from the content of a call; imported only if enabled."""

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
    """Set estimated token counts in ``usage``, and the method in ``usage.estimated``."""
    asked, answered = _asked(op), _said(op.output)
    chat = op.kind is Kind.CHAT
    counted = tokenizers.count(op.response_model or op.model, asked, answered, chat=chat)
    if counted is not None:
        usage.input, usage.output, usage.estimated = counted
    else:
        usage.input, usage.output, usage.estimated = _about(asked), _about(answered), ESTIMATED


def sent(op: Operation) -> int:
    """Estimate the input tokens of a call before it is sent."""
    return _about(_asked(op))


def _asked(op: Operation) -> list[str]:
    system = [{"parts": op.system}] if op.system else []
    return _said([*system, *(op.input or ())])


def _said(messages: Any) -> list[str]:
    """Return one text per message, including tool calls and their results."""
    return ["".join(map(_words, message.get("parts") or ())) for message in messages or ()]


def _words(part: Any) -> str:
    content = part.get("content")
    if type(content) is str:
        return content
    name, told = part.get("name"), part.get("arguments", part.get("response"))
    words = told if type(told) is str else "" if told is None else to_json(told)
    return name + words if type(name) is str else words


def _about(texts: list[str]) -> int:
    """Estimate the number of tokens from the length of the texts and a sample."""
    length = sum(len(text) for text in texts)
    sample = "".join(text[:_SAMPLE] for text in texts[-_SAMPLED:])
    return round(estimate(sample) * length / len(sample)) if sample else 0
