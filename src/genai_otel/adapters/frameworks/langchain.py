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
from genai_otel.instrumentation.runs import wrap_context_entry, wrap_notify, wrap_run_body
from genai_otel.record import Kind, Operation, snapshot, text
from genai_otel.record.usage import LANGCHAIN, OPENAI_CHAT, read_usage

from . import _langchain_messages as messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.instrumentation.runs import Runs
    from genai_otel.record import Message

# ``ls_provider`` -> the convention's provider name.
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
# Metadata keys by which LangSmith groups runs: docs.langchain.com/langsmith/threads.
_THREADS = ("thread_id", "session_id", "conversation_id")
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
# Names given to ``create_react_agent``; only by these its runs differ from a graph's.
_AGENTS: set[str] = set()
_AGENTS_KEPT = 1_000

# --------------------------------------------------------------------------- chains and graphs


def _kind(run: Json) -> Kind | None:
    """Return the kind of a chain's run; ``None`` for internal ones, which are passed through."""
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
    """Set session and tags, for the run and everything inside."""
    metadata = get_dict(run, "metadata")
    session = next((metadata[key] for key in _THREADS if metadata.get(key)), None)
    tags = [tag for tag in _tags(run) if not tag.startswith(_INTERNAL_TAGS)]
    if session is not None or tags:
        op.scope = {"session_id": session, "tags": tags}


def _read_nothing(_given: Any, _op: Operation) -> None:
    """There is nothing to read but content."""


def _read_arguments(run: Json, op: Operation) -> None:
    inputs = run.get("inputs")
    if op.kind is not Kind.STEP:
        op.input = messages.messages(inputs) or None
    op.arguments = messages.state(inputs) if op.input is None else None


def _read_result(end: Json, op: Operation) -> None:
    if not op.capture:
        return
    if end.get("inputs") is not None:  # a stream, whose input came in pieces
        _read_arguments(end, op)
    outputs = end["outputs"]
    if op.kind is not Kind.STEP:
        op.output = messages.messages(outputs)[-1:] or None
    if op.output is None:
        op.result = messages.state(outputs)


_CHAINS = {
    kind: Extractor(kind, _read_nothing, _read_result, _read_arguments)
    for kind in (Kind.WORKFLOW, Kind.AGENT, Kind.STEP)
}

# ------------------------------------------------------------------------- tools and retrievers


def _describe_tool(run: Json, op: Operation) -> None:
    """Set the description by which the tool's own function is recognized, before the run starts."""
    description = get_str(get_dict(run, "serialized"), "description")
    op.params = {"description": description, "call_id": get_str(run, "tool_call_id")}


def _read_tool_arguments(run: Json, op: Operation) -> None:
    inputs = run.get("inputs")
    op.arguments = snapshot(run.get("input_str") if inputs is None else inputs)


def _read_tool_result(output: Any, op: Operation) -> None:
    found = as_dict(output)
    call_id = get_str(found, "tool_call_id")
    if call_id is not None:
        op.params = {**(op.params or {}), "call_id": call_id}
    if op.capture:
        op.result = (
            snapshot(found["content"]) if messages.is_message(output) else messages.state(output)
        )


def _read_query(run: Json, op: Operation) -> None:
    op.query = get_str(run, "query")


def _read_documents(documents: Any, op: Operation) -> None:
    if op.capture:
        op.documents = messages.documents(documents, op.documents or ())


_TOOL = Extractor(Kind.TOOL, _read_nothing, _read_tool_result, _read_tool_arguments)
_RETRIEVER = Extractor(Kind.RETRIEVAL, _read_nothing, _read_documents, _read_query)

# ---------------------------------------------------------------------------------------- models


def _read_model(run: Json) -> str | None:
    params = get_dict(run, "invocation_params")
    named = get_str(get_dict(run, "metadata"), "ls_model_name")
    return named or get_str(params, "model") or get_str(params, "model_name")


def _read_request(run: Json, op: Operation) -> None:
    op.params = {
        **pick(get_dict(run, "metadata"), _PARAMS),
        **pick(get_dict(run, "invocation_params"), _PARAMS),
    }


def _read_messages(run: Json, op: Operation) -> None:
    op.input = [messages.message(each) for each in run["messages"]]
    op.tools = definitions(get_dict(run, "invocation_params"))


def _read_prompt(run: Json, op: Operation) -> None:
    op.input = [{"role": "user", "parts": [text(run["prompt"])]}]


def _read_response(result: Any, op: Operation) -> None:
    """Read a result; called only where no client below has read its own response."""
    result = as_dict(result)
    generations = result.get("generations") or [[]]
    for generation in generations[0]:
        _generation(as_dict(generation), op)
    output = get_dict(result, "llm_output")
    op.response_model = op.response_model or get_str(output, "model_name")
    if op.usage.input is None and not _is_cached(generations[0]):
        read_usage(get_dict(output, "token_usage"), op.usage, OPENAI_CHAT)


def _is_cached(generations: Any) -> bool:
    """Whether LangChain's own cache answered: nothing was sent or billed."""
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
            turn = messages.message(message)
        if reason is not None:
            turn["finish_reason"] = reason
        op.output = [*(op.output or ()), turn]


def _own_id(message_id: str | None) -> str | None:
    """Return the provider's id, unless LangChain generated it."""
    made_up = message_id is None or message_id.startswith(("run-", "lc_"))
    return None if made_up else message_id


_CHAT = Extractor(Kind.CHAT, _read_request, _read_response, _read_messages, read_model=_read_model)
_COMPLETION = Extractor(
    Kind.COMPLETION, _read_request, _read_response, _read_prompt, read_model=_read_model
)

# ------------------------------------------------------------------------------------- callbacks


def _begin(
    runs: Runs, extractor: Extractor, run: Json, name: str | None = None, **how: bool
) -> None:
    op = Operation(extractor.kind, name)
    op.from_framework = True
    op.provider = _provider(run)
    if extractor is _TOOL:
        _describe_tool(run, op)
    _scope(run, op)
    runs.start(run["run_id"], run.get("parent_run_id"), extractor, op, run, **how)


def _provider(run: Json) -> str | None:
    """Return the provider; a class without one is recorded under its own name."""
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
        runs.pass_through(run["run_id"], run.get("parent_run_id"))
    else:
        _begin(runs, _CHAINS[kind], run, run["name"])


def _tool_start(runs: Runs, serialized: Any, input_str: Any, **run: Any) -> None:
    run.update(serialized=serialized, input_str=input_str)
    _begin(runs, _TOOL, run, _name(run))


def _retriever_start(runs: Runs, serialized: Any, query: Any, **run: Any) -> None:
    run.update(serialized=serialized, query=query)
    _begin(runs, _RETRIEVER, run, _name(run), implicit_parent=True)


def _chat_start(runs: Runs, serialized: Any, messages: Any, **run: Any) -> None:
    run.update(serialized=serialized, messages=messages[0])
    _begin(runs, _CHAT, run, implicit_parent=True, standalone=_is_one_of_many(run))


def _llm_start(runs: Runs, serialized: Any, prompts: Any, **run: Any) -> None:
    run.update(serialized=serialized, prompt=prompts[0])
    _begin(runs, _COMPLETION, run, implicit_parent=True, standalone=_is_one_of_many(run))


def _is_one_of_many(run: Json) -> bool:
    return run.get("batch_size") not in (None, 1)


def _new_token(runs: Runs, token: Any = None, **run: Any) -> None:
    pieces = as_dict(as_dict(run.get("chunk")).get("message")).get("tool_call_chunks")
    runs.token(run["run_id"], generated=bool(token or pieces))


def _chain_end(runs: Runs, outputs: Any, **run: Any) -> None:
    runs.end(run["run_id"], {**run, "outputs": outputs})


def _end(runs: Runs, made: Any = None, **run: Any) -> None:
    runs.end(run["run_id"], made)


def _error(runs: Runs, error: BaseException, **run: Any) -> None:
    """End a run; raised interrupts, and commands to a parent graph, are not failures."""
    bubbles = any(base.__name__ == "GraphBubbleUp" for base in type(error).__mro__)
    runs.end(run["run_id"], error=None if bubbles else error, completed=not bubbles)


_CALLBACKS: dict[str, Any] = {
    "on_chain_start": _chain_start,
    "on_tool_start": _tool_start,
    "on_retriever_start": _retriever_start,
    "on_chat_model_start": _chat_start,
    "on_llm_start": _llm_start,
    "on_llm_new_token": _new_token,
    "on_stream_event": _new_token,
    "on_chain_end": _chain_end,
    **dict.fromkeys(("on_tool_end", "on_retriever_end", "on_llm_end"), _end),
    **dict.fromkeys(
        ("on_chain_error", "on_tool_error", "on_retriever_error", "on_llm_error"), _error
    ),
}


def _attach(context: Any, runs: Runs) -> Callable[[], None]:
    """Register our handler; ``run_inline`` for the same task, ``raise_error`` for budgets."""
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


def _body_run_id(config: Any, *_: Any) -> Any:
    """Return the id of the run whose body the context was copied for."""
    return getattr(config.get("callbacks"), "parent_run_id", None)


def _remember_agent(given: Json) -> None:
    name = get_str(given, "name")
    if name is not None and name != _GRAPH and len(_AGENTS) < _AGENTS_KEPT:
        _AGENTS.add(name)


def _model_run_id(given: Json) -> Any:
    """Return the id of a model's run."""
    return getattr(given.get("run_manager"), "run_id", None)


_MODELS = "langchain_core.language_models.chat_models:BaseChatModel"
_REACT = "langgraph.prebuilt.chat_agent_executor:create_react_agent"

ADAPTER = declare(
    "langchain",
    patches=(
        *(
            Patch(
                f"{module}:_set_config_context",
                partial(wrap_context_entry, _body_run_id),
                optional=True,
            )
            for module in ("langchain_core.runnables.config", "langgraph._internal._runnable")
        ),
        Patch(
            f"{_MODELS}._generate_with_cache", partial(wrap_run_body, _model_run_id), optional=True
        ),
        Patch(
            f"{_MODELS}._agenerate_with_cache", partial(wrap_run_body, _model_run_id), optional=True
        ),
        Patch(_REACT, partial(wrap_notify, _remember_agent), optional=True),
    ),
    bridge=Bridge("langchain_core.tracers.context", _attach),
)
