"""Vector stores: a search is a retrieval, everything else that touches records a store's work.

A store is a table: which methods, and how the few things that differ are found. Vectors are never
recorded, and nothing of the caller's is iterated: what is no list has no known size.
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
    """What this store does not tell."""


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
    """One library. ``classes``: where its methods are, of both colours."""

    system: str
    classes: tuple[str, ...]
    collection: Callable[[Json], Any]
    address: Callable[[Json], str | None] = nothing

    def patches(self, rows: Iterable[Search | Access]) -> tuple[Patch, ...]:
        """The patches of these methods; after the first, not every version has each of them."""
        return tuple(
            patch_function(
                f"{cls}.{row.method}", _extractor(row), origin=self._begun(row), optional=place > 0
            )
            for place, row in enumerate(rows)
            for cls in self.classes
        )

    def _begun(self, row: Search | Access) -> Callable[[Json, Operation], None]:
        def begun(given: Json, op: Operation) -> None:
            op.provider, op.action = self.system, row.method
            name = self.collection(given)
            op.name = name if type(name) is str else None
            _server(self.address(given), op)

        return begun


def _server(address: str | None, op: Operation) -> None:
    """Where a server is; a store inside the process has none."""
    if address is not None:
        parts = urlsplit(address)
        op.host = parts.hostname
        op.port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _extractor(row: Search | Access) -> Extractor:
    return _searching(row) if isinstance(row, Search) else _accessing(row)


def _searching(row: Search) -> Extractor:
    argument, default = row.top_k

    def ask(given: Json, op: Operation) -> None:
        op.params = {"retrieved": given.get(argument, default)}

    def said(given: Json, op: Operation) -> None:
        op.query = row.query(given)

    def found(reply: Any, op: Operation) -> None:
        documents = row.hits(reply)
        op.rows = len(documents)
        if op.capture:
            op.documents = [_bounded(each) for each in documents[:_DOCUMENTS]]

    return Extractor(Kind.RETRIEVAL, ask, found, said)


def _bounded(document: Document) -> Document:
    copy: Document = snapshot(document, nodes=_NODES, chars=_CHARS)
    return copy


def _accessing(row: Access) -> Extractor:
    def ask(given: Json, op: Operation) -> None:
        op.records = row.records(given)

    def done(reply: Any, op: Operation) -> None:
        op.rows = row.rows(reply)
        if op.records is None:
            op.records = row.deleted(reply)

    def written(given: Json, op: Operation) -> None:
        op.arguments = snapshot(row.content(given), nodes=_NODES, chars=_CHARS)

    return Extractor(Kind.STORE, ask, done, written)


def size(value: Any) -> int | None:
    """How many there are in a list; one of what is no collection, of others nobody knows."""
    if type(value) in (list, tuple):
        return len(value)
    return 1 if type(value) in (str, int) else None
