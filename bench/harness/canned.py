"""What the workloads send, and the bytes that answer them."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

MODEL = "gpt-4o-mini"
MARKER_IN = "zebra-input-marker"
MARKER_OUT = "zebra-output-marker"
DIMENSIONS = 1536

SHORT_MESSAGES: list[Any] = [
    {"role": "system", "content": "You are a terse assistant. Answer in one sentence."},
    {"role": "user", "content": f"What is the capital of France? {MARKER_IN}"},
]


def _large_message(number: int) -> dict[str, str]:
    role = "system" if number == 0 else "user" if number % 2 else "assistant"
    text = f"Message {number} {MARKER_IN} " + "lorem ipsum dolor sit amet, " * 80
    return {"role": role, "content": text[:2048]}


def _tool(number: int) -> dict[str, Any]:
    properties = {
        "query": {"type": "string", "description": "what to look for"},
        "limit": {"type": "integer", "description": "at most this many"},
    }
    return {
        "type": "function",
        "function": {
            "name": f"tool_{number}",
            "description": "Looks a thing up in the catalogue and returns its properties.",
            "parameters": {"type": "object", "properties": properties, "required": ["query"]},
        },
    }


def _tool_call(number: int) -> dict[str, Any]:
    arguments = json.dumps({"query": MARKER_OUT, "limit": number})
    function = {"name": f"tool_{number}", "arguments": arguments}
    return {"id": f"call_{number}", "type": "function", "function": function}


LARGE_MESSAGES: list[Any] = [_large_message(i) for i in range(20)]
TOOLS: list[Any] = [_tool(i) for i in range(5)]
INPUTS = [f"Sentence number {i} to embed, {MARKER_IN}." for i in range(64)]

HEADERS = {
    "content-type": "application/json",
    "x-request-id": "req_0123456789abcdef",
    "openai-organization": "bench",
    "openai-processing-ms": "12",
    "openai-version": "2020-10-01",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-remaining-tokens": "1999999",
}
_USAGE = {
    "prompt_tokens": 28,
    "completion_tokens": 12,
    "total_tokens": 40,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
_REPLY = {
    "id": "chatcmpl-bench",
    "created": 1_760_000_000,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "system_fingerprint": "fp_bench",
}


def _completion(message: dict[str, Any], finish: str) -> bytes:
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    body = {**_REPLY, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    return json.dumps(body).encode()


def _event(delta: dict[str, Any] | None, *, finish: str | None = None, usage: Any = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    choices = [] if delta is None else [choice]
    body = {**_REPLY, "object": "chat.completion.chunk", "choices": choices, "usage": usage}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def chunks(count: int) -> list[bytes]:
    """A streamed chat completion of ``count`` events, role, finish and usage among them."""
    return [
        _event({"role": "assistant", "content": ""}),
        _event({"content": MARKER_OUT}),
        *(_event({"content": f" word{i}"}) for i in range(count - 4)),
        _event({}, finish="stop"),
        _event(None, usage=_USAGE),
        b"data: [DONE]\n\n",
    ]


CHAT_SHORT = _completion(
    {"role": "assistant", "content": f"It is Paris. {MARKER_OUT}", "refusal": None}, "stop"
)
CHAT_TOOLS = _completion(
    {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [_tool_call(i) for i in range(5)],
    },
    "tool_calls",
)
_VECTOR = base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *([0.0123] * DIMENSIONS))).decode()
EMBEDDINGS = json.dumps(
    {
        "object": "list",
        "model": "text-embedding-3-small",
        "data": [{"object": "embedding", "index": i, "embedding": _VECTOR} for i in range(64)],
        "usage": {"prompt_tokens": 640, "total_tokens": 640},
    }
).encode()
