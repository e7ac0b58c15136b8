"""Official clients of the loopback provider, and how to read what they hand out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai

from tests.provider.scenario import ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.provider.server import Provider


def client_of(provider: Provider, **options: Any) -> openai.OpenAI:
    settings = {"max_retries": 0, "_strict_response_validation": True, **options}
    return openai.OpenAI(api_key="sk-loopback", base_url=provider.base_url, **settings)


def usage_of(usage: Any) -> Usage | None:
    if usage is None:
        return None
    sent, made = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        usage.prompt_tokens, usage.completion_tokens, sent.cached_tokens,
        sent.model_dump().get("cache_write_tokens"), made.reasoning_tokens,
    )  # fmt: skip


def calls_of(calls: Iterable[Any] | None) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(c.id, c.function.name, c.function.arguments) for c in calls or ())


def joined_calls(chunks: list[Any]) -> tuple[ToolCall, ...]:
    opened: dict[int, list[str]] = {}
    for delta in (c.choices[0].delta for c in chunks if c.choices):
        for call in delta.tool_calls or ():
            parts = opened.setdefault(call.index, [call.id, call.function.name, ""])
            parts[2] += call.function.arguments
    return tuple(ToolCall(*parts) for _, parts in sorted(opened.items()))


def joined(chunks: list[Any], key: str, choice: int = 0) -> str:
    choices = [c for chunk in chunks for c in chunk.choices if c.index == choice]
    return "".join(getattr(c.delta, key, None) or "" for c in choices)


def drained(stream: Iterable[Any]) -> tuple[list[Any], Exception | None]:
    """Read a stream to its end, and return what came and the error which ended it."""
    items: list[Any] = []
    try:
        for item in stream:
            items.append(item)  # noqa: PERF402 - what came before the error is wanted
    except Exception as error:  # noqa: BLE001 - whatever it is
        return items, error
    return items, None


def has_token(chunk: Any) -> bool:
    deltas = [choice.delta for choice in chunk.choices]
    keys = ("content", "reasoning_content", "reasoning", "refusal", "tool_calls")
    return any(getattr(delta, key, None) for delta in deltas for key in keys)
