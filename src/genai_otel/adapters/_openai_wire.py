"""The wire shapes of the OpenAI API, which many servers and clients speak.

Read from the provider's API reference (platform.openai.com/docs/api-reference: chat, responses,
completions, embeddings). Fields of other vendors that the same shapes carry are read where they
stand: ``reasoning_content`` (DeepSeek, vLLM), ``reasoning`` (OpenRouter), ``x_groq.usage``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.engine.adapter import Accumulator
from genai_otel.engine.read import (
    Json,
    fields,
    integer,
    mapping,
    mappings,
    parsed,
    pick,
    string,
)
from genai_otel.record import (
    Message,
    Pieces,
    Verdict,
    media,
    media_id,
    reasoning,
    text,
    tool_call,
    tool_result,
)

from ._openai_usage import count
from ._said import refused

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
_NOTHING: Json = {}
OUTPUT_TYPES = {"json_schema": "json", "json_object": "json", "text": "text"}


def model(body: Json) -> str | None:
    """The model asked for."""
    return string(body, "model")


def ask(body: Json, op: Operation) -> None:
    """What every request has."""
    op.params = pick(body, _PARAMS)
    tier = string(body, "service_tier")
    if tier is not None and tier != "auto":
        detail(op, "requested_tier", tier)


def answer(reply: Any, op: Operation) -> None:
    """What every reply has."""
    reply = fields(reply)
    op.response_id = string(reply, "id")
    op.response_model = string(reply, "model")
    op.tier = string(reply, "service_tier") or string(mapping(reply, "usage"), "service_tier")
    for name in ("service_tier", "system_fingerprint"):
        value = string(reply, name)
        if value is not None:
            detail(op, name, value)
    if reply.get("error"):
        refused(mapping(reply, "error"), op)


def detail(op: Operation, name: str, value: str) -> None:
    """Notes a fact that only this API has."""
    if op.details is None:
        op.details = {}
    op.details[name] = value


# --------------------------------------------------------------------------- chat completions


def ask_chat(body: Json, op: Operation) -> None:
    ask(body, op)
    detail(op, "api_type", "chat_completions")
    op.output_type = OUTPUT_TYPES.get(string(mapping(body, "response_format"), "type") or "")


def chat_content(body: Json, op: Operation) -> None:
    op.input = [_turn(message) for message in mappings(body, "messages")]
    op.tools = definitions(body)


def definitions(body: Json) -> list[Json] | None:
    """The offered tools, a function's own fields lifted out of their wrapping."""
    if "tools" not in body:
        return None
    return [
        {"type": "function", "name": "", **(mapping(tool, "function") or tool)}
        for tool in mappings(body, "tools")
    ]


def _turn(message: Json) -> Message:
    role = message.get("role", "user")
    content = message.get("content")
    if len(message) == 2 and type(content) is str and type(role) is str:  # noqa: PLR2004 - as most
        return {"role": role, "parts": [text(content)]}
    role = string(message, "role") or "user"
    if role == "tool":
        answered = tool_result(string(message, "tool_call_id"), plain(content))
        return {"role": role, "parts": [answered]}
    return {"role": role, "parts": message_parts(message)}


def message_parts(message: Json) -> list[Part]:
    """Reasoning, text or refusal, then tool calls: the order in which a model makes them."""
    parts: list[Part] = []
    thought = string(message, "reasoning_content") or string(message, "reasoning")
    if thought:
        parts.append(reasoning(thought))
    content = message.get("content")
    if type(content) is str:
        parts.append(text(content))
    elif content is not None:
        parts.extend(_part(item) for item in mappings(message, "content"))
    refusal = string(message, "refusal")
    if refusal:
        parts.append(text(refusal))
    if message.get("tool_calls"):
        parts.extend(_call(call) for call in mappings(message, "tool_calls"))
    return parts


def _call(call: Json) -> Part:
    function = mapping(call, "function") or mapping(call, "custom")
    if not function:  # of a kind that we do not know
        kind = string(call, "type") or ""
        return tool_call(string(call, "id"), kind, call.get(kind))
    arguments = parsed(function.get("arguments", function.get("input")))
    return tool_call(string(call, "id"), string(function, "name") or "", arguments)


def _part(item: Json) -> Part:
    """One piece of a message: of chat completions and of responses."""
    kind = string(item, "type") or ""
    words = string(item, "text") or string(item, "refusal")
    if words is not None:
        return text(words)
    if "thinking" in item:  # Mistral, Cohere
        thought = plain(item["thinking"])
        return reasoning(thought if type(thought) is str else "")
    if "image" in kind:
        url = mapping(item, "image_url")
        return _by_id_or_address(item, "image", string(url, "url") or item.get("image_url"))
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


def plain(content: Any) -> Any:
    """A tool's answer: text, or its pieces joined."""
    if type(content) is list:
        return "".join(string(fields(item), "text") or "" for item in content)
    return content


def answer_chat(reply: Any, op: Operation) -> None:
    reply = fields(reply)
    answer(reply, op)
    choices = mappings(reply, "choices")
    reasons = [string(choice, "finish_reason") for choice in choices]
    op.finish_reasons = [reason for reason in reasons if reason is not None]
    count(mapping(reply, "usage") or mapping(mapping(reply, "x_groq"), "usage"), op)
    if op.capture:
        op.output = [_choice(choice) for choice in choices]


def _choice(choice: Json) -> Message:
    message = mapping(choice, "message")
    parts: list[Part] = message_parts(message)
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


class ChatChunks(Accumulator):
    """Folds chunks into the shape of the whole reply, which ``answer_chat`` reads."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._head: Json = {}
        self._choices: dict[int, _ChoiceSoFar] = {}
        self._last: Any = None
        self._append: Any = None

    def quick(self, chunk: Any) -> bool | None:
        """A piece of text for the one choice, as almost all chunks are.

        What may stand beside it at the end, finish reason and usage, is read when the next chunk of
        another form comes, or the end. Each attribute of a model costs four times what a key does.
        """
        (choice,) = chunk.choices
        said = choice.delta.__dict__
        content = said["content"]
        if type(content) is str and content and said["tool_calls"] is None:
            self._append(content)
            self._last = chunk
            return True
        return None

    def add(self, chunk: Any) -> bool:
        self._settle_last()
        chunk = fields(chunk)
        self._note_head(chunk)
        generated = False
        for choice in mappings(chunk, "choices"):
            delta = mapping(choice, "delta") or {"content": choice.get("text")}
            generated = self._so_far(choice).add(delta) or generated
        self._append = self._quick_append()
        return generated

    def _so_far(self, choice: Json) -> _ChoiceSoFar:
        """What there is of this choice, its finish reason included."""
        index = integer(choice, "index") or 0
        so_far = self._choices.get(index)
        if so_far is None:
            so_far = self._choices[index] = _ChoiceSoFar(self._op)
        so_far.finish_reason = string(choice, "finish_reason") or so_far.finish_reason
        return so_far

    def _quick_append(self) -> Any:
        """Where quick text goes; nowhere if there are several choices or more than plain text."""
        if len(self._choices) != 1:
            return None
        (so_far,) = self._choices.values()
        return so_far.quick_append()

    def _settle_last(self) -> None:
        if self._last is None:
            return
        last, self._last = fields(self._last), None
        self._note_head(last)
        for choice in mappings(last, "choices"):
            self._so_far(choice)

    def _note_head(self, chunk: Json) -> None:
        """The newest count replaces the one before: some servers send a running total."""
        head = self._head
        for name in ("id", "model", "service_tier", "system_fingerprint", "error"):
            value = chunk.get(name)
            if value:
                head[name] = value
        usage = mapping(chunk, "usage")
        if not usage and "x_groq" in chunk:
            usage = mapping(mapping(chunk, "x_groq"), "usage")
        if usage:
            head["usage"] = {**head.get("usage", {}), **usage}

    def close(self) -> None:
        self._settle_last()
        choices = [so_far.whole() for _, so_far in sorted(self._choices.items())]
        answer_chat({**self._head, "choices": choices}, self._op)


def only_usage(chunk: Any) -> bool:
    """The last chunk of a stream whose usage was asked for: no choices, and the usage."""
    found = fields(chunk)
    return not found.get("choices") and found.get("usage") is not None


_MORE = ("reasoning_content", "reasoning", "refusal", "tool_calls", "audio")


class _ChoiceSoFar:
    """One choice of a stream: its text in pieces, its tool calls by index."""

    __slots__ = ("_calls", "_content", "_op", "_plain", "_reasoning", "_refusal", "finish_reason")

    def __init__(self, op: Operation) -> None:
        self._op = op
        self._plain = True
        self._content, self._reasoning, self._refusal = Pieces(op), Pieces(op), Pieces(op)
        self._calls: dict[int, Json] = {}
        self.finish_reason: str | None = None

    def quick_append(self) -> Any:
        """Takes text that comes alone; ``None`` once this stream has shown more than text."""
        if not self._plain:
            return None
        return self._content.add

    def add(self, delta: Json) -> bool:
        """Takes one delta; whether it held anything generated."""
        content = string(delta, "content")
        if content:
            self._content.add(content)
        more = any(map(delta.get, _MORE)) and self._add_more(delta)
        self._plain = self._plain and not more
        return more or bool(content)

    def _add_more(self, delta: Json) -> bool:
        """Takes what is no plain text."""
        thought = string(delta, "reasoning_content") or string(delta, "reasoning")
        refusal = string(delta, "refusal")
        calls = mappings(delta, "tool_calls")
        spoken = mapping(delta, "audio")
        self._content.add(string(spoken, "transcript") or "")
        self._reasoning.add(thought or "")
        self._refusal.add(refusal or "")
        for call in calls if self._op.capture else ():
            self._add_call(call)
        return bool(thought or refusal or calls or spoken)

    def _add_call(self, call: Json) -> None:
        index = integer(call, "index") or 0
        before = self._calls.get(index, _NOTHING).get("id")
        if before and string(call, "id") not in {None, "", before}:
            index = max(self._calls) + 1  # whole calls, which some servers number 0, all of them
        so_far = self._calls.setdefault(index, {"pieces": Pieces(self._op)})
        function = mapping(call, "function")
        so_far["id"] = string(call, "id") or so_far.get("id")
        so_far["name"] = string(function, "name") or so_far.get("name")
        so_far["pieces"].add(string(function, "arguments") or "")

    def whole(self) -> Json:
        """The choice as a whole reply has it."""
        calls = [
            {
                "id": call.get("id"),
                "function": {"name": call.get("name"), "arguments": call["pieces"].whole()},
            }
            for _, call in sorted(self._calls.items())
        ]
        message = {
            "role": "assistant",
            "content": self._content.whole() or None,
            "reasoning_content": self._reasoning.whole(),
            "refusal": self._refusal.whole(),
            "tool_calls": calls,
        }
        return {"message": message, "finish_reason": self.finish_reason}


def answer_moderation(reply: Any, op: Operation) -> None:
    """Flagged is a flag: whether that means deny is the application's to say."""
    reply = fields(reply)
    answer(reply, op)
    results = mappings(reply, "results")
    if not results:
        return
    flagged = any(_flagged(result) for result in results)
    scores = {
        name: score
        for result in results
        for name, score in mapping(result, "category_scores").items()
        if type(score) is float
    }
    category = max(scores, key=lambda name: scores[name], default=None)
    score = None if category is None else scores[category]
    op.verdict = Verdict(
        "flag" if flagged else "allow", score, category=category if flagged else None
    )


def _flagged(result: Json) -> bool:
    """In all, or where nobody says so (Mistral), in any category."""
    if "flagged" in result:
        return result["flagged"] is True
    return any(value is True for value in mapping(result, "categories").values())
