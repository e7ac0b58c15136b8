"""What the endpoints of OpenAI's API share: reading requests, identities, usage, errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.provider.wire import Ask, Frame, Json

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.provider.received import Request
    from tests.provider.scenario import Failure, Scenario, Usage

CREATED = 1_790_000_000
"""Replies carry a fixed time, so that two runs of a program see the same bytes."""

# Azure names a deployment in the path; everyone else has a base URL of their own.
_ANY_BASE = r"(?:.*/deployments/(?P<deployment>[^/]+)|.*?)"
_ID_PREFIX = {
    "chat": "chatcmpl-",
    "completions": "cmpl-",
    "responses": "resp_",
    "moderations": "modr-",
}
_DEFAULT_MODEL = {"moderations": "omni-moderation-latest"}
_STATE_MODEL = {*_ID_PREFIX, "embeddings"}


def path(suffix: str) -> re.Pattern[str]:
    return re.compile(_ANY_BASE + suffix)


def asks(endpoint: str) -> Callable[[Request, re.Match[str]], Ask]:
    """Return the function that reads requests to this endpoint."""

    def ask(request: Request, match: re.Match[str]) -> Ask:
        body: Json = request.json if isinstance(request.json, dict) else dict(request.form)
        asked = match.groupdict().get("deployment") or body.get("model")
        options = body.get("stream_options") or {}
        return Ask(
            model=str(asked or _DEFAULT_MODEL.get(endpoint, "unknown")),
            endpoint=endpoint,
            stream=body.get("stream") in {True, "true"} or body.get("stream_format") == "sse",
            include_usage=bool(options.get("include_usage")),
            prompt=_last_prompt(body),
            tools_done=_has_tool_result(body),
            key=(request.headers.get("authorization") or "").removeprefix("Bearer "),
            body=body,
        )

    return ask


def _turns(body: Json) -> list[Json]:
    turns = body.get("messages") or body.get("input") or []
    return [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []


def _has_tool_result(body: Json) -> bool:
    return any(
        turn.get("role") == "tool" or turn.get("type") == "function_call_output"
        for turn in _turns(body)
    )


def _last_prompt(body: Json) -> str:
    users = [turn for turn in _turns(body) if turn.get("role") == "user"]
    if users:
        return _text_of(users[-1].get("content"))
    return _text_of(body.get("input") or body.get("prompt") or "")


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(filter(None, map(_text_of, content)))
    if isinstance(content, dict):
        return _text_of(content.get("text") or "")
    return content if isinstance(content, str) else ""


def identity(ask: Ask, scenario: Scenario) -> tuple[str | None, str | None]:
    prefix = _ID_PREFIX.get(ask.endpoint)
    model = scenario.model or f"{ask.model}-2026-11-01"
    return prefix and prefix + ask.model, model if ask.endpoint in _STATE_MODEL else None


def put_usage(
    body: Json, scenario: Scenario, spell: Callable[[Usage], Json], usage: Usage | None = None
) -> Json:
    """Put the usage where the scenario has any; into a body which is then returned."""
    if scenario.report == "null":
        body["usage"] = None
    elif scenario.report != "never":
        body["usage"] = spell(usage or scenario.usage)
    return body


def io_usage(usage: Usage) -> Json:
    """Images, speech and transcriptions spell their usage this way, with details of their own."""
    return {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
    }


def damage(body: Json, scenario: Scenario, main: str) -> Json:
    """Apply the flavours that every endpoint knows; `main` is the key of its results."""
    if scenario.flavour == "null-choices":
        body[main] = None
    if scenario.flavour == "future":
        body["hologram"] = {"depth": 3, "facets": [{"kind": "unheard-of"}]}
    return body


def error(failure: Failure, ask: Ask) -> Json:
    message = failure.told(ask.prompt, ask.key)
    return {
        "error": {"message": message, "type": failure.type, "param": None, "code": failure.code}
    }


STREAM_ERROR: dict[str, str | None] = {
    "message": "The server had an error while generating.",
    "type": "server_error",
    "param": None,
    "code": "server_error",
}


def error_frame(ask: Ask, scenario: Scenario, sequence: int) -> Frame:
    """What chat and completions send when generating fails."""
    return Frame({"error": STREAM_ERROR}, handed=False)
