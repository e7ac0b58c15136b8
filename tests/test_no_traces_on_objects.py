"""What a client hands out looks as without us: no attribute more, no other repr or pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from tests.surfaces import differences, surface
from tests.test_dropped_streams import EVERY_WAY, WAYS, _client, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.testing import Capture
    from tests.provider import Provider


def _while_read(stream: Any) -> list[Any]:
    """As it was opened, in the middle, and at its end."""
    seen = [surface(stream)]
    for _ in stream:
        if len(seen) == 1:
            seen.append(surface(stream))
    return [*seen, surface(stream)]


@EVERY_WAY
def test_streams(provider: Provider, genai_otel_capture: Capture, way: str) -> None:
    with_us = _while_read(opened(provider, way))
    assert len(genai_otel_capture.spans) == 1
    genai_otel.uninstrument()
    assert differences(with_us, _while_read(opened(provider, way))) == []


def _streamed(client: Any) -> Any:
    return client.chat.completions.with_streaming_response.create(model="ok", messages=ASK)


ASK: list[Any] = [{"role": "user", "content": "Hello"}]
READ: dict[str, Callable[[Any], Any]] = {
    "read": lambda raw: raw.read(),
    "parsed": lambda raw: raw.parse(),
    "bytes": lambda raw: list(raw.iter_bytes()),
    "lines": lambda raw: list(raw.iter_lines()),
    "given up": lambda raw: next(raw.iter_bytes(1)),
}


def _as_read(provider: Provider, how: str) -> list[Any]:
    with _streamed(_client(provider, "openai", "sync")) as raw:
        seen = [surface(raw), surface(raw.http_response)]
        READ[how](raw)
        seen += [surface(raw), surface(raw.http_response)]
    return [*seen, surface(raw), surface(raw.http_response)]


@pytest.mark.parametrize("how", READ)
def test_responses_that_are_read_by_hand(
    provider: Provider, genai_otel_capture: Capture, how: str
) -> None:
    with_us = _as_read(provider, how)
    facts = genai_otel_capture.span().attributes
    assert ("gen_ai.usage.input_tokens" in facts) == (how != "given up")
    genai_otel.uninstrument()
    assert differences(with_us, _as_read(provider, how)) == []


def test_every_family_of_streams_is_here() -> None:
    assert {name for name, _ in WAYS.values()} >= {"openai", "anthropic", "groq", "together"}
