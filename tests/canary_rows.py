"""How each library of the catalogue is asked, with planted words wherever text can go.

A library with rows of conformance is asked through these, by every door. All others have a function
here. One that has neither fails `tests.test_canaries`, unless `WITHOUT` says why.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import suppress as ignoring
from typing import TYPE_CHECKING, Any

from tests import canary_servers
from tests.closing import closing
from tests.conformance import libraries as conformance
from tests.conformance.share import shared
from tests.conformance.table import Cell, cells
from tests.conformance.visits import Visit, closed, now
from tests.provider import Reply, Scenario, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.table import Library
    from tests.provider import Provider

WORD = "canary"
SECRET = "PlantedSecret"
_numbers = itertools.count()


def canary(where: str = "") -> str:
    """A word and a secret that can only come from where they were planted."""
    return f"{WORD}-{where}-{next(_numbers)} {secret()}"


def secret() -> str:
    """For what is told whatever the policy, but masked: names and tags."""
    return f"sk-proj-{SECRET}{next(_numbers):012}"


SECRETIVE = Scenario(
    replies=(
        Reply(
            text=canary("text"),
            reasoning=canary("reasoning"),
            refusal=canary("refusal"),
            calls=(ToolCall("call_1", "look", json.dumps({"a": canary("arguments")})),),
        ),
    ),
    usage=Usage(12, 8),
)
ENDINGS = ("secretive", "err400-echo", "err401", "cut", "error-200")
"""Scenarios: all goes well, the prompt is quoted, the connection breaks ..."""

WITHOUT = {
    "llama_cpp": "runs a model of some size in this process; read from its documents only",
    "vllm": "needs a GPU; read from its documents only",
    "transformers": "in an environment of its own: tests/adapters/test_more_clients.py",
}
"""Libraries that are not asked here, each with the reason."""

# ------------------------------------------------------------------------------------- planting

_TEXTS = frozenset(
    {"content", "text", "texts", "input", "inputs", "prompt", "suffix", "instructions", "query",
     "description", "documents", "system", "message", "contents", "preamble", "user_input",
     "system_instruction"}
)  # fmt: skip


def planted(value: Any, key: str = "") -> Any:
    """The same arguments with a canary after each text; a body in JSON stays one."""
    if isinstance(value, str):
        if value[:1] in ("{", "["):
            with ignoring(ValueError):
                return json.dumps(planted(json.loads(value)))
        return f"{value} {canary('asked')}" if key in _TEXTS else value
    if isinstance(value, bytes) and value[:1] == b"{":
        return planted(value.decode()).encode()
    if type(value) is dict:
        return {name: planted(child, str(name)) for name, child in value.items()}
    if type(value) in (list, tuple):
        return type(value)(planted(child, key) for child in value)
    return value


def unlisted() -> dict[str, Any]:
    """What clients of that family take besides: none of it is ever told, whatever the policy."""
    return {
        "extra_headers": {"x-secret": canary("header")},
        "extra_query": {"key": canary("query")},
        "extra_body": {"unlisted": canary("unlisted")},
    }


# --------------------------------------------------------------------------- rows of conformance

_STAINLESS = ("openai", "anthropic", "groq", "together", "fireworks", "cerebras")
Endings = tuple[str, ...]


def through_doors(library: Library, provider: Provider, endings: Endings) -> None:
    """Each endpoint by each door, in either colour, whole and streamed, to each ending."""
    known = {cell._replace(scenario="ok", ending="exhausted") for cell in cells(library)}
    every = [cell._replace(scenario=each) for cell in sorted(known) for each in endings]
    with asyncio.Runner() as runner:
        clients: dict[str, Any] = {}
        for cell in shared(every, 2):
            if cell.colour not in clients:
                clients[cell.colour] = runner.run(now(library.clients(provider, cell.colour)))
            _visit(library, cell, clients[cell.colour], runner)
        for client in (each for made in clients.values() for each in made.values()):
            runner.run(closed(client))


def _visit(library: Library, cell: Cell, clients: Any, runner: asyncio.Runner) -> None:
    if cell.client in clients:
        visit = Visit(library, cell, clients[cell.client])
        visit.arguments = planted(visit.arguments)
        if library.name in _STAINLESS:
            visit.arguments |= unlisted()
        visit.go(runner)


# ------------------------------------------------------------------------------------ all others


def _voyage(_provider: Provider) -> None:
    import voyageai

    from tests.adapters.test_more_clients import VOYAGE, serving

    with serving(dict(VOYAGE)) as root:
        client = voyageai.Client(api_key=canary("key"), base_url=f"{root}/v1")
        client.embed([canary("text")], model="voyage-3")
        client.rerank(canary("query"), [canary("document"), canary()], model="rerank-2")
        with ignoring(Exception):
            client.embed([canary("text")], model=secret(), output_dtype=canary("type"))


def _replicate(_provider: Provider) -> None:
    import replicate

    from tests.adapters.test_more_clients import REPLICATE, serving

    answers = json.loads(json.dumps({k: v for k, v in REPLICATE.items() if k != "/stream"}))
    (prediction,) = answers.values()
    prediction.update(output=[canary("text")], logs=canary("logs"), input={"a": canary()})
    failed = {**prediction, "status": "failed", "error": canary("error"), "output": None}
    answers["/v1/models/meta/broken/predictions"] = failed
    answers["/stream"] = b"event: output\nid: 1\ndata: %s\n\nevent: done\nid: 2\ndata: {}\n\n"
    answers["/stream"] %= canary("chunk").encode()
    with serving(answers) as root:
        client = replicate.Client(api_token=canary("key").replace(" ", ""), base_url=root)
        closing(client._client)
        what = {"prompt": canary("prompt"), "system_prompt": canary("system")}
        list(client.run("meta/llama", input=what))
        list(client.stream("meta/llama", input=what))
        for name in ("meta/broken", "meta/nowhere"):
            with ignoring(Exception):
                client.run(name, input=what)


def _langchain(provider: Provider) -> None:
    from langchain_core.messages import HumanMessage, SystemMessage
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.tools import tool as made_tool
    from langchain_openai import ChatOpenAI

    @made_tool
    def look(where: str) -> str:
        """Looks somewhere."""
        if "fail" in where:
            raise ValueError(f"cannot look {where}")
        return f"{where} {canary('result')}"

    for scenario in ENDINGS:
        model = ChatOpenAI(
            model=scenario,
            base_url=provider.base_url,
            api_key="sk",  # type: ignore[arg-type]
            max_retries=0,
            default_headers={"x-secret": canary("header"), "Connection": "close"},
        )
        prompt = ChatPromptTemplate.from_messages([("system", canary("system")), ("user", "{q}")])
        chain = (prompt | model).with_config(tags=[secret()], metadata={"k": canary("meta")})
        with ignoring(Exception):
            chain.invoke({"q": canary("asked")})
        with ignoring(Exception):
            list(chain.stream({"q": canary("asked")}))
        with ignoring(Exception):
            model.invoke([SystemMessage(canary("system")), HumanMessage(canary("asked"))])
    look.invoke({"where": canary("argument")})
    with ignoring(Exception):
        look.invoke({"where": f"fail {canary('argument')}"})


def _chroma(_provider: Provider) -> None:
    import chromadb

    client: Any = chromadb.EphemeralClient()
    with ignoring(Exception):
        client.delete_collection("docs")
    docs = client.create_collection("docs", embedding_function=None)
    docs.add(
        ids=["a"],
        embeddings=[[1.0, 0.0]],
        documents=[canary("document")],
        metadatas=[{"k": canary("metadata")}],
    )
    docs.query(query_embeddings=[[1.0, 0.0]], where={"k": {"$ne": canary("filter")}})
    docs.get(where_document={"$contains": canary("filter")})
    docs.update(ids=["a"], embeddings=[[0.0, 1.0]], documents=[canary("document")])
    with ignoring(Exception):
        docs.query(query_embeddings=[[1.0]], where={canary("key"): {"$bad": canary("filter")}})


def _qdrant(_provider: Provider) -> None:
    from qdrant_client import QdrantClient, models

    client: Any = QdrantClient(":memory:")
    vectors = models.VectorParams(size=2, distance=models.Distance.COSINE)
    client.create_collection("docs", vectors_config=vectors)
    payload = {"text": canary("document"), "k": canary("metadata")}
    client.upsert("docs", [models.PointStruct(id=1, vector=[1.0, 0.0], payload=payload)])
    match = models.MatchValue(value=canary("filter"))
    picked = models.Filter(must_not=[models.FieldCondition(key="k", match=match)])
    client.query_points("docs", [1.0, 0.0], query_filter=picked, with_payload=True)
    client.scroll("docs")
    client.retrieve("docs", ids=[1])
    client.set_payload("docs", {"x": canary("payload")}, points=[1])
    with ignoring(Exception):
        client.query_points(secret(), [1.0, 0.0])
    client.close()


OWN: dict[str, Callable[[Provider], None]] = {
    "xai_sdk": lambda _: canary_servers.xai(canary),
    "vertexai": lambda _: canary_servers.vertexai(canary),
    "watsonx": lambda _: canary_servers.watsonx(canary),
    "xllamacpp": lambda _: canary_servers.xllamacpp(canary),
    "voyageai": _voyage,
    "replicate": _replicate,
    "langchain": _langchain,
    "chroma": _chroma,
    "qdrant": _qdrant,
}


def has_way(name: str) -> bool:
    """Whether there is a way to ask it, where it is installed."""
    return name in conformance.ROWS or name in OWN


def ask(name: str, provider: Provider, endings: Endings = ENDINGS) -> None:
    """Asks a library, planted words and all."""
    if name in conformance.LIBRARIES:
        through_doors(conformance.LIBRARIES[name], provider, endings)
    else:
        OWN[name](provider)


class Addressed:
    """A provider whose addresses hold a user and a password."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._provider, name)
        if isinstance(value, str) and value.startswith("http://"):
            return value.replace("://", f"://ann:{WORD}-password@", 1)
        return value
