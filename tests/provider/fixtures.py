"""The scenarios by name: the model that a request names selects how it is answered.

Everything here is from the docs: written after the providers' documentation, which the wire files
name. What was recorded from a real server lies under `recorded/` and answers models `replay-*`.
`truth.truth` turns a row into the facts which a test can hold a span against.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Final

from tests.provider.scenario import Failure, Reply, Scenario, ToolCall, Usage

GREETING: Final = "Grüße from the loopback provider, at your service."
REASONING: Final = "The user greets, so I greet back."
PRETENDED_MODEL: Final = "gpt-4o-mini-2024-07-18"
HANG_SECONDS: Final = 20.0
ENDLESS_PAUSE: Final = 0.01

_GENTLE = {"retry-after-ms": "1", "retry-after": "0"}
"""Clients retry a 429 or 500; told to wait a millisecond they do not slow the suite down."""

_CALLS = (
    ToolCall("call_weather", "get_weather", '{"city": "Paris", "unit": "celsius"}'),
    ToolCall("call_time", "get_time", '{"zone": "Europe/Paris"}'),
)
_JSON = json.dumps({"city": "Paris", "celsius": 21})
_PARAGRAPH = "All happy caches are alike; each unhappy cache is unhappy in its own way. "

_OK = Scenario(replies=(Reply(GREETING),), usage=Usage(12, 8))


def _says(
    text: str = "", *, finish: str = "stop", reasoning: str = "", refusal: str = ""
) -> tuple[Reply, ...]:
    return (Reply(text, reasoning, refusal, finish=finish),)


def _fails(
    status: int, code: str | None, kind: str = "invalid_request_error", message: str = ""
) -> Scenario:
    return replace(_OK, failure=Failure(status, code, kind, message))


_LIMITED = Failure(
    429, "rate_limit_exceeded", "requests", "Rate limit reached for requests.", headers=_GENTLE
)
_BROKEN = Failure(
    500, None, "server_error", "The server had an error while processing.", headers=_GENTLE
)
_BAD_GATEWAY = Failure(502, None, "", "<html>Bad gateway</html>", headers=_GENTLE, plain=True)
_SILENCE = Failure(0, None, "", "")

SCENARIOS: Final[dict[str, Scenario]] = {
    # Well-formed answers.
    "ok": _OK,
    "echo": replace(_OK, echo=True),
    "tools": replace(
        _OK,
        replies=(Reply(calls=_CALLS, finish="tool_calls"),),
        usage=Usage(61, 34),
        then="tools-done",
    ),
    "tools-shuffled": replace(
        _OK,
        replies=(Reply(calls=_CALLS, finish="tool_calls"),),
        usage=Usage(61, 34),
        shuffled=True,
        then="tools-done",
    ),
    "tools-done": replace(_OK, replies=_says("It is 21 degrees in Paris."), usage=Usage(97, 8)),
    "reasoning": replace(
        _OK, replies=_says(GREETING, reasoning=REASONING), usage=Usage(12, 40, reasoning=32)
    ),
    "reasoning-field": replace(  # as OpenRouter, Groq and newer vLLM name it
        _OK,
        replies=_says(GREETING, reasoning=REASONING),
        usage=Usage(12, 40, reasoning=32),
        flavour="reasoning-field",
    ),
    "refusal": replace(_OK, replies=_says(refusal="I'm sorry, I cannot assist with that request.")),
    "filtered": replace(
        _OK, replies=_says("The first step is", finish="content_filter"), flavour="filtered"
    ),
    "cached": replace(_OK, usage=Usage(2006, 8, cached=1920, cache_written=64)),
    "choices": replace(_OK, replies=(Reply(GREETING), Reply("Hello to you.")), usage=Usage(12, 13)),
    "length": replace(_OK, replies=_says("Once upon a", finish="length"), usage=Usage(12, 3)),
    "json": replace(_OK, replies=_says(_JSON), usage=Usage(40, 9)),
    "empty": replace(_OK, replies=_says(""), usage=Usage(12, 0)),
    "large": replace(_OK, replies=_says(_PARAGRAPH * 1400), split=4096, usage=Usage(12, 22_400)),
    "long": replace(
        _OK, replies=_says(" ".join(f"w{n}" for n in range(200))), usage=Usage(12, 200)
    ),
    "gzip": replace(_OK, gzip=True),
    "comments": replace(_OK, comments=True),
    # Well-formed answers that take their time.
    "slow": replace(
        _OK, replies=_says(" ".join(f"w{n}" for n in range(40))), usage=Usage(12, 40), pause=0.005
    ),
    "role-then-slow": replace(
        _OK,
        replies=_says(GREETING, reasoning=REASONING),
        split=200,
        turn_pause=0.06,
        usage=Usage(12, 16, reasoning=8),
    ),
    "stalls": replace(_OK, stall=(5, HANG_SECONDS)),
    "endless": replace(
        _OK,
        replies=_says(" ".join(["again"] * int(HANG_SECONDS / ENDLESS_PAUSE))),
        usage=Usage(12, 2000),
        pause=ENDLESS_PAUSE,
    ),
    # Peculiar, but met in the wild.
    "azure": replace(_OK, flavour="azure", model=PRETENDED_MODEL, strict=False),
    "nousage": replace(_OK, report="never"),
    "null-usage": replace(_OK, report="null"),
    "usage-every-chunk": replace(_OK, report="always"),
    "null-choices": replace(_OK, flavour="null-choices", strict=False),
    "null-message": replace(_OK, flavour="null-message", strict=False),
    "null-delta": replace(_OK, flavour="null-delta", strict=False),
    "future": replace(
        _OK, replies=_says(GREETING, finish="paused"), flavour="future", strict=False
    ),
    "surrogates": replace(_OK, replies=_says("Half a pair: \ud83d, the end."), strict=False),
    # Streams that do not reach their end; `cut-after-7` and `error-after-7` count frames.
    "cut": replace(_OK, ending="cut", stop=("pieces", 3)),
    "error-event": replace(_OK, ending="error", stop=("pieces", 3)),
    "failed": replace(_OK, ending="failed", stop=("pieces", 3)),
    # No reply.
    "err400": _fails(
        400,
        "unsupported_value",
        "invalid_request_error",
        "Unsupported value: 'temperature'.",
    ),
    "err400-echo": _fails(
        400,
        "invalid_prompt",
        "invalid_request_error",
        "Invalid prompt: '{prompt}' is refused.",
    ),
    "err400-filter": _fails(
        400,
        "content_filter",
        "invalid_request_error",
        "The prompt triggered the content filter.",
    ),
    "err400-context": _fails(
        400,
        "context_length_exceeded",
        "invalid_request_error",
        "This model's maximum context length is 8192 tokens.",
    ),
    "err401": _fails(
        401,
        "invalid_api_key",
        "invalid_request_error",
        "Incorrect API key provided: {key}. You can find your API key in the dashboard.",
    ),
    "err403": _fails(403, "unsupported_country_region_territory", "request_forbidden", "Not here."),
    "err404": _fails(
        404,
        "model_not_found",
        "invalid_request_error",
        "The model `err404` does not exist.",
    ),
    "err429": replace(_OK, failure=_LIMITED),
    "err500": replace(_OK, failure=_BROKEN),
    "err502-page": replace(_OK, failure=_BAD_GATEWAY),
    "error-200": _fails(200, "upstream", "upstream_error", "The upstream provider is down."),
    "retry-429": replace(_OK, failure=replace(_LIMITED, once=True)),
    "retry-500": replace(_OK, failure=replace(_BROKEN, once=True)),
    "hang": replace(_OK, failure=replace(_SILENCE, pause=HANG_SECONDS)),
    "cut-headers": replace(_OK, failure=_SILENCE),
}

NEVER_DONE: Final = frozenset({"endless", "stalls"})
"""Their replies take longer than anybody waits."""

_STOPPED = re.compile(r"(?P<ending>cut|error)-after-(?P<frames>\d+)")


def named(name: str) -> Scenario:
    """Return the scenario that a model name selects; unknown names, and `ok-demo`, act as `ok`."""
    if stopped := _STOPPED.fullmatch(name):
        unfinished = SCENARIOS["cut" if stopped["ending"] == "cut" else "error-event"]
        return replace(unfinished, stop=("frames", int(stopped["frames"])))
    return SCENARIOS.get(name, _OK)
