"""Google: the parts of Gemini, live messages, and the steps of interactions."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from tests.wire_types import Found, WireFormat, fields_of, recorded

PACKAGE, CHECKED = "google-genai", "3.6.1"
INTERACTIONS = "google.genai._gaos.types.interactions"


def _model(name: str) -> Found:
    """The fields of one of the client's models, as JSON has them."""
    return fields_of(getattr(import_module("google.genai.types"), name))


def _variants(module: str, name: str) -> Found:
    """The classes of an open union, by the `type` of each."""
    variants: dict[str, Any] = getattr(import_module(f"{INTERACTIONS}.{module}"), name)
    return variants


_BESIDE = recorded("media", why="in the `metadata` of its part")
_PARTS = {
    "text": recorded("text"),
    "thought": recorded("reasoning", why="a mark on a text"),
    "thoughtSignature": recorded(
        "reasoning", left_out="thoughtSignature", why="alone: `reasoning` without text"
    ),
    "functionCall": recorded(
        "tool_call", left_out="partialArgs willContinue", why="streamed arguments are joined"
    ),
    "functionResponse": recorded(
        "tool_call_response",
        left_out="name willContinue scheduling",
        why="its `parts` are in the `response`",
    ),
    "inlineData": recorded("media", left_out="data displayName"),
    "fileData": recorded("media", left_out="displayName"),
    "executableCode": recorded("server_tool_call"),
    "codeExecutionResult": recorded("server_tool_call_response"),
    "toolCall": recorded("server_tool_call", left_out="toolType", why="its name, in lower case"),
    "toolResponse": recorded(
        "server_tool_call_response", left_out="toolType", why="its `type`, in lower case"
    ),
    "audioTranscription": recorded(
        "media",
        left_out="finished languageCode speakerLabel words startOffset endOffset",
        why="its `transcript`",
    ),
    **dict.fromkeys(
        (
            *("videoMetadata", "mediaResolution", "mediaProcessing", "partMetadata"),
            *("documentMetadata", "spreadsheetMetadata", "audioMetadata", "speechMetadata"),
        ),
        _BESIDE,
    ),
}
_CONTROL = recorded(why="no content: the session's own state")
_SERVER = {
    "serverContent": recorded("text", why="and any other part: see below"),
    "toolCall": recorded("tool_call"),
    "usageMetadata": recorded(why="usage"),
    **dict.fromkeys(
        (
            *("setupComplete", "toolCallCancellation", "goAway", "sessionResumptionUpdate"),
            *("voiceActivityDetectionSignal", "voiceActivity"),
        ),
        _CONTROL,
    ),
}
_CONTENT = {
    "modelTurn": recorded("text", why="every part of the table of parts; audio by size"),
    "inputTranscription": recorded("text"),
    "outputTranscription": recorded("text"),
    "interimInputTranscription": recorded(why="a guess, which `inputTranscription` replaces"),
    "groundingMetadata": recorded(why="the number of searches, for the cost"),
    "turnComplete": recorded(why="finish reason"),
    "interrupted": recorded(why="finish reason"),
    **dict.fromkeys(
        (
            *("generationComplete", "urlContextMetadata", "turnCompleteReason"),
            *("waitingForInput", "interactionStatus"),
        ),
        _CONTROL,
    ),
}
_CLIENT = {
    "clientContent": recorded("text", why="every part of the table of parts"),
    "realtimeInput": recorded("text", why="audio by size"),
    "toolResponse": recorded("tool_call_response"),
    "setup": recorded(why="the session's settings"),
    "contextUpdate": recorded(why="not sent by this client"),
}
_MEDIA = recorded("media", left_out="data")
_PIECES = {
    "text": recorded("text", left_out="annotations"),
    **dict.fromkeys(("image", "audio", "video", "document"), _MEDIA),
}
_SERVED = (
    *("code_execution", "file_search", "google_maps", "google_search", "mcp_server_tool"),
    *("processing", "retrieval", "tool_search", "url_context"),
)
_CALLS = {
    **{f"{name}_call": recorded("server_tool_call") for name in _SERVED},
    **{f"{name}_result": recorded("server_tool_call_response") for name in _SERVED},
}
_STEPS = {
    "user_input": recorded("text", why="in the request only"),
    "model_output": recorded("text", why="and any other content"),
    "thought": recorded("reasoning"),
    "function_call": recorded("tool_call"),
    "function_result": recorded("tool_call_response", left_out="is_error name"),
    **_CALLS,
}
_DELTAS = {
    "arguments_delta": recorded("tool_call"),
    "function_result": recorded("tool_call_response", left_out="is_error name"),
    "text": recorded("text"),
    "thought_summary": recorded("reasoning"),
    "thought_signature": recorded("reasoning", left_out="signature", why="without text"),
    "text_annotation_delta": recorded(why="part of a text"),
    **dict.fromkeys(("image", "audio", "video", "document"), _MEDIA),
    **_CALLS,
}


def _format(title: str, found: Any, rows: Any, left_out: str = "") -> WireFormat:
    outside = frozenset(left_out.split())
    return WireFormat(f"Google, {title}", PACKAGE, CHECKED, found, rows, left_out=outside)


PARTS = _format("`Part`", partial(_model, "Part"), _PARTS)
SERVER = _format("`LiveServerMessage`", partial(_model, "LiveServerMessage"), _SERVER)
HEARD = _format("`LiveServerContent`", partial(_model, "LiveServerContent"), _CONTENT)
CLIENT = _format("`LiveClientMessage`", partial(_model, "LiveClientMessage"), _CLIENT)
STEPS = _format(
    "steps of interactions",
    partial(_variants, "step", "_STEP_VARIANTS"),
    _STEPS,
    "signature",
)
DELTAS = _format(
    "deltas of streamed interactions",
    partial(_variants, "stepdeltadata", "_STEP_DELTA_DATA_VARIANTS"),
    _DELTAS,
    "signature",
)
PIECES = _format(
    "content of interactions", partial(_variants, "content", "_CONTENT_VARIANTS"), _PIECES
)
FORMATS = [PARTS, SERVER, HEARD, CLIENT, STEPS, DELTAS, PIECES]
