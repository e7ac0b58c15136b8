"""What providers bill beside tokens, read from requests and replies. docs/cost.md has the table.

A reader counts what the provider counts. Where the number, or the price list that holds, cannot be
known it notes the charge as unclear, so that the call has no cost instead of one that is too small.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.fields import Json, get_dict, get_dicts, get_int, get_str
from genai_otel.record import Usage
from genai_otel.record.usage import ANTHROPIC, read_usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from genai_otel.record import Operation

# ------------------------------------------------------------------------------------- OpenAI

# What the caller runs itself, or what costs nothing but tokens.
_FREE_TOOLS = ("function", "custom", "bash", "text_editor", "computer", "memory", "mcp")
# Their searches are billed otherwise than the list price: $25 for a thousand of the preview tool's,
# and 8,000 input tokens for each of the small models'.
_OTHER_TARIFF = re.compile(r"gpt-4(?:o|\.1)-mini")
_NO_REASONING = re.compile(r"gpt-4")
# Fields of a chat request.
_MAY_BE_CHARGED = frozenset({"web_search_options", "plugins", "tools"})


def chat_request(body: Json, op: Operation) -> None:
    """Chat completions do not tell how often a tool of the provider was used.

    platform.openai.com/docs/guides/tools-web-search; platform.moonshot.ai, ``builtin_function``.
    Perplexity searches whatever the option says, and tells the cost. Plugins are OpenRouter's.
    """
    name = op.model or ""
    # OpenAI's search models search for every request, whatever it says.
    searches = "-search-" in name and "gpt-" in name
    if not searches and _MAY_BE_CHARGED.isdisjoint(body):  # as most
        return
    searches = searches or body.get("web_search_options") is not None
    if searches and op.provider != "perplexity":
        op.usage.doubt("web_searches")
    if body.get("plugins"):
        op.usage.doubt("other_charges")
    tools = body.get("tools")
    for tool in tools if type(tools) is list else ():
        if type(tool) is dict and tool.get("type") == "function":  # as most
            continue
        kind = _kind(tool)
        if kind != "function" and not kind.startswith(_FREE_TOOLS):
            op.usage.doubt("web_searches" if kind.startswith("web_search") else "other_charges")


def _kind(tool: Any) -> str:
    """Of a tool that is a dict; Google's servers have a tool's name for a key, and no type."""
    if type(tool) is not dict:
        return "function"
    kind = tool.get("type", "function" if "function" in tool or not tool else "untyped")
    return kind if type(kind) is str else "function"


def counted(usage: Usage) -> None:
    """Searches that the reply counts are in no doubt any more."""
    if usage.unclear is not None and usage.web_searches is not None:
        usage.resolve_doubt("web_searches")


def response(reply: Json, items: list[Json], op: Operation) -> None:
    """Of the Responses API: platform.openai.com/docs/pricing, "built-in tools"."""
    usage, kinds = op.usage, [get_str(item, "type") for item in items]
    told = get_dict(reply, "tool_usage")
    searches = get_int(get_dict(told, "web_search"), "num_requests")
    if searches is None:
        searches = sum(map(_is_search, items))
    images = kinds.count("image_generation_call")
    if not images and get_int(get_dict(told, "image_gen"), "total_tokens"):
        images = 1
    _add_counts(
        usage,
        web_searches=searches,
        file_searches=kinds.count("file_search_call"),
        containers=len({place for item in items if (place := _container(item))}),
        tool_images=images,
    )
    if searches and _has_other_tariff(reply, op):
        usage.doubt("web_searches")


def _is_search(item: Json) -> bool:
    """Opening a page and looking for something in it are free."""
    if get_str(item, "type") != "web_search_call":
        return False
    return (get_str(get_dict(item, "action"), "type") or "search") == "search"


def _container(item: Json) -> str | None:
    """Where the provider ran code; it bills a container, which may serve several calls."""
    kind = get_str(item, "type")
    if kind == "code_interpreter_call":
        return get_str(item, "container_id") or "unnamed"
    return get_str(get_dict(item, "environment"), "container_id") if kind == "shell_call" else None


def _has_other_tariff(reply: Json, op: Operation) -> bool:
    name = op.response_model or op.model or ""
    if _OTHER_TARIFF.match(name):
        return True
    preview = any(
        (get_str(tool, "type") or "").startswith("web_search_preview")
        for tool in get_dicts(reply, "tools")
    )
    return preview and _NO_REASONING.match(name) is not None


def _add_counts(usage: Usage, **counts: int) -> None:
    """Only what there was: clients and servers fill in zeros."""
    vars(usage).update((name, count) for name, count in counts.items() if count)


# ---------------------------------------------------------------------------------- Anthropic

_SEARCH_TOOL = re.compile(r"web_(?:search|fetch)_(20\d{6})")
_CODE_IS_FREE_SINCE = "20260209"


def messages_request(body: Json, op: Operation) -> None:
    """Code that runs beside these versions of the web tools is not billed.

    platform.claude.com/docs/en/about-claude/pricing, "code execution tool".
    """
    tools = body.get("tools")
    for tool in tools if type(tools) is list else ():
        kind = tool.get("type") if type(tool) is dict else None
        found = _SEARCH_TOOL.fullmatch(kind) if type(kind) is str else None
        if found is not None and found[1] >= _CODE_IS_FREE_SINCE:
            op.usage.containers = 0


def message(reply: Json, op: Operation) -> None:
    """Code execution: a container is billed by the time that it is kept, which no reply tells."""
    if op.usage.containers is not None:
        return
    ran = any(
        "code_execution" in (get_str(block, "name") or "")
        for block in get_dicts(reply, "content")
        if get_str(block, "type") == "server_tool_use"
    )
    if ran:
        op.usage.containers = 1


def iterations(usage: Json, op: Operation) -> None:
    """A compaction is not in the totals beside it, and an advisor is another model.

    platform.claude.com/docs/en/build-with-claude/compaction, "understanding usage".
    """
    for each in get_dicts(usage, "iterations"):
        kind = get_str(each, "type")
        if kind == "compaction":
            used = Usage()
            read_usage(each, used, ANTHROPIC)
            op.usage.add(used)
        elif kind == "advisor_message":
            op.usage.doubt("other_charges")


_EVERYWHERE = ("global", "not_available")


def inference_geo(usage: Json) -> str | None:
    """Where the model ran, if that was chosen: 1.1 times the price of anywhere.

    platform.claude.com/docs/en/manage-claude/data-residency
    """
    told = get_str(usage, "inference_geo")
    return None if told in _EVERYWHERE else told


# ------------------------------------------------------------------------------------- Google

# Tools that search like ``googleSearch``, and are told in the same fields, at prices of their own.
_OTHER_SEARCH = frozenset(
    {
        *("enterpriseWebSearch", "enterprise_web_search", "parallelAiSearch", "parallel_ai_search"),
        *("exaAiSearch", "exa_ai_search"),
    }
)


def gemini_request(body: Json, op: Operation) -> None:
    if any(not _OTHER_SEARCH.isdisjoint(tool) for tool in get_dicts(body, "tools")):
        op.usage.doubt("web_searches")


class Grounding:
    """Grounding metadata of a reply's candidates or a stream's chunks, as the bill counts it.

    ai.google.dev/gemini-api/docs/google-search: empty queries and repeated ones are not billed;
    grounding with Google Maps and with other sources is, by the prompt.
    """

    __slots__ = ("_maps", "_queries", "_retrieved")

    def __init__(self) -> None:
        self._queries: set[str] = set()
        self._maps = self._retrieved = False

    def add(self, metadata: Json) -> None:
        queries = (*_texts(metadata, "web"), *_texts(metadata, "image"))
        self._queries.update(queries[:_MOST_QUERIES])
        self._retrieved = self._retrieved or bool(tuple(_texts(metadata, "retrieval", "Queries")))
        chunks = metadata.get("groundingChunks") or metadata.get("grounding_chunks")
        for chunk in get_dicts({"chunks": chunks}, "chunks") if chunks else ():
            self._maps = self._maps or bool(get_dict(chunk, "maps"))

    def note(self, usage: Usage) -> None:
        _add_counts(
            usage,
            web_searches=len(self._queries),
            map_searches=int(self._maps),
            other_charges=int(self._retrieved),
        )
        if not self._queries:
            usage.resolve_doubt("web_searches")


_MOST_QUERIES = 100


def _texts(metadata: Json, name: str, what: str = "SearchQueries") -> Iterable[str]:
    found = metadata.get(name + what)
    if found is None:
        snake = "search_queries" if what == "SearchQueries" else "queries"
        found = metadata.get(f"{name}_{snake}")
    return (each for each in found if type(each) is str and each) if type(found) is list else ()


def candidates(found: list[Json], op: Operation) -> None:
    """Of a whole reply."""
    grounding = Grounding()
    for candidate in found:
        metadata = get_dict(candidate, "groundingMetadata")
        if metadata:
            grounding.add(metadata)
    grounding.note(op.usage)


# ------------------------------------------------------------------------------------ Bedrock


def guarded(told: Json, op: Operation) -> None:
    """A guardrail is billed by what its policies looked at, each of them at a price of its own.

    aws.amazon.com/bedrock/pricing, "guardrails": by 1,000 characters.
    """
    if get_dict(told, "guardrailConfig") or get_str(told, "guardrailIdentifier"):
        op.usage.doubt("guardrails")


def converse(blocks: list[Json], op: Operation) -> None:
    """Nova's own tools, search among them: aws.amazon.com/bedrock/pricing."""
    ran = [get_dict(block, "toolUse") for block in blocks if "toolUse" in block]
    _add_counts(
        op.usage, other_charges=sum(get_str(use, "type") == "server_tool_use" for use in ran)
    )
