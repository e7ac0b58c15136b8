"""Vector stores: searches as retrievals, other work on records as a database's; real stores."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel import operation
from genai_otel.testing import Capture
from tests.trees import complaints, tree

if TYPE_CHECKING:
    from collections.abc import Iterator

VECTORS = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]
STORAGE = ["Rain.", "Snow.", "Sun."]
PAGES = [{"page": 1}, {"page": 2}, {"page": 3}]


def facts(capture: Capture, name: str) -> dict[str, Any]:
    return dict(capture.span(name).attributes or {})


def documents(found: dict[str, Any]) -> Any:
    return json.loads(found["gen_ai.retrieval.documents"])


# ---------------------------------------------------------------------------------------- Chroma


def chroma_work(collection: Any) -> list[Any]:
    ids = ["a", "b", "c"]
    collection.add(ids=ids, embeddings=VECTORS, documents=STORAGE, metadatas=PAGES)
    collection.upsert(ids="c", embeddings=[0.1, 0.9])
    collection.update(ids=["a"], metadatas=[{"page": 4}])
    found = collection.query(query_embeddings=[VECTORS[0]], n_results=2)
    one = collection.get(ids=["a"])
    left = collection.delete(ids=["c"])
    with pytest.raises(Exception) as refused:
        collection.query(query_embeddings=[[1.0, 0.0, 0.0]])
    return [found, one, left, type(refused.value), str(refused.value)]


CHROMA_TREE = [
    "add docs", "delete docs", "get docs", "retrieval docs", "retrieval docs", "update docs",
    "upsert docs",
]  # fmt: skip


@pytest.fixture
def chroma() -> Any:
    chromadb: Any = pytest.importorskip("chromadb")
    client = chromadb.EphemeralClient()
    for each in client.list_collections():
        client.delete_collection(each.name)
    return client.create_collection("docs", embedding_function=None)


def test_chroma(chroma: Any, genai_otel_capture: Capture) -> None:
    chroma_work(chroma)
    assert tree(genai_otel_capture.spans) == CHROMA_TREE
    found, failed = (s for s in genai_otel_capture.spans if s.name == "retrieval docs")
    told = dict(found.attributes or {})
    assert told["db.system.name"] == "chroma"
    assert told["db.operation.name"] == "query"
    assert told["db.collection.name"] == told["gen_ai.data_source.id"] == "docs"
    assert told["gen_ai.retrieval.top_k"] == 2
    assert told["db.response.returned_rows"] == 2
    assert "gen_ai.provider.name" not in told
    first, second = ({"id": each, "measure": "distance"} for each in "ab")
    assert documents(told) == [
        {**first, "score": 0.0, "content": "Rain.", "metadata": {"page": 4}},
        {**second, "score": pytest.approx(0.4), "content": "Snow.", "metadata": {"page": 2}},
    ]
    assert str(VECTORS[1]) not in found.to_json(), "never the vectors"
    assert not failed.status.is_ok
    written = [facts(genai_otel_capture, f"{name} docs") for name in ("add", "upsert", "delete")]
    assert [each["genai_otel.store.records"] for each in written] == [3, 1, 1]
    assert json.loads(written[0]["genai_otel.input"])["documents"] == ["Rain.", "Snow.", "Sun."]
    assert json.loads(written[1]["genai_otel.input"]) == {"ids": "c"}
    assert [each.get("db.operation.batch.size") for each in written] == [3, None, None]
    assert facts(genai_otel_capture, "get docs")["db.response.returned_rows"] == 1
    assert genai_otel_capture.spans[0].kind.name == "INTERNAL", "it is in this process"
    assert "db.client.operation.duration" in genai_otel_capture.metrics()


def test_chroma_embeds_texts_inside(genai_otel_capture: Capture) -> None:
    chromadb: Any = pytest.importorskip("chromadb")

    class Embed(chromadb.EmbeddingFunction[Any]):  # type: ignore[misc]
        def __init__(self) -> None: ...

        @staticmethod
        def name() -> str:
            return "letters"

        def get_config(self) -> dict[str, Any]:
            return {}

        @staticmethod
        def build_from_config(_config: Any) -> Any:
            return Embed()

        def default_space(self) -> Any:
            return "l2"

        def supported_spaces(self) -> Any:
            return ["l2"]

        def __call__(self, texts: Any) -> Any:
            with operation("embeddings") as op:
                op.provider, op.model = "letters", "letters"
            return [[float(len(text)), 1.0] for text in texts]

    client = chromadb.EphemeralClient()
    collection = client.get_or_create_collection("words", embedding_function=Embed())
    collection.add(ids=["a"], documents=["Rain."])
    collection.query(query_texts=["Wet?", "Dry?"], n_results=1)
    assert tree(genai_otel_capture.spans) == [
        ("add words", ["embeddings letters"]),
        ("retrieval words", ["embeddings letters"]),
    ]
    found = facts(genai_otel_capture, "retrieval words")
    assert found["gen_ai.retrieval.query.text"] == "Wet?\nDry?"
    assert [each["id"] for each in documents(found)] == ["a", "a"]
    client.delete_collection("words")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # its clients cannot be closed
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_chroma_server_sync_and_async(genai_otel_capture: Capture, tmp_path: Path) -> None:
    chromadb: Any = pytest.importorskip("chromadb")
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(tmp_path)]
    port, quiet = free_port(), subprocess.DEVNULL
    with subprocess.Popen([*command, "--port", str(port)], cwd=tmp_path, stdout=quiet) as server:
        try:
            asyncio.run(_chroma_server(chromadb, port))
        finally:
            server.kill()
    assert tree(genai_otel_capture.spans) == sorted([*CHROMA_TREE, "add more", "retrieval more"])
    found = facts(genai_otel_capture, "retrieval more")
    assert (found["server.address"], found["server.port"]) == ("127.0.0.1", port)
    assert len(documents(found)) == 3
    assert {span.kind.name for span in genai_otel_capture.spans} == {"CLIENT"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _connected(chromadb: Any, port: int) -> Any:
    for _ in range(600):
        try:
            return chromadb.HttpClient(host="127.0.0.1", port=port)
        except ValueError:  # not up yet
            time.sleep(0.2)
    raise TimeoutError


async def _chroma_server(chromadb: Any, port: int) -> None:
    chroma_work(_connected(chromadb, port).create_collection("docs", embedding_function=None))
    later = await chromadb.AsyncHttpClient(host="127.0.0.1", port=port)
    more = await later.create_collection("more", embedding_function=None)
    await more.add(ids=["a", "b", "c"], embeddings=VECTORS, documents=STORAGE)
    await more.query(query_embeddings=[VECTORS[0]])


# ---------------------------------------------------------------------------------------- Qdrant


def qdrant_collection(client: Any, distance: str = "Cosine") -> Any:
    from qdrant_client import models

    return client.create_collection(
        "docs", models.VectorParams(size=2, distance=models.Distance(distance))
    )


def qdrant_points() -> list[Any]:
    from qdrant_client import models

    rows = zip(VECTORS, STORAGE, strict=True)
    return [
        models.PointStruct(id=at, vector=vector, payload={"text": text})
        for at, (vector, text) in enumerate(rows)
    ]


def qdrant_work(client: Any) -> list[Any]:
    from qdrant_client import models

    request = models.QueryRequest(query=VECTORS[0], limit=1)
    told = [
        client.upsert("docs", qdrant_points()),
        client.query_points("docs", VECTORS[0], limit=2, with_payload=True),
        client.query_batch_points("docs", [request, request]),
        client.query_points_groups("docs", group_by="text", query=VECTORS[0], limit=2),
        client.scroll("docs", limit=2),
        client.retrieve("docs", ids=[1]),
        client.set_payload("docs", {"x": 1}, points=[0, 1]),
        client.delete("docs", points_selector=models.PointIdsList(points=[2])),
        client.upload_points("docs", iter(qdrant_points())),
    ]
    with pytest.raises(Exception) as refused:
        client.query_points("nowhere", query=VECTORS[0])
    return [*told, type(refused.value), str(refused.value)]


QDRANT_TREE = [
    "delete docs", "retrieval docs", "retrieval docs", "retrieval docs", "retrieval nowhere",
    "retrieve docs", "scroll docs", "set_payload docs", "upload_points docs", "upsert docs",
]  # fmt: skip


@pytest.fixture
def qdrant() -> Iterator[Any]:
    qdrant_client: Any = pytest.importorskip("qdrant_client")
    client = qdrant_client.QdrantClient(":memory:")
    qdrant_collection(client)
    yield client
    client.close()


def test_qdrant(qdrant: Any, genai_otel_capture: Capture) -> None:
    qdrant_work(qdrant)
    spans = genai_otel_capture.spans
    assert tree(spans) == QDRANT_TREE
    searches = [dict(s.attributes or {}) for s in spans if s.name == "retrieval docs"]
    assert [each["db.operation.name"] for each in searches] == [
        "query_points", "query_batch_points", "query_points_groups",
    ]  # fmt: skip
    assert [each["db.response.returned_rows"] for each in searches] == [2, 2, 2]
    assert searches[0]["gen_ai.retrieval.top_k"] == 2
    first, second = ({"id": each, "measure": "similarity"} for each in "01")
    assert documents(searches[0]) == [
        {**first, "score": pytest.approx(1.0), "metadata": {"text": "Rain."}},
        {**second, "score": pytest.approx(0.8), "metadata": {"text": "Snow."}},
    ]
    assert "measure" not in documents(searches[1])[0], "one point has no order"
    records = {s.name: (s.attributes or {}).get("genai_otel.store.records") for s in spans}
    assert records["upsert docs"] == 3
    assert records["set_payload docs"] == 2
    assert records["delete docs"] == 1
    assert records["upload_points docs"] is None, "an iterator was not asked"
    assert facts(genai_otel_capture, "scroll docs")["db.response.returned_rows"] == 2
    assert not genai_otel_capture.span("retrieval nowhere").status.is_ok
    assert genai_otel.status().internal_errors == {}


def test_qdrants_distances(genai_otel_capture: Capture) -> None:
    qdrant_client: Any = pytest.importorskip("qdrant_client")
    client = qdrant_client.QdrantClient(":memory:")
    qdrant_collection(client, "Euclid")
    client.upsert("docs", qdrant_points())
    client.query_points("docs", VECTORS[0], with_payload=False)
    found = documents(facts(genai_otel_capture, "retrieval docs"))
    assert [each["measure"] for each in found] == ["distance"] * 3
    client.close()


def test_qdrant_async(genai_otel_capture: Capture) -> None:
    qdrant_client: Any = pytest.importorskip("qdrant_client")

    async def work() -> None:
        client = qdrant_client.AsyncQdrantClient(":memory:")
        await qdrant_collection(client)
        with operation("retrieval", "ours"):
            await client.upsert("docs", qdrant_points())
            await client.query_points("docs", VECTORS[0])
        await client.close()

    asyncio.run(work())
    assert tree(genai_otel_capture.spans) == [("retrieval ours", ["retrieval docs", "upsert docs"])]
    assert facts(genai_otel_capture, "retrieval docs")["gen_ai.retrieval.top_k"] == 10


def test_a_qdrant_server_has_an_address(genai_otel_capture: Capture) -> None:
    qdrant_client: Any = pytest.importorskip("qdrant_client")
    from qdrant_client.http.exceptions import ResponseHandlingException

    client = qdrant_client.QdrantClient(
        url="http://127.0.0.1:1", check_compatibility=False, timeout=1
    )
    with pytest.raises(ResponseHandlingException):
        client.query_points("docs", VECTORS[0])
    span = genai_otel_capture.span("retrieval docs")
    found = dict(span.attributes or {})
    assert (found["server.address"], found["server.port"]) == ("127.0.0.1", 1)
    assert span.kind.name == "CLIENT"
    assert "error.type" in found


# ----------------------------------------------------------------------------------------- both


def test_qdrant_is_the_same_with_and_without(qdrant: Any, genai_otel_capture: Capture) -> None:
    watched = qdrant_work(qdrant)
    genai_otel.shutdown()
    qdrant.delete_collection("docs")
    qdrant_collection(qdrant)
    assert _plain(qdrant_work(qdrant)) == _plain(watched)


def test_chroma_is_the_same_with_and_without(chroma: Any, genai_otel_capture: Capture) -> None:
    watched = chroma_work(chroma)
    genai_otel.shutdown()
    chroma.delete(ids=["a", "b"])
    assert chroma_work(chroma) == watched


def _plain(results: list[Any]) -> list[Any]:
    """Without the numbers of the operations, which go on."""
    return [each for each in results if not hasattr(each, "operation_id")]


def test_without_content(qdrant: Any) -> None:
    genai_otel.shutdown()
    capture = Capture()
    genai_otel.instrument(destinations=capture.exporter, content="none")
    qdrant_work(qdrant)
    told = "".join(span.to_json() for span in capture.spans)
    assert "Rain." not in told
    genai_otel.shutdown()


def test_qdrant_keeps_to_the_conventions(qdrant: Any, tmp_path: Path) -> None:
    assert complaints(lambda: qdrant_work(qdrant), tmp_path) == ""


def test_chroma_keeps_to_the_conventions(chroma: Any, tmp_path: Path) -> None:
    assert complaints(lambda: chroma_work(chroma), tmp_path) == ""


def test_a_real_store_behind_a_retriever_is_one_search(genai_otel_capture: Capture) -> None:
    chromadb, langchain_chroma = map(pytest.importorskip, ("chromadb", "langchain_chroma"))
    fake = pytest.importorskip("langchain_core.embeddings").DeterministicFakeEmbedding(size=8)
    store = langchain_chroma.Chroma(
        collection_name="menu", client=chromadb.EphemeralClient(), embedding_function=fake
    )
    store.add_texts(["soup", "bread"])
    before = len(genai_otel_capture.spans)
    assert store.as_retriever().invoke("soup")
    (search,) = genai_otel_capture.spans[before:]
    assert dict(search.attributes or {})["gen_ai.operation.name"] == "retrieval"
