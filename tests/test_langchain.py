"""LangChain and LangGraph: the tree of what ran, and each model call told once."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import urllib.request
from typing import TYPE_CHECKING, Any, TypedDict

import cloudpickle
import pytest
from openai import BadRequestError
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import genai_otel
from genai_otel import Budget, BudgetExceeded, operation, scope, suppress
from genai_otel.instrumentation import runs as runs_module
from genai_otel.testing import Capture
from tests.collected import collect
from tests.trees import complaints, tokens, tree

pytest.importorskip("langchain_openai")
pytest.importorskip("langgraph")
pytest.importorskip("qdrant_client")

from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel, FakeListLLM, GenericFakeChatModel
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt
from qdrant_client import QdrantClient, models

try:
    from langchain.agents import create_agent
except ImportError:  # 0.3
    create_agent = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.provider import Provider

# LangChain warns so when two answers are added up.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Unexpected type for token usage"),
    pytest.mark.unconventional("a model without a client says no provider", "gen_ai.provider.name"),
]


ONCE = {"Connection": "close"}
"""LangChain shares its clients, whose connections would outlive a test and its event loop."""


@pytest.fixture
def chat(provider: Provider) -> Callable[..., ChatOpenAI]:
    fixed = {"api_key": "sk", "max_retries": 0, "default_headers": ONCE}

    def make(model: str = "ok", **options: Any) -> ChatOpenAI:
        return ChatOpenAI(model=model, base_url=provider.base_url, **{**fixed, **options})

    return make


def chain(model: Any) -> Any:
    return ChatPromptTemplate.from_messages([("user", "{q}")]) | model | StrOutputParser()


def spent(provider: Provider) -> tuple[int, int]:
    """What the server has counted."""
    usage = provider.usage_log
    return (
        sum(each.input_tokens or 0 for each in usage),
        sum(each.output_tokens or 0 for each in usage),
    )


def attributes(span: Any) -> dict[str, Any]:
    return dict(span.attributes or {})


# ---------------------------------------------------------------------------------------- chains

SEQUENCE = [("invoke_workflow RunnableSequence", ["chat ok"])]


def _invoke(chain: Any) -> None:
    chain.invoke({"q": "Hello"})


def _stream(chain: Any) -> None:
    list(chain.stream({"q": "Hello"}))


def _batch(chain: Any) -> None:
    chain.batch([{"q": "Hello"}])


def _ainvoke(chain: Any) -> None:
    asyncio.run(chain.ainvoke({"q": "Hello"}))


def _astream(chain: Any) -> None:
    async def read() -> None:
        async for _ in chain.astream({"q": "Hello"}):
            pass

    asyncio.run(read())


def _abatch(chain: Any) -> None:
    asyncio.run(chain.abatch([{"q": "Hello"}]))


def _astream_events(chain: Any) -> None:
    async def read() -> None:
        async for _ in chain.astream_events({"q": "Hello"}, version="v2"):
            pass

    asyncio.run(read())


DOORS = [_invoke, _stream, _batch, _ainvoke, _astream, _abatch, _astream_events]


@pytest.mark.parametrize("door", DOORS)
def test_each_door_makes_the_same_tree_and_counts_as_the_server_does(
    door: Any, chat: Any, provider: Provider, genai_otel_capture: Capture
) -> None:
    door(chain(chat(stream_usage=True)))
    spans = genai_otel_capture.spans
    assert tree(spans) == SEQUENCE
    assert tokens(spans) == spent(provider) == (12, 8)
    metrics = genai_otel_capture.metrics()
    assert len(metrics["gen_ai.client.operation.duration"]) == 1
    assert sum(point.sum for point in metrics["gen_ai.client.token.usage"]) == 20
    assert genai_otel.status().internal_errors == {}


def test_the_client_knows_better_than_the_framework(chat: Any, genai_otel_capture: Capture) -> None:
    chat(temperature=0.5).invoke("Hello")
    found = attributes(genai_otel_capture.span())
    assert found["gen_ai.response.id"] == "chatcmpl-ok"
    assert found["openai.api.type"] == "chat_completions"
    assert found["server.address"] == "127.0.0.1"
    assert found["gen_ai.request.temperature"] == 0.5
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Hello"}]}
    ]


def test_streams_are_timed_by_the_client(chat: Any, genai_otel_capture: Capture) -> None:
    list(chat().stream("Hello"))
    found = attributes(genai_otel_capture.span())
    assert found["gen_ai.request.stream"] is True
    assert found["gen_ai.response.time_to_first_chunk"] > 0
    assert found["genai_otel.response.chunks"] > 2
    assert 0 <= found["genai_otel.response.consumer_time"] < 5
    for points in genai_otel_capture.metrics().values():
        assert all(getattr(point, "min", 0) >= 0 for point in points)


def test_what_a_stream_was_given(chat: Any, genai_otel_capture: Capture) -> None:
    """LangChain knows it at the stream's end only."""
    _stream(chain(chat()))
    found = attributes(genai_otel_capture.spans[-1])
    assert json.loads(found["genai_otel.input"]) == {"q": "Hello"}
    assert json.loads(found["genai_otel.output"]).startswith("Grüße")


def test_names_tags_and_sessions(chat: Any, genai_otel_capture: Capture) -> None:
    config = {"run_name": "greet", "tags": ["beta"], "metadata": {"session_id": "s-1", "x": 1}}
    chain(chat()).invoke({"q": "Hello"}, config)
    assert tree(genai_otel_capture.spans) == [("invoke_workflow greet", ["chat ok"])]
    for span in genai_otel_capture.spans:
        found = attributes(span)
        assert (found["session.id"], found["gen_ai.conversation.id"]) == ("s-1", "s-1")
        assert found["genai_otel.tags"] == ("beta",), "not LangChain's own"
    workflow = attributes(genai_otel_capture.spans[-1])
    assert json.loads(workflow["genai_otel.input"]) == {"q": "Hello"}
    assert workflow["genai_otel.total.model_calls"] == 1


def test_our_ambient_facts_reach_inside(chat: Any, genai_otel_capture: Capture) -> None:
    with scope(user_id="u-1"), operation("workflow", "turn"):
        asyncio.run(chain(chat()).ainvoke({"q": "Hello"}))
    assert tree(genai_otel_capture.spans) == [("invoke_workflow turn", SEQUENCE)]
    assert {attributes(span)["user.id"] for span in genai_otel_capture.spans} == {"u-1"}


def test_parallel_branches(chat: Any, provider: Provider, genai_otel_capture: Capture) -> None:
    branches = RunnableParallel(one=chat(), two=chat("ok-2"), three=RunnableLambda(str.upper))
    branches.invoke("Hello")
    name = "invoke_workflow RunnableParallel<one,two,three>"
    assert tree(genai_otel_capture.spans) == [(name, ["chat ok", "chat ok-2", "task upper"])]
    assert tokens(genai_otel_capture.spans) == spent(provider)


def test_many_at_once(chat: Any, provider: Provider, genai_otel_capture: Capture) -> None:
    async def all_of_them() -> None:
        await chain(chat()).abatch([{"q": str(n)} for n in range(20)])

    chain(chat()).batch([{"q": str(n)} for n in range(20)])
    asyncio.run(all_of_them())
    assert tree(genai_otel_capture.spans) == SEQUENCE * 40
    assert tokens(genai_otel_capture.spans) == spent(provider)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_several_prompts_in_one_call(
    chat: Any, provider: Provider, genai_otel_capture: Capture, asynchronous: bool
) -> None:
    prompts: Any = [[HumanMessage(text)] for text in ("one", "two", "three")]
    if asynchronous:
        asyncio.run(chat("echo").agenerate(prompts))
    else:
        chat("echo").generate(prompts)
    assert tree(genai_otel_capture.spans) == ["chat echo"] * 3
    assert tokens(genai_otel_capture.spans) == spent(provider)
    for span in genai_otel_capture.spans:
        found = attributes(span)
        said = json.loads(found["gen_ai.input.messages"])[0]["parts"]
        assert json.loads(found["gen_ai.output.messages"])[0]["parts"] == said, "its own answer"


# --------------------------------------------------------------------------------- what ends early


def test_streams_that_are_left(chat: Any, genai_otel_capture: Capture) -> None:
    with operation("workflow", "turn"):
        stream = chat("long").stream("Hello")
        next(stream)
        next(stream)
        stream.close()
    spans = genai_otel_capture.spans
    assert tree(spans) == [("invoke_workflow turn", ["chat long"])]
    found = attributes(spans[0])
    assert found["genai_otel.response.completed"] is False
    assert json.loads(found["gen_ai.output.messages"])[0]["parts"], "as far as it came"
    assert [span.status.is_ok for span in spans] == [True, True]
    genai_otel_capture.clear()
    stream = chain(chat()).stream({"q": "Hello"})
    next(stream)
    del stream
    assert tree(genai_otel_capture.spans) == SEQUENCE


def test_async_streams_that_are_left(chat: Any, genai_otel_capture: Capture) -> None:
    async def read() -> None:
        stream = chain(chat()).astream({"q": "Hello"})
        await anext(stream)
        await stream.aclose()
        del stream
        collect()
        await asyncio.sleep(0)

    asyncio.run(read())
    assert tree(genai_otel_capture.spans) == SEQUENCE
    assert [span.status.is_ok for span in genai_otel_capture.spans] == [True, True]


def test_cancelled_calls(chat: Any, genai_otel_capture: Capture) -> None:
    async def leave() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(chain(chat("hang")).ainvoke({"q": "Hello"}), 0.2)

    asyncio.run(leave())
    spans = genai_otel_capture.spans
    assert tree(spans) == [("invoke_workflow RunnableSequence", ["chat hang"])]
    assert [span.status.is_ok for span in spans] == [True, True], "to give up is no error"


@pytest.mark.parametrize("model", ["err400", "cut"])
@pytest.mark.parametrize("door", [_invoke, _stream, _ainvoke, _astream])
def test_failures(door: Any, model: str, chat: Any, genai_otel_capture: Capture) -> None:
    with pytest.raises(Exception) as seen:
        door(chain(chat(model)))
    spans = genai_otel_capture.spans
    assert tree(spans) == [("invoke_workflow RunnableSequence", [f"chat {model}"])]
    for span in spans:
        assert attributes(span)["error.type"].endswith(type(seen.value).__name__)


def test_what_a_cut_stream_had_told_is_kept(chat: Any, genai_otel_capture: Capture) -> None:
    with pytest.raises(Exception):  # noqa: B017
        list(chat("cut").stream("Hello"))
    found = attributes(genai_otel_capture.span())
    assert found["gen_ai.response.model"] == "cut-2026-11-01"
    assert json.loads(found["gen_ai.output.messages"])[0]["parts"], "as far as it came"


def test_fallbacks_are_runs_of_their_own(
    chat: Any, provider: Provider, genai_otel_capture: Capture
) -> None:
    chat("err400").with_fallbacks([chat()]).invoke("Hello")
    name = "invoke_workflow RunnableWithFallbacks"
    assert tree(genai_otel_capture.spans) == [(name, ["chat err400", "chat ok"])]
    assert tokens(genai_otel_capture.spans) == spent(provider)


def test_nothing_stays_current_afterwards(chat: Any, genai_otel_capture: Capture) -> None:
    """The classic fault of callback handlers: what comes after is told as a child of it."""

    async def one_after_the_other() -> None:
        for _ in range(2):
            await chain(chat()).ainvoke({"q": "Hello"})
            assert not trace.get_current_span().get_span_context().is_valid
        async for _ in chain(chat()).astream({"q": "Hello"}):
            assert not trace.get_current_span().get_span_context().is_valid
        with operation("step", "after"):
            pass

    asyncio.run(one_after_the_other())
    for _ in chain(chat()).stream({"q": "Hello"}):
        assert not trace.get_current_span().get_span_context().is_valid
    assert tree(genai_otel_capture.spans) == [*SEQUENCE * 4, "task after"]


def test_the_readers_own_calls_are_its_own(chat: Any, genai_otel_capture: Capture) -> None:
    """A model that no client tells of is streamed; between its chunks another one is asked."""
    with operation("workflow", "turn"):
        for number, _ in enumerate(FakeListChatModel(responses=["abc"]).stream("Hello")):
            if number == 1:
                chat().invoke("Hello")
                chat().root_client.chat.completions.create(
                    model="ok-2", messages=[{"role": "user", "content": "x"}]
                )
    assert tree(genai_otel_capture.spans) == [
        ("invoke_workflow turn", ["chat", "chat ok", "chat ok-2"])
    ]


# ----------------------------------------------------------------------------- models of their own


def test_models_without_a_client_below(genai_otel_capture: Capture) -> None:
    usage = {
        "input_tokens": 30,
        "output_tokens": 9,
        "total_tokens": 39,
        "input_token_details": {"cache_read": 10},
        "output_token_details": {"reasoning": 4},
    }
    calls = [{"name": "look", "args": {"at": "sky"}, "id": "c-1", "type": "tool_call"}]
    answer = AIMessage(
        "Blue.",
        usage_metadata=usage,
        tool_calls=calls,
        response_metadata={"model_name": "m-1", "finish_reason": "stop"},
    )
    GenericFakeChatModel(messages=iter([answer])).invoke(
        [("system", "Be brief."), ("user", "Sky?")]
    )
    found = attributes(genai_otel_capture.span("chat"))
    assert "gen_ai.provider.name" not in found, "a class's name is no provider's"
    assert found["gen_ai.response.model"] == "m-1"
    assert found["gen_ai.usage.input_tokens"] == 30
    assert found["gen_ai.usage.cache_read.input_tokens"] == 10
    assert found["gen_ai.usage.output_tokens"] == 9
    assert found["gen_ai.usage.reasoning.output_tokens"] == 4
    assert [each["role"] for each in json.loads(found["gen_ai.input.messages"])] == [
        "system",
        "user",
    ]
    (said,) = json.loads(found["gen_ai.output.messages"])
    assert said["finish_reason"] == "stop"
    assert [part["type"] for part in said["parts"]] == ["text", "tool_call"]


class Lumen(GenericFakeChatModel):
    def _get_ls_params(self, *args: Any, **kwargs: Any) -> Any:
        return {"ls_provider": "lumen.ai", "ls_model_name": "bright-1", "ls_model_type": "chat"}


def test_a_model_may_tell_its_provider(genai_otel_capture: Capture) -> None:
    Lumen(messages=iter([AIMessage("x")])).invoke("Hello")
    found = attributes(genai_otel_capture.span("chat bright-1"))
    assert found["gen_ai.provider.name"] == "lumen.ai"


def test_streams_and_texts_without_a_client_below(genai_otel_capture: Capture) -> None:
    list(FakeListChatModel(responses=["abc"]).stream("Hello"))
    found = attributes(genai_otel_capture.span("chat"))
    assert found["gen_ai.request.stream"] is True
    assert found["genai_otel.response.time_to_first_token"] > 0
    assert "genai_otel.response.consumer_time" not in found, "it was not observed"
    genai_otel_capture.clear()
    FakeListLLM(responses=["abc"]).invoke("Hello")
    found = attributes(genai_otel_capture.span("text_completion"))
    assert json.loads(found["gen_ai.output.messages"])[0]["parts"][0]["content"] == "abc"


def test_langchains_cache_costs_nothing(
    chat: Any, provider: Provider, genai_otel_capture: Capture
) -> None:
    from langchain_core.caches import InMemoryCache

    model = chat(cache=InMemoryCache())
    model.invoke("Hello")
    model.invoke("Hello")
    assert tree(genai_otel_capture.spans) == ["chat ok", "chat ok"]
    assert len(provider.requests) == 1
    assert tokens(genai_otel_capture.spans) == spent(provider)


class Around(BaseChatModel):
    """A model that asks another."""

    inner: Any

    @property
    def _llm_type(self) -> str:
        return "around"

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        with operation("step", "thinking"):
            answer = self.inner.invoke(messages)
        return ChatResult(generations=[ChatGeneration(message=answer)])


def test_a_model_that_asks_another_is_one_call(
    chat: Any, provider: Provider, genai_otel_capture: Capture
) -> None:
    Around(inner=chat()).invoke("Hello")
    assert tree(genai_otel_capture.spans) == [("chat ok", ["task thinking"])]
    assert tokens(genai_otel_capture.spans) == spent(provider)


def test_a_call_made_by_hand_is_the_owner(
    chat: Any, provider: Provider, genai_otel_capture: Capture
) -> None:
    with operation("chat") as op:
        chat().invoke("Hello")
        op.provider = "ours"
    assert attributes(genai_otel_capture.span())["gen_ai.provider.name"] == "ours"
    assert tokens(genai_otel_capture.spans) == spent(provider)


# ------------------------------------------------------------------------ retrievers and embeddings


class Shelf(BaseRetriever):
    embeddings: Any

    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        self.embeddings.embed_query(query)
        return [Document("Rain at noon.", id="d-1", metadata={"page": 3})]


def test_retrievers(provider: Provider, genai_otel_capture: Capture) -> None:
    embeddings = OpenAIEmbeddings(
        model="ok",
        base_url=provider.base_url,
        api_key="sk",
        check_embedding_ctx_length=False,
        default_headers=ONCE,
    )
    Shelf(embeddings=embeddings).invoke("Weather?")
    asyncio.run(chain(FakeListChatModel(responses=["x"])).ainvoke({"q": "Hello"}))
    spans = genai_otel_capture.spans
    assert tree(spans) == [
        ("invoke_workflow RunnableSequence", ["chat"]),
        ("retrieval Shelf", ["embeddings ok"]),
    ]
    found = attributes(genai_otel_capture.span("retrieval Shelf"))
    assert found["gen_ai.retrieval.query.text"] == "Weather?"
    assert json.loads(found["gen_ai.retrieval.documents"]) == [
        {"id": "d-1", "content": "Rain at noon.", "metadata": {"page": 3}}
    ]
    assert tokens(spans)[0] == spent(provider)[0]


class Hits(BaseRetriever):
    """A store's search, of which a part may be left out."""

    client: Any
    keep: int = 3

    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        assert query
        found = self.client.query_points("notes", query=[1.0, 0.0], limit=3, with_payload=True)
        return [Document(point.payload["document"], id=str(point.id)) for point in found.points][
            : self.keep
        ]


class Both(BaseRetriever):
    parts: list[Any]

    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        return [document for part in self.parts for document in part.invoke(query)]


@pytest.fixture
def notes() -> Iterator[Any]:
    client = QdrantClient(":memory:")
    vectors = models.VectorParams(size=2, distance=models.Distance.COSINE)
    client.create_collection("notes", vectors_config=vectors)
    points = [
        models.PointStruct(id=n, vector=[1.0, n / 10], payload={"document": f"note {n}"})
        for n in range(4)
    ]
    client.upsert("notes", points)
    yield client
    client.close()


@pytest.mark.parametrize("sort", ["sync", "async"])
def test_a_retriever_over_a_store_is_one_search(
    notes: Any, genai_otel_capture: Capture, sort: str
) -> None:
    genai_otel_capture.clear()
    retriever = Hits(client=notes)
    found = (
        retriever.invoke("Notes?") if sort == "sync" else asyncio.run(retriever.ainvoke("Notes?"))
    )
    assert len(found) == 3
    span = genai_otel_capture.span()
    told = attributes(span)
    assert span.name == "retrieval notes"
    assert told["gen_ai.data_source.id"] == told["db.collection.name"] == "notes"
    assert told["db.system.name"] == "qdrant"
    assert told["gen_ai.retrieval.query.text"] == "Notes?"
    assert told["gen_ai.retrieval.top_k"] == 3
    documents = json.loads(told["gen_ai.retrieval.documents"])
    assert [each["content"] for each in documents] == ["note 0", "note 1", "note 2"]
    assert all("score" in each for each in documents), "which LangChain does not tell"
    points = genai_otel_capture.metrics()
    durations = [
        point.count for each in points.values() for point in each
        if dict(point.attributes).get("gen_ai.operation.name") == "retrieval"
        and hasattr(point, "count")
    ]  # fmt: skip
    assert set(durations) <= {1}


def test_what_a_retriever_leaves_out_it_has_not_found(
    notes: Any, genai_otel_capture: Capture
) -> None:
    genai_otel_capture.clear()
    Hits(client=notes, keep=1).invoke("Notes?")
    documents = json.loads(attributes(genai_otel_capture.span())["gen_ai.retrieval.documents"])
    assert documents == [{"id": "0", "content": "note 0", "score": 1.0, "measure": "similarity"}]


def test_retrievers_of_retrievers_are_several(notes: Any, genai_otel_capture: Capture) -> None:
    genai_otel_capture.clear()
    Both(parts=[Hits(client=notes), Hits(client=notes)]).invoke("Notes?")
    assert tree(genai_otel_capture.spans) == [
        ("retrieval Both", ["retrieval notes", "retrieval notes"])
    ]


def test_a_search_that_fails_is_one_search(notes: Any, genai_otel_capture: Capture) -> None:
    genai_otel_capture.clear()
    notes.delete_collection("notes")
    genai_otel_capture.clear()
    with pytest.raises(ValueError, match="not found"):
        Hits(client=notes).invoke("Notes?")
    assert attributes(genai_otel_capture.span())["error.type"] == "ValueError"


# ------------------------------------------------------------------------------- tools and agents


@tool
@genai_otel.tool
def count_words(text: str) -> int:
    """Counts words."""
    with operation("step", "count"):
        found = genai_otel.current()
        assert found is not None
        return len(text.split())


@tool("other_name")
@genai_otel.tool
async def count_letters(text: str) -> int:
    """Counts letters.

    Spaces too.
    """
    return len(text)


@tool
def uses_another(text: str) -> int:
    """Asks two others."""
    return int(_helper(text)) + int(_helper(text))


@genai_otel.tool
def _helper(text: str) -> int:
    """Helps."""
    return len(text)


@tool
@genai_otel.tool
def refuses(text: str) -> int:
    """Never works."""
    raise LookupError(text)


def test_a_tool_that_is_decorated_is_one_tool(genai_otel_capture: Capture) -> None:
    call = {"args": {"text": "a bc"}, "id": "c-1", "type": "tool_call"}
    assert count_words.invoke({"name": "count_words", **call}).content == "2"
    assert asyncio.run(count_letters.ainvoke({"name": "other_name", **call})).content == "4"
    spans = genai_otel_capture.spans
    assert tree(spans) == [("execute_tool count_words", ["task count"]), "execute_tool other_name"]
    for name, description in (("count_words", "Counts words."), ("other_name", "Counts letters.")):
        found = attributes(genai_otel_capture.span(f"execute_tool {name}"))
        assert found["gen_ai.tool.call.id"] == "c-1"
        assert found["gen_ai.tool.description"].startswith(description)
        assert json.loads(found["gen_ai.tool.call.arguments"]) == {"text": "a bc"}
        result = json.loads(found["gen_ai.tool.call.result"])
        assert str(result["result"]) == ("2" if name == "count_words" else "4")


def test_what_a_tool_calls_is_another_tool(genai_otel_capture: Capture) -> None:
    assert uses_another.invoke({"text": "abc"}) == 6
    assert tree(genai_otel_capture.spans) == [
        ("execute_tool uses_another", ["execute_tool _helper", "execute_tool _helper"])
    ]


def test_a_decorated_tool_that_fails(genai_otel_capture: Capture) -> None:
    with pytest.raises(LookupError, match="why"):
        refuses.invoke({"text": "why"})
    assert attributes(genai_otel_capture.span())["error.type"] == "LookupError"


@tool
def get_weather(city: str, unit: str = "celsius") -> str:
    """Tells the weather of a city."""
    with operation("step", "look outside"):
        return f"sunny in {city}"


@tool
async def get_time(zone: str) -> str:
    """Tells the time of day."""
    return f"noon in {zone}"


def test_tools(genai_otel_capture: Capture) -> None:
    call = {"name": "get_weather", "args": {"city": "Paris"}, "id": "c-1", "type": "tool_call"}
    get_weather.invoke(call)
    assert tree(genai_otel_capture.spans) == [("execute_tool get_weather", ["task look outside"])]
    found = attributes(genai_otel_capture.spans[-1])
    assert found["gen_ai.tool.call.id"] == "c-1"
    assert found["gen_ai.tool.description"] == "Tells the weather of a city."
    assert json.loads(found["gen_ai.tool.call.arguments"]) == {"city": "Paris"}
    assert json.loads(found["gen_ai.tool.call.result"]) == {"result": "sunny in Paris"}


AGENT = [
    (
        "invoke_agent helper",
        [
            ("task model", ["chat tools"]),
            ("task model", ["chat tools"]),
            ("task tools", ["execute_tool get_time"]),
            ("task tools", [("execute_tool get_weather", ["task look outside"])]),
        ],
    )
]


@pytest.mark.skipif(create_agent is None, reason="came with LangChain 1")
@pytest.mark.parametrize("door", ["invoke", "stream", "astream"])
def test_an_agents_loop(
    door: str, chat: Any, provider: Provider, genai_otel_capture: Capture
) -> None:
    agent = create_agent(chat("tools", stream_usage=True), [get_weather, get_time], name="helper")
    given: Any = {"messages": [("user", "Weather and time?")]}
    config: Any = {"configurable": {"thread_id": "t-1"}}

    async def run() -> None:
        if door == "astream":
            async for _ in agent.astream(given, config, stream_mode="messages"):
                pass
        else:
            await agent.ainvoke(given, config)

    asyncio.run(run())
    spans = genai_otel_capture.spans
    assert tree(spans) == AGENT
    assert tokens(spans) == spent(provider)
    assert {attributes(span)["gen_ai.conversation.id"] for span in spans} == {"t-1"}
    found = attributes(spans[-1])
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Weather and time?"}]}
    ]
    assert json.loads(found["gen_ai.output.messages"])[0]["role"] == "assistant"
    assert found["genai_otel.total.input_tokens"] == spent(provider)[0]
    called = [attributes(span) for span in spans if span.name.startswith("execute_tool")]
    ids = {each["gen_ai.tool.call.id"] for each in called}
    assert ids == {"call_weather", "call_time"}


@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
@pytest.mark.parametrize("name", ["weather_agent", None])
def test_a_prebuilt_agent_is_told_as_one_by_its_name(
    name: str | None, chat: Any, genai_otel_capture: Capture
) -> None:
    from langgraph.prebuilt import create_react_agent

    agent = create_react_agent(chat("tools"), [get_weather, get_time], name=name)
    asyncio.run(agent.ainvoke({"messages": [("user", "Weather and time?")]}))
    root = genai_otel_capture.spans[-1]
    assert root.name == (f"invoke_agent {name}" if name else "invoke_workflow LangGraph")
    steps = {span.name for span in genai_otel_capture.spans if span.parent == root.context}
    assert steps == {"task agent", "task tools"}


class Plain(GenericFakeChatModel):
    """A model whose client is not recorded here, but its HTTP call is, by somebody else."""

    host: Any = None

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        with self.host.get_tracer("http").start_as_current_span("POST"):
            return super()._generate(*args, **kwargs)

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return self._generate(*args[:2])


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_an_http_call_of_a_model_without_a_client_is_its_child(colour: str) -> None:
    genai_otel.shutdown()
    exporter, host = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    host.add_span_processor(SimpleSpanProcessor(exporter))
    genai_otel.instrument(tracer_provider=host)
    model = Plain(messages=iter([AIMessage("a"), AIMessage("b")]), host=host)

    @genai_otel.workflow
    async def both() -> None:
        if colour == "sync":
            model.invoke("Hello")
            model.invoke("Hello")
        else:
            await asyncio.gather(model.ainvoke("Hello"), model.ainvoke("Hello"))

    asyncio.run(both())
    genai_otel.shutdown()
    spans = exporter.get_finished_spans()
    chats = {span.context.span_id for span in spans if span.name.startswith("chat")}
    posts = [span.parent.span_id for span in spans if span.name == "POST"]
    assert len(chats) == 2
    assert sorted(posts) == sorted(chats)


class Errands(TypedDict):
    errands: list[int]


def _fan_out(provider: Provider, tracer: Any) -> Any:
    """Twenty at once: a node in a thread with a sync tool, a task with one that calls HTTP."""

    address = f"{provider.base_url}/moderations"

    @tool
    def think(number: int) -> int:
        """Thinks."""
        return number

    @tool
    async def fetch(number: int) -> int:
        """Fetches."""

        def get() -> int:
            with tracer.start_as_current_span("POST"):
                return len(urllib.request.urlopen(address, b'{"model": "ok", "input": "x"}').read())

        return await asyncio.to_thread(get)

    async def errand(state: Any) -> dict[str, Any]:
        await asyncio.sleep(0.001 * (state["number"] % 3))
        await fetch.ainvoke({"number": state["number"]})
        return {}

    def muse(state: Any) -> dict[str, Any]:
        think.invoke({"number": state["number"]})
        return {}

    graph = StateGraph(Errands)
    graph.add_node("errand", errand)
    graph.add_node("muse", muse)
    graph.add_conditional_edges(
        START,
        lambda state: [
            Send("errand" if number % 2 else "muse", {"number": number})
            for number in state["errands"]
        ],
    )
    graph.add_edge("errand", END)
    graph.add_edge("muse", END)
    return graph.compile(name="errands")


def test_a_fan_out_of_twenty(provider: Provider) -> None:
    genai_otel.shutdown()
    exporter, host = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    host.add_span_processor(SimpleSpanProcessor(exporter))
    genai_otel.instrument(tracer_provider=host, content="full")
    graph = _fan_out(provider, host.get_tracer("host"))
    asyncio.run(graph.ainvoke({"errands": list(range(20))}))
    genai_otel.shutdown()
    spans = exporter.get_finished_spans()
    fetched = ("task errand", [("execute_tool fetch", ["POST"])])
    mused = ("task muse", ["execute_tool think"])
    assert tree(spans) == [("invoke_workflow errands", [fetched] * 10 + [mused] * 10)]
    assert len({span.context.trace_id for span in spans}) == 1
    by_id = {span.context.span_id: span for span in spans}
    for span in spans:
        if span.name.startswith("execute_tool"):
            number = json.loads(attributes(span)["gen_ai.tool.call.arguments"])["number"]
            node = attributes(by_id[span.parent.span_id])
            assert json.loads(node["genai_otel.input"])["number"] == number, "its own node's"


def test_graphs_in_graphs_and_conditional_edges(
    chat: Any, provider: Provider, genai_otel_capture: Capture
) -> None:
    class State(TypedDict):
        text: str

    def ask(state: State) -> State:
        return {"text": str(chat().invoke(state["text"]).content)}

    inner = StateGraph(State)
    inner.add_node("ask", ask)
    inner.add_edge(START, "ask")
    outer = StateGraph(State)
    outer.add_node("sub", inner.compile(name="inner"))
    outer.add_node("last", ask)
    outer.add_edge(START, "sub")
    outer.add_conditional_edges("sub", lambda _: "last")
    outer.compile(name="outer").invoke({"text": "Hello"})
    assert tree(genai_otel_capture.spans) == [
        (
            "invoke_workflow outer",
            [
                ("task last", ["chat ok"]),
                ("task sub", [("task inner", [("task ask", ["chat ok"])])]),
            ],
        )
    ]
    assert tokens(genai_otel_capture.spans) == spent(provider)


def test_interrupts_are_no_errors(genai_otel_capture: Capture) -> None:
    from langgraph.checkpoint.memory import InMemorySaver

    class State(TypedDict):
        text: str

    def ask(state: State) -> State:
        return {"text": interrupt("Go on?")}

    graph = StateGraph(State)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    app = graph.compile(name="careful", checkpointer=InMemorySaver())
    app.invoke({"text": "x"}, {"configurable": {"thread_id": "t-1"}})
    spans = genai_otel_capture.spans
    assert tree(spans) == [("invoke_workflow careful", ["task ask"])]
    assert [span.status.is_ok for span in spans] == [True, True]
    assert attributes(spans[0])["genai_otel.response.completed"] is False


# --------------------------------------------------------------------- the host sees nothing of it


def active(library: str) -> bool:
    states = {each.name: each.state for each in genai_otel.status().libraries}
    return states[library] == "active"


def test_streams_that_are_sampled_out_break_nothing() -> None:
    genai_otel.shutdown()
    genai_otel.instrument(tracer_provider=TracerProvider(sampler=ALWAYS_OFF))
    try:
        model = FakeListChatModel(responses=["a few words in letters"])
        assert len(list(model.stream("Hi"))) > 20
        left = model.stream("Hi")
        next(left)
        left.close()
        assert active("langchain")
    finally:
        genai_otel.shutdown()


def test_suppressed_chains(chat: Any, genai_otel_capture: Capture) -> None:
    with suppress():
        asyncio.run(chain(chat()).ainvoke({"q": "Hello"}))
        chain(chat()).batch([{"q": "Hello"}] * 2)
    assert genai_otel_capture.spans == ()


def test_uninstrumented_is_as_before(chat: Any) -> None:
    from langchain_core.runnables import config
    from langchain_core.tracers import context
    from langgraph._internal import _runnable

    genai_otel.shutdown()
    hooks, setters = list(context._configure_hooks), _setters(config, _runnable)
    capture = Capture()
    genai_otel.instrument(destinations=capture.exporter)
    assert len(context._configure_hooks) == len(hooks) + 1
    chain(chat()).invoke({"q": "Hello"})
    genai_otel.uninstrument("langchain")
    assert context._configure_hooks == hooks
    assert _setters(config, _runnable) == setters
    chain(chat()).invoke({"q": "Hello"})
    assert tree(capture.spans) == ["chat ok", *SEQUENCE]
    genai_otel.instrument(destinations=capture.exporter)
    chain(chat()).invoke({"q": "Hello"})
    assert tree(capture.spans) == ["chat ok", *SEQUENCE * 2]
    genai_otel.shutdown()


def _setters(*modules: Any) -> list[Any]:
    return [module._set_config_context for module in modules]


def test_runs_that_are_open_at_the_end(chat: Any, genai_otel_capture: Capture) -> None:
    stream = chain(chat()).stream({"q": "Hello"})
    next(stream)
    genai_otel.shutdown()
    assert tree(genai_otel_capture.exporter.get_finished_spans()) == SEQUENCE
    list(stream)


def _program(chat: Any) -> list[Any]:
    """Values and exceptions of many calls, without what differs from run to run."""
    told: list[Any] = []
    for door in (_invoke, _stream, _ainvoke, _astream, _batch, _abatch):
        for model in ("ok", "err400", "cut", "tools"):
            try:
                door(chain(chat(model)))
                told.append(chain(chat(model)).invoke({"q": "x"}))
            except Exception as error:  # noqa: BLE001
                told.append((type(error), str(error)))
    chunks = list(chat().stream("Hello"))
    told += [(type(chunk), chunk.content, chunk.tool_call_chunks) for chunk in chunks]
    told.append(get_weather.invoke({"city": "Paris"}))
    with pytest.raises(Exception) as refused:
        get_weather.invoke({"town": 1})
    told.append((type(refused.value), str(refused.value)))
    return told


def test_the_same_with_and_without(chat: Any, provider: Provider) -> None:
    genai_otel.shutdown()
    without = _program(chat)
    bodies = [request.raw for request in provider.requests]
    provider.clear()
    capture = Capture()
    genai_otel.instrument(destinations=capture.exporter, content="full")
    assert _program(chat) == without
    assert [request.raw for request in provider.requests] == bodies
    assert genai_otel.status().internal_errors == {}
    genai_otel.shutdown()


def test_it_keeps_to_the_conventions(chat: Any, tmp_path: Path) -> None:
    def program() -> None:
        for door in (_invoke, _stream, _abatch):
            door(chain(chat()))
        with pytest.raises(BadRequestError):
            _invoke(chain(chat("err400")))
        get_weather.invoke({"city": "Paris"})
        Lumen(messages=iter([AIMessage("x")])).invoke("Hello")
        if create_agent is not None:
            given: Any = {"messages": [("user", "Weather?")]}
            create_agent(chat("tools"), [get_weather], name="helper").invoke(given)

    assert complaints(program, tmp_path) == ""


def test_handlers_may_be_copied(chat: Any, genai_otel_capture: Capture) -> None:
    from langchain_core.callbacks import CallbackManager

    manager = CallbackManager.configure()
    (handler,) = manager.handlers
    assert copy.deepcopy(handler) is handler
    assert copy.deepcopy(manager).handlers == [handler]


def test_budgets_refuse_before_the_call(chat: Any, provider: Provider) -> None:
    genai_otel.shutdown()
    capture = Capture()
    budget = Budget(limit=10, unit="tokens", hard=True)
    genai_otel.instrument(destinations=capture.exporter, budgets=[budget])
    chat().invoke("Hello")
    with pytest.raises(BudgetExceeded):
        chain(chat()).invoke({"q": "Hello"})
    assert len(provider.requests) == 1
    genai_otel.shutdown()


def test_runs_that_never_end_are_bounded(
    genai_otel_capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "MAX_OPEN", 3)
    graph: Iterator[Any]
    streams = []
    for _ in range(5):
        graph = chain(FakeListChatModel(responses=["abc"])).stream({"q": "Hello"})
        next(graph)
        streams.append(graph)
    left = [span for span in genai_otel_capture.spans if not span.status.is_ok]
    assert left == []
    assert len(genai_otel_capture.spans) >= 5, "the oldest were ended"
    for stream in streams:
        list(stream)
    names = sorted(span.name for span in genai_otel_capture.spans)
    assert names == ["chat"] * 5 + ["invoke_workflow RunnableSequence"] * 5, "each ended once"


def test_a_config_can_be_pickled_in_the_middle_of_a_run(genai_otel_capture: Capture) -> None:
    """Graphs send what they run with to workers; there the handlers are those of that process."""
    pickled: list[bytes] = []

    def node(_: str, config: Any) -> int:
        pickled.append(cloudpickle.dumps(config["callbacks"]))
        again = pickle.loads(pickle.dumps(config["callbacks"]))
        return int(RunnableLambda(len).invoke("abc", {"callbacks": again.handlers}))

    def outer(text: str, config: RunnableConfig) -> int:
        return node(text, config)

    assert RunnableLambda(outer).invoke("x") == 3
    assert pickled
    names = [span.name for span in genai_otel_capture.spans]
    assert sorted(names) == ["invoke_workflow len", "invoke_workflow outer"]


@pytest.mark.parametrize("status", ["error", "success"])
def test_a_tools_message_says_that_it_failed(status: str) -> None:
    from langchain_core.messages import ToolMessage

    from genai_otel.adapters.frameworks._langchain_messages import message

    given: Any = ToolMessage("No.", tool_call_id="t1", status=status)
    (part,) = message(given)["parts"]
    assert part.get("is_error") == (True if status == "error" else None)
