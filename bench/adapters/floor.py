"""The floor: hand-written OpenTelemetry SDK spans with about 20 attributes.

What an application would write itself: one span a call, attributes read from the
arguments and the parsed response, messages as JSON when content is recorded.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from bench.harness.contract import Exporters, Options, Peer, Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PEER = Peer(
    packages=("opentelemetry-sdk",),
    statements="""
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
""",
    title="opentelemetry-sdk",
)


class _Spans:
    """Begins and finishes the spans."""

    __slots__ = ("_client", "_content", "_failed", "_tracer")

    def __init__(self, tracer: Any, *, content: bool) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode

        self._tracer, self._content, self._client = tracer, content, SpanKind.CLIENT
        self._failed: Any = lambda error: Status(StatusCode.ERROR, str(error))

    def begin(self, operation: str, kwargs: dict[str, Any]) -> Any:
        model = kwargs["model"]
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": model,
            "server.address": "api.openai.com",
            "server.port": 443,
            "openai.api.type": "chat_completions",
            "gen_ai.output.type": "text",
            "service.peer.name": "openai",
            "code.function.name": "create",
        }
        if "temperature" in kwargs:
            attributes["gen_ai.request.temperature"] = kwargs["temperature"]
        if kwargs.get("stream"):
            attributes["gen_ai.request.stream"] = True
        if self._content and "messages" in kwargs:
            attributes["gen_ai.input.messages"] = json.dumps(kwargs["messages"])
            if "tools" in kwargs:
                attributes["gen_ai.tool.definitions"] = json.dumps(kwargs["tools"])
        name = f"{operation} {model}"
        return self._tracer.start_span(name, kind=self._client, attributes=attributes)

    def finish(self, span: Any, response: Any, text: str | None, reason: str | None) -> None:
        attributes: dict[str, Any] = {"gen_ai.response.model": response.model}
        if hasattr(response, "id"):
            attributes["gen_ai.response.id"] = response.id
            attributes["openai.response.service_tier"] = response.service_tier or ""
            attributes["openai.response.system_fingerprint"] = response.system_fingerprint or ""
        if reason is not None:
            attributes["gen_ai.response.finish_reasons"] = (reason,)
        if response.usage is not None:
            _count(response.usage, attributes)
        if self._content and text is not None:
            attributes["gen_ai.output.messages"] = text
        span.set_attributes(attributes)
        span.end()

    def finish_chat(self, span: Any, response: Any) -> None:
        choice = response.choices[0]
        text = _answer(choice) if self._content else None
        self.finish(span, response, text, choice.finish_reason)

    def fail(self, span: Any, error: BaseException) -> None:
        span.record_exception(error)
        span.set_status(self._failed(error))
        span.end()


def _count(usage: Any, attributes: dict[str, Any]) -> None:
    attributes["gen_ai.usage.input_tokens"] = usage.prompt_tokens
    attributes["gen_ai.usage.total_tokens"] = usage.total_tokens
    if hasattr(usage, "completion_tokens"):
        attributes["gen_ai.usage.output_tokens"] = usage.completion_tokens
    if getattr(usage, "prompt_tokens_details", None) is not None:
        cached = usage.prompt_tokens_details.cached_tokens or 0
        attributes["gen_ai.usage.cache_read.input_tokens"] = cached
    if getattr(usage, "completion_tokens_details", None) is not None:
        reasoning = usage.completion_tokens_details.reasoning_tokens or 0
        attributes["gen_ai.usage.reasoning.output_tokens"] = reasoning


def _answer(choice: Any) -> str:
    message = choice.message
    calls = [
        {"id": c.id, "name": c.function.name, "args": c.function.arguments}
        for c in message.tool_calls or ()
    ]
    answer = {
        "role": "assistant",
        "content": message.content,
        "tool_calls": calls,
        "finish_reason": choice.finish_reason,
    }
    return json.dumps([answer])


class _Chunks:
    """What a stream's chunks add up to."""

    __slots__ = ("first", "last", "parts", "reason", "span", "spans", "started")

    def __init__(self, spans: _Spans, span: Any, started: float) -> None:
        self.spans, self.span, self.started = spans, span, started
        self.first: float | None = None
        self.last: Any = None
        self.parts: list[str] = []
        self.reason: str | None = None

    def add(self, chunk: Any) -> None:
        if self.first is None:
            self.first = time.perf_counter() - self.started
        self.last = chunk
        for choice in chunk.choices:
            if choice.delta.content:
                self.parts.append(choice.delta.content)
            if choice.finish_reason:
                self.reason = choice.finish_reason

    def done(self) -> None:
        if self.first is not None:
            self.span.set_attribute("gen_ai.response.time_to_first_chunk", self.first)
        text = json.dumps([{"role": "assistant", "content": "".join(self.parts)}])
        self.spans.finish(self.span, self.last, text, self.reason)

    def observe(self, stream: Any) -> Iterator[Any]:
        try:
            for chunk in stream:
                self.add(chunk)
                yield chunk
        except Exception as error:
            self.spans.fail(self.span, error)
            raise
        self.done()

    async def aobserve(self, stream: Any) -> AsyncIterator[Any]:
        try:
            async for chunk in stream:
                self.add(chunk)
                yield chunk
        except Exception as error:
            self.spans.fail(self.span, error)
            raise
        self.done()


def _patch_chat(spans: _Spans) -> None:
    from openai.resources.chat.completions import AsyncCompletions, Completions

    chat: Any = Completions.create
    achat: Any = AsyncCompletions.create

    def create(self: Any, **kwargs: Any) -> Any:
        span, started = spans.begin("chat", kwargs), time.perf_counter()
        try:
            response = chat(self, **kwargs)
        except Exception as error:
            spans.fail(span, error)
            raise
        if kwargs.get("stream"):
            return _Chunks(spans, span, started).observe(response)
        spans.finish_chat(span, response)
        return response

    async def acreate(self: Any, **kwargs: Any) -> Any:
        span, started = spans.begin("chat", kwargs), time.perf_counter()
        try:
            response = await achat(self, **kwargs)
        except Exception as error:
            spans.fail(span, error)
            raise
        if kwargs.get("stream"):
            return _Chunks(spans, span, started).aobserve(response)
        spans.finish_chat(span, response)
        return response

    setattr(Completions, "create", create)  # noqa: B010 - mypy forbids the assignment
    setattr(AsyncCompletions, "create", acreate)  # noqa: B010


def _patch_embeddings(spans: _Spans) -> None:
    from openai.resources.embeddings import Embeddings

    embed: Any = Embeddings.create

    def create(self: Any, **kwargs: Any) -> Any:
        span = spans.begin("embeddings", kwargs)
        try:
            response = embed(self, **kwargs)
        except Exception as error:
            spans.fail(span, error)
            raise
        dimensions = len(response.data[0].embedding)
        span.set_attribute("gen_ai.embeddings.dimension.count", dimensions)
        spans.finish(span, response, None, None)
        return response

    setattr(Embeddings, "create", create)  # noqa: B010


def setup(exporters: Exporters, options: Options) -> Session:
    from bench.harness.exporters import make_tracer_provider

    provider = make_tracer_provider(exporters)
    spans = _Spans(provider.get_tracer("floor"), content=options.content)
    _patch_chat(spans)
    _patch_embeddings(spans)
    return Session(flush=provider.force_flush)
