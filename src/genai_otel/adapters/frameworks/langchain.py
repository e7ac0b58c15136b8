"""LangChain and LangGraph: chains, agents, graphs and their nodes, tools, retrievers, models.

They report every run to a handler that a public hook, ``register_configure_hook``, puts into each
callback manager: sync, async, batch, stream, threads. A handler cannot make anything current for
the code that runs next, least of all undo it: its ends come in other tasks. But both libraries copy
the context in which they run a body, and set their own variable in the copy; there we set ours.

Models and retrievers get no such copy. Their operations stand (see ``recorder.ownership``), so that
a client's own adapter finds its call told already, and adds what it knows to that.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.adapters.clients._openai_parts import definitions
from genai_otel.instrumentation.adapter import Bridge, Extractor, Patch
from genai_otel.instrumentation.fields import Json, as_dict, get_dict, get_str, pick
from genai_otel.instrumentation.runs import entering, inside, noticing
from genai_otel.record import Kind, Operation, snapshot, text
from genai_otel.record.usage import LANGCHAIN, OPENAI_CHAT, read_usage

from . import _langchain_messages as told

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.instrumentation.runs import Runs
    from genai_otel.record import Message

_PROVIDERS = {
    "amazon_bedrock": "aws.bedrock",
    "anthropic": "anthropic",
    "azure": "azure.ai.openai",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "groq": "groq",
    "huggingface": "huggingface",
    "ibm": "ibm.watsonx.ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "ollama": "ollama",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "xai": "x_ai",
}
"""``ls_provider`` -> who serves, in the convention's words."""
_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "seed": "seed",
    "stop": "stop",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "n": "choices",
    "ls_temperature": "temperature",
    "ls_max_tokens": "max_tokens",
    "ls_stop": "stop",
}
_THREADS = ("thread_id", "session_id", "conversation_id")
"""What LangSmith groups runs by: docs.langchain.com/langsmith/threads."""
_HIDDEN = "langsmith:hidden"
_INTERNAL_TAGS = ("seq:step", "map:key", "graph:step", "langsmith:", "condition:", "branch:")
_FORMATTING = ("prompt", "parser")
_PLUMBING = frozenset(
    {
        "Prompt",
        "RunnableAssign",
        "RunnableCallable",
        "RunnablePassthrough",
        "RunnablePick",
        "RunnableSequence",
    }
)
_GRAPH = "LangGraph"
_AGENTS: set[str] = set()
"""Names that were given to ``create_react_agent``, whose runs nothing else tells from a graph's."""
_AGENTS_KEPT = 1_000

# --------------------------------------------------------------------------- chains and graphs


def _kind(run: Json) -> Kind | None:
    """What a chain's run is; ``None`` where it is plumbing, and its children are its parent's."""
    name, tags, metadata = run.get("name"), _tags(run), get_dict(run, "metadata")
    node = any(tag.startswith("graph:step") for tag in tags)
    if name is None or _HIDDEN in tags or run.get("run_type") in _FORMATTING:
        return None
    if not node and (
        name == metadata.get("lc_agent_name", _unnamed_agent(metadata)) or name in _AGENTS
    ):
        return Kind.AGENT
    if run.get("parent_run_id") is None:
        return Kind.WORKFLOW
    return None if name.partition("<")[0] in _PLUMBING else Kind.STEP


def _unnamed_agent(metadata: Json) -> str | None:
    return _GRAPH if metadata.get("ls_integration") == "langchain_create_agent" else None


def _tags(run: Json) -> list[str]:
    return [tag for tag in run.get("tags") or () if type(tag) is str]


def _scope(run: Json, op: Operation) -> None:
    """Session and tags, for it and all inside."""
    metadata = get_dict(run, "metadata")
    session = next((metadata[key] for key in _THREADS if metadata.get(key)), None)
    tags = [tag for tag in _tags(run) if not tag.startswith(_INTERNAL_TAGS)]
    if session is not None or tags:
        op.scope = {"session_id": session, "tags": tags}


def _nothing(_given: Any, _op: Operation) -> None:
    """There are no facts but content."""


def _given(run: Json, op: Operation) -> None:
    inputs = run.get("inputs")
    if op.kind is not Kind.STEP:
        op.input = told.messages(inputs) or None
    op.arguments = told.state(inputs) if op.input is None else None


def _made(end: Json, op: Operation) -> None:
    if not op.capture:
        return
    if end.get("inputs") is not None:  # a stream, whose input came in pieces
        _given(end, op)
    outputs = end["outputs"]
    if op.kind is not Kind.STEP:
        op.output = told.messages(outputs)[-1:] or None
    if op.output is None:
        op.result = told.state(outputs)


_CHAINS = {
    kind: Extractor(kind, _nothing, _made, _given)
    for kind in (Kind.WORKFLOW, Kind.AGENT, Kind.STEP)
}

# ------------------------------------------------------------------------- tools and retrievers


def _describe_tool(run: Json, op: Operation) -> None:
    """Before the run begins: the function in it is known by its description."""
    description = get_str(get_dict(run, "serialized"), "description")
    op.params = {"description": description, "call_id": get_str(run, "tool_call_id")}


def _tool_arguments(run: Json, op: Operation) -> None:
    inputs = run.get("inputs")
    op.arguments = snapshot(run.get("input_str") if inputs is None else inputs)


def _tool_result(output: Any, op: Operation) -> None:
    found = as_dict(output)
    call_id = get_str(found, "tool_call_id")
    if call_id is not None:
        op.params = {**(op.params or {}), "call_id": call_id}
    if op.capture:
        op.result = snapshot(found["content"]) if told.is_message(output) else told.state(output)


def _query(run: Json, op: Operation) -> None:
    op.query = get_str(run, "query")


def _found(documents: Any, op: Operation) -> None:
    if op.capture:
        op.documents = told.documents(documents, op.documents or ())


_TOOL = Extractor(Kind.TOOL, _nothing, _tool_result, _tool_arguments)
_RETRIEVER = Extractor(Kind.RETRIEVAL, _nothing, _found, _query)

# ---------------------------------------------------------------------------------------- models


def _model(run: Json) -> str | None:
    params = get_dict(run, "invocation_params")
    named = get_str(get_dict(run, "metadata"), "ls_model_name")
    return named or get_str(params, "model") or get_str(params, "model_name")


def _ask(run: Json, op: Operation) -> None:
    op.params = {
        **pick(get_dict(run, "metadata"), _PARAMS),
        **pick(get_dict(run, "invocation_params"), _PARAMS),
    }


def _turns(run: Json, op: Operation) -> None:
    op.input = [told.message(each) for each in run["messages"]]
    op.tools = definitions(get_dict(run, "invocation_params"))


def _prompt(run: Json, op: Operation) -> None:
    op.input = [{"role": "user", "parts": [text(run["prompt"])]}]


def _answer(result: Any, op: Operation) -> None:
    """Read only where no client below has told its own answer."""
    result = as_dict(result)
    generations = result.get("generations") or [[]]
    for generation in generations[0]:
        _generation(as_dict(generation), op)
    output = get_dict(result, "llm_output")
    op.response_model = op.response_model or get_str(output, "model_name")
    if op.usage.input is None and not _cached(generations[0]):
        read_usage(get_dict(output, "token_usage"), op.usage, OPENAI_CHAT)


def _cached(generations: Any) -> bool:
    """Whether this comes from LangChain's own cache: nothing was sent, and nothing is billed."""
    usages = (get_dict(as_dict(as_dict(g).get("message")), "usage_metadata") for g in generations)
    return any(usage.get("total_cost") == 0 for usage in usages)


def _generation(generation: Json, op: Operation) -> None:
    message = as_dict(generation.get("message"))
    info = {**get_dict(generation, "generation_info"), **get_dict(message, "response_metadata")}
    reason = get_str(info, "finish_reason") or get_str(info, "stop_reason")
    op.finish_reasons = [*(op.finish_reasons or ()), *([reason] if reason else ())]
    op.response_model = get_str(info, "model_name") or get_str(info, "model")
    op.response_id = get_str(info, "id") or _own_id(get_str(message, "id"))
    usage = get_dict(message, "usage_metadata")
    if usage.get("total_cost") != 0:
        read_usage(usage, op.usage, LANGCHAIN)
    if op.capture:
        turn: Message = {"role": "assistant", "parts": [text(get_str(generation, "text") or "")]}
        if message:
            turn = told.message(message)
        if reason is not None:
            turn["finish_reason"] = reason
        op.output = [*(op.output or ()), turn]


def _own_id(message_id: str | None) -> str | None:
    """The provider's id; LangChain fills in one of its own."""
    made_up = message_id is None or message_id.startswith(("run-", "lc_"))
    return None if made_up else message_id


_CHAT = Extractor(Kind.CHAT, _ask, _answer, _turns, read_model=_model)
_COMPLETION = Extractor(Kind.COMPLETION, _ask, _answer, _prompt, read_model=_model)

# ------------------------------------------------------------------------------------- callbacks


def _begin(
    runs: Runs, extractor: Extractor, run: Json, name: str | None = None, **how: bool
) -> None:
    op = Operation(extractor.kind, name)
    op.secondhand = True
    op.provider = _provider(run)
    if extractor is _TOOL:
        _describe_tool(run, op)
    _scope(run, op)
    runs.open(run["run_id"], run.get("parent_run_id"), extractor, op, run, **how)


def _provider(run: Json) -> str | None:
    """Who serves; a class that does not say is told by its own name, which is no provider's."""
    told = get_str(get_dict(run, "metadata"), "ls_provider")
    cls = get_str(get_dict(run, "serialized"), "name") or ""
    made_up = cls.removeprefix("Chat") if cls.startswith("Chat") else cls.removesuffix("Chat")
    if told is None or told in _PROVIDERS:
        return _PROVIDERS.get(told or "")
    return None if told == made_up.lower() else told


def _name(run: Json) -> str | None:
    return get_str(run, "name") or get_str(get_dict(run, "serialized"), "name")


def _chain_start(runs: Runs, serialized: Any, inputs: Any, **run: Any) -> None:
    run.update(serialized=serialized, inputs=inputs)
    run["name"] = _name(run)
    kind = _kind(run)
    if kind is None:
        runs.lend(run["run_id"], run.get("parent_run_id"))
    else:
        _begin(runs, _CHAINS[kind], run, run["name"])


def _tool_start(runs: Runs, serialized: Any, input_str: Any, **run: Any) -> None:
    run.update(serialized=serialized, input_str=input_str)
    _begin(runs, _TOOL, run, _name(run))


def _retriever_start(runs: Runs, serialized: Any, query: Any, **run: Any) -> None:
    run.update(serialized=serialized, query=query)
    _begin(runs, _RETRIEVER, run, _name(run), stands=True)


def _chat_start(runs: Runs, serialized: Any, messages: Any, **run: Any) -> None:
    run.update(serialized=serialized, messages=messages[0])
    _begin(runs, _CHAT, run, stands=True, alone=_is_one_of_many(run))


def _llm_start(runs: Runs, serialized: Any, prompts: Any, **run: Any) -> None:
    run.update(serialized=serialized, prompt=prompts[0])
    _begin(runs, _COMPLETION, run, stands=True, alone=_is_one_of_many(run))


def _is_one_of_many(run: Json) -> bool:
    return run.get("batch_size") not in (None, 1)


def _token(runs: Runs, token: Any = None, **run: Any) -> None:
    pieces = as_dict(as_dict(run.get("chunk")).get("message")).get("tool_call_chunks")
    runs.token(run["run_id"], generated=bool(token or pieces))


def _chain_end(runs: Runs, outputs: Any, **run: Any) -> None:
    runs.close(run["run_id"], {**run, "outputs": outputs})


def _end(runs: Runs, made: Any = None, **run: Any) -> None:
    runs.close(run["run_id"], made)


def _error(runs: Runs, error: BaseException, **run: Any) -> None:
    """Interrupts and commands to a parent graph are raised too, and are no failures."""
    bubbles = any(base.__name__ == "GraphBubbleUp" for base in type(error).__mro__)
    runs.close(run["run_id"], error=None if bubbles else error, completed=not bubbles)


_CALLBACKS: dict[str, Any] = {
    "on_chain_start": _chain_start,
    "on_tool_start": _tool_start,
    "on_retriever_start": _retriever_start,
    "on_chat_model_start": _chat_start,
    "on_llm_start": _llm_start,
    "on_llm_new_token": _token,
    "on_stream_event": _token,
    "on_chain_end": _chain_end,
    **dict.fromkeys(("on_tool_end", "on_retriever_end", "on_llm_end"), _end),
    **dict.fromkeys(
        ("on_chain_error", "on_tool_error", "on_retriever_error", "on_llm_error"), _error
    ),
}


def _attach(context: Any, runs: Runs) -> Callable[[], None]:
    """``run_inline``: called in the very task; ``raise_error``: a budget may refuse a call."""
    from langchain_core.callbacks.base import BaseCallbackHandler

    body = {
        **runs.methods(_CALLBACKS),
        "run_inline": True,
        "raise_error": True,
        "__deepcopy__": lambda handler, _memo: handler,
        # Pickled it is one that does nothing: the process that loads it may have its own.
        "__reduce__": lambda _handler: (BaseCallbackHandler, ()),
    }
    handler = type("GenaiOtelHandler", (BaseCallbackHandler,), body)()
    variable = ContextVar("genai_otel_langchain", default=handler)
    context.register_configure_hook(variable, inheritable=True)
    return partial(_detach, context, variable)


def _detach(context: Any, variable: Any) -> None:
    hooks = context._configure_hooks  # noqa: SLF001 - there is no other way out of it
    hooks.remove(next(hook for hook in hooks if hook[0] is variable))


def _enclosing(config: Any, *_: Any) -> Any:
    """The run whose body the context was copied for."""
    return getattr(config.get("callbacks"), "parent_run_id", None)


def _named_agent(given: Json) -> None:
    name = get_str(given, "name")
    if name is not None and name != _GRAPH and len(_AGENTS) < _AGENTS_KEPT:
        _AGENTS.add(name)


def _asking(given: Json) -> Any:
    """The run of a model that is being called."""
    return getattr(given.get("run_manager"), "run_id", None)


_MODELS = "langchain_core.language_models.chat_models:BaseChatModel"
_REACT = "langgraph.prebuilt.chat_agent_executor:create_react_agent"

ADAPTER = declare(
    "langchain",
    patches=(
        *(
            Patch(f"{module}:_set_config_context", partial(entering, _enclosing), optional=True)
            for module in ("langchain_core.runnables.config", "langgraph._internal._runnable")
        ),
        Patch(f"{_MODELS}._generate_with_cache", partial(inside, _asking), optional=True),
        Patch(f"{_MODELS}._agenerate_with_cache", partial(inside, _asking), optional=True),
        Patch(_REACT, partial(noticing, _named_agent), optional=True),
    ),
    bridge=Bridge("langchain_core.tracers.context", _attach),
)
