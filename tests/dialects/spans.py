"""Ended spans to project, with what a whole trace of an assistant has on them."""

from __future__ import annotations

import json
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

START = 1_790_000_000_000_000_000
TRACE = 0x0AF7651916CD43DD8448EB211C80319C


def span(attributes: dict[str, Any], name: str = "task x", **more: Any) -> ReadableSpan:
    """A span that took two seconds."""
    known: dict[str, Any] = {
        "context": SpanContext(
            TRACE, 0xB7AD6B7169203331, is_remote=False, trace_flags=TraceFlags(1)
        ),
        "resource": Resource({"service.name": "shop"}),
        "kind": SpanKind.CLIENT,
        "start_time": START,
        "end_time": START + 2_000_000_000,
        "instrumentation_scope": InstrumentationScope("genai_otel", "0.1"),
    }
    return ReadableSpan(name, attributes=attributes, **{**known, **more})


SYSTEM = [{"type": "text", "content": "Be brief."}]
SAID = [
    {"role": "user", "parts": [{"type": "text", "content": "Where is my parcel?"}]},
    {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "I must look."},
            {"type": "tool_call", "id": "c1", "name": "track", "arguments": {"number": "JD014"}},
            {"type": "tool_call", "id": "c2", "name": "hours", "arguments": {}},
        ],
    },
    {
        "role": "tool",
        "parts": [
            {"type": "tool_call_response", "id": "c1", "response": {"place": "post office"}},
            {"type": "tool_call_response", "id": "c2", "response": "9 to 17"},
        ],
    },
    {
        "role": "user",
        "parts": [
            {"type": "text", "content": "And this?"},
            {"type": "media", "modality": "image", "uri": "https://example.org/label.png"},
        ],
    },
]
ANSWERED = [
    {
        "role": "assistant",
        "parts": [{"type": "text", "content": "In the post office."}],
        "finish_reason": "stop",
    }
]
TOOLS = [
    {"type": "function", "name": "track", "description": "Finds.", "parameters": {"type": "object"}}
]
DOCUMENTS = [
    {
        "id": "returns.md",
        "score": 0.83,
        "content": "Parcels wait ten days.",
        "metadata": {"page": 3},
    },
    {"id": "hours.md", "content": "Open from 9."},
]

CHAT: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.response.model": "gpt-5-2026-08-01",
    "gen_ai.response.id": "resp_1",
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.request.temperature": 0.2,
    "gen_ai.request.stop_sequences": ("END",),
    "gen_ai.request.stream": True,
    "gen_ai.usage.input_tokens": 1200,
    "gen_ai.usage.output_tokens": 95,
    "gen_ai.usage.cache_read.input_tokens": 128,
    "gen_ai.usage.cache_creation.input_tokens": 64,
    "gen_ai.usage.reasoning.output_tokens": 40,
    "gen_ai.usage.cost": 0.0123,
    "gen_ai.conversation.id": "s-1",
    "session.id": "s-1",
    "user.id": "ada",
    "genai_otel.tags": ("beta", "eu"),
    "genai_otel.metadata.tenant": "north",
    "genai_otel.response.time_to_first_token": 0.25,
    "gen_ai.prompt.name": "answer",
    "gen_ai.prompt.version": "7",
    "gen_ai.prompt.variable.tone": "kind",
    "gen_ai.system_instructions": json.dumps(SYSTEM),
    "gen_ai.input.messages": json.dumps(SAID),
    "gen_ai.output.messages": json.dumps(ANSWERED),
    "gen_ai.tool.definitions": json.dumps(TOOLS),
}
TOOL: dict[str, Any] = {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "track",
    "gen_ai.tool.type": "function",
    "gen_ai.tool.description": "Finds.",
    "gen_ai.tool.call.id": "c1",
    "gen_ai.tool.call.arguments": json.dumps({"number": "JD014"}),
    "gen_ai.tool.call.result": json.dumps({"result": "post office"}),
}
RETRIEVAL: dict[str, Any] = {
    "gen_ai.operation.name": "retrieval",
    "gen_ai.data_source.id": "handbook",
    "gen_ai.retrieval.top_k": 2,
    "gen_ai.retrieval.query.text": "parcel",
    "gen_ai.retrieval.documents": json.dumps(DOCUMENTS),
}
GUARDRAIL: dict[str, Any] = {
    "gen_ai.operation.name": "apply_guardrail",
    "gen_ai.guardrail.component.name": "tone",
    "gen_ai.guardrail.result.type": "deny",
    "gen_ai.guardrail.result.value": 0.9,
    "gen_ai.guardrail.risk.category": "toxicity",
    "gen_ai.guardrail.result.reason": "rude",
    "genai_otel.input": json.dumps({"text": "You fool"}),
}
WORKFLOW: dict[str, Any] = {
    "gen_ai.operation.name": "invoke_workflow",
    "gen_ai.workflow.name": "answer",
    "genai_otel.input": json.dumps({"question": "Where is my parcel?"}),
    "genai_otel.output": json.dumps("In the post office."),
}
EMBEDDINGS: dict[str, Any] = {
    "gen_ai.operation.name": "embeddings",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "minilm",
    "gen_ai.request.encoding_formats": ("float",),
    "gen_ai.usage.input_tokens": 3,
    "gen_ai.input.messages": json.dumps(
        [
            {"role": "user", "parts": [{"type": "text", "content": text}]}
            for text in ("parcel", "post")
        ]
    ),
}
AGENT: dict[str, Any] = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "helper",
    "gen_ai.agent.id": "a-1",
    "genai_otel.total.input_tokens": 1200,
}
ALL = {
    "chat": CHAT,
    "tool": TOOL,
    "retrieval": RETRIEVAL,
    "guardrail": GUARDRAIL,
    "workflow": WORKFLOW,
    "embeddings": EMBEDDINGS,
    "agent": AGENT,
}


def failed() -> ReadableSpan:
    """A tool that failed, with its exception."""
    told = {"exception.type": "TimeoutError", "exception.message": "no answer"}
    return span(
        {**TOOL, "error.type": "TimeoutError"},
        events=[Event("exception", told, START + 1)],
        status=Status(StatusCode.ERROR, "no answer"),
    )
