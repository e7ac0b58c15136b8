"""What the tests of all clients share: their rows, and a span held against the provider's truth."""

from __future__ import annotations

import asyncio
import inspect
import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel import _names as names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from genai_otel.testing import Capture
    from tests.provider import Truth

PROMPT = "Greet me."
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}


@dataclass(frozen=True)
class Row:
    """One way to ask one client, of either colour: what it returns may be awaited."""

    name: str
    endpoint: str
    """As the loopback provider names it."""
    provider: str
    client: Callable[[str], Any]
    """Makes one, given the provider's root."""
    ask: Callable[[Any, str], Any]
    """Takes the client and the model, answers with the whole reply."""
    stream: Callable[[Any, str], Any] | None = None
    close: Callable[[Any], Any] = lambda client: client.close()
    operation: str = "chat"
    finish: Callable[[str], str] = str
    """Why a reply ended, as the client says it."""
    ids: bool = True
    """Whether tool calls have ids."""
    scenarios: tuple[str, ...] = ("ok", "tools", "reasoning", "length", "nousage", "future")
    later: bool | None = None
    """Whether streams are asynchronous; when not given, what they have tells."""
    rewrites: bool = False
    """Streams are not what the provider sent: other chunks, under the name that was asked for."""
    lazy: bool | None = False
    """A stream that is never read sends nothing; `None`: versions differ in that."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def facts(capture: Capture) -> dict[str, Any]:
    """The one span's attributes."""
    return dict(capture.span().attributes or {})


def parts(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parts of the first message that came back."""
    return json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])[0]["parts"]  # type: ignore[no-any-return]


def assert_true(told: Mapping[str, Any], known: Truth, row: Row, *, stream: bool) -> None:
    """Everything that the provider told stands on the span, and nothing that it did not."""
    expected = {
        names.GEN_AI_OPERATION_NAME: row.operation,
        names.GEN_AI_PROVIDER_NAME: row.provider,
        names.GEN_AI_RESPONSE_ID: known.response_id,
        names.GEN_AI_RESPONSE_MODEL: known.response_model,
        names.GEN_AI_RESPONSE_FINISH_REASONS: tuple(map(row.finish, known.finish_reasons)) or None,
        names.GEN_AI_USAGE_INPUT_TOKENS: known.usage and known.usage.input,
        names.GEN_AI_USAGE_OUTPUT_TOKENS: known.usage and known.usage.output,
        names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: (known.usage and known.usage.reasoning) or None,
        names.GENAI_OTEL_RESPONSE_CHUNKS: known.chunks if stream else None,
        names.GEN_AI_REQUEST_STREAM: stream or None,
        **row.facts,
    }
    seen = {name: told.get(name) for name in expected}
    seen[names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS] = (
        told.get(names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS) or None
    )
    assert seen == expected
    assert PROMPT in told[names.GEN_AI_INPUT_MESSAGES]
    said = dict.fromkeys(("text", "reasoning"), "")
    for part in parts(told):
        if part["type"] in said:
            said[part["type"]] += part["content"]
    assert said == {"text": known.text, "reasoning": known.reasoning}
    calls = [part for part in parts(told) if part["type"] == "tool_call"]
    assert [(c["id"] if row.ids else None, c["name"], c["arguments"]) for c in calls] == [
        (c.id if row.ids else None, c.name, json.loads(c.arguments)) for c in known.tool_calls
    ]
    if stream:
        first = told.get(names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN)
        assert (first is not None) == (known.first_token is not None)


# ------------------------------------------------------------------------------- either colour


def asked(row: Row, root: str, model: str) -> Any:
    """The whole reply."""

    async def ask() -> Any:
        client = row.client(root)
        try:
            return await _now(row.ask(client, model))
        finally:
            await _now(row.close(client))

    return asyncio.run(ask())


def read(row: Row, root: str, model: str, take: int | None = None, leave: str = "close") -> Any:
    """The chunks of a stream; after ``take`` of them it is closed, or dropped."""

    async def listen() -> Any:
        client = row.client(root)
        try:
            assert row.stream is not None
            return await _chunks(await _now(row.stream(client, model)), take, leave, row.later)
        finally:
            await _now(row.close(client))
            await asyncio.sleep(0)  # what was dropped is closed by the loop

    return asyncio.run(listen())


async def _now(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


async def _chunks(stream: Any, take: int | None, leave: str, later: bool | None) -> list[Any]:
    if later is None:
        later = hasattr(stream, "__anext__") and not hasattr(stream, "__next__")
    steps = aiter(stream) if later else _stepping(iter(stream))
    chunks: list[Any] = []
    while take is None or len(chunks) < take:
        try:
            chunks.append(await anext(steps))
        except StopAsyncIteration:
            break
    if take is not None and leave == "close":
        await _now(_closing(stream, later=later)())
    return chunks


def _closing(stream: Any, *, later: bool) -> Any:
    """The stream's way to be closed; that of some is only to be left as a block."""
    close = (getattr(stream, "aclose", None) if later else None) or getattr(stream, "close", None)
    return close or partial(stream.__aexit__ if later else stream.__exit__, None, None, None)


class _stepping:  # noqa: N801 - stands for an iterator
    def __init__(self, steps: Any) -> None:
        self._steps = steps

    async def __anext__(self) -> Any:
        try:
            return next(self._steps)
        except StopIteration:
            raise StopAsyncIteration from None
