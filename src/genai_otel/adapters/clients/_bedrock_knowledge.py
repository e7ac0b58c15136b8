"""Bedrock's knowledge bases and reranking (the service ``bedrock-agent-runtime``).

Read from docs.aws.amazon.com/bedrock/latest/APIReference: Retrieve, RetrieveAndGenerate, Rerank.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Accumulator
from genai_otel.instrumentation.fields import Json, as_dict, get_dict, get_dicts, get_int, get_str
from genai_otel.record import TextBuffer, bounded, media, media_bytes, text

from ._message_builder import assistant_message

if TYPE_CHECKING:
    from genai_otel.record import Document, Media, Message, Operation, Part

# References, calls and files of one answer that are recorded.
MOST = 100


def as_text(value: Any) -> str | None:
    """A text as it is, any other document of AWS's as JSON, bounded."""
    if value is None or type(value) is str:
        return value
    return json.dumps(bounded(value), ensure_ascii=False)


def heard(words: str | None) -> list[Message]:
    return [] if words is None else [{"role": "user", "parts": [text(words)]}]


def say(words: str | None, more: list[Part], op: Operation) -> None:
    if op.capture and (words or more):
        said: list[Part] = [text(words)] if words else []
        op.output = [assistant_message([*said, *more], next(iter(op.finish_reasons or ()), None))]


# ----------------------------------------------------------------------------- knowledge bases


def read_search_request(params: Json, op: Operation) -> None:
    config = get_dict(get_dict(params, "retrievalConfiguration"), "vectorSearchConfiguration")
    wanted = get_int(config, "numberOfResults")
    op.params = {} if wanted is None else {"retrieved": wanted}


def read_search_content(params: Json, op: Operation) -> None:
    query = get_dict(params, "retrievalQuery")
    op.query = get_str(query, "text")
    image = get_dict(query, "image")
    data, form = image.get("inlineContent"), get_str(image, "format")
    if type(data) is bytes:
        op.arguments = [media_bytes("image", data, f"image/{form}" if form else None)]


def read_documents(reply: Any, op: Operation) -> None:
    op.documents = documents(get_dicts(as_dict(reply), "retrievalResults"), op)


def documents(results: list[Json], op: Operation) -> list[Document]:
    return [_document(result, capture=op.capture) for result in results]


def _document(result: Json, *, capture: bool) -> Document:
    document: Document = {"id": _source(result, capture=capture)}
    if type(result.get("score")) is float:
        document["score"] = result["score"]
    if capture:
        content = get_dict(result, "content")
        words, held = _result_text(content), _result_media(content)
        if words is not None:
            document["content"] = words
        if held is not None:
            document["metadata"] = {"media": held}
    return document


def _source(result: Json, *, capture: bool) -> str:
    """Where a result is from: each kind of source has a member of its own, with one text in it.

    That of a database is a query, and so content.
    """
    places = (as_dict(value) for value in get_dict(result, "location").values())
    place = next(filter(None, places), {})
    known = (get_str(place, key) for key in ("uri", "url", "id"))
    named = next(filter(None, known), None) or get_str(result, "documentId")
    if named is None and capture:
        named = next((value for value in place.values() if type(value) is str), None)
    return named or ""


def _result_text(content: Json) -> str | None:
    """A result's text; of sound what was said, of film its summary, of a row its columns."""
    row = {
        get_str(column, "columnName") or "": column.get("columnValue")
        for column in get_dicts(content, "row")
    }
    return (
        get_str(content, "text")
        or get_str(get_dict(content, "audio"), "transcription")
        or get_str(get_dict(content, "video"), "summary")
        or (as_text(row) if row else get_str(content, "text"))
    )


def _result_media(content: Json) -> Media | None:
    """What of a result is no text."""
    data = get_str(content, "byteContent")
    if data is not None:
        return media("image", data)
    for modality in ("audio", "video"):
        address = get_str(get_dict(content, modality), "s3Uri")
        if address is not None:
            return media(modality, address)
    return None


def read_rerank_model(params: Json) -> str | None:
    config = get_dict(get_dict(params, "rerankingConfiguration"), "bedrockRerankingConfiguration")
    return get_str(get_dict(config, "modelConfiguration"), "modelArn")


def read_rerank_content(params: Json, op: Operation) -> None:
    queries = (get_dict(query, "textQuery") for query in get_dicts(params, "queries"))
    op.query = next((words for query in queries if (words := get_str(query, "text"))), None)
    sources = (get_dict(each, "inlineDocumentSource") for each in get_dicts(params, "sources"))
    op.arguments = [_inline(source) for source in sources]


def _inline(source: Json) -> str | None:
    words = get_str(get_dict(source, "textDocument"), "text")
    return as_text(source.get("jsonDocument")) if words is None else words


def read_ranking(reply: Any, op: Operation) -> None:
    op.documents = []
    for result in get_dicts(as_dict(reply), "results"):
        document: Document = {"id": str(result.get("index", ""))}
        if type(result.get("relevanceScore")) is float:
            document["score"] = result["relevanceScore"]
        words = _inline(get_dict(result, "document")) if op.capture else None
        if words is not None:
            document["content"] = words
        op.documents.append(document)


# ------------------------------------------------------------------- retrieval and generation


def read_rag_model(params: Json) -> str | None:
    config = get_dict(params, "retrieveAndGenerateConfiguration")
    kinds = ("knowledgeBaseConfiguration", "externalSourcesConfiguration")
    return next((m for kind in kinds if (m := get_str(get_dict(config, kind), "modelArn"))), None)


def read_rag_content(params: Json, op: Operation) -> None:
    op.input = heard(get_str(get_dict(params, "input"), "text"))


def read_rag_response(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    op.documents = documents(cited(reply), op)
    say(get_str(get_dict(reply, "output"), "text"), [], op)


def cited(source: Json) -> list[Json]:
    """What an answer refers to, in the order of its words."""
    cited = get_dicts(source, "citations")
    return [each for c in cited for each in get_dicts(c, "retrievedReferences")][:MOST]


class RagEvents(Accumulator):
    """An answer in pieces, and what it was made of."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._text = TextBuffer(op)
        self._documents: list[Document] = []

    def add(self, event: Any) -> bool:
        event = as_dict(event)
        words = get_str(get_dict(event, "output"), "text")
        self._text.add(words or "")
        told = get_dict(event, "citation")
        references = get_dicts(get_dict(told, "citation") or told, "retrievedReferences")
        self._documents.extend(documents(references[:MOST], self._op))
        del self._documents[MOST:]
        return bool(words)

    def finish(self) -> None:
        self._op.documents = self._documents
        say(self._text.text(), [], self._op)


# ------------------------------------------------------------------------- agentic retrieval


def read_agentic_request(params: Json, op: Operation) -> None:
    sources = (get_dict(each, "configuration") for each in get_dicts(params, "retrievers"))
    bases = [get_dict(each, "knowledgeBase") for each in sources]
    limits = [get_int(get_dict(b, "retrievalOverrides"), "maxNumberOfResults") for b in bases]
    if len(limits) == 1 and limits[0] is not None:
        op.params = {"retrieved": limits[0]}


def read_agentic_model(params: Json) -> str | None:
    config = get_dict(params, "agenticRetrieveConfiguration")
    model = get_dict(config, "foundationModelConfiguration")
    kinds = ("bedrockFoundationModelConfiguration", "mantleFoundationModelConfiguration")
    chosen = (get_dict(get_dict(model, kind), "modelConfiguration") for kind in kinds)
    return next((arn for each in chosen if (arn := get_str(each, "modelArn"))), None)


def read_agentic_content(params: Json, op: Operation) -> None:
    turns = get_dicts(params, "messages")
    said = [(get_str(turn, "role"), get_str(get_dict(turn, "content"), "text")) for turn in turns]
    op.input = [
        {"role": role or "user", "parts": [text(words)]}
        for role, words in said
        if words is not None
    ]
    op.query = next((words for role, words in reversed(said) if role == "user"), None)


class AgenticEvents(Accumulator):
    """An answer in pieces, then all that was found; its steps are the service's own."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._text = TextBuffer(op)
        self._whole: str | None = None

    def add(self, event: Any) -> bool:
        event = as_dict(event)
        words = get_str(get_dict(event, "responseEvent"), "text")
        self._text.add(words or "")
        result = get_dict(event, "result")
        if result:
            self._op.documents = [
                _agentic_document(each, capture=self._op.capture)
                for each in get_dicts(result, "results")[:MOST]
            ]
            self._whole = get_str(get_dict(result, "generatedResponse"), "answer")
        return bool(words)

    def finish(self) -> None:
        say(self._text.text() or self._whole, [], self._op)


def _agentic_document(result: Json, *, capture: bool) -> Document:
    source = get_str(get_dict(result, "sourceRetriever"), "identifier")
    found = _document(result, capture=capture)
    return {**found, "id": found["id"] or source or ""}
