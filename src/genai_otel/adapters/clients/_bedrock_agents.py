"""Bedrock's agents and flows (the service ``bedrock-agent-runtime``).

Read from docs.aws.amazon.com/bedrock/latest/APIReference: InvokeAgent,
InvokeInlineAgent, InvokeFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Accumulator
from genai_otel.instrumentation.fields import Json, as_dict, get_dict, get_dicts, get_int, get_str
from genai_otel.record import TextBuffer, bounded, media, media_bytes, text, tool_call, tool_result
from genai_otel.record.usage import BEDROCK_CONVERSE, read_usage

from ._bedrock_knowledge import MOST, as_text, cited, documents, heard, say
from ._converse_parts import parts

if TYPE_CHECKING:
    from genai_otel.record import Document, Media, Message, Operation, Part


def read_session_id(params: Json, op: Operation) -> None:
    told = {
        "conversation": get_str(params, "sessionId") or get_str(params, "executionId"),
    }
    op.params = {key: value for key, value in told.items() if value is not None}
    agent = get_str(params, "agentId")
    if agent is not None:
        op.details = {"agent_id": agent}


def read_agent_content(params: Json, op: Operation) -> None:
    """What is said to it, files, and what the application did on its behalf."""
    state = get_dict(params, "sessionState") or get_dict(params, "inlineSessionState")
    turns: list[Message] = [
        {"role": get_str(turn, "role") or "user", "parts": parts(turn, "content")}
        for turn in get_dicts(get_dict(state, "conversationHistory"), "messages")
    ]
    called = get_str(state, "invocationId")
    results = get_dicts(state, "returnControlInvocationResults")
    if results:
        turns.append(
            {"role": "tool", "parts": [_tool_result(called, result) for result in results]}
        )
    files = [_input_file(get_dict(each, "source")) for each in get_dicts(state, "files")]
    turns += heard(get_str(params, "inputText"))
    if files:
        turns.append({"role": "user", "parts": [*files]})
    op.input = turns
    told = get_str(params, "instruction")
    op.system = [text(told)] if told is not None else None


def _tool_result(called: str | None, result: Json) -> Part:
    answer = get_dict(result, "functionResult") or get_dict(result, "apiResult")
    bodies = [get_str(as_dict(b), "body") for b in get_dict(answer, "responseBody").values()]
    return tool_result(called, bodies[0] if len(bodies) == 1 else bodies)


def _input_file(source: Json) -> Media:
    held, address = get_dict(source, "byteContent"), get_str(get_dict(source, "s3Location"), "uri")
    data = held.get("data")
    if type(data) is bytes:
        return media_bytes("document", data, get_str(held, "mediaType"))
    return media("document", address or "")


def read_flow_content(params: Json, op: Operation) -> None:
    nodes = (get_dict(node, "content").get("document") for node in get_dicts(params, "inputs"))
    op.input = [turn for node in nodes for turn in heard(as_text(node))]


class AgentEvents(Accumulator):
    """What an agent or a flow says and asks for, and what its models used.

    The latter its traces tell, if they are asked for.
    """

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._text = TextBuffer(op)
        self._used: list[Json] = []
        self._more: list[Part] = []
        self._documents: list[Document] = []
        self._calls = False

    def add(self, event: Any) -> bool:
        event = as_dict(event)
        chunk = get_dict(event, "chunk")
        piece = chunk.get("bytes")
        words = piece.decode(errors="replace") if type(piece) is bytes else _flow_text(event)
        self._text.add(words or "")
        self._used.extend(_model_usage(event))
        if chunk.get("attribution"):
            self._cite(chunk["attribution"])
        made = self._made(event)
        return bool(words) or made

    def _cite(self, attribution: Any) -> None:
        room = MOST - len(self._documents)
        self._documents.extend(documents(cited(as_dict(attribution))[:room], self._op))

    def _made(self, event: Json) -> bool:
        """Files, and functions that the application is asked to call."""
        control = get_dict(event, "returnControl")
        files = get_dicts(get_dict(event, "files"), "files")
        self._calls = self._calls or bool(control)
        if self._op.capture and len(self._more) < MOST:
            self._more.extend(map(_output_file, files))
            called = get_str(control, "invocationId")
            inputs = get_dicts(control, "invocationInputs")
            self._more.extend(_call(called, each) for each in inputs)
        return bool(control or files)

    def finish(self) -> None:
        for name in ("inputTokens", "outputTokens") if self._used else ():
            counts = [get_int(used, name) for used in self._used]
            known = [count for count in counts if count is not None]
            if len(known) == len(counts):  # else nobody knows the sum
                read_usage({name: sum(known)}, self._op.usage, BEDROCK_CONVERSE)
        self._op.documents = self._documents or None
        if self._calls:
            self._op.finish_reasons = ["tool_calls"]
        say(self._text.text(), self._more, self._op)


def _output_file(file: Json) -> Part:
    data, kind = file.get("bytes"), get_str(file, "type")
    modality = (kind or "").partition("/")[0]
    modality = modality if modality in {"image", "audio", "video"} else "document"
    return media_bytes(modality, data if type(data) is bytes else b"", kind)


def _call(called: str | None, given: Json) -> Part:
    """A function, or an operation of an API that the application is asked to use."""
    function, api = (
        get_dict(given, "functionInvocationInput"),
        get_dict(given, "apiInvocationInput"),
    )
    asked = function or api
    arguments = {
        get_str(each, "name") or "": each.get("value") for each in get_dicts(asked, "parameters")
    }
    if asked.get("requestBody") is not None:
        arguments["requestBody"] = bounded(asked["requestBody"])
    path = " ".join(filter(None, (get_str(api, "httpMethod"), get_str(api, "apiPath"))))
    return tool_call(called, get_str(function, "function") or path, arguments)


_FLOW_EVENTS = ("flowOutputEvent", "flowMultiTurnInputRequestEvent")


def _flow_text(event: Json) -> str | None:
    """What a flow gives out, or asks for in between."""
    given = (get_dict(get_dict(event, name), "content").get("document") for name in _FLOW_EVENTS)
    return next((as_text(each) for each in given if each is not None), None)


def _model_usage(event: Json) -> list[Json]:
    """Of each model that has answered, empty where it is not told."""
    traces = get_dict(get_dict(event, "trace"), "trace").values()
    outputs = (get_dict(as_dict(trace), "modelInvocationOutput") for trace in traces)
    return [get_dict(get_dict(out, "metadata"), "usage") for out in outputs if out]
