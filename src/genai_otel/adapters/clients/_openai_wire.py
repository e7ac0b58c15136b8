"""The wire shapes of the OpenAI API, which many servers and clients speak.

Read from the provider's API reference (platform.openai.com/docs/api-reference: chat, responses,
completions, embeddings). Fields of other vendors that the same shapes carry are read where they
stand: ``reasoning_content`` (DeepSeek, vLLM), ``reasoning`` (OpenRouter), ``x_groq.usage``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_dicts,
    get_str,
    pick,
)
from genai_otel.record import (
    Message,
    Verdict,
    text,
    tool_result,
)

from . import _charges as charges
from ._message_builder import read_error
from ._openai_parts import definitions, message_parts, tool_output
from ._openai_usage import count

if TYPE_CHECKING:
    from genai_otel.record import Operation, Part

_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "top_k": "top_k",
    "seed": "seed",
    "random_seed": "seed",  # Mistral
    "stop": "stop",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "n": "choices",
    "reasoning_effort": "reasoning_level",
    "previous_response_id": "previous_response",
    "encoding_format": "encoding_formats",
}
OUTPUT_TYPES = {"json_schema": "json", "json_object": "json", "text": "text"}


def read_model(body: Json) -> str | None:
    """Return the requested model."""
    return get_str(body, "model")


def read_request(body: Json, op: Operation) -> None:
    """Read what every request has."""
    op.params = pick(body, _PARAMS)
    tier = get_str(body, "service_tier")
    if tier is not None and tier != "auto":
        set_detail(op, "requested_tier", tier)


def read_response(reply: Any, op: Operation) -> None:
    """Read what every response has."""
    reply = as_dict(reply)
    op.response_id = get_str(reply, "id")
    op.response_model = get_str(reply, "model")
    tier, fingerprint = get_str(reply, "service_tier"), get_str(reply, "system_fingerprint")
    op.tier = tier or get_str(get_dict(reply, "usage"), "service_tier")
    if tier is not None:
        set_detail(op, "service_tier", tier)
    if fingerprint is not None:
        set_detail(op, "system_fingerprint", fingerprint)
    if reply.get("error"):
        read_error(get_dict(reply, "error"), op)


def set_detail(op: Operation, name: str, value: str) -> None:
    """Set a detail that only this API has."""
    if op.details is None:
        op.details = {}
    op.details[name] = value


# --------------------------------------------------------------------------- chat completions


def read_chat_request(body: Json, op: Operation) -> None:
    read_request(body, op)
    set_detail(op, "api_type", "chat_completions")
    charges.chat_request(body, op)
    op.output_type = OUTPUT_TYPES.get(get_str(get_dict(body, "response_format"), "type") or "")


def read_chat_content(body: Json, op: Operation) -> None:
    op.input = [_message(message) for message in get_dicts(body, "messages")]
    op.tools = definitions(body)


def _message(message: Json) -> Message:
    role = message.get("role", "user")
    content = message.get("content")
    if len(message) == 2 and type(content) is str and type(role) is str:  # noqa: PLR2004 - as most
        return {"role": role, "parts": [text(content)]}
    role = get_str(message, "role") or "user"
    turn: Message = {"role": role, "parts": []}
    name = get_str(message, "name")
    if name is not None:
        turn["name"] = name
    if role in ("tool", "function"):  # the latter in the form that tools replaced
        turn["role"] = "tool"
        turn["parts"] = [tool_result(get_str(message, "tool_call_id"), tool_output(content))]
    else:
        turn["parts"] = message_parts(message)
    return turn


def read_chat_response(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    read_response(reply, op)
    choices = get_dicts(reply, "choices")
    reasons = [get_str(choice, "finish_reason") for choice in choices]
    op.finish_reasons = [reason for reason in reasons if reason is not None]
    count(get_dict(reply, "usage") or get_dict(get_dict(reply, "x_groq"), "usage"), op)
    if op.capture:
        op.output = [_choice(choice) for choice in choices]


def _choice(choice: Json) -> Message:
    message = get_dict(choice, "message")
    parts: list[Part] = message_parts(message)
    if not message:  # a completion
        parts.append(text(get_str(choice, "text") or ""))
    turn: Message = {"role": get_str(message, "role") or "assistant", "parts": parts}
    reason = get_str(choice, "finish_reason")
    if reason is not None:
        turn["finish_reason"] = reason
    return turn


def read_moderation_response(reply: Any, op: Operation) -> None:
    """Read a moderation: flagged is verdict ``flag``; only the application knows if it denies."""
    reply = as_dict(reply)
    read_response(reply, op)
    results = get_dicts(reply, "results")
    if not results:
        return
    flagged = any(_flagged(result) for result in results)
    scores = {
        name: score
        for result in results
        for name, score in get_dict(result, "category_scores").items()
        if type(score) is float
    }
    category = max(scores, key=lambda name: scores[name], default=None)
    score = None if category is None else scores[category]
    op.verdict = Verdict(
        "flag" if flagged else "allow", score, category=category if flagged else None
    )


def _flagged(result: Json) -> bool:
    """Whether the result is flagged, or (Mistral) any of its categories is."""
    if "flagged" in result:
        return result["flagged"] is True
    return any(value is True for value in get_dict(result, "categories").values())
