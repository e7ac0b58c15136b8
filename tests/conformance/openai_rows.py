"""The rows of openai, which hold for all its majors: what differs between them is a gap's row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
from openai import types

from tests.conformance.facts import KEY, PROMPT, said
from tests.conformance.table import WHOLE, Block, Door, Endpoint, Gap, Library, Mode
from tests.conformance.visits import entered, now
from tests.provider import SCENARIOS
from tests.provider.fixtures import NEVER_DONE
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
        openai.api_key, openai.base_url, openai.max_retries = KEY, provider.base_url, 0
        clients["module"] = openai
    return clients


# ------------------------------------------------------------------------------------- endpoints

STREAM = Mode("stream", {"stream": True}, stream=True)
WITH_USAGE = Mode(
    "stream", {"stream": True, "stream_options": {"include_usage": True}}, stream=True
)
UNASKED = Mode("stream, no usage", {"stream": True}, stream=True, usage=False, doors="create")
SOUND = {"file": ("sound.wav", b"RIFF....WAVE")}


def _verdict(scenario: str) -> dict[str, Any]:
    return {"verdict": "flag" if scenario == "filtered" else "allow"}


_ENDPOINTS = (
    Endpoint(
        "chat",
        "chat.completions",
        "/chat/completions",
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": PROMPT},
            ]
        },
        "chat",
        types.chat.ChatCompletion,
        types.chat.ChatCompletionChunk,
        modes=(WHOLE, WITH_USAGE, UNASKED),
        facts={"asked": ("Be brief.", PROMPT)},
    ),
    Endpoint(
        "responses",
        "responses",
        "/responses",
        {"instructions": "Be brief.", "input": PROMPT},
        "chat",
        types.responses.Response,
        types.responses.ResponseStreamEvent,
        modes=(WHOLE, STREAM),
        facts={"asked": (PROMPT,)},
    ),
    Endpoint(
        "completions",
        "completions",
        "/completions",
        {"prompt": PROMPT},
        "text_completion",
        types.Completion,
        types.Completion,
        modes=(WHOLE, WITH_USAGE, UNASKED),
        facts={"asked": (PROMPT,)},
    ),
    Endpoint(
        "embeddings",
        "embeddings",
        "/embeddings",
        {"input": [PROMPT, "Good night."]},
        "embeddings",
        types.CreateEmbeddingResponse,
        told=lambda _: {"dimensions": 1536},
    ),
    Endpoint(
        "moderations",
        "moderations",
        "/moderations",
        {"input": PROMPT},
        "apply_guardrail",
        types.ModerationCreateResponse,
        facts={"name": "apply_guardrail moderation"},
        told=_verdict,
    ),
    Endpoint(
        "images",
        "images",
        "/images/generations",
        {"prompt": PROMPT},
        "generate_content",
        types.ImagesResponse,
        types.ImageGenStreamEvent,
        modes=(WHOLE, Mode("stream", {"stream": True, "partial_images": 3}, stream=True)),
        verb="generate",
        facts={"asked": (PROMPT,), "output type": "image"},
        untold="first token",
        early=("frames", 1),
    ),
    Endpoint(
        "image-edits",
        "images",
        "/images/edits",
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
        "/audio/speech",
        {"input": PROMPT, "voice": "alloy"},
        "generate_content",
        facts={"asked": (PROMPT,), "output type": "speech"},
    ),
    Endpoint(
        "transcriptions",
        "audio.transcriptions",
        "/audio/transcriptions",
        SOUND,
        "generate_content",
        modes=(WHOLE, Mode("plain text", {"response_format": "text"}), STREAM),
        facts={"asked": (), "output type": "text"},
    ),
    Endpoint(
        "translations",
        "audio.translations",
        "/audio/translations",
        SOUND,
        "generate_content",
        facts={"asked": (), "output type": "text"},
    ),
)

# ----------------------------------------------------------------------------------------- doors


async def _create(visit: Visit) -> None:
    await visit.read(await now(visit.method()(**visit.arguments)))


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


async def _raw(visit: Visit) -> None:
    raw = visit.given(await now(visit.method_by("with_raw_response")(**visit.arguments)))
    await visit.read(await now(raw.parse()))


async def _raw_unparsed(visit: Visit) -> None:
    visit.given(await now(visit.method_by("with_raw_response")(**visit.arguments)))


async def _streaming(visit: Visit) -> None:
    manager = visit.method_by("with_streaming_response")(**visit.arguments)
    async with entered(visit.given(manager)) as response:
        await visit.read(await now(visit.given(response).parse()))


async def _lines(visit: Visit) -> None:
    async with entered(visit.method_by("with_streaming_response")(**visit.arguments)) as response:
        await visit.take(visit.given(response).iter_lines())


async def _bytes(visit: Visit) -> None:
    async with entered(visit.method_by("with_streaming_response")(**visit.arguments)) as response:
        visit.note(await now(visit.given(response).read()))


async def _unread(visit: Visit) -> None:
    async with entered(visit.method_by("with_streaming_response")(**visit.arguments)) as response:
        visit.given(response)


async def _post(visit: Visit) -> None:
    kinds: dict[str, Any] = {}
    if visit.mode.stream:
        stream = openai.Stream if visit.cell.colour == "sync" else openai.AsyncStream
        kinds = {"stream": True, "stream_cls": stream[visit.endpoint.chunk]}
    send = visit.client.post
    await visit.read(
        await now(
            send(visit.endpoint.path, cast_to=visit.endpoint.reply, body=visit.arguments, **kinds)
        )
    )


_HELPED = "chat, responses"
_OWN_WITH = "exhausted, left with, closed unread, cancelled"
# Before what they cannot accumulate these raise their own errors, in the middle of a stream.
_ACCUMULATED = "ok, tools, tools-shuffled, reasoning, refusal, cached, nousage, json, empty, future"

_DOORS = (
    Door("create", _create),
    Door("parse", _parse, _HELPED, "whole"),
    Door("helper", _helper, _HELPED, "stream", _OWN_WITH, counts="chunk"),
    Door("raw", _raw),
    Door("raw unparsed", _raw_unparsed),
    Door("streaming", _streaming),
    Door("lines", _lines),
    Door("bytes", _bytes),
    Door("unread", _unread),
    Door("post", _post),
)


# ------------------------------------------------------------------- what the client puts together


def _chat_final(reply: Any) -> dict[str, Any]:
    messages = [choice.message for choice in reply.choices]
    calls = [(call.id, call.function) for call in messages[0].tool_calls or ()]
    return {
        "response id": reply.id,
        "response model": reply.model,
        "finish reasons": tuple(choice.finish_reason for choice in reply.choices),
        "input tokens": reply.usage and reply.usage.prompt_tokens,
        "output tokens": reply.usage and reply.usage.completion_tokens,
        "texts": said((message.content or "") + (message.refusal or "") for message in messages),
        "tool calls": tuple((at, call.name, json.loads(call.arguments)) for at, call in calls),
    }


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


# ---------------------------------------------------------------------------------------- blocks

_TEXTS = "chat, responses, completions"
_OTHERS = "embeddings, moderations, images, image-edits, speech, transcriptions, translations"
_ALL = [name for name in SCENARIOS if name not in NEVER_DONE and not name.startswith("retry-")]
_SOME = (
    "ok, tools, tools-shuffled, reasoning, refusal, cached, choices, length, nousage, null-choices,"
    "null-delta, future, gzip, cut, error-event, failed, err400, err502-page, error-200"
)
_FEW = (
    "ok, cached, nousage, null-usage, null-choices, future, filtered, gzip, cut, surrogates,"
    " err400, err401, err429, err502-page, error-200, hang, cut-headers"
)
_EARLY = "exhausted in with, closed early, left with, dropped, closed unread, dropped unread"

_BLOCKS = (
    Block(_TEXTS, "create", _ALL, modes="whole, stream"),
    Block("chat, completions", "create", "ok, tools, usage-every-chunk", "stream, no usage"),
    Block("chat, responses", "parse, raw, streaming, post", _SOME, modes="whole, stream"),
    Block("chat, responses", "helper", _ACCUMULATED + ", cut, err400", "stream"),
    Block("completions", "raw, streaming, post", "ok, choices, err400", modes="whole, stream"),
    Block(_TEXTS, "raw unparsed, lines, bytes, unread", "ok, err400", modes="whole, stream"),
    Block(
        _TEXTS,
        "create, raw, streaming, helper, post",
        "ok, tools, reasoning, choices",
        "stream",
        _EARLY,
    ),
    Block(_TEXTS, "create, raw, streaming, helper, post", "stalls", "stream", "cancelled"),
    Block(_OTHERS, "create", _FEW),
    Block(_OTHERS, "raw, streaming, lines, bytes, unread, raw unparsed", "ok, err400"),
    Block("images, image-edits, transcriptions", "create", "ok", "stream", _EARLY),
    Block("chat, embeddings", "create", "azure, ok, err401", client="azure", modes="whole, stream"),
    Block("chat, embeddings", "create", "ok, err400", client="module", colours=("sync",)),
    Block("chat, responses, embeddings", "create", "retry-429, retry-500", client="retrying"),
)

# ------------------------------------------------------------------------------------------ gaps

_GAPS: tuple[Gap, ...] = ()


OPENAI = Library(
    name="openai",
    clients=_clients,
    providers={"plain": "openai", "azure": "azure.ai.openai"},
    endpoints={endpoint.name: endpoint for endpoint in _ENDPOINTS},
    doors={door.name: door for door in _DOORS},
    finals={"chat": _chat_final, "responses": _response_final},
    blocks=_BLOCKS,
    gaps=_GAPS,
    arguments={"hang": {"timeout": 0.05}},
    major=lambda: int(openai.__version__.partition(".")[0]),
)
