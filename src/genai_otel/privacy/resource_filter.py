"""What of a resource is told: which service this is and where it is deployed, by a list.

Detectors find much more: command lines, environments, users, paths, labels that anybody may set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

_GROUPS = ("service.", "deployment.", "telemetry.", "cloud.", "faas.", "k8s.", "process.runtime.")
"""What begins so is told."""
_NOT = ("k8s.pod.label", "k8s.pod.annotation", "k8s.namespace.label", "k8s.namespace.annotation",
        "k8s.node.label", "k8s.node.annotation", "k8s.deployment.label",
        "k8s.deployment.annotation")  # fmt: skip
"""But not what begins so: these hold whatever somebody has written there."""
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


def told(
    attributes: Mapping[str, Any], said: Container[str] = (), more: Iterable[str] = ()
) -> dict[str, Any]:
    """The attributes of a resource that may leave.

    ``said`` are those that the application has set by ``OTEL_RESOURCE_ATTRIBUTES``; ``more`` are
    names that it lets out besides, where those that end in a star stand for all that begin so.
    """
    ends = tuple(name[:-1] for name in more if name.endswith("*"))
    names = frozenset(more)
    return {
        name: value
        for name, value in attributes.items()
        if name in said
        or name in _NAMES
        or name in names
        or (name.startswith(_GROUPS) and not name.startswith(_NOT))
        or (ends and name.startswith(ends))
    }
