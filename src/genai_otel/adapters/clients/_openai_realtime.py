"""OpenAI's sessions over a WebSocket: realtime, its beta, and responses over one connection.

Read from platform.openai.com/docs/api-reference/realtime-client-events and -server-events. The
conversation is taken from what the server tells of it, which is what the model was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Extractor
from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_dicts,
    get_str,
    host_and_port,
    pick,
)
from genai_otel.instrumentation.patchers.sessions import Session, patch_connections, patch_sessions
from genai_otel.record import Kind, Operation, cut, generic_part, media, text

from . import _openai_responses as responses
from . import _openai_wire as wire
from ._openai_items import awaited, calls, item_messages, returns
from ._openai_parts import definitions
from ._session_turns import MAX_TEXT, TurnAccumulator

if TYPE_CHECKING:
    from genai_otel.instrumentation.adapter import Patch
    from genai_otel.instrumentation.patchers.stainless import Provider
    from genai_otel.record import Message, Part

_PARAMS = {"temperature": "temperature", "max_output_tokens": "max_tokens",
           "max_response_output_tokens": "max_tokens"}  # fmt: skip
_ENDS = frozenset({"response.done", "response.completed", "response.incomplete", "response.failed"})
_ASKS = frozenset({"response.create", "response.steer"})
_ITEMS = frozenset({"conversation.item.created", "conversation.item.added"})
_AUDIO = frozenset({"response.audio.delta", "response.output_audio.delta"})
_CONFIGURED = frozenset({"session.created", "session.updated"})
_TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


class _SessionEvents(TurnAccumulator):
    """The conversation of one session: what was said, what was used, and its turns."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._committed: tuple[Any, int] = (None, 0)

    def add_sent(self, event: Any) -> None:
        """Audio is told by its size alone; a response that brings its own input, by that."""
        event = as_dict(event)
        kind = event.get("type")
        if kind == "input_audio_buffer.append":
            self._input_bytes += _size(event.get("audio"))
        elif kind == "input_audio_buffer.clear":
            self._input_bytes = 0
        elif kind in _ASKS:
            body = event if "input" in event else get_dict(event, "response")
            if "input" in body:
                self._asked(body)
        elif kind == "conversation.item.create":
            self._recalled(get_dict(event, "item"))

    def _recalled(self, item: Json) -> None:
        """What the model said before this session; the server tells it as if it said it now."""
        if get_str(item, "role") == "assistant" or get_str(item, "type") == "function_call":
            self._add_turn("input", {"call_id": get_str(item, "call_id")})
            if self._op.capture:
                self._add_message(_message(item, 0))

    def _asked(self, body: Json) -> None:
        op, one = self._op, self._one()
        op.model = op.model or wire.read_model(body)
        self._add_turn("input", {})
        if op.capture:
            responses.read_content(body, one)
            op.system, op.tools = one.system or op.system, one.tools or op.tools
            for message in one.input or ():
                self._add_message(message)

    def add(self, event: Any) -> bool:
        event = as_dict(event)
        kind = event.get("type")
        if kind in _AUDIO:
            self._output_bytes += _size(event.get("delta"))
        elif kind in _ENDS:
            self._answered(get_dict(event, "response"))
        elif kind in _ITEMS:
            self._item(get_dict(event, "item"))
        elif kind == "conversation.item.done":
            self._listed(get_dict(event, "item"))
        elif kind in _CONFIGURED:
            self._configured(get_dict(event, "session"))
        elif kind == "input_audio_buffer.committed":
            self._committed, self._input_bytes = (event.get("item_id"), self._input_bytes), 0
        elif kind == _TRANSCRIBED:
            self._written_down(get_str(event, "transcript"))
        elif kind == "error":
            told = get_dict(event, "error") or event
            self._add_turn("error", {"error": get_str(told, "type"), "code": get_str(told, "code")})
        return False

    def _configured(self, session: Json) -> None:
        op = self._op
        op.response_model = get_str(session, "model") or op.response_model
        op.params = {**(op.params or {}), **pick(session, _PARAMS)}
        made = session.get("output_modalities") or session.get("modalities")
        if type(made) is list and made:
            op.output_type = "speech" if "audio" in made else "text"
        if op.capture:
            told = get_str(session, "instructions")
            op.system = [text(cut(told, MAX_TEXT))] if told else op.system
            op.tools = definitions(session) or op.tools

    def _item(self, item: Json) -> None:
        """What was put into the conversation; the model's own items come with its response."""
        result = returns(get_str(item, "type") or "")
        if not result and get_str(item, "role") not in {"user", "system"}:
            return
        committed, size = self._committed
        size = size if committed == item.get("id") else 0
        kind = "tool_result" if result else "input"
        self._add_turn(kind, {"call_id": get_str(item, "call_id"), "audio_size": size or None})
        if self._op.capture:
            self._add_message(_message(item, size))

    def _listed(self, item: Json) -> None:
        """The tools of an MCP server, which the provider asks for when a session begins."""
        if get_str(item, "type") == "mcp_list_tools" and self._op.capture:
            self._add_message(_message(item, 0))

    def _written_down(self, transcript: str | None) -> None:
        """What was heard, which comes later: it belongs to the oldest input without words."""
        if not transcript or not self._op.capture:
            return
        for message in self._messages:
            parts = message["parts"]
            if message["role"] == "user" and not any(part["type"] == "text" for part in parts):
                parts.append(text(cut(transcript, MAX_TEXT)))
                return

    def _answered(self, response: Json) -> None:
        op, one = self._op, self._one()
        responses.read_response({**response, "output": ()}, one)
        op.usage.add(one.usage)
        op.response_id = one.response_id or op.response_id
        op.response_model = one.response_model or op.response_model
        items = get_dicts(response, "output")
        reason = _reason(response, one, called=bool(awaited(items)))
        op.finish_reasons = [] if reason is None else [reason]
        told = get_dict(get_dict(response, "status_details"), "error") or get_dict(
            response, "error"
        )
        spoken, self._output_bytes = self._output_bytes, 0
        self._add_turn(
            "response",
            {
                "response_id": one.response_id,
                "finish_reasons": op.finish_reasons or None,
                "input": one.usage.input,
                "output": one.usage.output,
                "audio_size": spoken or None,
                "error": get_str(told, "type"),
                "code": get_str(told, "code"),
            },
        )
        for item in calls(items):
            call_id = get_str(item, "call_id") or get_str(item, "id")
            self._add_turn("tool_call", {"tool": get_str(item, "name"), "call_id": call_id})
        if op.capture:
            self._replied(items, spoken, reason)

    def _replied(self, items: list[Json], spoken: int, reason: str | None) -> None:
        self._close_reply()
        parts = [part for item in items for part in _message(item, spoken)["parts"]]
        reply: Message = {"role": "assistant", "parts": parts}
        if reason is not None:
            reply["finish_reason"] = reason
        self._reply = [reply]

    def _one(self) -> Operation:
        """A record of one response alone, to be read as any other."""
        one = Operation(self._op.kind)
        one.capture = self._op.capture
        return one


def _size(audio: Any) -> int:
    """Bytes of what is sent as base64, without decoding it."""
    return len(audio) * 3 // 4 - audio[-2:].count("=") if type(audio) is str else 0


def _reason(response: Json, one: Operation, *, called: bool) -> str | None:
    """Why a response ended; a cancelled one was interrupted, mostly by the user's speech."""
    status = get_str(response, "status")
    if status == "incomplete":
        reason = get_str(get_dict(response, "status_details"), "reason")
        return reason or (one.finish_reasons or ["length"])[0]
    if status == "completed":
        return "tool_calls" if called else "stop"
    return "error" if status == "failed" else status


def _message(item: Json, size: int) -> Message:
    """One item of the conversation: text as it is, audio by its size and what was heard in it."""
    if get_str(item, "type") not in {None, "message"}:
        (turn,) = item_messages([{key: _shortened(value) for key, value in item.items()}])
        return turn
    parts = [part for piece in get_dicts(item, "content") for part in _parts(piece, size)]
    return {"role": get_str(item, "role") or "user", "parts": parts}


def _shortened(value: Any) -> Any:
    return cut(value, MAX_TEXT) if type(value) is str else value


def _parts(piece: Json, size: int) -> list[Part]:
    parts: list[Part] = []
    kind = get_str(piece, "type") or ""
    if "audio" in kind:
        parts.append({"type": "media", "modality": "audio"})
        if size:
            parts = [{"type": "media", "modality": "audio", "size": size}]
    elif "image" in kind:
        parts.append(media("image", get_str(piece, "image_url") or ""))
    words = get_str(piece, "text") or get_str(piece, "transcript")
    if words:
        parts.append(text(cut(words, MAX_TEXT)))
    return parts or [generic_part(kind, piece)]


# ---------------------------------------------------------------------------------- the patches


def _is_disconnect(error: BaseException) -> bool:
    """Those of ``websockets``, which is not imported to ask."""
    return type(error).__name__.startswith("ConnectionClosed")


def _is_normal_close(error: BaseException) -> bool:
    return type(error).__name__ == "ConnectionClosedOK"


def _reopens(connection: Any) -> bool:
    return getattr(connection, "_on_reconnecting", None) is not None


def _read_nothing(_given: Any, _op: Operation) -> None:
    """What is asked comes later, in the session."""


def patches(provider: Provider) -> tuple[Patch, ...]:
    """The patches of all managers of connections; ``provider`` tells who serves."""

    def origin(manager: Any, op: Operation) -> None:
        own, private = vars(manager), f"_{type(manager).__name__}__"
        client = own[f"{private}client"]
        op.model = get_str(own, f"{private}model")
        op.host, op.port = host_and_port(str(client.websocket_base_url or client.base_url))
        op.provider = provider(client, op.host or "", op.port)

    def at(place: str, kind: Kind, name: str) -> tuple[Patch, ...]:
        extractor = Extractor(kind, _read_nothing, _read_nothing, accumulator=_SessionEvents)
        session = Session(extractor, origin, _is_disconnect, _is_normal_close, _reopens)
        connection = f"openai.resources.{place}:{name}Connection"
        awaited = f"openai.resources.{place}:Async{name}Connection"
        return (
            *patch_sessions(f"{connection}Manager", session, "__enter__", "enter"),
            *patch_connections(connection, session),
            *patch_sessions(f"{awaited}Manager", session, "__aenter__", "enter"),
            *patch_connections(awaited, session),
        )

    return (
        *at("realtime.realtime", Kind.GENERATION, "Realtime"),
        *at("beta.realtime.realtime", Kind.GENERATION, "Realtime"),
        *at("responses.responses", Kind.CHAT, "Responses"),
    )
