"""Export only listed resource attributes: those of the service and its deployment.

Resource detectors find much more: command lines, environments, users, paths, arbitrary labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

# Allowed prefixes
_GROUPS = ("service.", "deployment.", "telemetry.", "cloud.", "faas.", "k8s.", "process.runtime.")
# Excluded prefixes: labels and annotations have arbitrary text
_NOT = ("k8s.pod.label", "k8s.pod.annotation", "k8s.namespace.label", "k8s.namespace.annotation",
        "k8s.node.label", "k8s.node.annotation", "k8s.deployment.label",
        "k8s.deployment.annotation")  # fmt: skip
_NAMES = frozenset(
    {
        "process.pid",
        "container.id",
        "container.name",
        "container.image.name",
        "container.image.tags",
        "aws.ecs.cluster.arn",
        "aws.ecs.task.family",
        "aws.ecs.task.revision",
        "aws.eks.cluster.arn",
        "aws.service.type",
        "openinference.project.name",
    }
)


def exportable(
    attributes: Mapping[str, Any], declared: Container[str] = (), extra: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the attributes of a resource that may be exported.

    ``declared`` are the attributes that the application set in ``OTEL_RESOURCE_ATTRIBUTES``;
    ``extra`` are other allowed names, where a final star matches any suffix.
    """
    ends = tuple(name[:-1] for name in extra if name.endswith("*"))
    names = frozenset(extra)
    return {
        name: value
        for name, value in attributes.items()
        if name in declared
        or name in _NAMES
        or name in names
        or (name.startswith(_GROUPS) and not name.startswith(_NOT))
        or (ends and name.startswith(ends))
    }
