"""Vector stores: a search is a retrieval, any other access to records a store operation.

A store is a table of its methods, with functions for what differs. Vectors are never recorded, and
no iterator of the caller's is consumed: only lists have a known size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from genai_otel.instrumentation.adapter import Extractor
from genai_otel.instrumentation.patchers.function import patch_function
from genai_otel.record import Document, Kind, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from genai_otel.instrumentation.adapter import Patch
    from genai_otel.instrumentation.fields import Json
    from genai_otel.record import Operation

_DOCUMENTS = 100
_NODES, _CHARS = 200, 8_192


def nothing(_given: Any) -> None:
    """Read a value that this store does not have."""


class Search(NamedTuple):
    """A method that searches. ``top_k``: its argument, and what it is where that is not given."""

    method: str
    hits: Callable[[Any], list[Document]]
    query: Callable[[Json], str | None] = nothing
    top_k: tuple[str, int | None] = ("limit", None)


class Access(NamedTuple):
    """A method that writes, deletes or reads.

    ``records``: how many it was asked to write or delete; ``rows``: how many it gave back;
    ``deleted``: how many there were, where only its answer tells; ``content``: what it was asked to
    write, without vectors.
    """

    method: str
    records: Callable[[Json], int | None] = nothing
    rows: Callable[[Any], int | None] = nothing
    deleted: Callable[[Any], int | None] = nothing
    content: Callable[[Json], Any] = nothing


class Store(NamedTuple):
    """One library. ``classes``: its sync and async classes with these methods."""

    system: str
    classes: tuple[str, ...]
    collection: Callable[[Json], Any]
    address: Callable[[Json], str | None] = nothing

    def patches(self, rows: Iterable[Search | Access]) -> tuple[Patch, ...]:
        """Return the patches of these methods; all but the first are optional."""
        return tuple(
            patch_function(
                f"{cls}.{row.method}", _extractor(row), origin=self._origin(row), optional=place > 0
            )
            for place, row in enumerate(rows)
            for cls in self.classes
        )

    def _origin(self, row: Search | Access) -> Callable[[Json, Operation], None]:
        def origin(given: Json, op: Operation) -> None:
            op.provider, op.action = self.system, row.method
            name = self.collection(given)
            op.name = name if type(name) is str else None
            _server(self.address(given), op)

        return origin


def _server(address: str | None, op: Operation) -> None:
    """Set a server's host and port; an embedded store has none."""
    if address is not None:
        parts = urlsplit(address)
        op.host = parts.hostname
        op.port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _extractor(row: Search | Access) -> Extractor:
    return _search_extractor(row) if isinstance(row, Search) else _access_extractor(row)


def _search_extractor(row: Search) -> Extractor:
    argument, default = row.top_k

    def read_request(given: Json, op: Operation) -> None:
        op.params = {"retrieved": given.get(argument, default)}

    def read_content(given: Json, op: Operation) -> None:
        op.query = row.query(given)

    def read_response(reply: Any, op: Operation) -> None:
        documents = row.hits(reply)
        op.rows = len(documents)
        if op.capture:
            op.documents = [_bounded(each) for each in documents[:_DOCUMENTS]]

    return Extractor(Kind.RETRIEVAL, read_request, read_response, read_content)


def _bounded(document: Document) -> Document:
    copy: Document = snapshot(document, nodes=_NODES, chars=_CHARS)
    return copy


def _access_extractor(row: Access) -> Extractor:
    def read_request(given: Json, op: Operation) -> None:
        op.records = row.records(given)

    def read_response(reply: Any, op: Operation) -> None:
        op.rows = row.rows(reply)
        if op.records is None:
            op.records = row.deleted(reply)

    def read_content(given: Json, op: Operation) -> None:
        op.arguments = snapshot(row.content(given), nodes=_NODES, chars=_CHARS)

    return Extractor(Kind.STORE, read_request, read_response, read_content)


def size(value: Any) -> int | None:
    """Return a list's length, 1 for a single id, ``None`` for anything else."""
    if type(value) in (list, tuple):
        return len(value)
    return 1 if type(value) in (str, int) else None
