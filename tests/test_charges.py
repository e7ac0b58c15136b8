"""What providers bill beside tokens: a row for each charge, and never a sum without it.

Each row is answered to a real client, as if by the provider's own host, and worked out by hand from
the list prices. docs/cost.md has the same table, with the sources.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel.pricing.book import PriceBook
from genai_otel.record import Usage
from genai_otel.record import usage as rules
from genai_otel.record.usage import CHARGES, read_usage
from genai_otel.testing import Capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

OPENAI, CLAUDE, GOOGLE = (
    "https://api.openai.com/v1", "https://api.anthropic.com", "https://generativelanguage.googleapis.com"
)  # fmt: skip
VERTEX = "https://aiplatform.googleapis.com"
MTOK = 1e6


@pytest.fixture(scope="module")
def book() -> PriceBook:
    loaded = PriceBook()
    loaded.load()
    return loaded


@pytest.fixture
def capture(book: PriceBook) -> Iterator[Capture]:
    capture = Capture()
    genai_otel.instrument(destinations=capture.exporter, prices=book)
    yield capture
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


def http_client(client_class: Any, body: Any) -> Any:
    """Of the library that this client speaks by; it answers ``body``, or the events of a stream."""
    http = import_module(client_class.__mro__[1].__module__.partition(".")[0])
    if type(body) is str:
        stream = http.Response(200, text=body, headers={"content-type": "text/event-stream"})
        return http.Client(transport=http.MockTransport(lambda _: stream))
    return http.Client(transport=http.MockTransport(lambda _: http.Response(200, json=body)))


def events(*each: dict[str, Any]) -> str:
    return "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in each)


# --------------------------------------------------------------------------- OpenAI's Responses

USED = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
GPT_41 = (1000 * 2 + 100 * 8) / MTOK
GPT_5 = (1000 * 1.25 + 100 * 10) / MTOK
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed",
          "action": {"type": "search", "query": "weather in Paris"}}  # fmt: skip
OPEN = {**SEARCH, "id": "ws_2", "action": {"type": "open_page", "url": "https://example.com"}}
FIND = {**SEARCH, "id": "ws_3",
        "action": {**OPEN["action"], "type": "find_in_page", "pattern": "rain"}}  # fmt: skip
FILES = {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["rain"],
         "results": None}  # fmt: skip
CODE = {"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1 + 1",
        "container_id": "cntr_1", "outputs": None}  # fmt: skip
SHELL = {"type": "shell_call", "id": "sh_1", "call_id": "c_1", "status": "completed",
         "action": {"commands": ["ls"], "max_output_length": None, "timeout_ms": None}}  # fmt: skip
HOSTED = {"environment": {"type": "container_reference", "container_id": "cntr_1"}}
IMAGE = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGk="}
MCP = {"type": "mcp_call", "id": "mcp_1", "name": "ask", "server_label": "docs", "arguments": "{}"}
_IMAGE_GEN = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0,
              "input_tokens_details": {"image_tokens": 0, "text_tokens": 0}}  # fmt: skip


def tool_usage(searches: int, image_tokens: int = 0) -> dict[str, Any]:
    made = {**_IMAGE_GEN, "output_tokens": image_tokens, "total_tokens": image_tokens}
    return {"tool_usage": {"web_search": {"num_requests": searches}, "image_gen": made}}


# model, output items, more of the reply -> the cost, or what has no price; what was counted
RESPONSES: dict[str, tuple[str, list[Any], dict[str, Any], Any, dict[str, int]]] = {
    "no tools": ("gpt-4.1", [], {}, GPT_41, {}),
    "web searches, of which pages opened are free": (
        "gpt-4.1", [SEARCH, SEARCH, OPEN, FIND], {"tools": [{"type": "web_search"}]},
        GPT_41 + 0.02, {"web_searches": 2},
    ),
    "what the provider itself counts as billable goes first": (
        "gpt-5", [SEARCH, SEARCH], tool_usage(1), GPT_5 + 0.01, {"web_searches": 1},
    ),
    "the preview tool, with a model that reasons": (
        "gpt-5", [SEARCH], {"tools": [{"type": "web_search_preview"}]}, GPT_5 + 0.01,
        {"web_searches": 1},
    ),
    "the preview tool, with one that does not: another tariff": (
        "gpt-4.1", [SEARCH], {"tools": [{"type": "web_search_preview_2025_03_11"}]},
        ["web_searches"], {"web_searches": 1},
    ),
    "a small model, which bills a block of tokens by the search": (
        "gpt-4o-mini", [SEARCH], {"tools": [{"type": "web_search"}]}, ["web_searches"],
        {"web_searches": 1},
    ),
    "file searches": ("gpt-4.1", [FILES, FILES], {}, GPT_41 + 0.005, {"file_searches": 2}),
    "code interpreter: a container": ("gpt-4.1", [CODE, CODE], {}, ["containers"],
                                      {"containers": 1}),
    "shell in a hosted container": ("gpt-5", [{**SHELL, **HOSTED}], {}, ["containers"],
                                    {"containers": 1}),
    "shell on the caller's machine": ("gpt-5", [SHELL], {}, GPT_5, {}),
    "an image made by another model": ("gpt-5", [IMAGE], {}, ["tool_images"], {"tool_images": 1}),
    "an image, told by its tokens only": ("gpt-5", [], tool_usage(0, 4160), ["tool_images"],
                                          {"tool_images": 1}),
    "remote MCP servers cost nothing": ("gpt-5", [MCP], tool_usage(0), GPT_5, {}),
    "several": ("gpt-5", [SEARCH, FILES, CODE, IMAGE], {}, ["containers", "tool_images"],
                {"web_searches": 1, "file_searches": 1, "containers": 1, "tool_images": 1}),
}  # fmt: skip


def check(told: Any, cost: Any, counts: dict[str, int]) -> None:
    if isinstance(cost, list):
        assert "gen_ai.usage.cost" not in told
        assert told["genai_otel.cost.status"] == "unknown_price"
        assert list(told["genai_otel.cost.unpriced"]) == cost
    else:
        assert told["gen_ai.usage.cost"] == pytest.approx(cost)
        assert "genai_otel.cost.status" not in told
        assert "genai_otel.cost.unpriced" not in told
    prefix = "genai_otel.usage."
    found = {name[len(prefix) :]: told[name] for name in told if name.startswith(prefix)}
    assert {name: found[name] for name in found if name in CHARGES} == counts


def response(model: str, items: list[Any], more: dict[str, Any]) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed",
            "model": model, "output": items, "usage": USED, "tools": [], **more}  # fmt: skip


@pytest.mark.parametrize("case", RESPONSES)
@pytest.mark.parametrize("stream", [False, True])
def test_responses(capture: Capture, case: str, *, stream: bool) -> None:
    model, items, more, cost, counts = RESPONSES[case]
    whole = response(model, items, more)
    body = events({"type": "response.completed", "sequence_number": 0, "response": whole})
    http = http_client(openai.DefaultHttpxClient, body if stream else whole)
    with openai.OpenAI(api_key="k", base_url=OPENAI, http_client=http) as client:
        made = client.responses.create(model=model, input="Rain?", stream=stream)
        for _ in made if stream else ():
            pass
    check(capture.span().attributes, cost, counts)


# ------------------------------------------------------------------------------ chat completions

SEARCHING = {"web_search_options": {}}
MOONSHOT = {"tools": [{"type": "builtin_function", "function": {"name": "$web_search"}}]}
FUNCTION = {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}
CHAT_USED = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
OR, PPLX, XAI = "https://openrouter.ai/api/v1", "https://api.perplexity.ai", "https://api.x.ai/v1"

# host, model, request, more usage -> the cost, or what has no price; what was counted
CHAT: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], Any, dict[str, int]]] = {
    "functions are the caller's": (OPENAI, "gpt-4.1", FUNCTION, {}, GPT_41, {}),
    "a search model does not tell its searches": (
        OPENAI, "gpt-4o-search-preview", SEARCHING, {}, ["web_searches"], {}),
    "which it does whatever the request says": (
        OPENAI, "gpt-4o-search-preview", {}, {}, ["web_searches"], {}),
    "so does any model with the option": (OPENAI, "gpt-4.1", SEARCHING, {}, ["web_searches"], {}),
    "a tool that the provider runs": (
        "https://api.moonshot.ai/v1", "kimi-k2.5", MOONSHOT, {}, ["other_charges"], {}),
    "a tool of Google's, which has no type": (
        f"{GOOGLE}/v1beta/openai", "gemini-2.5-flash", {"tools": [{"google_search": {}}]}, {},
        ["other_charges"], {}),
    "openrouter's plugins": (
        OR, "openai/gpt-4.1", {"extra_body": {"plugins": [{"id": "web"}]}}, {}, ["other_charges"],
        {}),
    "openrouter's plugins, with the sum": (
        OR, "openai/gpt-4.1", {"extra_body": {"plugins": [{"id": "web"}]}}, {"cost": 0.95}, 0.95,
        {}),
    "openrouter tells the sum, searches included": (
        OR, "openai/gpt-4.1", SEARCHING,
        {"cost": 0.95, "server_tool_use_details": {"web_search_requests": 3}}, 0.95,
        {"web_searches": 3}),
    "openrouter, by its older name": (
        OR, "openai/gpt-4.1", {}, {"cost": 0.95, "server_tool_use": {"web_search_requests": 2}},
        0.95, {"web_searches": 2}),
    "openrouter, without the sum: its table has no price of a search for this model": (
        OR, "openai/gpt-4.1", SEARCHING, {"server_tool_use_details": {"web_search_requests": 3}},
        ["web_searches"], {"web_searches": 3}),
    "perplexity tells the sum, fees included": (
        PPLX, "sonar-pro", SEARCHING, {"cost": {"total_cost": 0.02}, "num_search_queries": 2},
        0.02, {"web_searches": 2}),
    "perplexity, without the sum: a fee by request": (
        PPLX, "sonar", {}, {}, ["other_charges"], {}),
    "xai tells the sum": (
        XAI, "grok-4", {}, {"cost_in_usd_ticks": 10**9, "num_sources_used": 4}, 0.1,
        {"other_charges": 4}),
    "xai, without the sum: sources of a live search": (
        XAI, "grok-4", {}, {"num_sources_used": 4}, ["other_charges"], {"other_charges": 4}),
}  # fmt: skip


@pytest.mark.parametrize("case", CHAT)
def test_chat_completions(capture: Capture, case: str) -> None:
    host, model, request, more, cost, counts = CHAT[case]
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": model, "choices": [],
            "usage": {**CHAT_USED, **more}}  # fmt: skip
    http = http_client(openai.DefaultHttpxClient, body)
    messages = [{"role": "user", "content": "Rain?"}]
    with openai.OpenAI(api_key="k", base_url=host, http_client=http) as client:
        client.chat.completions.create(model=model, messages=messages, **request)
    check(capture.span().attributes, cost, counts)


# ------------------------------------------------------------------------------------ Anthropic

HAIKU = "claude-haiku-4-5-20251001"
HAIKU_TOKENS = (1000 * 1 + 100 * 5) / MTOK
RAN = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {}}
CODE_TOOL = {"type": "code_execution_20250825", "name": "code_execution"}
SEARCH_TOOL = {"type": "web_search_20260209", "name": "web_search"}
OLD_SEARCH = {"type": "web_search_20250305", "name": "web_search"}

# tools, blocks, server_tool_use -> the cost, or what has no price; what was counted
MESSAGES: dict[str, tuple[list[Any], list[Any], Any, Any, dict[str, int]]] = {
    "nothing": ([], [], None, HAIKU_TOKENS, {}),
    "web searches": (
        [OLD_SEARCH], [], {"web_search_requests": 3, "web_fetch_requests": 0}, HAIKU_TOKENS + 0.03,
        {"web_searches": 3}),
    "web fetches cost nothing but tokens": (
        [], [], {"web_search_requests": 0, "web_fetch_requests": 2}, HAIKU_TOKENS, {}),
    "code, by the time of a container": ([CODE_TOOL], [RAN], None, ["containers"],
                                         {"containers": 1}),
    "code is free beside the newer web tools": (
        [CODE_TOOL, SEARCH_TOOL], [RAN], {"web_search_requests": 1, "web_fetch_requests": 0},
        HAIKU_TOKENS + 0.01, {"web_searches": 1}),
    "and not beside older ones": ([CODE_TOOL, OLD_SEARCH], [RAN], None, ["containers"],
                                  {"containers": 1}),
    "a tool that was offered and not used": ([CODE_TOOL], [], None, HAIKU_TOKENS, {}),
}  # fmt: skip


@pytest.mark.parametrize("case", MESSAGES)
def test_messages(capture: Capture, case: str) -> None:
    tools, blocks, served, cost, counts = MESSAGES[case]
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": HAIKU,
            "content": blocks, "stop_reason": "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 1000, "output_tokens": 100,
                      "server_tool_use": served}}  # fmt: skip
    http = http_client(anthropic.DefaultHttpxClient, body)
    messages = [{"role": "user", "content": "Rain?"}]
    with anthropic.Anthropic(api_key="k", base_url=CLAUDE, http_client=http) as client:
        client.messages.create(model=HAIKU, max_tokens=9, messages=messages, tools=tools)
    check(capture.span().attributes, cost, counts)


@pytest.mark.parametrize(
    ("geo", "listed"), [("global", True), ("not_available", True), ("us", False)]
)
@pytest.mark.parametrize("stream", [False, True])
def test_where_claude_ran(capture: Capture, geo: str, *, listed: bool, stream: bool) -> None:
    used = {"input_tokens": 1000, "output_tokens": 100, "inference_geo": geo}
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": HAIKU, "content": [],
            "stop_reason": "end_turn", "stop_sequence": None, "usage": used}  # fmt: skip
    told = events(
        {"type": "message_start", "message": {**body, "stop_reason": None}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
         "usage": {"output_tokens": 100}},
        {"type": "message_stop"},
    )  # fmt: skip
    http = http_client(anthropic.DefaultHttpxClient, told if stream else body)
    messages = [{"role": "user", "content": "Rain?"}]
    with anthropic.Anthropic(api_key="k", base_url=CLAUDE, http_client=http) as client:
        made = client.messages.create(model=HAIKU, max_tokens=9, messages=messages, stream=stream)
        for _ in made if stream else ():
            pass
    span = capture.span().attributes or {}
    check(span, HAIKU_TOKENS if listed else ["region"], {})
    assert span.get("genai_otel.response.region") == (None if listed else geo)


SUMMARY = {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500,
           "cache_creation_input_tokens": 0, "cache_read_input_tokens": 20_000}  # fmt: skip
MAIN = {"type": "message", "input_tokens": 1000, "output_tokens": 100,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}  # fmt: skip
ADVICE = {**MAIN, "type": "advisor_message", "model": "claude-opus-4-6"}
# rounds of one request -> the cost, or what has no price; input and output tokens
ITERATIONS: dict[str, tuple[list[Any], Any, int, int]] = {
    "one, which the totals are of": ([MAIN], HAIKU_TOKENS, 1000, 100),
    "a compaction is not in the totals": (
        [SUMMARY, MAIN], HAIKU_TOKENS + (180_000 * 1 + 20_000 * 0.1 + 3_500 * 5) / MTOK,
        201_000, 3_600),
    "several": (
        [SUMMARY, MAIN, SUMMARY, MAIN],
        HAIKU_TOKENS + 2 * (180_000 * 1 + 20_000 * 0.1 + 3_500 * 5) / MTOK, 401_000, 7_100),
    "an advisor is another model": ([MAIN, ADVICE, MAIN], ["other_charges"], 1000, 100),
}  # fmt: skip


@pytest.mark.parametrize("case", ITERATIONS)
@pytest.mark.parametrize("stream", [False, True])
def test_rounds_of_one_request(capture: Capture, case: str, *, stream: bool) -> None:
    rounds, cost, sent, made = ITERATIONS[case]
    begun = {"input_tokens": 1000, "output_tokens": 1}
    used = {"input_tokens": 1000, "output_tokens": 100, "iterations": rounds}
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": HAIKU, "content": [],
            "stop_reason": "end_turn", "stop_sequence": None, "usage": used}  # fmt: skip
    told = events(
        {"type": "message_start", "message": {**body, "stop_reason": None, "usage": begun}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": used},
        {"type": "message_stop"},
    )
    http = http_client(anthropic.DefaultHttpxClient, told if stream else body)
    messages = [{"role": "user", "content": "Rain?"}]
    with anthropic.Anthropic(api_key="k", base_url=CLAUDE, http_client=http) as client:
        answer = client.beta.messages.create(
            model=HAIKU, max_tokens=9, messages=messages, stream=stream
        )
        for _ in answer if stream else ():
            pass
    attributes = capture.span().attributes
    check(attributes, cost, {})
    assert attributes["gen_ai.usage.input_tokens"] == sent
    assert attributes["gen_ai.usage.output_tokens"] == made


# --------------------------------------------------------------------------------------- Gemini

ASKED = {"webSearchQueries": ["rain in Paris", "", "rain in Paris", "weather Paris"]}
MAPS = {"groundingChunks": [{"maps": {"uri": "https://maps.example", "title": "Paris"}}]}
WEB = {"groundingChunks": [{"web": {"uri": "https://example.com", "title": "Rain"}}]}
FLASH_25 = (1000 * 0.3 + 100 * 2.5) / MTOK
FLASH_3 = (1000 * 0.5 + 100 * 3) / MTOK
GOOGLE_SEARCH, ENTERPRISE = {"googleSearch": {}}, {"enterpriseWebSearch": {}}

# model, tool, grounding metadata -> the cost, or what has no price; what was counted
GENERATE: dict[str, tuple[str, dict[str, Any], dict[str, Any], Any, dict[str, int]]] = {
    "offered and not used": ("gemini-2.5-flash", GOOGLE_SEARCH, {}, FLASH_25, {}),
    "up to 2.5 by the prompt": ("gemini-2.5-flash", GOOGLE_SEARCH, {**ASKED, **WEB},
                                FLASH_25 + 0.035, {"web_searches": 2}),
    "from 3 on by the query, empty and repeated ones apart": (
        "gemini-3-flash-preview", GOOGLE_SEARCH, {**ASKED, **WEB}, FLASH_3 + 0.028,
        {"web_searches": 2}),
    "images are searched by queries, too": (
        "gemini-3-flash-preview", GOOGLE_SEARCH, {"imageSearchQueries": ["Paris"]},
        FLASH_3 + 0.014, {"web_searches": 1}),
    "grounding with maps": ("gemini-2.5-flash", {"googleMaps": {}}, MAPS, ["map_searches"],
                            {"map_searches": 1}),
    "the enterprise search has a price of its own": (
        "gemini-2.5-flash", ENTERPRISE, {**ASKED, **WEB}, ["web_searches"], {"web_searches": 2}),
    "which is not charged where it was not used": ("gemini-2.5-flash", ENTERPRISE, {}, FLASH_25,
                                                   {}),
    "other sources": ("gemini-2.5-flash", {"retrieval": {}}, {"retrievalQueries": ["rain"]},
                      ["other_charges"], {"other_charges": 1}),
}  # fmt: skip


@pytest.mark.parametrize("case", GENERATE)
@pytest.mark.parametrize("stream", [False, True])
def test_generate_content(capture: Capture, case: str, *, stream: bool) -> None:
    genai = pytest.importorskip("google.genai")
    httpx = pytest.importorskip("httpx")
    model, tool, metadata, cost, counts = GENERATE[case]
    body = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Rain."}]},
                            "finishReason": "STOP", "groundingMetadata": metadata}],
            "modelVersion": model,
            "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100}}  # fmt: skip
    text = f"data: {json.dumps(body)}\n\n" if stream else json.dumps(body)
    kind = "text/event-stream" if stream else "application/json"
    answers = httpx.MockTransport(
        lambda _: httpx.Response(200, text=text, headers={"content-type": kind})
    )
    only_vertex = not {"retrieval", "enterpriseWebSearch"}.isdisjoint(tool)
    client = genai.Client(
        api_key="k",
        vertexai=only_vertex,
        http_options=genai.types.HttpOptions(
            base_url=VERTEX if only_vertex else GOOGLE,
            httpx_client=httpx.Client(transport=answers),
        ),
    )
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in next(iter(tool)))
    config = genai.types.GenerateContentConfig(tools=[genai.types.Tool(**{snake: {}})])
    call: Callable[..., Any] = (
        client.models.generate_content_stream if stream else client.models.generate_content
    )
    made = call(model=model, contents="Rain?", config=config)
    for _ in made if stream else ():
        pass
    check(capture.span().attributes, cost, counts)


NOTHING = {"promptTokenCount": 1000, "totalTokenCount": 1000}
# what ended it, the counts -> the cost, and the tokens that were made
BLOCKED: dict[str, tuple[dict[str, Any], dict[str, Any], Any, int | None]] = {
    "an answer": ({"candidates": [{"finishReason": "SAFETY"}]}, NOTHING, 1000 * 0.3 / MTOK, 0),
    "a prompt": ({"promptFeedback": {"blockReason": "SAFETY"}}, NOTHING, 1000 * 0.3 / MTOK, 0),
    "nobody knows": ({"candidates": [{"finishReason": "SAFETY"}]}, {"promptTokenCount": 1000},
                     None, None),
    "it broke off": ({"candidates": [{"content": {"parts": [{"text": "Ra"}]}}]}, NOTHING,
                     None, None),
}  # fmt: skip


@pytest.mark.parametrize("case", BLOCKED)
@pytest.mark.parametrize("stream", [False, True])
def test_what_google_blocks(capture: Capture, case: str, *, stream: bool) -> None:
    """Its prompt is paid for, and a count of 0 is left out."""
    genai = pytest.importorskip("google.genai")
    httpx = pytest.importorskip("httpx")
    told, used, cost, made = BLOCKED[case]
    body = json.dumps({**told, "modelVersion": "gemini-2.5-flash", "usageMetadata": used})
    kind = "text/event-stream" if stream else "application/json"
    text = f"data: {body}\n\n" if stream else body
    answers = httpx.MockTransport(
        lambda _: httpx.Response(200, text=text, headers={"content-type": kind})
    )
    options = genai.types.HttpOptions(base_url=GOOGLE, httpx_client=httpx.Client(transport=answers))
    models = genai.Client(api_key="k", http_options=options).models
    call = models.generate_content_stream if stream else models.generate_content
    for _ in call(model="gemini-2.5-flash", contents="Rain?"):
        pass
    found = capture.span().attributes
    assert found.get("gen_ai.usage.cost") == (None if cost is None else pytest.approx(cost))
    assert found["gen_ai.usage.input_tokens"] == 1000
    assert found.get("gen_ai.usage.output_tokens") == made


# ------------------------------------------------------------------------- others, by their usage

OTHERS: dict[str, tuple[rules.Rule, dict[str, Any], dict[str, int]]] = {
    "mistral: connectors of a conversation": (
        rules.MISTRAL,
        {"prompt_tokens": 9, "completion_tokens": 9, "connectors": {
            "web_search": 2, "web_search_premium": 1, "code_interpreter": 3, "image_generation": 1,
            "document_library": 4}},
        {"web_searches": 2, "other_charges": 1, "containers": 3, "tool_images": 1,
         "file_searches": 4},
    ),
    "gemini's interactions": (
        rules.GEMINI_INTERACTIONS,
        {"total_input_tokens": 9, "total_output_tokens": 9, "grounding_tool_count": [
            {"type": "google_search", "count": 2}, {"type": "google_maps", "count": 1},
            {"type": "retrieval", "count": 3}]},
        {"web_searches": 2, "map_searches": 1, "other_charges": 3},
    ),
    "cohere: classifications, and images that were embedded": (
        rules.COHERE, {"billed_units": {"classifications": 5.0}}, {"other_charges": 5},
    ),
    "xai's responses": (
        rules.OPENAI_RESPONSES, {"input_tokens": 9, "output_tokens": 9,
                                 "num_server_side_tools_used": 2}, {"other_charges": 2},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_usage_that_names_them(case: str) -> None:
    rule, payload, counts = OTHERS[case]
    usage = read_usage(payload, Usage(), rule)
    assert {name: value for name, value in vars(usage).items() if name in CHARGES} == counts


@pytest.mark.parametrize("charge", [*CHARGES, "seconds"])
def test_no_charge_is_left_out_of_a_price(book: PriceBook, charge: str) -> None:
    """A new count needs a price in the table, or makes the call's cost unknown."""
    usage = Usage()
    usage.input, usage.output = 10, 10
    setattr(usage, charge, 2)
    for model in ("gpt-4.1", "gpt-4.1-nano", "gpt-5"):
        plain = Usage()
        plain.input, plain.output = 10, 10
        cost = book.price(usage, provider="openai", model=model, at=1.79e9)
        without = book.price(plain, provider="openai", model=model, at=1.79e9)
        assert without.amount is not None
        assert (cost.amount or 0) > without.amount or cost.missing == (charge,)


def test_own_prices_of_charges() -> None:
    capture = Capture()
    genai_otel.instrument(
        destinations=capture.exporter,
        prices={"models": {"gpt-4.1": {
            "input": 2.0, "output": 8.0, "per_web_search": 0.025, "per_container": 0.03,
            "per_tool_image": 0.04, "per_file_search": 0.001, "per_map_search": 1.0}}},
    )  # fmt: skip
    whole = response("gpt-4.1", [SEARCH, FILES, CODE, IMAGE], {})
    http = http_client(openai.DefaultHttpxClient, whole)
    with openai.OpenAI(api_key="k", base_url=OPENAI, http_client=http) as client:
        client.responses.create(model="gpt-4.1", input="Rain?")
    told = capture.span().attributes
    genai_otel.shutdown()
    capture.meter_provider.shutdown()
    assert told["gen_ai.usage.cost"] == pytest.approx(GPT_41 + 0.025 + 0.001 + 0.03 + 0.04)


def test_a_live_session_counts_its_searches() -> None:
    from genai_otel.adapters.clients import _charges as charges

    grounding, usage = charges.Grounding(), Usage()
    for queries in (["rain"], ["rain", "sun"], None, "odd", [3, ""]):
        grounding.add({"web_search_queries": queries})
    grounding.note(usage)
    assert usage.web_searches == 2
