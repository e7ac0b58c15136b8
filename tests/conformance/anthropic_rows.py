"""The rows of anthropic, which hold for all its majors: where these differ, a gap says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
from anthropic import types

from tests.conformance.facts import ANSWERS, KEY, PROMPT, USAGE, said
from tests.conformance.stainless_doors import ALL, DOORS, EARLY, GAPS, STREAM, Route
from tests.conformance.table import WHOLE, Block, Cell, Door, Endpoint, Gap, Library, listed
from tests.conformance.visits import entered, now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conformance.visits import Visit
    from tests.provider import Provider

# --------------------------------------------------------------------------------------- clients

_CLOUDS: dict[str, tuple[str, dict[str, Any]]] = {
    "bedrock": (
        "AnthropicBedrock",
        {"aws_access_key": "a", "aws_secret_key": "s", "aws_region": "us-east-1"},
    ),
    "mantle": ("AnthropicBedrockMantle", {"api_key": KEY, "aws_region": "us-east-1"}),
    "aws": (
        "AnthropicAWS",
        {"api_key": KEY, "workspace_id": "w", "aws_region": "us-east-1"},
    ),
    "vertex": ("AnthropicVertex", {"access_token": "t", "region": "r", "project_id": "p"}),
    "google cloud": ("AnthropicGoogleCloud", {"skip_auth": True}),
    "foundry": ("AnthropicFoundry", {"api_key": KEY}),
}
_SERVED = [name for name, (cls, _) in _CLOUDS.items() if hasattr(anthropic, cls)]


def _clients(provider: Provider, colour: str) -> Mapping[str, Any]:
    prefix = "" if colour == "sync" else "Async"
    plain = getattr(anthropic, f"{prefix}Anthropic")
    common: dict[str, Any] = {"base_url": provider.root, "max_retries": 0}
    return {
        "plain": plain(api_key=KEY, **common),
        "retrying": plain(api_key=KEY, **(common | {"max_retries": 1})),
        **{
            name: getattr(anthropic, prefix + _CLOUDS[name][0])(**common, **_CLOUDS[name][1])
            for name in _SERVED
        },
    }


# ------------------------------------------------------------------------------------- endpoints


def _refused(cell: Cell) -> dict[str, Any]:
    """Who does not want to answer gives that as the reason, and says so as any other text."""
    return {"finish reasons": ("refusal",)} if cell.scenario == "refusal" else {}


def _code(told: str | None) -> str | None:
    """What an answer with status 200 says went wrong."""
    return "api_error" if told == "upstream" else told


_ASKED: dict[str, Any] = {
    "max_tokens": 99,
    "system": "Be brief.",
    "messages": [{"role": "user", "content": PROMPT}],
}
_ENDPOINTS = (
    Endpoint(
        "messages",
        "messages",
        _ASKED,
        "chat",
        route=Route("/v1/messages", types.Message, types.RawMessageStreamEvent),
        modes=(WHOLE, STREAM),
        facts={"asked": (PROMPT,), "max tokens": 99, "error": _code},
        told=_refused,
    ),
    Endpoint(
        "beta",
        "beta.messages",
        _ASKED,
        "chat",
        route=Route(
            "/v1/messages?beta=true", types.beta.BetaMessage, types.beta.BetaRawMessageStreamEvent
        ),
        modes=(WHOLE, STREAM),
        facts={"asked": (PROMPT,), "max tokens": 99, "error": _code},
        told=_refused,
        wire="messages",
    ),
    Endpoint(
        "invoke-anthropic",
        "messages",
        _ASKED,
        "chat",
        spelled="anthropic.{}".format,
        modes=(WHOLE, STREAM),
        facts={"max tokens": 99, "asked": (PROMPT,)},
        told=_refused,
    ),
)

# ----------------------------------------------------------------------------------------- doors


async def _parse(visit: Visit) -> None:
    visit.final = await now(visit.method("parse")(**visit.arguments))
    await visit.read(visit.final)


def _streaming(visit: Visit) -> Any:
    arguments = {name: value for name, value in visit.arguments.items() if name != "stream"}
    return visit.given(visit.method("stream")(**arguments))


async def _helper(visit: Visit) -> None:
    async with entered(_streaming(visit)) as stream:
        await visit.take(visit.given(stream))
        if not visit.ending.early:
            visit.final = await now(stream.get_final_message())


async def _final(visit: Visit) -> None:
    async with entered(_streaming(visit)) as stream:
        visit.final = await now(stream.get_final_message())


async def _texts(visit: Visit) -> None:
    async with entered(_streaming(visit)) as stream:
        await visit.take(stream.text_stream)


_HELPED = "messages, beta"
_EVENTS = (
    "message_start, content_block_start, content_block_delta, content_block_stop, message_delta,"
    " message_stop"
)
_OWN_WITH = "exhausted, left with, closed unread, cancelled"

_DOORS = DOORS | {
    "parse": Door("parse", _parse, _HELPED, "whole"),
    "helper": Door(
        "helper",
        _helper,
        _HELPED,
        "stream",
        _OWN_WITH,
        counts=dict.fromkeys(listed(_HELPED), _EVENTS),
    ),
    "final": Door("final", _final, _HELPED, "stream", "exhausted"),
    "texts": Door("texts", _texts, _HELPED, "stream", "exhausted"),
}

# ------------------------------------------------------------------- what the client puts together


def _message_final(reply: Any) -> dict[str, Any]:
    blocks, usage = reply.content, reply.usage
    return {
        **(_used(usage) if usage else {}),
        "response id": reply.id,
        "response model": reply.model,
        "finish reasons": (reply.stop_reason,),
        "texts": said(["".join(block.text for block in blocks if block.type == "text")]),
        "reasoning": "".join(block.thinking for block in blocks if block.type == "thinking"),
        "tool calls": tuple(
            (block.id, block.name, block.input) for block in blocks if block.type == "tool_use"
        ),
    }


def _used(usage: Any) -> dict[str, Any]:
    read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    return {
        "input tokens": usage.input_tokens + read + written,
        "output tokens": usage.output_tokens,
        "cached tokens": read,
        "cache-written tokens": written,
    }


# ---------------------------------------------------------------------------------------- blocks

_SOME = (
    "ok, tools, tools-shuffled, reasoning, refusal, cached, length, nousage, null-choices,"
    "null-delta, future, gzip, cut, error-event, err400, err502-page, error-200"
)

_BLOCKS = (
    Block("messages", "create", ALL),
    Block("messages", "parse, raw, streaming, post", _SOME),
    # Calls that take turns the client itself puts together wrongly.
    Block("messages", "helper", [name for name in ALL if name != "tools-shuffled"]),
    Block("messages", "final, texts", "ok, tools, reasoning, refusal, cached, cut, err400"),
    Block(
        "beta", "create, parse, raw, streaming, post, helper", "ok, tools, reasoning, cut, err400"
    ),
    Block("messages", "raw unparsed, lines, bytes, unread", "ok, err400"),
    Block(
        "messages", "create, raw, streaming, helper, post", "ok, tools, reasoning", "stream", EARLY
    ),
    Block("beta", "create, helper", "ok", "stream", EARLY),
    Block("messages", "create, raw, streaming, helper, post", "stalls", "stream", "cancelled"),
    *(
        Block("messages", "create, raw", "ok, tools, cached, err400", client=name)
        for name in _SERVED
        if name != "bedrock"
    ),
    Block(
        "invoke-anthropic",
        "create, raw, streaming",
        "ok, tools, reasoning, refusal, cached, length, future, cut, error-event, err400, err429",
        client="bedrock",
    ),
    Block("invoke-anthropic", "create", "ok", "stream", EARLY, client="bedrock"),
    Block("messages", "create", "retry-429, retry-500", client="retrying"),
)

# ------------------------------------------------------------------------------------------ gaps

_LEFT = ("completed", "chunks")
_GAPS = (
    *GAPS,
    Gap(
        "the client's helper raises on null values, so its stream ends early",
        _LEFT,
        {"door": "helper", "scenario": "nousage, null-usage"},
    ),
    Gap(
        "the client's helper raises on null values, so its stream ends early",
        (*_LEFT, "finish reasons", "texts", "first token", "output tokens", "reasoning tokens"),
        {"door": "helper", "scenario": "null-delta"},
    ),
    Gap(
        "the client drops events of unknown types, so they are not counted",
        ("chunks",),
        {"scenario": "future", "mode": "stream"},
        majors=(0,),
    ),
)
_SAID = ("finish reasons", "texts", "reasoning", "tool calls", "first token")
_TOUCHES: dict[str, tuple[str, ...]] = {
    "id": ("response id", "tool calls"),
    "model": ("response model",),
    "usage": USAGE,
    "stop_reason": ("finish reasons",),
    **dict.fromkeys(("content", "content_block", "delta", "index"), _SAID),
    "message": ANSWERS,
    "type": (*ANSWERS, "error", "status"),
}

LIBRARY = Library(
    name="anthropic",
    clients=_clients,
    providers={
        "plain": "anthropic",
        "bedrock": "aws.bedrock",
        "mantle": "aws.bedrock",
        "vertex": "gcp.vertex_ai",
        "google cloud": "gcp.vertex_ai",
        "foundry": "azure.ai.inference",
    },
    endpoints={endpoint.name: endpoint for endpoint in _ENDPOINTS},
    doors=_DOORS,
    finals=dict.fromkeys(listed(_HELPED), _message_final),
    blocks=_BLOCKS,
    gaps=_GAPS,
    by_chance="authorization, x-amz-date",
    touches=_TOUCHES,
    arguments={"hang": {"timeout": anthropic.Timeout(10, read=0.1)}},
    share=2,
    major=lambda: int(anthropic.__version__.partition(".")[0]),
)
