"""Redaction of spans and metrics by the content policy of a destination, on its worker."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Status

from genai_otel.export.readable import RecorderSpan, attributes_of, copy_event, copy_link, copy_span
from genai_otel.privacy import AttributeFilter, exportable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.privacy import ContentPolicy

_MAX_RESOURCES = 64
# Other libraries' attributes of prompts, responses, URLs with queries, headers and statements.
_FOREIGN_CONTENT = (
    r"gen_ai\.(?:prompt|completion)(?:\.\d.*)?|(?:input|output)\.value|input|output|content"
    r"|llm\.(?:input_messages|output_messages|prompts|completions|prompt_template|tools).*"
    r"|(?:embedding|retrieval|reranker|tool|document)\..*(?:text|documents|content|query|parameters)"
    r"|traceloop\.entity\.(?:input|output)|ai\.(?:prompt|response|toolCall).*"
    r"|langfuse\..*\.(?:input|output)|mlflow\.span(?:Inputs|Outputs)|.*all_messages.*"
    r"|http\.(?:request|response)\.header\..*|url\.(?:full|query)|http\.(?:url|target)"
    r"|db\.(?:statement|query\.text|query\.parameter.*)"
)


class SpanRedactor:
    """Applies the policy of one destination to spans that were recorded under ``recorded_policy``.

    Spans that only the recorder has written, under the same policy, pass unchanged. Everything else
    is filtered here: what others have written on a span, and spans of other scopes. The user's
    functions do not see content a second time. ``declared`` and ``extra`` are arguments of
    ``privacy.exportable``. ``recorded_policy`` is ``None`` for stored spans, whose resource was
    filtered when they were written.
    """

    def __init__(
        self,
        policy: ContentPolicy,
        recorded_policy: ContentPolicy | None,
        *,
        declared: Collection[str] = (),
        extra: Sequence[str] = (),
    ) -> None:
        self._same_policy, self._stored = policy == recorded_policy, recorded_policy is None
        self._declared, self._extra = declared, extra
        withholds = policy.messages == "none"
        self._content_keys = re.compile(_FOREIGN_CONTENT) if withholds else None
        uploaded = recorded_policy is None or recorded_policy.uploads
        self._attribute_filter = AttributeFilter(
            policy.without_functions() if self._same_policy else policy, uploaded=uploaded
        )
        self._resources: dict[int, tuple[Resource, Resource]] = {}

    def redact(self, span: ReadableSpan) -> ReadableSpan:
        """The span, or a copy with what the policy allows."""
        if self._same_policy and type(span) is RecorderSpan:
            return span
        attribute_filter, description = self._attribute_filter, span.status.description
        return copy_span(
            span,
            self._attributes(attributes_of(span)),
            name=attribute_filter.redact_name(span.name),
            events=[
                copy_event(
                    each, self._attributes(each.attributes), attribute_filter.redact_name(each.name)
                )
                for each in span.events
            ],
            links=[copy_link(each, self._attributes(each.attributes)) for each in span.links],
            status=Status(
                span.status.status_code,
                description and attribute_filter.redact_text(description, "errors"),
            ),
            resource=self._resource(span.resource),
            instrumentation_scope=self._scope(span.instrumentation_scope),
        )

    def _attributes(self, found: Mapping[str, Any] | None) -> Mapping[str, Any]:
        content_keys = self._content_keys
        if found and content_keys is not None:
            found = {k: v for k, v in found.items() if not content_keys.fullmatch(k)}
        return self._attribute_filter.filter(found or {})

    def redact_metrics_of(self, collect: Callable[[], MetricsData | None]) -> Callable[[], Any]:
        """``collect``, with the attributes of its points filtered."""
        if self._same_policy:
            return collect

        def redacted() -> Any:
            data = collect()
            return data if data is None else self._metrics(data)

        return redacted

    def _resource(self, resource: Resource) -> Resource:
        """The same one each time, since spans are grouped by it."""
        known = self._resources.get(id(resource))
        if known is None:
            found = resource.attributes
            if not self._stored:
                found = exportable(found, self._declared, self._extra)
            kept = Resource(dict(self._attribute_filter.filter(found)), resource.schema_url)
            if len(self._resources) >= _MAX_RESOURCES:
                self._resources.clear()
            known = self._resources[id(resource)] = resource, kept
        return known[1]

    def _scope(self, scope: InstrumentationScope | None) -> InstrumentationScope | None:
        if scope is None or not scope.attributes:
            return scope
        kept = self._attribute_filter.filter(scope.attributes)
        return InstrumentationScope(scope.name, scope.version, scope.schema_url, kept)

    def _metrics(self, data: MetricsData) -> MetricsData:
        return replace(
            data,
            resource_metrics=[
                replace(
                    of_resource,
                    scope_metrics=[
                        replace(of_scope, metrics=[self._metric(each) for each in of_scope.metrics])
                        for of_scope in of_resource.scope_metrics
                    ],
                )
                for of_resource in data.resource_metrics
            ],
        )

    def _metric(self, metric: Any) -> Any:
        points = [
            replace(
                point,
                attributes=self._attribute_filter.filter(point.attributes or {}),
                exemplars=[
                    replace(
                        each,
                        filtered_attributes=self._attribute_filter.filter(
                            each.filtered_attributes or {}
                        ),
                    )
                    for each in point.exemplars
                ],
            )
            for point in metric.data.data_points
        ]
        return replace(metric, data=replace(metric.data, data_points=points))
