"""Destinations: where telemetry goes, as users configure it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from genai_otel._settings import one_of
from genai_otel.privacy import ContentPolicy, as_policy

from .backends.endpoints import check_endpoint
from .backends.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from .pipeline.tail_sampling import TailSampling


@dataclass(frozen=True, slots=True)
class Destination:
    """Where telemetry goes, and with how much content.

    ``preset`` is a row of docs/destinations.md: ``local``, ``console``, ``otlp`` or a backend's
    name. ``endpoint`` (base URL of the receiver) overrides the preset's; plain http to another
    machine needs ``insecure=True``. ``headers`` are added to the preset's and override them.
    ``options`` are the preset's, such as ``api_key`` or ``project``, instead of its variables.
    ``content`` is ``redacted``, ``none``, ``full`` or a ``ContentPolicy`` (default: the process's).
    ``signals`` are some of ``traces``, ``metrics``, ``logs`` (default: all that the backend takes).
    ``filter(span) -> bool`` selects spans of *other* scopes to export too; it runs on a worker
    thread. ``sample`` is the share of traces to export, 0 to 1, or a ``TailSampling``; traces with
    errors or a guardrail's denial are always kept. ``directory`` is the local store's.

    Raises ``ValueError`` on values that are not accepted.
    """

    preset: str
    endpoint: str | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    content: str | ContentPolicy | None = None
    directory: str | None = None
    insecure: bool = False
    signals: Sequence[str] | None = None
    filter: Callable[[ReadableSpan], bool] | None = None
    sample: float | TailSampling | None = None
    options: Mapping[str, str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if "://" in str(self.preset):  # not repeated: it may hold a password
            raise ValueError(
                "a destination is a name, not a URL: pass the URL as"
                ' Destination("otlp", endpoint=...), or set OTEL_EXPORTER_OTLP_ENDPOINT'
            )
        one_of("destination", self.preset, PRESETS)
        if self.content is not None:
            as_policy(self.content)
        if self.endpoint is not None:
            check_endpoint(self.endpoint, insecure=self.insecure)
        for name in ("headers", "options"):
            if not isinstance(getattr(self, name) or {}, Mapping):
                raise ValueError(f"{name} of a destination must be a mapping")  # noqa: TRY004 - documented
        if isinstance(self.signals, str):
            raise ValueError(  # noqa: TRY004 - documented
                f"signals must be a list of names, such as [{self.signals!r}]"
            )
        if self.signals is not None and not self.signals:
            raise ValueError("signals of a destination must not be empty: omit them to export all")
        if self.sample is not None:
            from .pipeline.tail_sampling import sample_of

            sample_of(self.sample)
        for signal in self.signals or ():
            one_of("signal", signal, _signals(self.preset), f"of destination {self.preset!r}")


def _signals(preset: str) -> tuple[str, ...]:
    return PRESETS[preset].signals or {"local": ("traces", "metrics")}.get(preset, ("traces",))
