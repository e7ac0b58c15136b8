"""Amazon Bedrock: the shapes of botocore's own models of the services."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import Any

from tests.wire_types import Found, Recorded, WireFormat, recorded

RUNTIME, AGENTS = "bedrock-runtime", "bedrock-agent-runtime"
PACKAGE, CHECKED = "botocore", "1.43.117"


def shape(service: str, name: str) -> Any:
    """A shape of one service, as botocore loads it."""
    import botocore.session

    return botocore.session.get_session().get_service_model(service).shape_for(name)


def members_of(service: str, name: str) -> Found:
    """The members of a structure."""
    return dict(shape(service, name).members)


_numbers = count()


def shape_example(of: Any, name: str = "value", depth: int = 0) -> Any:
    """A value that botocore takes: each field set, of a union its first; every text its own."""
    kind = of.type_name
    if getattr(of, "is_document_type", False):
        return {f"{name}_key": f"{name}-{next(_numbers)}"}
    if kind == "structure":
        fields = list(of.members.items()) if depth < 8 else []
        fields = fields[:1] if getattr(of, "is_tagged_union", False) else fields
        return {key: shape_example(each, key, depth + 1) for key, each in fields}
    if kind == "list":
        return [shape_example(of.member, name, depth + 1)]
    if kind == "map":
        return {f"{name}_key": shape_example(of.value, name, depth + 1)}
    if kind == "string":
        return of.enum[0] if of.enum else f"{name}-{next(_numbers)}"
    simple = {"blob": b"\x01\x02", "integer": 3, "long": 3, "boolean": True}
    return simple.get(kind, 0.5)


_MEDIA = recorded("media", why="bytes by size and hash")
_BLOCKS = {
    "text": recorded("text"),
    "image": _MEDIA,
    "document": recorded("media", left_out="citations", why="`text` where its source is text"),
    "video": _MEDIA,
    "audio": _MEDIA,
    "toolUse": recorded("server_tool_call", why="`tool_call` without the type `server_tool_use`"),
    "toolResult": recorded(
        "server_tool_call_response",
        left_out="status",
        why="`tool_call_response` where it has no type; a status `error` is its `is_error`",
    ),
    "guardContent": recorded("text", why="or `media`"),
    "cachePoint": recorded(left_out="type ttl", why="a mark, which holds nothing"),
    "reasoningContent": recorded("reasoning", why="redacted: `reasoning` without text"),
    "citationsContent": recorded("text", why="with its `citations`"),
    "searchResult": recorded("search_result"),
    "toolAddition": recorded("tool_addition"),
    "toolRemoval": recorded("tool_removal"),
}
_RESULTS = {
    "json": recorded(why="the `response` of the tool itself"),
    "text": recorded("text"),
    "image": _MEDIA,
    "document": _BLOCKS["document"],
    "video": _MEDIA,
    "searchResult": recorded("search_result"),
}
_STREAM = {
    "text": recorded("text"),
    "toolUse": recorded("tool_call"),
    "toolResult": recorded("server_tool_call_response"),
    "reasoningContent": recorded("reasoning"),
    "citation": recorded("text", why="with its `citations`"),
    "image": _MEDIA,
}
_STARTS = {name: _STREAM[name] for name in ("toolUse", "toolResult", "image")}
_LOCATION = recorded("document", why="its address is the document's `id`")
_LOCATIONS = {
    **dict.fromkeys(
        (
            *("confluenceLocation", "googleDriveLocation", "kendraDocumentLocation"),
            *("oneDriveLocation", "s3Location", "salesforceLocation", "sharePointLocation"),
            "webLocation",
        ),
        _LOCATION,
    ),
    "customDocumentLocation": recorded("document", why="its id"),
    "sqlLocation": recorded("document", why="its query, as content"),
    "type": recorded(why="the discriminator"),
}
_FOUND = {
    "text": recorded("document", why="its content"),
    "row": recorded("document", why="its content: the columns as JSON"),
    "audio": recorded("document", why="its content is the transcript; `media` in its metadata"),
    "video": recorded("document", why="its content is the summary; `media` in its metadata"),
    "byteContent": recorded("document", why="an image: `media` in its metadata"),
    "type": recorded(why="the discriminator"),
}
_ERRORS: dict[str, Recorded] = dict.fromkeys(
    (
        *("accessDeniedException", "badGatewayException", "conflictException"),
        *("dependencyFailedException", "internalServerException", "resourceNotFoundException"),
        *("serviceQuotaExceededException", "throttlingException", "validationException"),
    ),
    recorded(why="the client raises it: the span's error"),
)
_AGENT = {
    **_ERRORS,
    "modelNotReadyException": _ERRORS["validationException"],
    "chunk": recorded("text", why="its citations as documents"),
    "files": recorded("media"),
    "returnControl": recorded("tool_call", why="finish reason `tool_call`"),
    "trace": recorded(why="usage only"),
}
_FLOW = {
    **_ERRORS,
    "flowOutputEvent": recorded("text"),
    "flowMultiTurnInputRequestEvent": recorded("text"),
    "flowCompletionEvent": recorded(why="end of the stream"),
    "flowTraceEvent": recorded(why="a trace of AWS's own"),
}


def _format(title: str, service: str, name: str, rows: dict[str, Recorded]) -> WireFormat:
    found = partial(members_of, service, name)
    return WireFormat(f"Bedrock, {title}", PACKAGE, CHECKED, found, rows)


BLOCKS = _format("`ContentBlock` of Converse", RUNTIME, "ContentBlock", _BLOCKS)
RESULTS = _format("`ToolResultContentBlock`", RUNTIME, "ToolResultContentBlock", _RESULTS)
STARTS = _format("`ContentBlockStart` of streams", RUNTIME, "ContentBlockStart", _STARTS)
DELTAS = _format("`ContentBlockDelta` of streams", RUNTIME, "ContentBlockDelta", _STREAM)
LOCATIONS = _format("`RetrievalResultLocation`", AGENTS, "RetrievalResultLocation", _LOCATIONS)
CONTENT = _format("`RetrievalResultContent`", AGENTS, "RetrievalResultContent", _FOUND)
AGENT_EVENTS = _format("`ResponseStream` of agents", AGENTS, "ResponseStream", _AGENT)
FLOW_EVENTS = _format("`FlowResponseStream`", AGENTS, "FlowResponseStream", _FLOW)
FORMATS = [BLOCKS, RESULTS, STARTS, DELTAS, LOCATIONS, CONTENT, AGENT_EVENTS, FLOW_EVENTS]
