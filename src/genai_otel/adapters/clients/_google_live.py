"""Google's live sessions over a WebSocket; ai.google.dev/api/live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from genai_otel.instrumentation.adapter import Extractor, Patch
from genai_otel.instrumentation.fields import Json, as_dict, get_dict, get_dicts, get_str, pick
from genai_otel.instrumentation.patchers.sessions import (
    Session,
    patch_connections,
    patch_session_block,
)
from genai_otel.record import Kind, Usage, cut, reasoning, text
from genai_otel.record.usage import GEMINI, read_usage, running

from . import _charges as charges
from . import _gemini_parts as gemini
from ._session_turns import MAX_TEXT, TURNS_KEPT, TurnAccumulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.record import Message, Operation, Part, Text

_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_output_tokens": "max_tokens",
    "seed": "seed",
}


def _read_model(given: Json) -> str | None:
    return get_str(given, "model")


def _read_request(given: Json, op: Operation) -> None:
    config = as_dict(given.get("config"))
    op.params = pick(config, _PARAMS)
    made = config.get("response_modalities")
    spoken = type(made) is list and any("AUDIO" in str.__str__(each) for each in made)
    op.output_type = "speech" if spoken else None


def _read_content(given: Json, op: Operation) -> None:
    told = as_dict(given.get("config")).get("system_instruction")
    if type(told) is str:
        op.system = [text(told)]
    elif told is not None:
        op.system = _parts(as_dict(told)) or None


def _parts(content: Json) -> list[Part]:
    """As many and as long as a session may keep; a content may be a text alone."""
    return [_shortened(gemini.part(each)) for each in get_dicts(content, "parts")[:TURNS_KEPT]]


def _shortened(part: Part) -> Part:
    if part["type"] == "text" or part["type"] == "reasoning":
        said = cast("Text", part)
        return cast("Part", {**said, "content": cut(said["content"], MAX_TEXT)})
    return part


class _SessionEvents(TurnAccumulator):
    """The messages of the server are the model's; what it was given is seen as it is sent."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._words: list[str] = []
        self._input_transcript: list[str] = []
        self._thoughts: list[str] = []
        self._more: list[Part] = []
        self._used: Json = {}
        self._grounding = charges.Grounding()

    def add_sent(self, event: Any) -> None:
        event = as_dict(event)
        blobs = (as_dict(event.get(name)).get("data") for name in ("audio", "media", "video"))
        self._input_bytes += sum(len(data) for data in blobs if type(data) is bytes)
        turns = event.get("turns")
        for content in turns if type(turns) is list else [turns]:
            if content is not None:
                role = get_str(as_dict(content), "role") or "user"
                role = "assistant" if role == "model" else role
                self._given(role, as_dict(content))
        words = get_str(event, "text")
        if words:
            self._given("user", {"parts": [{"text": words}]})
        answers = event.get("function_responses")
        for answer in answers if type(answers) is list else [answers]:
            if answer is not None:
                self._answer(as_dict(answer))

    def _given(self, role: str, content: Json) -> None:
        self._add_turn("input", {})
        if self._op.capture:
            self._add_message({"role": role, "parts": _parts(content)})

    def _answer(self, answer: Json) -> None:
        call_id = get_str(answer, "id")
        self._add_turn("tool_result", {"call_id": call_id})
        if self._op.capture:
            answered = gemini.part({"function_response": answer})
            self._add_message({"role": "tool", "parts": [answered]})

    def add(self, event: Any) -> bool:
        event = as_dict(event)
        if event.get("usage_metadata"):
            self._used = running(self._used, get_dict(event, "usage_metadata"))
        calls = get_dicts(get_dict(event, "tool_call"), "function_calls")
        for call in calls:
            called, name = get_str(call, "id"), get_str(call, "name") or ""
            self._add_turn("tool_call", {"tool": name, "call_id": called})
            self._keep_part({"function_call": call})
        told = get_dict(event, "server_content")
        if told:
            self._hear(told)
        ended = "interrupted" if told.get("interrupted") else None
        if told.get("turn_complete") or ended:
            self._answered(ended or "stop")
        elif calls:
            self._answered("tool_calls")
        return False

    def _hear(self, told: Json) -> None:
        metadata = get_dict(told, "grounding_metadata")
        if metadata:
            self._grounding.add(metadata)
        for part in get_dicts(get_dict(told, "model_turn"), "parts"):
            self._made(part)
        self._keep(self._words, get_str(get_dict(told, "output_transcription"), "text"))
        self._keep(self._input_transcript, get_str(get_dict(told, "input_transcription"), "text"))

    def _made(self, part: Json) -> None:
        """Text and sound come in pieces; anything else is a part of its own."""
        blob, words = get_dict(part, "inline_data"), get_str(part, "text")
        data, kind = blob.get("data"), get_str(blob, "mime_type") or "audio"
        if words is not None:
            self._keep(self._thoughts if part.get("thought") is True else self._words, words)
        elif type(data) is bytes and kind.startswith("audio"):
            self._output_bytes += len(data)
        else:
            self._keep_part(part)

    def _keep_part(self, part: Json) -> None:
        if self._op.capture and len(self._more) < TURNS_KEPT:
            self._more.append(gemini.part(part))

    def _keep(self, words: list[str], piece: str | None) -> None:
        if piece and self._op.capture and sum(map(len, words)) < MAX_TEXT:
            words.append(piece)

    def _answered(self, reason: str) -> None:
        op, used = self._op, Usage()
        if self._input_bytes:
            heard: list[Part] = [{"type": "media", "modality": "audio", "size": self._input_bytes}]
            self._add_turn("input", {"audio_size": self._input_bytes})
            if op.capture:
                said = "".join(self._input_transcript)
                self._add_message(
                    {"role": "user", "parts": [*heard, *([text(said)] if said else [])]}
                )
        read_usage(self._used, used, GEMINI)
        self._grounding.note(used)
        self._grounding = charges.Grounding()
        op.usage.add(used)
        op.finish_reasons = [reason]
        self._add_turn(
            "response",
            {
                "finish_reasons": [reason],
                "input": used.input,
                "output": used.output,
                "audio_size": self._output_bytes or None,
            },
        )
        if op.capture:
            self._close_reply()
            self._reply = [self._whole(reason)]
        self._words, self._input_transcript, self._thoughts = [], [], []
        self._more, self._used = [], {}
        self._input_bytes = self._output_bytes = 0

    def _whole(self, reason: str) -> Message:
        parts: list[Part] = []
        if self._thoughts:
            parts.append(reasoning("".join(self._thoughts)))
        if self._output_bytes:
            parts.append({"type": "media", "modality": "audio", "size": self._output_bytes})
        if self._words:
            parts.append(text("".join(self._words)))
        return {"role": "assistant", "parts": [*parts, *self._more], "finish_reason": reason}


def _read_nothing(_reply: Any, _op: Operation) -> None:
    """There is no reply as a whole."""


def _is_disconnect(error: BaseException) -> bool:
    """The client makes an error of the API's of a connection that was closed."""
    return type(error).__name__ in {"APIError", "ClientError", "ServerError", "ConnectionClosed"}


def _is_normal_close(error: BaseException) -> bool:
    return getattr(error, "code", None) in {1000, 1001}


def patches(origin: Callable[[Json, Operation], None]) -> tuple[Patch, ...]:
    """``aio.live.connect``, which makes a block."""
    extractor = Extractor(
        Kind.GENERATION,
        _read_request,
        _read_nothing,
        _read_content,
        _SessionEvents,
        read_model=_read_model,
    )
    session = Session(
        extractor,
        origin,
        _is_disconnect,
        _is_normal_close,
        lambda _connection: False,
        sends=("send_client_content", "send_realtime_input", "send_tool_response"),
        receives="_receive",
        waits="_receive",
    )
    return (
        patch_session_block("google.genai.live:AsyncLive.connect", session, "self"),
        *patch_connections("google.genai.live:AsyncSession", session),
    )
