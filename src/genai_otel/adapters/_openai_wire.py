"""The wire shapes of the OpenAI API, which many servers and clients speak.

Read from the provider's API reference (platform.openai.com/docs/api-reference: chat, responses,
completions, embeddings). Fields of other vendors that the same shapes carry are read where they
stand: ``reasoning_content`` (DeepSeek, vLLM), ``reasoning`` (OpenRouter), ``x_groq.usage``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.engine.read import (
    Json,
    as_json,
    integer,
    listed,
    mapping,
    mappings,
    parsed,
    pick,
    string,
)
from genai_otel.record import Message, media, media_id, reasoning, text, tool_call, tool_result

if TYPE_CHECKING:
    from genai_otel.record import Operation, Part

_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "seed": "seed",
    "stop": "stop",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "n": "choices",
    "reasoning_effort": "reasoning_level",
    "previous_response_id": "previous_response",
    "encoding_format": "encoding_formats",
}
_OUTPUT_TYPES = {"json_schema": "json", "json_object": "json", "text": "text"}


def ask(body: Json, op: Operation) -> None:
    """What every request has."""
    op.model = string(body, "model")
    op.params = pick(body, _PARAMS)
    tier = string(body, "service_tier")
    if tier is not None and tier != "auto":
        detail(op, "requested_tier", tier)


def answer(reply: Json, op: Operation) -> None:
    """What every reply has."""
    op.response_id = string(reply, "id")
    op.response_model = string(reply, "model")
    for name in ("service_tier", "system_fingerprint"):
        value = string(reply, name)
        if value is not None:
            detail(op, name, value)


def detail(op: Operation, name: str, value: str) -> None:
    """Notes a fact that only this API has."""
    op.details = {**(op.details or {}), name: value}


# --------------------------------------------------------------------------- chat completions


def ask_chat(body: Json, op: Operation) -> None:
    ask(body, op)
    detail(op, "api_type", "chat_completions")
    op.output_type = _OUTPUT_TYPES.get(string(mapping(body, "response_format"), "type") or "")


def chat_content(body: Json, op: Operation) -> None:
    op.input = [_turn(message) for message in mappings(body, "messages")]
    op.tools = definitions(body)


def definitions(body: Json) -> list[Json]:
    """The offered tools, a function's own fields lifted out of their wrapping."""
    return [
        {"type": string(tool, "type") or "function", "name": "", **tool, **as_json(inner)}
        if type(inner := tool.get("function")) is not dict
        else {"type": "function", "name": "", **inner}
        for tool in mappings(body, "tools")
    ]


def _turn(message: Json) -> Message:
    role = string(message, "role") or "user"
    if role == "tool":
        answered = tool_result(string(message, "tool_call_id"), _plain(message.get("content")))
        return {"role": role, "parts": [answered]}
    return {"role": role, "parts": _message_parts(message)}


def _message_parts(message: Json) -> list[Part]:
    """Reasoning, text or refusal, then tool calls: the order in which a model makes them."""
    parts: list[Part] = []
    thought = string(message, "reasoning_content") or string(message, "reasoning")
    if thought:
        parts.append(reasoning(thought))
    content = message.get("content")
    if type(content) is str:
        parts.append(text(content))
    elif type(content) is list:
        parts.extend(_part(item) for item in content if type(item) is dict)
    refusal = string(message, "refusal")
    if refusal:
        parts.append(text(refusal))
    parts.extend(_call(call) for call in mappings(message, "tool_calls"))
    return parts


def _call(call: Json) -> Part:
    function = mapping(call, "function") or mapping(call, "custom")
    arguments = parsed(function.get("arguments", function.get("input")))
    return tool_call(string(call, "id"), string(function, "name") or "", arguments)


def _part(item: Json) -> Part:
    """One piece of a message: of chat completions and of responses."""
    kind = string(item, "type") or ""
    words = string(item, "text") or string(item, "refusal")
    if words is not None:
        return text(words)
    url = item.get("image_url")
    if "image" in kind:
        address = string(url, "url") if type(url) is dict else url
        return _by_id_or_address(item, "image", address)
    if "audio" in kind:
        audio = mapping(item, "input_audio")
        form = string(audio, "format")
        return media("audio", string(audio, "data") or "", f"audio/{form}" if form else None)
    if "file" in kind:
        file = mapping(item, "file") or item
        address = string(file, "file_data") or string(file, "file_url")
        return _by_id_or_address(file, "document", address)
    return {"type": "media", "modality": kind}


def _by_id_or_address(item: Json, modality: str, address: Any) -> Part:
    file_id = string(item, "file_id")
    if file_id is not None:
        return media_id(modality, file_id)
    return media(modality, address if type(address) is str else "")


def _plain(content: Any) -> Any:
    """A tool's answer: text, or its pieces joined."""
    if type(content) is list:
        pieces = (string(item, "text") for item in content if type(item) is dict)
        return "".join(piece for piece in pieces if piece)
    return content


def answer_chat(reply: Json, op: Operation) -> None:
    answer(reply, op)
    choices = mappings(reply, "choices")
    reasons = [string(choice, "finish_reason") for choice in choices]
    op.finish_reasons = [reason for reason in reasons if reason is not None]
    count(mapping(reply, "usage") or mapping(mapping(reply, "x_groq"), "usage"), op)
    if op.capture:
        op.output = [_choice(choice) for choice in choices]


def _choice(choice: Json) -> Message:
    message = mapping(choice, "message")
    parts: list[Part] = _message_parts(message)
    if not message:  # a completion
        parts.append(text(string(choice, "text") or ""))
    audio = mapping(message, "audio")
    if audio:
        parts.append(media("audio", string(audio, "data") or ""))
        parts.append(text(string(audio, "transcript") or ""))
    turn: Message = {"role": string(message, "role") or "assistant", "parts": parts}
    reason = string(choice, "finish_reason")
    if reason is not None:
        turn["finish_reason"] = reason
    return turn


def count(usage: Json, op: Operation) -> None:
    """Both spellings of usage; cached tokens are part of the input, reasoning of the output."""
    ledger = op.usage
    ledger.input = _either(usage, "prompt_tokens", "input_tokens")
    ledger.output = _either(usage, "completion_tokens", "output_tokens")
    given = mapping(usage, "prompt_tokens_details") or mapping(usage, "input_tokens_details")
    ledger.cache_read = _either(given, "cached_tokens", "cached_tokens")
    ledger.cache_write = integer(given, "cache_write_tokens")
    made = mapping(usage, "completion_tokens_details") or mapping(usage, "output_tokens_details")
    ledger.reasoning = integer(made, "reasoning_tokens")


def _either(usage: Json, one: str, other: str) -> int | None:
    found = integer(usage, one)
    return integer(usage, other) if found is None else found


class ChatChunks:
    """Folds chunks into the shape of the whole reply, which ``answer_chat`` reads."""

    def __init__(self, op: Operation) -> None:
        self._op = op
        self._head: Json = {}
        self._choices: dict[int, _ChoiceSoFar] = {}

    def add(self, chunk: Json) -> bool:
        if len(chunk) != 0 and not self._head.get("id"):
            self._note_head(chunk)
        usage = chunk.get("usage") or chunk.get("x_groq")
        if usage:
            self._note_usage(chunk)
        generated = False
        for choice in chunk.get("choices") or ():
            index = choice.get("index", 0)
            so_far = self._choices.get(index)
            if so_far is None:
                so_far = self._choices[index] = _ChoiceSoFar(self._op.capture)
            reason = choice.get("finish_reason")
            if reason:
                so_far.finish_reason = reason
            delta = choice.get("delta")
            if type(delta) is dict:
                generated = so_far.add(delta) or generated
            elif choice.get("text"):
                generated = so_far.add({"content": choice["text"]}) or generated
        return generated

    def _note_head(self, chunk: Json) -> None:
        for name in ("id", "model", "service_tier", "system_fingerprint"):
            if chunk.get(name):
                self._head[name] = chunk[name]

    def _note_usage(self, chunk: Json) -> None:
        """The newest count replaces the one before: some servers send a running total."""
        usage = mapping(chunk, "usage") or mapping(mapping(chunk, "x_groq"), "usage")
        self._head["usage"] = {**mapping(self._head, "usage"), **usage}
        tier = string(chunk, "service_tier")
        if tier is not None:
            self._head["service_tier"] = tier

    def close(self) -> None:
        choices = [so_far.whole() for _, so_far in sorted(self._choices.items())]
        answer_chat({**self._head, "choices": choices}, self._op)


class _ChoiceSoFar:
    """One choice of a stream: its text in pieces, its tool calls by index."""

    __slots__ = ("_calls", "_content", "_keep", "_reasoning", "_refusal", "finish_reason")

    def __init__(self, keep: bool) -> None:  # noqa: FBT001 - a flag of one private class
        self._keep = keep
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[Any, Json] = {}
        self.finish_reason: str | None = None

    def add(self, delta: Json) -> bool:
        """Takes one delta; whether it held anything generated."""
        content = delta.get("content")
        if content:
            if self._keep:
                self._content.append(content)
            if len(delta) == 1:
                return True
        return self._rest(delta) or bool(content)

    def _rest(self, delta: Json) -> bool:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        refusal = delta.get("refusal")
        calls = delta.get("tool_calls")
        spoken = delta.get("audio")
        if self._keep:
            if type(thought) is str:
                self._reasoning.append(thought)
            if type(refusal) is str:
                self._refusal.append(refusal)
            if type(spoken) is dict:
                self._content.append(string(spoken, "transcript") or "")
            for call in calls or ():
                self._add_call(call)
        return bool(thought or refusal or calls or spoken)

    def _add_call(self, call: Json) -> None:
        so_far = self._calls.setdefault(call.get("index", 0), {"pieces": []})
        function = mapping(call, "function")
        so_far["id"] = string(call, "id") or so_far.get("id")
        so_far["name"] = string(function, "name") or so_far.get("name")
        so_far["pieces"].append(string(function, "arguments") or "")

    def whole(self) -> Json:
        """The choice as a whole reply has it."""
        calls = [
            {
                "id": call.get("id"),
                "function": {"name": call.get("name"), "arguments": "".join(call["pieces"])},
            }
            for _, call in sorted(self._calls.items())
        ]
        message = {
            "role": "assistant",
            "content": "".join(self._content) if self._content else None,
            "reasoning_content": "".join(self._reasoning),
            "refusal": "".join(self._refusal),
            "tool_calls": calls,
        }
        return {"message": message, "finish_reason": self.finish_reason}


# ---------------------------------------------------------------------------------- responses


def ask_response(body: Json, op: Operation) -> None:
    ask(body, op)
    detail(op, "api_type", "responses")
    form = mapping(mapping(body, "text"), "format")
    op.output_type = _OUTPUT_TYPES.get(string(form, "type") or "")
    more = {
        "reasoning_level": string(mapping(body, "reasoning"), "effort"),
        "conversation": string(body, "conversation") or string(mapping(body, "conversation"), "id"),
    }
    op.params = {**(op.params or {}), **{k: v for k, v in more.items() if v is not None}}


def response_content(body: Json, op: Operation) -> None:
    instructions = string(body, "instructions")
    if instructions is not None:
        op.system = [text(instructions)]
    given = body.get("input")
    if type(given) is str:
        op.input = [{"role": "user", "parts": [text(given)]}]
    else:
        op.input = [_item_turn(item) for item in listed(body, "input") if type(item) is dict]
    op.tools = definitions(body)


def _item_turn(item: Json) -> Message:
    kind = string(item, "type") or "message"
    if kind.endswith("_call_output"):
        answered = tool_result(string(item, "call_id"), _plain(item.get("output")))
        return {"role": "tool", "parts": [answered]}
    default = "user" if kind == "message" else "assistant"
    return {"role": string(item, "role") or default, "parts": _item_parts(item)}


def _item_parts(item: Json) -> list[Part]:
    """The parts of one item of a response's input or output."""
    kind = string(item, "type") or "message"
    if kind == "message":
        return _message_parts(item)
    if kind == "reasoning":
        pieces = [*mappings(item, "summary"), *mappings(item, "content")]
        return [reasoning(string(piece, "text") or "") for piece in pieces]
    if kind in ("function_call", "custom_tool_call"):
        arguments = parsed(item.get("arguments", item.get("input")))
        return [tool_call(string(item, "call_id"), string(item, "name") or "", arguments)]
    if kind == "image_generation_call":
        return [media("image", string(item, "result") or "")]
    return [{"type": "media", "modality": kind}]


def answer_response(reply: Json, op: Operation) -> None:
    answer(reply, op)
    items = mappings(reply, "output")
    op.finish_reasons = _response_reasons(reply, items)
    count(mapping(reply, "usage"), op)
    if op.capture:
        parts = [part for item in items for part in _item_parts(item)]
        turn: Message = {"role": "assistant", "parts": parts}
        if op.finish_reasons:
            turn["finish_reason"] = op.finish_reasons[0]
        op.output = [turn]


def _response_reasons(reply: Json, items: list[Json]) -> list[str]:
    """A response has a status instead of a finish reason; in the words of chat completions."""
    status = string(reply, "status")
    if status == "incomplete":
        reason = string(mapping(reply, "incomplete_details"), "reason") or "length"
        return ["length" if reason == "max_output_tokens" else reason]
    if status == "failed":
        return ["error"]
    if any(string(item, "type") == "function_call" for item in items):
        return ["tool_calls"]
    return ["stop"] if status == "completed" else []


class ResponseEvents:
    """Keeps the newest whole response of the events, and the text until it comes."""

    def __init__(self, op: Operation) -> None:
        self._op = op
        self._reply: Json = {}
        self._final = False
        self._pieces: dict[str, list[str]] = {}

    def add(self, event: Json) -> bool:
        kind = event["type"]
        if kind.endswith(".delta"):
            piece = event.get("delta")
            if self._op.capture and type(piece) is str:
                self._pieces.setdefault(kind, []).append(piece)
            return bool(piece)
        reply = event.get("response")
        if type(reply) is dict:
            self._reply = reply
            self._final = kind in ("response.completed", "response.incomplete", "response.failed")
        return False

    def close(self) -> None:
        answer_response(self._reply, self._op)
        if self._op.capture and not self._final:
            self._op.output = [{"role": "assistant", "parts": self._so_far()}]

    def _so_far(self) -> list[Part]:
        parts: list[Part] = []
        for kind, pieces in self._pieces.items():
            words = "".join(pieces)
            parts.append(reasoning(words) if "reasoning" in kind else text(words))
        return parts
