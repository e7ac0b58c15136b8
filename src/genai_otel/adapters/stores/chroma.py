"""Chroma: searches and records, embedded or from a server, sync and async.

docs.trychroma.com/reference/python/collection. Its numbers are distances, whatever the space: the
nearest come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare

from ._stores import Access, Search, Store, size

if TYPE_CHECKING:
    from genai_otel.instrumentation.fields import Json
    from genai_otel.record import Document


def _collection(given: Json) -> Any:
    return given["self"].name


def _address(given: Json) -> str | None:
    """Only what talks to a server has one."""
    address = getattr(given["self"]._client, "_api_url", None)  # noqa: SLF001 - not told otherwise
    return address if type(address) is str else None


def _query_text(given: Json) -> str | None:
    texts = given.get("query_texts")
    if type(texts) is list and all(type(each) is str for each in texts):
        return "\n".join(texts)
    return texts if type(texts) is str else None


def _read_documents(reply: Any) -> list[Document]:
    """Columns of rows: one row a query."""
    columns = [
        ("score", reply.get("distances") or reply.get("scores")),
        ("content", reply.get("documents")),
        ("metadata", reply.get("metadatas")),
    ]
    found: list[Any] = []
    for row, ids in enumerate(reply["ids"]):
        for at, identity in enumerate(ids):
            told = {key: column[row][at] for key, column in columns if column and column[row]}
            if "score" in told:
                told["measure"] = "distance"
            found.append({"id": identity, **{k: v for k, v in told.items() if v is not None}})
    return found


def _ids(given: Json) -> int | None:
    return size(given.get("ids"))


def _written_content(given: Json) -> Json | None:
    """Ids, texts and metadata of what is written."""
    told = {key: given.get(key) for key in ("ids", "documents", "metadatas", "uris")}
    return {key: value for key, value in told.items() if value is not None}


def _rows(reply: Any) -> int | None:
    return size(reply["ids"])


def _deleted(reply: Any) -> int | None:
    count = reply.get("deleted") if type(reply) is dict else None
    return count if type(count) is int else None


_STORE = Store(
    "chroma",
    (
        "chromadb.api.models.Collection:Collection",
        "chromadb.api.models.AsyncCollection:AsyncCollection",
    ),
    _collection,
    _address,
)

ADAPTER = declare(
    "chroma",
    patches=_STORE.patches(
        (
            Search("query", _read_documents, _query_text, ("n_results", 10)),
            Search("search", _read_documents),
            Access("add", _ids, content=_written_content),
            Access("upsert", _ids, content=_written_content),
            Access("update", _ids, content=_written_content),
            Access("delete", _ids, deleted=_deleted, content=_written_content),
            Access("get", rows=_rows, content=_written_content),
            Access("peek", rows=_rows),
        )
    ),
)
