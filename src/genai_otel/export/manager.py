"""The export pipelines of a process: what goes to each; flush and close of all at once."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from genai_otel._support.processes import is_child

from . import otel_environment
from .pipeline import handover
from .pipeline.handover import HandoverFile, recover
from .pipeline.redaction import SpanRedactor
from .pipeline.span_processor import processor_on
from .readable import estimated_size, is_ours, with_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.privacy import ContentPolicy

    from .factory import ExportPipeline
    from .pipeline.span_processor import FanOutSpanProcessor
    from .pipeline.worker import ExportWorker


# Seconds, of those given to ``close``, for workers to end after they were aborted.
_ABORT_GRACE = 0.2


def _metric_reader(pipeline: ExportPipeline) -> Any:
    from .pipeline.metric_reader import PullMetricReader

    assert pipeline.temporality is not None  # noqa: S101 - it accepts metrics
    return PullMetricReader(
        pipeline.temporality, exponential_histograms=pipeline.exponential_histograms
    )


class ExportManager:
    """The export pipelines of a process, each with its worker.

    ``recorded_policy``: the content policy by which the spans of this process are recorded.

    ``declared`` and ``extra``: attributes of resources that are exported besides; see
    ``privacy.resource_filter``.
    """

    def __init__(
        self,
        pipelines: Sequence[ExportPipeline],
        *,
        recorded_policy: ContentPolicy,
        declared: Collection[str] = (),
        extra: Sequence[str] = (),
    ) -> None:
        self._declared, self._extra = declared, extra
        self._redactors = [self._redactor(pipeline, recorded_policy) for pipeline in pipelines]
        self._metric_readers: list[tuple[int, Any]] = []
        self.pairs = [
            (pipeline, pipeline.make_worker(redactor))
            for pipeline, redactor in zip(pipelines, self._redactors, strict=True)
        ]
        self._processors: list[FanOutSpanProcessor] = []
        self._on_root_end: Callable[[], None] | None = None
        # Finishes operations that wait for prices, before counts are read.
        self.finish_pending: Callable[[float], object] = lambda _: None
        # Prices a call from the facts that its span carries for it.
        self.price: Callable[[Any], Mapping[str, Any]] | None = None
        self._meter_provider: Any = None
        self._handover: HandoverFile | None = None
        if is_child():
            self._enable_handover()

    def _redactor(self, pipeline: ExportPipeline, recorded_policy: ContentPolicy) -> SpanRedactor:
        return SpanRedactor(
            pipeline.content, recorded_policy, declared=self._declared, extra=self._extra
        )

    def restrict(self, pipelines: Sequence[ExportPipeline], recorded_policy: ContentPolicy) -> None:
        """Apply stricter policies to the same pipelines, also to spans that are queued."""
        self._redactors = [self._redactor(pipeline, recorded_policy) for pipeline in pipelines]
        self.pairs = [
            (pipeline, old[1]) for pipeline, old in zip(pipelines, self.pairs, strict=True)
        ]
        self._set_transforms()
        self._set_metric_collectors()

    def _set_transforms(self) -> None:
        for worker, redactor in zip(self._workers, self._redactors, strict=True):
            transform = redactor.redact
            if self._handover is not None:
                transform = partial(self._with_cost_and_redacted, redactor)
            worker.set_transform(transform)

    def _with_cost_and_redacted(self, redactor: SpanRedactor, span: ReadableSpan) -> ReadableSpan:
        return redactor.redact(self._with_cost(span))

    def _with_cost(self, span: ReadableSpan) -> ReadableSpan:
        return span if self.price is None else with_cost(span, self.price)

    def _set_metric_collectors(self) -> None:
        for index, reader in self._metric_readers:
            collect = self._redactors[index].redact_metrics_of(reader.pull)
            self._workers[index].set_metric_collector(collect)

    @property
    def _workers(self) -> list[ExportWorker]:
        return [worker for _, worker in self.pairs]

    def add_processor(self, provider: Any, *, own: bool) -> None:
        """Export what ends on ``provider``; ``own``: the provider is ours.

        Nobody else exports spans of other scopes then, so all pipelines that accept any have them.
        """
        processor = processor_on(provider)
        processor.add(self._workers, other_scopes=own)
        processor.on_root_end, processor.handover = self._on_root_end, self._handover
        self._processors.append(processor)

    def on_root_end(self, callback: Callable[[], None] | None) -> None:
        """Call ``callback`` whenever a span without a parent in this process has ended."""
        self._on_root_end = callback
        for processor in self._processors:
            processor.on_root_end = callback

    def set_periodic_task(self, task: Callable[[], None]) -> None:
        """Call ``task`` once a minute on the worker of one pipeline, while there is one."""
        for worker in self._workers[:1]:
            worker.periodic_task = task

    def meter_provider(self, resource: Callable[[], Any]) -> Any:
        """A provider whose metrics are exported; ``None`` where no pipeline accepts any."""
        if all(pipeline.temporality is None for pipeline, _ in self.pairs):
            return None
        from opentelemetry.sdk.metrics import MeterProvider

        self._metric_readers = [
            (index, _metric_reader(pipeline))
            for index, (pipeline, _) in enumerate(self.pairs)
            if pipeline.temporality is not None
        ]
        self._meter_provider = MeterProvider(
            metric_readers=[reader for _, reader in self._metric_readers],
            resource=resource(),
            exemplar_filter=otel_environment.exemplar_filter(),
            shutdown_on_exit=False,
        )
        self._set_metric_collectors()
        return self._meter_provider

    def reset_after_fork(self) -> bool:
        """In a forked child: drop the parent's meters; return whether there were any."""
        if self._handover is not None:
            self._handover.close_after_fork()
        handover.set_parent_recovers()
        self._enable_handover()
        had_meters, self._meter_provider = self._meter_provider is not None, None
        self._metric_readers = []
        return had_meters

    # ------------------------------------------------------------------- child processes

    def _enable_handover(self) -> None:
        """Keep what is recorded in a file, in case this process is killed.

        Where no other process recovers such files, spans are exported as soon as possible.
        """
        self._handover = HandoverFile()
        self._set_transforms()
        for each in self._workers:
            each.expect_termination(
                self._clear_handover_if_idle, recoverable=self._handover.is_surely_recovered
            )
        for processor in self._processors:
            processor.handover = self._handover

    def may_be_terminated(self) -> bool:
        """Whether this process may be killed before it has exported its spans."""
        return self._handover is not None and self._handover.is_needed()

    def _clear_handover_if_idle(self) -> None:
        if self._handover is not None:
            with self._handover.lock:
                if not any(each.busy for each in self._workers):
                    self._handover.clear()

    def recover_spans(self) -> None:
        """Enqueue spans of child processes that were killed; not in a child process."""
        if self._handover is None:  # a child may be killed with all of them
            self._enqueue_recovered(*recover())

    def recover_spans_in_operation(self) -> None:
        """The same in a child process too, as the main process may be idle for long."""
        if self._handover is None:
            self.recover_spans()
        else:
            self._handover.adopt(self._enqueue_recovered)

    def _enqueue_recovered(self, recovered: list[ReadableSpan], lost: int) -> None:
        spans = [self._with_cost(span) for span in recovered]
        for each in self._workers:
            for span in spans:
                each.enqueue(
                    span, estimated_size(span), ours=is_ours(span) or each.accepts_other_scopes
                )
            each.count_lost(
                lost, "terminated", "child processes were killed before it was exported"
            )

    # --------------------------------------------------------------------- flush and end

    def flush(self, timeout: float) -> bool:
        """Whether every pipeline has exported what is queued now, within ``timeout`` seconds."""
        deadline = monotonic() + timeout
        self.recover_spans()
        requests = [each.request_flush(deadline) for each in self._workers]
        return all(request.wait() for request in requests)

    def close(self, timeout: float) -> bool:
        """Export what is queued and end; whether everything was, within ``timeout`` seconds."""
        deadline = monotonic() + timeout - _ABORT_GRACE
        before = [each.stats.lost.total() for each in self._workers]
        self.recover_spans()
        for each in self._workers:
            each.close(deadline)
        for each in self._workers:
            each.join(deadline)
        for each in self._workers:
            each.abort()  # those that still wait for a receiver
        ended = [each.join(deadline + _ABORT_GRACE) for each in self._workers]
        for processor in self._processors:
            processor.remove(self._workers)
            processor.on_root_end = processor.handover = None
        if self._handover is not None:
            self._handover.close()
        if self._meter_provider is not None:
            self._meter_provider.shutdown()
        return all(ended) and before == [each.stats.lost.total() for each in self._workers]
