"""The rows of Bedrock: boto3, and aiobotocore as its asynchronous colour."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import aiobotocore.session
import botocore
import botocore.session
from botocore.config import Config

from tests.conformance.facts import ANSWERS, PROMPT, USAGE
from tests.conformance.table import WHOLE, Block, Door, Endpoint, Gap, Library, Mode
from tests.conformance.visits import now
from tests.provider import bedrock_invoke_wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conformance.visits import Visit
    from tests.provider import Provider

# --------------------------------------------------------------------------------------- clients


class _Services:
    """The clients of the services, which live and end together."""

    def __init__(self, stack: Any, **clients: Any) -> None:
        self.__dict__.update(clients)
        self._stack = stack

    def close(self) -> Any:
        return (getattr(self._stack, "aclose", None) or self._stack.close)()


async def _clients(provider: Provider, colour: str) -> Mapping[str, Any]:
    return {
        name: await _services(provider, colour, attempts)
        for name, attempts in (("plain", 1), ("retrying", 2))
    }


async def _services(provider: Provider, colour: str, attempts: int) -> _Services:
    config = Config(retries={"total_max_attempts": attempts, "mode": "standard"})
    options: dict[str, Any] = {
        "endpoint_url": provider.root,
        "region_name": "us-east-1",
        "aws_access_key_id": "AKIDEXAMPLE",
        "aws_secret_access_key": "secret",
    }
    stack: Any
    if colour == "sync":
        stack, made = ExitStack(), botocore.session.get_session()
        of = partial(made.create_client, config=config, **options)
        clients = {name: of(service) for name, service in _SERVICES.items()}
        for client in clients.values():
            stack.callback(client.close)
        return _Services(stack, **clients)
    stack, session = AsyncExitStack(), aiobotocore.session.get_session()
    later = {
        name: await stack.enter_async_context(
            session.create_client(service, config=_later(config), **options)
        )
        for name, service in _SERVICES.items()
    }
    return _Services(stack, **later)


def _later(config: Config) -> Any:
    return aiobotocore.config.AioConfig(retries=config.retries)


_SERVICES = {"runtime": "bedrock-runtime", "agents": "bedrock-agent-runtime"}

# ------------------------------------------------------------------------------------- endpoints

_HELLO: list[Any] = [{"role": "user", "content": [{"text": PROMPT}]}]
_PLAIN = [{"role": "user", "content": PROMPT}]
_ASKED: dict[str, Any] = {"asked": (PROMPT,), "max tokens": 9}
_UNTOLD = {**_ASKED, "reasoning tokens": None}
BODIES: dict[str, dict[str, Any]] = {
    "anthropic": {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 9,
        "messages": _PLAIN,
    },
    "amazon.nova": {"messages": _HELLO, "inferenceConfig": {"maxTokens": 9}},
    "amazon.titan": {"inputText": PROMPT, "textGenerationConfig": {"maxTokenCount": 9}},
    "meta": {"prompt": PROMPT, "max_gen_len": 9},
    "mistral": {"prompt": PROMPT, "max_tokens": 9},
    "cohere": {"message": PROMPT, "max_tokens": 9},
    "ai21": {"messages": _PLAIN, "max_tokens": 9},
    "deepseek": {"prompt": PROMPT, "max_tokens": 9},
}
_INVOKED = Mode("stream", stream=True, verb="invoke_model_with_response_stream")


def _family(name: str, body: Any, operation: str, **more: Any) -> Endpoint:
    return Endpoint(
        f"invoke-{name}",
        "runtime",
        {"body": json.dumps(body)},
        operation,
        verb="invoke_model",
        model="modelId",
        spelled=f"{name}.{{}}".format,
        **more,
    )


_ENDPOINTS = (
    Endpoint(
        "converse",
        "runtime",
        {
            "messages": _HELLO,
            "system": [{"text": "Be brief."}],
            "inferenceConfig": {"maxTokens": 9},
        },
        "chat",
        modes=(WHOLE, Mode("stream", stream=True, verb="converse_stream")),
        verb="converse",
        model="modelId",
        facts=_UNTOLD,
    ),
    *(
        _family(
            name,
            body,
            "text_completion" if "messages" not in body and "message" not in body else "chat",
            modes=(WHOLE, _INVOKED),
            facts=_ASKED if name in {"ai21", "anthropic"} else _UNTOLD,
        )
        for name, body in BODIES.items()
    ),
    _family(
        "amazon.titan-embed",
        {"inputText": PROMPT},
        "embeddings",
        facts={"output tokens": None},
        told=lambda _: {"dimensions": bedrock_invoke_wire.DIMENSIONS},
    ),
    Endpoint(
        "agent",
        "agents",
        {"agentAliasId": "a", "sessionId": "s1", "inputText": PROMPT, "enableTrace": True},
        "invoke_agent",
        modes=(Mode("stream", stream=True),),
        verb="invoke_agent",
        model="agentId",
        # An agent has an id, which is no name and so not in the span's.
        facts={"asked": (PROMPT,), "model": None, "name": "invoke_agent"},
    ),
)

# ----------------------------------------------------------------------------------------- doors

_MEMBERS = ("stream", "body", "completion")
"""Where an answer has what is to be read of it."""


async def _asked(visit: Visit) -> Any:
    """What the answer to a call is, or what is to be read of it."""
    reply = await now(visit.method()(**visit.arguments))
    visit.saw({key: value for key, value in reply.items() if key not in _MEMBERS})
    return next((reply[name] for name in _MEMBERS if name in reply), None)


async def _call(visit: Visit) -> None:
    body = await _asked(visit)
    if visit.mode.stream:
        await visit.read(body)
    elif body is not None:
        visit.note(await now(visit.given(body).read()))


async def _pieces(visit: Visit) -> None:
    await visit.take(visit.given(await _asked(visit)).iter_chunks(64))


async def _unread(visit: Visit) -> None:
    visit.given(await _asked(visit))


_BODIED = [endpoint.name for endpoint in _ENDPOINTS if endpoint.name.startswith("invoke-")]
_DOORS = (
    Door("call", _call),
    Door("pieces", _pieces, ", ".join(_BODIED), "whole"),
    Door("unread", _unread, ", ".join(_BODIED), "whole", unread="always"),
)


def _shown(value: Any) -> str:
    """Ids and dates of an answer are other ones at each call."""
    if isinstance(value, dict):
        value = {key: each for key, each in value.items() if key != "ResponseMetadata"}
    return repr(value)


# ---------------------------------------------------------------------------------------- blocks

_MESSAGES = (
    "ok, tools, tools-shuffled, reasoning, refusal, cached, length, filtered, empty, future,"
    " nousage, null-usage, null-message, null-delta, long, cut, error-event"
)
_FAILED = "err400, err401, err404, err429, err500, err502-page, cut-headers"
_FEW = "ok, length, empty, future, cut, error-event, err400"
_EARLY = "closed early, dropped, closed unread, dropped unread"
_WORDED = "invoke-anthropic, invoke-amazon.nova, invoke-ai21"
_TEXTED = (
    "invoke-amazon.titan, invoke-meta, invoke-mistral, invoke-cohere, invoke-deepseek,"
    " invoke-amazon.titan-embed"
)
_BLOCKS = (
    Block("converse", "call", f"{_MESSAGES}, {_FAILED}"),
    Block(_WORDED, "call", "ok, tools, reasoning, cached, length, err400"),
    Block("invoke-anthropic, invoke-amazon.nova", "call", "future"),
    Block(_WORDED, "call", "cut, error-event"),
    Block(_TEXTED, "call", _FEW),
    Block("agent", "call", "ok, cut, error-event, err400"),
    Block(f"{_WORDED}, {_TEXTED}", "pieces, unread", "ok, err400"),
    Block("converse, agent, invoke-meta, invoke-anthropic", "call", "ok", "stream", _EARLY),
    Block("converse, invoke-meta", "call", "stalls", "stream", "cancelled", colours=("async",)),
    Block("converse", "call", "retry-429", "whole", client="retrying"),
)

_SAID = ("finish reasons", "texts", "reasoning", "tool calls", "first token")
_TOUCHES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("id", "generation_id"), ("response id",)),
    "model": ("response model",),
    **dict.fromkeys(
        ("stopReason", "stop_reason", "finish_reason", "completionReason"), ("finish reasons",)
    ),
    **dict.fromkeys(
        (
            *("usage", "inputTextTokenCount", "prompt_token_count", "generation_token_count"),
            *("amazon-bedrock-invocationMetrics", "tokenCount", "trace"),
        ),
        USAGE,
    ),
    **dict.fromkeys(
        (
            *("output", "delta", "start", "contentBlockIndex", "content", "index", "text", "bytes"),
            *("content_block", "outputText", "generation", "outputs", "choices", "results"),
        ),
        _SAID,
    ),
    "type": ANSWERS,
    "embedding": ("dimensions",),
}
_GAPS: tuple[Gap, ...] = ()

LIBRARY = Library(
    name="bedrock",
    clients=_clients,
    providers={"plain": "aws.bedrock"},
    endpoints={endpoint.name: endpoint for endpoint in _ENDPOINTS},
    doors={door.name: door for door in _DOORS},
    blocks=_BLOCKS,
    major=lambda: int(botocore.__version__.partition(".")[0]),
    gaps=_GAPS,
    shown=_shown,
    touches=_TOUCHES,
    by_chance="authorization, x-amz-date, amz-sdk-invocation-id, amz-sdk-request",
    share=2,
)
