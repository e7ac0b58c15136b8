"""Text generation and embeddings as Hugging Face's servers answer them, under `/hf/MODEL`.

Written after huggingface.co/docs/text-generation-inference ("Messages API" is OpenAI's and served
by that wire) and the `feature-extraction` task of huggingface.co/docs/inference-providers.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.provider.openai_wire import common
from tests.provider.openai_wire.texts import inputs, vector
from tests.provider.wire import Ask, Endpoint, Frame, Json, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.received import Request
    from tests.provider.scenario import Failure, Scenario

DIMENSIONS = 384
_FINISH = {"stop": "eos_token", "tool_calls": "eos_token"}


def finish(reason: str) -> str:
    """Why a reply ended, as this API says it."""
    return _FINISH.get(reason, reason)


def _ask(request: Request, match: re.Match[str]) -> Ask:
    body: Json = request.json or {}
    return Ask(
        model=match["model"],
        endpoint="hf-generate",
        stream=body.get("stream") is True,
        prompt=str(body.get("inputs")),
        key=(request.headers.get("authorization") or "").removeprefix("Bearer "),
        body=body,
    )


def _details(scenario: Scenario) -> Json:
    told: Json = {"finish_reason": finish(scenario.replies[0].finish), "seed": None}
    if scenario.report in {"never", "null"}:
        return told
    return {
        **told,
        "generated_tokens": scenario.usage.output,
        "input_length": scenario.usage.input,
    }


def _whole(_ask: Ask, scenario: Scenario) -> bytes:
    reply = {"generated_text": scenario.replies[0].text, "details": _details(scenario)}
    return to_json([{**reply, "details": {**reply["details"], "prefill": [], "tokens": []}}])


def _frames(_ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    for piece in scenario.pieces():
        if piece.kind == "text":
            token = {"id": 7, "text": piece.value, "logprob": -0.1, "special": False}
            yield Frame({"token": token, "generated_text": None, "details": None}, piece=piece)
    reply = scenario.replies[0]
    token = {"id": 2, "text": "</s>", "logprob": -0.1, "special": True}
    end = {"token": token, "generated_text": reply.text, "details": _details(scenario)}
    told = None if scenario.report in {"never", "null"} else scenario.usage.plain()
    yield Frame(end, usage=told, finish=(0, reply.finish))


def _error(failure: Failure, ask: Ask) -> Json:
    return {"error": failure.told(ask.prompt, ask.key), "error_type": "validation"}


def _embeddings(ask: Ask, _scenario: Scenario) -> bytes:
    return to_json([vector(text, DIMENSIONS) for text in inputs(ask.body.get("inputs", ""))])


_GENERATE = Endpoint(
    name="hf-generate",
    path=re.compile("/hf/(?P<model>[^/]+)"),
    ask=_ask,
    error=_error,
    whole=_whole,
    frames=_frames,
    error_frame=common.error_frame,
    counts="plain",
    tells=frozenset({"text"}),
    says_why=True,
    reasons=finish,
    binary_type="application/json",
)
ENDPOINTS = (
    replace(
        _GENERATE,
        name="hf-embed",
        path=re.compile("/hf/embed/(?P<model>[^/]+)"),
        whole=_embeddings,
        frames=None,
        counts="none",
        tells=frozenset(),
        says_why=False,
    ),
    _GENERATE,
)
