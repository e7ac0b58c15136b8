"""Qdrant: searches and points, from a server or in memory, sync and async.

python-client.qdrant.tech. Its scores are similarities (cosine, dot product, fusion) or distances
(Euclid, Manhattan), as the collection was made; an answer does not say which, but its order does.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.fields import as_dict, get_dict, get_str

from ._stores import Access, Search, Store, size

if TYPE_CHECKING:
    from genai_otel.instrumentation.fields import Json
    from genai_otel.record import Document


def _collection(given: Json) -> Any:
    return given.get("collection_name")


def _address(given: Json) -> str | None:
    """The address of what is behind the client, if that is a server."""
    address = getattr(given["self"]._client, "rest_uri", None)  # noqa: SLF001 - not told otherwise
    return address if type(address) is str else None


def _text(given: Json) -> str | None:
    """A text that is embedded on the way; a plain one is the id of a point."""
    query = as_dict(given.get("query"))
    return get_str(query, "text") or get_str(get_dict(query, "nearest"), "text")


def _read_documents(reply: Any) -> list[Document]:
    return _points(as_dict(reply).get("points"))


def _batch_hits(reply: Any) -> list[Document]:
    return [hit for each in reply for hit in _read_documents(each)]


def _group_hits(reply: Any) -> list[Document]:
    return [hit for group in reply.groups for hit in _points(group.hits)]


def _points(points: Any) -> list[Document]:
    measure = _measure([point.score for point in points])
    return [_point(point, measure) for point in points]


def _measure(scores: list[float]) -> Literal["similarity", "distance"] | None:
    """The best come first; where all are equal nothing follows."""
    if any(before < after for before, after in pairwise(scores)):
        return "distance"
    return "similarity" if any(before > after for before, after in pairwise(scores)) else None


def _point(point: Any, measure: Literal["similarity", "distance"] | None) -> Document:
    found: Document = {"id": str(point.id), "score": point.score}
    if measure is not None:
        found["measure"] = measure
    if point.payload:
        found["metadata"] = point.payload
    return found


def _point_count(given: Json) -> int | None:
    """Points in a list, or in a ``Batch``, which has columns."""
    points = given.get("points")
    return size(points) if type(points) in (list, tuple) else size(as_dict(points).get("ids"))


def _written_content(given: Json) -> Any:
    """Ids and payloads of the points in a list, or of a ``Batch``."""
    points: Any = given.get("points")
    if type(points) not in (list, tuple):
        batch = as_dict(points)
        columns = {key: batch[key] for key in ("ids", "payloads") if batch.get(key) is not None}
        return columns or None
    rows = (as_dict(point) for point in points[:_POINTS])
    return [{key: row[key] for key in ("id", "payload") if key in row} for row in rows]


_POINTS = 100


def _selected(given: Json) -> int | None:
    """Points chosen by their ids; how many a filter chooses is not told."""
    chosen = given.get("points_selector", given.get("points"))
    return size(chosen) if type(chosen) in (list, tuple) else size(as_dict(chosen).get("points"))


def _operations(given: Json) -> int | None:
    return size(given.get("update_operations"))


_STORE = Store(
    "qdrant",
    (
        "qdrant_client.qdrant_client:QdrantClient",
        "qdrant_client.async_qdrant_client:AsyncQdrantClient",
    ),
    _collection,
    _address,
)

ADAPTER = declare(
    "qdrant",
    patches=_STORE.patches(
        (
            Search("query_points", _read_documents, _text, ("limit", 10)),
            Search("query_batch_points", _batch_hits),
            Search("query_points_groups", _group_hits, _text, ("limit", 10)),
            Access("upsert", _point_count, content=_written_content),
            Access("upload_points", _point_count, content=_written_content),
            Access("update_vectors", _point_count),
            Access("delete", _selected),
            Access("delete_vectors", _selected),
            Access("set_payload", _selected),
            Access("overwrite_payload", _selected),
            Access("delete_payload", _selected),
            Access("clear_payload", _selected),
            Access("batch_update_points", _operations),
            Access("scroll", rows=lambda reply: size(reply[0])),
            Access("retrieve", rows=size),
        )
    ),
)
