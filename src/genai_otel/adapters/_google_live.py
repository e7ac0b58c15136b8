"""Google's live sessions over a WebSocket; ai.google.dev/api/live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.engine.adapter import Patch, Reader
from genai_otel.engine.families.sessions import Session, block
from genai_otel.engine.read import Json, fields, mapping, mappings, pick, string
from genai_otel.record import Kind, Usage, cut, media_bytes, text, tool_call, tool_result
from genai_otel.record.usage import GEMINI, read_usage

from . import _charges as charges
from ._turns import LONGEST, Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.record import Message, Operation, Part

_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_output_tokens": "max_tokens",
    "seed": "seed",
}


def _model(given: Json) -> str | None:
    return string(given, "model")


def _ask(given: Json, op: Operation) -> None:
    config = fields(given.get("config"))
    op.params = pick(config, _PARAMS)
    made = config.get("response_modalities")
    spoken = type(made) is list and any("AUDIO" in str.__str__(each) for each in made)
    op.output_type = "speech" if spoken else None


def _content(given: Json, op: Operation) -> None:
    told = fields(given.get("config")).get("system_instruction")
    if type(told) is str:
        op.system = [text(told)]
    elif told is not None:
        op.system = _parts(fields(told)) or None


def _parts(content: Json) -> list[Part]:
    return [part for each in mappings(content, "parts") for part in _part(each)]


def _part(part: Json) -> list[Part]:
    words, blob = string(part, "text"), mapping(part, "inline_data")
    if words:
        return [text(cut(words, LONGEST))]
    data = blob.get("data")
    if type(data) is bytes:
        kind = string(blob, "mime_type") or ""
        return [media_bytes(kind.partition("/")[0] or "media", data, kind or None)]
    return []


class _Turns(Turns):
    """The messages of the server are the model's; what it was given is seen as it is sent."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._words: list[str] = []
        self._heard_words: list[str] = []
        self._calls: list[Part] = []
        self._used: Json = {}
        self._grounding = charges.Grounding()

    def sent(self, event: Any) -> None:
        event = fields(event)
        blobs = (fields(event.get(name)).get("data") for name in ("audio", "media", "video"))
        self._heard += sum(len(data) for data in blobs if type(data) is bytes)
        turns = event.get("turns")
        for content in turns if type(turns) is list else [turns]:
            if content is not None:
                role = string(fields(content), "role") or "user"
                role = "assistant" if role == "model" else role
                self._given({"role": role, "parts": _parts(fields(content))})
        words = string(event, "text")
        if words:
            self._given({"role": "user", "parts": [text(cut(words, LONGEST))]})
        answers = event.get("function_responses")
        for answer in answers if type(answers) is list else [answers]:
            if answer is not None:
                self._answer(fields(answer))

    def _given(self, message: Message) -> None:
        self._turn("input", {})
        if self._op.capture:
            self._say(message)

    def _answer(self, answer: Json) -> None:
        call_id = string(answer, "id")
        self._turn("tool_result", {"call_id": call_id})
        if self._op.capture:
            parts: list[Part] = [tool_result(call_id, answer.get("response"))]
            self._say({"role": "tool", "parts": parts})

    def add(self, event: Any) -> bool:
        event = fields(event)
        if event.get("usage_metadata"):
            self._used = mapping(event, "usage_metadata")
        for call in mappings(mapping(event, "tool_call"), "function_calls"):
            called, name = string(call, "id"), string(call, "name") or ""
            self._turn("tool_call", {"tool": name, "call_id": called})
            self._calls.append(tool_call(called, name, call.get("args")))
        told = mapping(event, "server_content")
        if told:
            self._hear(told)
        ended = "interrupted" if told.get("interrupted") else None
        if told.get("turn_complete") or ended:
            self._answered(ended or "stop")
        elif self._calls:
            self._answered("tool_calls")
        return False

    def _hear(self, told: Json) -> None:
        metadata = mapping(told, "grounding_metadata")
        if metadata:
            self._grounding.add(metadata)
        for part in mappings(mapping(told, "model_turn"), "parts"):
            data = mapping(part, "inline_data").get("data")
            self._spoken += len(data) if type(data) is bytes else 0
            self._keep(self._words, string(part, "text"))
        self._keep(self._words, string(mapping(told, "output_transcription"), "text"))
        self._keep(self._heard_words, string(mapping(told, "input_transcription"), "text"))

    def _keep(self, words: list[str], piece: str | None) -> None:
        if piece and self._op.capture and sum(map(len, words)) < LONGEST:
            words.append(piece)

    def _answered(self, reason: str) -> None:
        op, used = self._op, Usage()
        if self._heard:
            heard: list[Part] = [{"type": "media", "modality": "audio", "size": self._heard}]
            self._turn("input", {"audio_size": self._heard})
            if op.capture:
                said = "".join(self._heard_words)
                self._say({"role": "user", "parts": [*heard, *([text(said)] if said else [])]})
        read_usage(self._used, used, GEMINI)
        self._grounding.note(used)
        self._grounding = charges.Grounding()
        op.usage.add(used)
        op.finish_reasons = [reason]
        self._turn(
            "response",
            {
                "finish_reasons": [reason],
                "input": used.input,
                "output": used.output,
                "audio_size": self._spoken or None,
            },
        )
        if op.capture:
            self._forget_reply()
            self._reply = [self._whole(reason)]
        self._words, self._heard_words, self._calls, self._used = [], [], [], {}
        self._heard = self._spoken = 0

    def _whole(self, reason: str) -> Message:
        parts: list[Part] = []
        if self._spoken:
            parts.append({"type": "media", "modality": "audio", "size": self._spoken})
        if self._words:
            parts.append(text("".join(self._words)))
        return {"role": "assistant", "parts": [*parts, *self._calls], "finish_reason": reason}


def _nothing(_reply: Any, _op: Operation) -> None:
    """There is no reply as a whole."""


def _lost(error: BaseException) -> bool:
    """The client makes an error of the API's of a connection that was closed."""
    return type(error).__name__ in {"APIError", "ClientError", "ServerError", "ConnectionClosed"}


def _fine(error: BaseException) -> bool:
    return getattr(error, "code", None) in {1000, 1001}


def patches(origin: Callable[[Json, Operation], None]) -> tuple[Patch, ...]:
    """``aio.live.connect``, which makes a block."""
    reader = Reader(Kind.GENERATION, _ask, _nothing, _content, _Turns, model=_model)
    session = Session(
        reader,
        origin,
        _lost,
        _fine,
        lambda _connection: False,
        sends=("send_client_content", "send_realtime_input", "send_tool_response"),
        receives="_receive",
        waits="_receive",
    )
    return (block("google.genai.live:AsyncLive.connect", session, "self"),)
