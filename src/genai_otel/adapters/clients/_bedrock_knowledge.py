"""Bedrock's knowledge bases and reranking (the service ``bedrock-agent-runtime``).

Read from docs.aws.amazon.com/bedrock/latest/APIReference: Retrieve, RetrieveAndGenerate, Rerank.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Accumulator
from genai_otel.instrumentation.fields import Json, fields, integer, mapping, mappings, string
from genai_otel.record import Pieces, bounded, media, media_bytes, text

from ._said import spoken

if TYPE_CHECKING:
    from genai_otel.record import Document, Media, Message, Operation, Part

MOST = 100
"""References, calls and files of one answer that are recorded."""


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
        op.output = [spoken([*said, *more], next(iter(op.finish_reasons or ()), None))]


# ----------------------------------------------------------------------------- knowledge bases


def ask_search(params: Json, op: Operation) -> None:
    config = mapping(mapping(params, "retrievalConfiguration"), "vectorSearchConfiguration")
    wanted = integer(config, "numberOfResults")
    op.params = {} if wanted is None else {"retrieved": wanted}


def search_content(params: Json, op: Operation) -> None:
    query = mapping(params, "retrievalQuery")
    op.query = string(query, "text")
    image = mapping(query, "image")
    data, form = image.get("inlineContent"), string(image, "format")
    if type(data) is bytes:
        op.arguments = [media_bytes("image", data, f"image/{form}" if form else None)]


def found(reply: Any, op: Operation) -> None:
    op.documents = documents(mappings(fields(reply), "retrievalResults"), op)


def documents(results: list[Json], op: Operation) -> list[Document]:
    return [_document(result, capture=op.capture) for result in results]


def _document(result: Json, *, capture: bool) -> Document:
    document: Document = {"id": _place(result, capture=capture)}
    if type(result.get("score")) is float:
        document["score"] = result["score"]
    if capture:
        content = mapping(result, "content")
        words, held = _words(content), _held(content)
        if words is not None:
            document["content"] = words
        if held is not None:
            document["metadata"] = {"media": held}
    return document


def _place(result: Json, *, capture: bool) -> str:
    """Where a result is from: each kind of source has a member of its own, with one text in it.

    That of a database is a query, and so content.
    """
    places = (fields(value) for value in mapping(result, "location").values())
    place = next(filter(None, places), {})
    known = (string(place, key) for key in ("uri", "url", "id"))
    named = next(filter(None, known), None) or string(result, "documentId")
    if named is None and capture:
        named = next((value for value in place.values() if type(value) is str), None)
    return named or ""


def _words(content: Json) -> str | None:
    """A result's text; of sound what was said, of film its summary, of a row its columns."""
    row = {
        string(column, "columnName") or "": column.get("columnValue")
        for column in mappings(content, "row")
    }
    return (
        string(content, "text")
        or string(mapping(content, "audio"), "transcription")
        or string(mapping(content, "video"), "summary")
        or (as_text(row) if row else string(content, "text"))
    )


def _held(content: Json) -> Media | None:
    """What of a result is no text."""
    data = string(content, "byteContent")
    if data is not None:
        return media("image", data)
    for modality in ("audio", "video"):
        address = string(mapping(content, modality), "s3Uri")
        if address is not None:
            return media(modality, address)
    return None


def reranker(params: Json) -> str | None:
    config = mapping(mapping(params, "rerankingConfiguration"), "bedrockRerankingConfiguration")
    return string(mapping(config, "modelConfiguration"), "modelArn")


def rerank_content(params: Json, op: Operation) -> None:
    queries = (mapping(query, "textQuery") for query in mappings(params, "queries"))
    op.query = next((words for query in queries if (words := string(query, "text"))), None)
    sources = (mapping(each, "inlineDocumentSource") for each in mappings(params, "sources"))
    op.arguments = [_inline(source) for source in sources]


def _inline(source: Json) -> str | None:
    words = string(mapping(source, "textDocument"), "text")
    return as_text(source.get("jsonDocument")) if words is None else words


def reranked(reply: Any, op: Operation) -> None:
    op.documents = []
    for result in mappings(fields(reply), "results"):
        document: Document = {"id": str(result.get("index", ""))}
        if type(result.get("relevanceScore")) is float:
            document["score"] = result["relevanceScore"]
        words = _inline(mapping(result, "document")) if op.capture else None
        if words is not None:
            document["content"] = words
        op.documents.append(document)


# ------------------------------------------------------------------- retrieval and generation


def rag_model(params: Json) -> str | None:
    config = mapping(params, "retrieveAndGenerateConfiguration")
    kinds = ("knowledgeBaseConfiguration", "externalSourcesConfiguration")
    return next((m for kind in kinds if (m := string(mapping(config, kind), "modelArn"))), None)


def rag_content(params: Json, op: Operation) -> None:
    op.input = heard(string(mapping(params, "input"), "text"))


def rag_answer(reply: Any, op: Operation) -> None:
    reply = fields(reply)
    op.documents = documents(cited(reply), op)
    say(string(mapping(reply, "output"), "text"), [], op)


def cited(source: Json) -> list[Json]:
    """What an answer refers to, in the order of its words."""
    cited = mappings(source, "citations")
    return [each for c in cited for each in mappings(c, "retrievedReferences")][:MOST]


class RagEvents(Accumulator):
    """An answer in pieces, and what it was made of."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._said = Pieces(op)
        self._documents: list[Document] = []

    def add(self, event: Any) -> bool:
        event = fields(event)
        words = string(mapping(event, "output"), "text")
        self._said.add(words or "")
        told = mapping(event, "citation")
        references = mappings(mapping(told, "citation") or told, "retrievedReferences")
        self._documents.extend(documents(references[:MOST], self._op))
        del self._documents[MOST:]
        return bool(words)

    def close(self) -> None:
        self._op.documents = self._documents
        say(self._said.whole(), [], self._op)


# ------------------------------------------------------------------------- agentic retrieval


def ask_agentic(params: Json, op: Operation) -> None:
    sources = (mapping(each, "configuration") for each in mappings(params, "retrievers"))
    bases = [mapping(each, "knowledgeBase") for each in sources]
    limits = [integer(mapping(b, "retrievalOverrides"), "maxNumberOfResults") for b in bases]
    if len(limits) == 1 and limits[0] is not None:
        op.params = {"retrieved": limits[0]}


def agentic_model(params: Json) -> str | None:
    config = mapping(params, "agenticRetrieveConfiguration")
    model = mapping(config, "foundationModelConfiguration")
    kinds = ("bedrockFoundationModelConfiguration", "mantleFoundationModelConfiguration")
    chosen = (mapping(mapping(model, kind), "modelConfiguration") for kind in kinds)
    return next((arn for each in chosen if (arn := string(each, "modelArn"))), None)


def agentic_content(params: Json, op: Operation) -> None:
    turns = mappings(params, "messages")
    said = [(string(turn, "role"), string(mapping(turn, "content"), "text")) for turn in turns]
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
        self._said = Pieces(op)
        self._whole: str | None = None

    def add(self, event: Any) -> bool:
        event = fields(event)
        words = string(mapping(event, "responseEvent"), "text")
        self._said.add(words or "")
        result = mapping(event, "result")
        if result:
            self._op.documents = [
                _agentic_document(each, capture=self._op.capture)
                for each in mappings(result, "results")[:MOST]
            ]
            self._whole = string(mapping(result, "generatedResponse"), "answer")
        return bool(words)

    def close(self) -> None:
        say(self._said.whole() or self._whole, [], self._op)


def _agentic_document(result: Json, *, capture: bool) -> Document:
    source = string(mapping(result, "sourceRetriever"), "identifier")
    found = _document(result, capture=capture)
    return {**found, "id": found["id"] or source or ""}
