"""What a destination may have of spans and metrics, applied on its worker."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Status

from genai_otel.export.readable import Recorded, attributes_of, changed, changed_event, changed_link
from genai_otel.privacy import AttributeFilter, told

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.privacy import ContentPolicy

_RESOURCES_KEPT = 64
# What other libraries call prompts, replies, addresses with their queries, headers and statements.
_CONTENT_OF_OTHERS = (
    r"gen_ai\.(?:prompt|completion)(?:\.\d.*)?|(?:input|output)\.value|input|output|content"
    r"|llm\.(?:input_messages|output_messages|prompts|completions|prompt_template|tools).*"
    r"|(?:embedding|retrieval|reranker|tool|document)\..*(?:text|documents|content|query|parameters)"
    r"|traceloop\.entity\.(?:input|output)|ai\.(?:prompt|response|toolCall).*"
    r"|langfuse\..*\.(?:input|output)|mlflow\.span(?:Inputs|Outputs)|.*all_messages.*"
    r"|http\.(?:request|response)\.header\..*|url\.(?:full|query)|http\.(?:url|target)"
    r"|db\.(?:statement|query\.text|query\.parameter.*)"
)


class Judge:
    """One destination's policy, over what was ``recorded`` by another or by the same.

    What the recorder alone has written under the same policy goes on as it is. All else passes a
    gate here: whatever others write on a span, and spans of other scopes that a filter lets
    through. Functions of the user's do not see that a second time. ``told`` and ``said`` are what
    ``privacy.resources.told`` takes; ``recorded`` is ``None`` for what was stored, whose resource
    was judged when it was written.
    """

    def __init__(
        self,
        policy: ContentPolicy,
        recorded: ContentPolicy | None,
        *,
        said: Collection[str] = (),
        more: Sequence[str] = (),
    ) -> None:
        self._same, self._stored = policy == recorded, recorded is None
        self._said, self._more = said, more
        withholds = policy.messages == "none"
        self._withheld = re.compile(_CONTENT_OF_OTHERS) if withholds else None
        uploaded = recorded is None or recorded.uploads
        self._gate = AttributeFilter(
            policy.without_functions() if self._same else policy, uploaded=uploaded
        )
        self._resources: dict[int, tuple[Resource, Resource]] = {}

    def span(self, span: ReadableSpan) -> ReadableSpan:
        """The span as it may go there."""
        if self._same and type(span) is Recorded:
            return span
        gate, description = self._gate, span.status.description
        return changed(
            span,
            self._attributes(attributes_of(span)),
            name=gate.redact_name(span.name),
            events=[
                changed_event(each, self._attributes(each.attributes), gate.redact_name(each.name))
                for each in span.events
            ],
            links=[changed_link(each, self._attributes(each.attributes)) for each in span.links],
            status=Status(
                span.status.status_code, description and gate.redact_text(description, "errors")
            ),
            resource=self._resource(span.resource),
            instrumentation_scope=self._scope(span.instrumentation_scope),
        )

    def _attributes(self, found: Mapping[str, Any] | None) -> Mapping[str, Any]:
        withheld = self._withheld
        if found and withheld is not None:
            found = {k: v for k, v in found.items() if not withheld.fullmatch(k)}
        return self._gate.filter(found or {})

    def gathered(self, gather: Callable[[], MetricsData | None]) -> Callable[[], Any]:
        """``gather``, whose points are told as this destination may have them."""
        if self._same:
            return gather

        def judged() -> Any:
            data = gather()
            return data if data is None else self._metrics(data)

        return judged

    def _resource(self, resource: Resource) -> Resource:
        """The same one each time, since spans are grouped by it."""
        known = self._resources.get(id(resource))
        if known is None:
            found = resource.attributes
            if not self._stored:
                found = told(found, self._said, self._more)
            kept = Resource(dict(self._gate.filter(found)), resource.schema_url)
            if len(self._resources) >= _RESOURCES_KEPT:
                self._resources.clear()
            known = self._resources[id(resource)] = resource, kept
        return known[1]

    def _scope(self, scope: InstrumentationScope | None) -> InstrumentationScope | None:
        if scope is None or not scope.attributes:
            return scope
        judged = self._gate.filter(scope.attributes)
        return InstrumentationScope(scope.name, scope.version, scope.schema_url, judged)

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
                attributes=self._gate.filter(point.attributes or {}),
                exemplars=[
                    replace(
                        each,
                        filtered_attributes=self._gate.filter(each.filtered_attributes or {}),
                    )
                    for each in point.exemplars
                ],
            )
            for point in metric.data.data_points
        ]
        return replace(metric, data=replace(metric.data, data_points=points))
