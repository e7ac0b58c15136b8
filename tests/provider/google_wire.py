"""Google's Gemini API, and Vertex AI's spelling of its paths.

Written after ai.google.dev/api/generate-content and ai.google.dev/api/embeddings.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.provider.openai_wire.texts import vector
from tests.provider.scenario import Usage, with_whole_calls
from tests.provider.wire import Ask, Endpoint, Frame, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.received import Request
    from tests.provider.scenario import Failure, Piece, Reply, Scenario, ToolCall

DIMENSIONS = 768
_FINISH = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "paused": "OTHER",
}
_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED"}


def finish(reason: str) -> str:
    """Why a reply ended, as this API says it."""
    return _FINISH[reason]


def _ask(request: Request, match: re.Match[str]) -> Ask:
    body: Json = request.json or {}
    contents = body.get("contents") or []
    parts = [part for content in contents for part in content.get("parts") or ()]
    return Ask(
        model=match["model"],
        endpoint="gemini",
        stream="stream" in match["method"],
        prompt=" ".join(part["text"] for part in parts if "text" in part),
        tools_done=any("functionResponse" in part for part in parts),
        key=request.headers.get("x-goog-api-key") or "",
        body=body,
    )


def identity(ask: Ask, scenario: Scenario) -> tuple[str | None, str | None]:
    return f"resp-{ask.model}", scenario.model or f"{ask.model}-001"


def _usage(scenario: Scenario) -> Json:
    usage = scenario.usage
    thought = usage.reasoning or 0
    told = {
        "promptTokenCount": usage.input,
        "candidatesTokenCount": usage.output - thought,
        "totalTokenCount": usage.input + usage.output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input}],
    }
    if thought:
        told["thoughtsTokenCount"] = thought
    if usage.cached:
        told["cachedContentTokenCount"] = usage.cached
    return told


def _reply(ask: Ask, scenario: Scenario, candidates: list[Json]) -> Json:
    response_id, model = identity(ask, scenario)
    return {"candidates": candidates, "modelVersion": model, "responseId": response_id}


def _candidate(index: int, parts: list[Json], reason: str | None = None) -> Json:
    told: Json = {"content": {"role": "model", "parts": parts}, "index": index}
    return {**told, "finishReason": finish(reason)} if reason else told


def _call(call: ToolCall) -> Json:
    return {"functionCall": {"name": call.name, "args": json.loads(call.arguments)}}


def _parts(reply: Reply) -> list[Json]:
    parts: list[Json] = [{"text": reply.reasoning, "thought": True}] if reply.reasoning else []
    if reply.text:
        parts.append({"text": reply.text})
    return [*parts, *(_call(call) for call in reply.calls)]


def _whole(ask: Ask, scenario: Scenario) -> Json:
    candidates = [_candidate(i, _parts(r), r.finish) for i, r in enumerate(scenario.replies)]
    body = _reply(ask, scenario, candidates)
    if scenario.report != "never":
        body["usageMetadata"] = None if scenario.report == "null" else _usage(scenario)
    if scenario.flavour == "null-choices":
        body["candidates"] = None
    if scenario.flavour == "blocked":
        return {**body, "candidates": [], "promptFeedback": {"blockReason": "SAFETY"}}
    return {**body, "hologram": {"depth": 3}} if scenario.flavour == "future" else body


def _said(piece: Piece) -> Json:
    if piece.call:
        return _call(piece.call)
    told: Json = {"text": piece.value}
    return {**told, "thought": True} if piece.kind == "reasoning" else told


def _frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    """Usage stands in each chunk, so far as it is known then."""
    for piece in with_whole_calls(scenario.pieces()):
        body = _reply(ask, scenario, [_candidate(piece.choice, [_said(piece)])])
        if scenario.report == "asked":
            body["usageMetadata"] = {"promptTokenCount": scenario.usage.input}
        so_far = Usage(scenario.usage.input, None, None, None, None)
        told = so_far if scenario.report == "asked" else None
        yield Frame(body, piece=piece, usage=told)
    for index, reply in enumerate(scenario.replies):
        body = _reply(ask, scenario, [_candidate(index, [{"text": ""}], reply.finish)])
        last = index == len(scenario.replies) - 1 and scenario.report not in {"never", "null"}
        if last:
            body["usageMetadata"] = _usage(scenario)
        yield Frame(body, usage=scenario.usage if last else None, finish=(index, reply.finish))


def _embeddings(ask: Ask, scenario: Scenario) -> Json:
    requests: list[Any] = ask.body.get("requests") or []
    texts = [request["content"]["parts"][0]["text"] for request in requests]
    return {"embeddings": [{"values": vector(text, DIMENSIONS)} for text in texts]}


def _error(failure: Failure, ask: Ask) -> Json:
    status = _STATUS.get(failure.status, "INTERNAL")
    message = failure.told(ask.prompt, ask.key)
    return {"error": {"code": failure.status, "message": message, "status": status}}


def _error_frame(_ask: Ask, _scenario: Scenario, _sequence: int) -> Frame:
    told = {"code": 500, "message": "Internal error.", "status": "INTERNAL"}
    return Frame({"error": told}, handed=False)


_BASE = r".*/models/(?P<model>[^/:]+):(?P<method>%s)"
_GENERATE = Endpoint(
    name="gemini",
    path=re.compile(_BASE % "(?:streamG|g)enerateContent"),
    ask=_ask,
    error=_error,
    whole=_whole,
    frames=_frames,
    error_frame=_error_frame,
    identity=identity,
    tells=frozenset({"text", "reasoning", "call", "arguments"}),
    many_choices=True,
    says_why=True,
    reasons=finish,
)
ENDPOINTS = (
    _GENERATE,
    replace(
        _GENERATE,
        name="gemini-embed",
        path=re.compile(_BASE % "batchEmbedContents"),
        whole=_embeddings,
        frames=None,
        identity=lambda _a, _s: (None, None),
        counts="none",
        tells=frozenset(),
        says_why=False,
    ),
)
