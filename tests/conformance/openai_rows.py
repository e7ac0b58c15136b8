"""The rows of openai, which hold for all its majors: what differs between them is a gap's row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
from openai import types

from tests.conformance.facts import ANSWERS, KEY, PROMPT, USAGE, said
from tests.conformance.plain import call_of_the_future
from tests.conformance.stainless_doors import ALL, DOORS, EARLY, GAPS, STREAM, Route
from tests.conformance.table import WHOLE, Block, Cell, Door, Endpoint, Gap, Library, Mode
from tests.conformance.visits import entered, now
from tests.provider.openai_wire.media import PNG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conformance.visits import Visit
    from tests.provider import Provider

# --------------------------------------------------------------------------------------- clients


def _clients(provider: Provider, colour: str) -> Mapping[str, Any]:
    sync = colour == "sync"
    plain = openai.OpenAI if sync else openai.AsyncOpenAI
    azure = openai.AzureOpenAI if sync else openai.AsyncAzureOpenAI
    common = {"api_key": KEY, "base_url": provider.base_url}
    clients: dict[str, Any] = {
        "plain": plain(**common, max_retries=0),
        "retrying": plain(**common, max_retries=1),
        "azure": azure(
            api_key=KEY,
            azure_endpoint=provider.azure_endpoint,
            api_version="2025-04-01-preview",
            max_retries=0,
        ),
    }
    if sync:
        openai.api_key, openai.base_url, openai.max_retries = KEY, f"{provider.base_url}/", 0
        clients["module"] = openai
    return clients


# ------------------------------------------------------------------------------------- endpoints

WITH_USAGE = Mode(
    "stream", {"stream": True, "stream_options": {"include_usage": True}}, stream=True
)
UNASKED = Mode("stream without usage", {"stream": True}, stream=True, usage=False, doors="create")
PLAIN = Mode(
    "plain text",
    {"response_format": "text"},
    facts={
        "input tokens": None,
        "output tokens": None,
        "texts": lambda texts: tuple(f"{text}\n" for text in texts),
    },
)
SOUND = {"file": ("sound.wav", b"RIFF....WAVE")}


def _verdict(cell: Cell) -> dict[str, Any]:
    if cell.scenario == "null-choices":
        return {}
    return {"verdict": "flag" if cell.scenario == "filtered" else "allow"}


_ENDPOINTS = (
    Endpoint(
        "chat",
        "chat.completions",
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": PROMPT},
            ]
        },
        "chat",
        route=Route("/chat/completions", types.chat.ChatCompletion, types.chat.ChatCompletionChunk),
        modes=(WHOLE, WITH_USAGE, UNASKED),
        facts={"asked": ("Be brief.", PROMPT)},
        told=call_of_the_future,
    ),
    Endpoint(
        "responses",
        "responses",
        {"instructions": "Be brief.", "input": PROMPT},
        "chat",
        route=Route("/responses", types.responses.Response, types.responses.ResponseStreamEvent),
        modes=(WHOLE, STREAM),
        facts={"asked": (PROMPT,)},
    ),
    Endpoint(
        "completions",
        "completions",
        {"prompt": PROMPT},
        "text_completion",
        route=Route("/completions", types.Completion, types.Completion),
        modes=(WHOLE, WITH_USAGE, UNASKED),
        facts={"asked": (PROMPT,)},
    ),
    Endpoint(
        "embeddings",
        "embeddings",
        {"input": [PROMPT, "Good night."]},
        "embeddings",
        facts={"output tokens": None},
        told=lambda _: {"dimensions": 1536},
    ),
    Endpoint(
        "moderations",
        "moderations",
        {"input": PROMPT},
        "apply_guardrail",
        facts={"name": "apply_guardrail moderation"},
        told=_verdict,
    ),
    Endpoint(
        "images",
        "images",
        {"prompt": PROMPT},
        "generate_content",
        modes=(WHOLE, Mode("stream", {"stream": True, "partial_images": 3}, stream=True)),
        verb="generate",
        facts={"asked": (PROMPT,), "output type": "image"},
        untold="first token",
        early=("frames", 1),
    ),
    Endpoint(
        "image-edits",
        "images",
        {"prompt": PROMPT, "image": ("dot.png", PNG, "image/png")},
        "generate_content",
        modes=(WHOLE, STREAM),
        verb="edit",
        facts={"asked": (PROMPT,), "output type": "image"},
        untold="first token",
        early=("frames", 1),
    ),
    Endpoint(
        "speech",
        "audio.speech",
        {"input": PROMPT, "voice": "alloy"},
        "generate_content",
        facts={"asked": (PROMPT,), "output type": "speech"},
    ),
    Endpoint(
        "transcriptions",
        "audio.transcriptions",
        SOUND,
        "generate_content",
        modes=(WHOLE, PLAIN, STREAM),
        facts={"asked": (), "output type": "text"},
    ),
    Endpoint(
        "translations",
        "audio.translations",
        SOUND,
        "generate_content",
        facts={"asked": (), "output type": "text"},
    ),
)

# ----------------------------------------------------------------------------------------- doors


async def _parse(visit: Visit) -> None:
    visit.final = await now(visit.method("parse")(**visit.arguments))
    await visit.read(visit.final)


async def _helper(visit: Visit) -> None:
    arguments = {name: value for name, value in visit.arguments.items() if name != "stream"}
    async with entered(visit.given(visit.method("stream")(**arguments))) as stream:
        await visit.take(visit.given(stream))
        if not visit.ending.early:
            final = getattr(stream, f"get_final_{_FINAL_NAMES[visit.cell.endpoint]}")
            visit.final = await now(final())


_FINAL_NAMES = {"chat": "completion", "responses": "response"}


_HELPED = "chat, responses"
_OWN_WITH = "exhausted, left with, closed unread, cancelled"
# Before what they cannot accumulate these raise their own errors, in the middle of a stream.
_ACCUMULATED = "ok, tools, tools-shuffled, reasoning, refusal, cached, nousage, json, empty, future"

_DOORS = DOORS | {
    "parse": Door("parse", _parse, _HELPED, "whole"),
    "helper": Door("helper", _helper, _HELPED, "stream", _OWN_WITH, counts={"chat": "chunk"}),
}


# ------------------------------------------------------------------- what the client puts together


def _chat_final(reply: Any) -> dict[str, Any]:
    messages = [choice.message for choice in reply.choices]
    return {
        "response id": reply.id,
        "response model": reply.model,
        "finish reasons": tuple(choice.finish_reason for choice in reply.choices),
        "input tokens": reply.usage and reply.usage.prompt_tokens,
        "output tokens": reply.usage and reply.usage.completion_tokens,
        "texts": said((message.content or "") + (message.refusal or "") for message in messages),
        "tool calls": tuple(map(_chat_call, messages[0].tool_calls or ())),
    }


def _chat_call(call: Any) -> tuple[str, str, Any]:
    if call.type != "function":  # of a kind to come
        return call.id, call.type, getattr(call, call.type)
    return call.id, call.function.name, json.loads(call.function.arguments)


def _response_final(reply: Any) -> dict[str, Any]:
    messages = [item for item in reply.output if item.type == "message"]
    refused = (getattr(part, "refusal", "") for item in messages for part in item.content)
    calls = [item for item in reply.output if item.type == "function_call"]
    return {
        "response id": reply.id,
        "response model": reply.model,
        "input tokens": reply.usage and reply.usage.input_tokens,
        "output tokens": reply.usage and reply.usage.output_tokens,
        "texts": said([reply.output_text + "".join(refused)]),
        "tool calls": tuple((c.call_id, c.name, json.loads(c.arguments)) for c in calls),
    }


def _shown(value: Any) -> str:
    """Binary content is wrapped into what shows an address only."""
    return repr(getattr(value, "content", value) if "Binary" in type(value).__name__ else value)


# ---------------------------------------------------------------------------------------- blocks

_TEXTS = "chat, responses, completions"
_OTHERS = "embeddings, moderations, images, image-edits, speech, transcriptions, translations"
_SOME = (
    "ok, tools, tools-shuffled, reasoning, refusal, cached, choices, length, nousage, null-choices,"
    "null-delta, future, gzip, cut, error-event, failed, err400, err502-page, error-200"
)
_FEW = (
    "ok, cached, nousage, null-usage, null-choices, future, filtered, gzip, cut, surrogates,"
    " err400, err401, err429, err502-page, error-200, hang, cut-headers"
)

_BLOCKS = (
    Block(_TEXTS, "create", ALL, modes="whole, stream"),
    Block("chat, completions", "create", "ok, tools, usage-every-chunk", "stream without usage"),
    Block("chat, responses", "parse, raw, streaming, post", _SOME, modes="whole, stream"),
    Block("chat, responses", "helper", _ACCUMULATED + ", cut, err400", "stream"),
    Block("completions", "raw, streaming, post", "ok, choices, err400", modes="whole, stream"),
    Block(_TEXTS, "raw unparsed, lines, bytes, unread", "ok, err400", modes="whole, stream"),
    Block(
        _TEXTS,
        "create, raw, streaming, helper, post",
        "ok, tools, reasoning, choices",
        "stream",
        EARLY,
    ),
    Block(_TEXTS, "create, raw, streaming, helper, post", "stalls", "stream", "cancelled"),
    Block(_OTHERS, "create", _FEW, modes="whole, stream"),
    Block("transcriptions", "create", "ok, filtered, gzip, cut, err400, error-200", "plain text"),
    Block(_OTHERS, "raw, streaming, lines, bytes, unread, raw unparsed", "ok, err400"),
    Block("images, image-edits, transcriptions", "create", "ok", "stream", EARLY),
    Block("chat, embeddings", "create", "azure, ok, err401", client="azure", modes="whole, stream"),
    Block("chat, embeddings", "create", "ok, err400", client="module", colours=("sync",)),
    Block("chat, responses, embeddings", "create", "retry-429, retry-500", client="retrying"),
)

# ------------------------------------------------------------------------------------------ gaps

_SAID = ("finish reasons", "texts", "reasoning", "tool calls", "first token")
_TOUCHES: dict[str, tuple[str, ...]] = {
    "id": ("response id",),
    "model": ("response model",),
    "usage": USAGE,
    "status": ("finish reasons",),
    "incomplete_details": ("finish reasons",),
    "error": ("error", "status"),
    **dict.fromkeys(("choices", "output", "delta", "item", "output_index", "text"), _SAID),
    "type": ANSWERS,
    "data": ("dimensions",),
    "b64_json": ("first token",),
    "results": ("verdict",),
}

_ANSWERED = set(ANSWERS) - {"response id", "response model", "first token"}
_GAPS = (
    *GAPS,
    Gap(
        "audio bodies are not parsed, so a JSON error inside one is not recognized",
        ("error", "status"),
        {"endpoint": "speech", "door": "create", "scenario": "error-200"},
    ),
    Gap(
        "a plain-text response with status 200 cannot be distinguished from an error sent as text",
        ("error", "status", "texts"),
        {"scenario": "error-200", "mode": "plain text"},
    ),
    Gap(
        "the client's helper raises on tool calls out of order, so its stream ends early",
        ("completed", *_ANSWERED),
        {"endpoint": "chat", "door": "helper", "scenario": "tools-shuffled"},
    ),
)


LIBRARY = Library(
    name="openai",
    clients=_clients,
    providers={"plain": "openai", "azure": "azure.ai.openai"},
    endpoints={endpoint.name: endpoint for endpoint in _ENDPOINTS},
    doors=_DOORS,
    finals={"chat": _chat_final, "responses": _response_final},
    blocks=_BLOCKS,
    gaps=_GAPS,
    arguments={"hang": {"timeout": openai.Timeout(10, read=0.1)}},
    shown=_shown,
    touches=_TOUCHES,
    major=lambda: int(openai.__version__.partition(".")[0]),
)
