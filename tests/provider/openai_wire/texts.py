"""POST /v1/completions, /v1/embeddings, /v1/moderations, GET /v1/models.

Shapes: OpenAI's API reference, the sections of these names.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.provider.openai_wire import chat, common
from tests.provider.wire import Ask, Endpoint, Frame, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.scenario import Piece, Scenario

# ------------------------------------------------------------------------------------ completions


def _reason(finish: str) -> str:
    return "stop" if finish == "tool_calls" else finish


def _completion(ask: Ask, scenario: Scenario, choices: list[Json]) -> Json:
    response_id, model = common.identity(ask, scenario)
    return {
        "id": response_id,
        "object": "text_completion",
        "created": common.CREATED,
        "model": model,
        "choices": choices,
    }


def _text_choice(index: int, text: str, finish: str | None) -> Json:
    return {
        "index": index,
        "text": text,
        "logprobs": None,
        "finish_reason": _reason(finish) if finish else None,
    }


def _whole_completion(ask: Ask, scenario: Scenario) -> Json:
    choices = [_text_choice(at, r.text, r.finish) for at, r in enumerate(scenario.replies)]
    body = _completion(ask, scenario, choices)
    common.put_usage(body, scenario, chat.spell_usage)
    return common.damage(body, scenario, "choices")


def _completion_frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    def frame(index: int, text: str, finish: str | None, piece: Piece | None) -> Frame:
        data = _completion(ask, scenario, [_text_choice(index, text, finish)])
        return Frame(data, piece=piece, finish=(index, finish) if finish else None)

    for piece in scenario.pieces():
        if piece.kind == "text":
            yield frame(piece.choice, piece.value, None, piece)
    for index, reply in enumerate(scenario.replies):
        yield frame(index, "", reply.finish, None)
    if ask.include_usage and scenario.report != "never":
        data = _completion(ask, scenario, [])
        common.put_usage(data, scenario, chat.spell_usage)
        yield Frame(data, usage=scenario.usage if data["usage"] else None)


# ------------------------------------------------------------------------------------- embeddings

_DIMENSIONS = 1536
_WORD = re.compile(r"\w+")


def vector(text: str, dimensions: int = _DIMENSIONS) -> list[float]:
    """Hash the words into a unit vector: texts that share words are near each other."""
    counts = [0.0] * dimensions
    for word in _WORD.findall(text.lower()):
        digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
        counts[int.from_bytes(digest, "big") % dimensions] += 1.0
    length = math.sqrt(sum(count * count for count in counts))
    return [count / length for count in counts] if length else [1.0, *counts[1:]]


def inputs(given: Any) -> list[str]:
    """Return the texts of one input or many; each a string, or a list of token numbers."""
    if not isinstance(given, list) or (given and isinstance(given[0], int)):
        given = [given]
    return [text if isinstance(text, str) else " ".join(map(str, text)) for text in given]


def _embedding(ask: Ask, index: int, text: str) -> Json:
    values = vector(text, ask.body.get("dimensions") or _DIMENSIONS)
    packed: list[float] | str = values
    if ask.body.get("encoding_format") == "base64":
        packed = base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
    return {"object": "embedding", "index": index, "embedding": packed}


def _embeddings(ask: Ask, scenario: Scenario) -> Json:
    _, model = common.identity(ask, scenario)
    texts = inputs(ask.body.get("input", ""))
    body: Json = {
        "object": "list",
        "data": [_embedding(ask, index, text) for index, text in enumerate(texts)],
        "model": model,
    }
    common.put_usage(
        body, scenario, lambda usage: {"prompt_tokens": usage.input, "total_tokens": usage.input}
    )
    return common.damage(body, scenario, "data")


# ------------------------------------------------------------------------------------ moderations

_TEXT_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "sexual/minors",
)
_ALL_CATEGORIES = (
    *_TEXT_CATEGORIES,
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "violence",
    "violence/graphic",
)


def _verdict(flagged: bool) -> Json:
    """`filtered` flags violence, everything else is harmless."""
    return {
        "flagged": flagged,
        "categories": {name: flagged and name == "violence" for name in _ALL_CATEGORIES},
        "category_scores": {
            name: 0.93 if flagged and name == "violence" else 0.0001 for name in _ALL_CATEGORIES
        },
        "category_applied_input_types": {name: ["text"] for name in _ALL_CATEGORIES},
    }


def _moderations(ask: Ask, scenario: Scenario) -> Json:
    response_id, model = common.identity(ask, scenario)
    given = ask.body.get("input")
    # A list of parts is one input, a list of strings is many.
    many = len(given) if isinstance(given, list) and given and isinstance(given[0], str) else 1
    flagged = scenario.flavour == "filtered"
    body: Json = {"id": response_id, "model": model, "results": [_verdict(flagged)] * many}
    return common.damage(body, scenario, "results")


# ----------------------------------------------------------------------------------------- models


def _models(ask: Ask, scenario: Scenario) -> Json:
    from tests.provider.fixtures import SCENARIOS

    listed = [
        {"id": name, "object": "model", "created": common.CREATED, "owned_by": "loopback"}
        for name in SCENARIOS
    ]
    return {"object": "list", "data": listed}


_MODELS = Endpoint(
    name="models",
    path=common.path("/models"),
    ask=common.asks("models"),
    error=common.error,
    whole=_models,
    method="GET",
    counts="none",
)

ENDPOINTS = (
    _MODELS,
    replace(
        _MODELS,
        name="completions",
        path=common.path("(?<!/chat)/completions"),
        ask=common.asks("completions"),
        whole=_whole_completion,
        frames=_completion_frames,
        error_frame=common.error_frame,
        identity=common.identity,
        method="POST",
        counts="detailed",
        end=b"data: [DONE]\n\n",
        tells=frozenset({"text"}),
        many_choices=True,
        says_why=True,
        reasons=_reason,
        fault=common.STREAM_ERROR,
    ),
    replace(
        _MODELS,
        name="embeddings",
        path=common.path("/embeddings"),
        ask=common.asks("embeddings"),
        whole=_embeddings,
        identity=common.identity,
        method="POST",
        counts="input",
    ),
    replace(
        _MODELS,
        name="moderations",
        path=common.path("/moderations"),
        ask=common.asks("moderations"),
        whole=_moderations,
        identity=common.identity,
        method="POST",
    ),
)
