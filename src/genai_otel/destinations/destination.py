"""Where telemetry goes: what users say of it, and what is made of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.trace.export import SpanExporter

from genai_otel._settings import one_of
from genai_otel.privacy import ContentPolicy, as_policy

from .channels import ExporterChannel, OtlpChannel
from .export import Delivery
from .presets import PRESETS
from .sampling import Sample, sample_of
from .sending import HttpSender
from .target import check_endpoint, target

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.store.local import LocalStore

    from .channels import Channel, Sender
    from .judging import Judge
    from .target import Target


@dataclass(frozen=True, slots=True)
class Destination:
    """Where telemetry goes.

    ``preset`` is a row of docs/destinations.md: ``local``, ``console``, ``otlp`` or a backend's
    name. ``endpoint`` is the base URL of the receiver, in place of the row's; plain http to another
    machine needs ``insecure=True``. ``headers`` are added to the row's, and win. ``options`` are
    the row's, such as ``api_key`` or ``project``, in place of its variables. ``content`` is
    ``redacted``, ``none``, ``full`` or a ``ContentPolicy``; by default the process's. ``signals``
    are some of ``traces``, ``metrics``, ``logs``; by default all that the backend takes. ``filter``
    is asked with each span of *other* scopes, and says whether it goes there too; it is called on a
    worker thread. ``sample`` is the share of traces that go there, or a ``Sample``; failed and
    blocked ones always do. ``directory`` is the local store's.

    Raises ``ValueError`` on what it does not know.
    """

    preset: str
    endpoint: str | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    content: str | ContentPolicy | None = None
    directory: str | None = None
    insecure: bool = False
    signals: Sequence[str] | None = None
    filter: Callable[[ReadableSpan], bool] | None = None
    sample: float | Sample | None = None
    options: Mapping[str, str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        one_of("destination", self.preset, PRESETS)
        if self.content is not None:
            as_policy(self.content)
        if self.endpoint is not None:
            check_endpoint(self.endpoint, insecure=self.insecure)
        for name in ("headers", "options"):
            if not isinstance(getattr(self, name) or {}, Mapping):
                raise ValueError(f"{name} of a destination are a mapping")  # noqa: TRY004 - documented
        if isinstance(self.signals, str):
            raise ValueError(  # noqa: TRY004 - documented
                f"signals are a list of names, such as [{self.signals!r}]"
            )
        if self.sample is not None:
            sample_of(self.sample)
        for signal in self.signals or ():
            one_of(f"signal of destination {self.preset!r}", signal, _signals(self.preset))


def _signals(preset: str) -> tuple[str, ...]:
    return PRESETS[preset].signals or {"local": ("traces", "metrics")}.get(preset, ("traces",))


class Outlet(NamedTuple):
    """One destination ready for use; ``content``: whether what was said may go there.

    ``temporality`` is that of its metrics, ``None`` where it takes none. ``ids`` and
    ``propagation`` say whose form of trace ids and headers it asks for: ``w3c`` or ``xray``.
    """

    name: str
    where: str
    channel: Channel
    content: ContentPolicy
    temporality: str | None = None
    store: LocalStore | None = None
    given: Destination | None = None
    ids: str = "w3c"
    propagation: str = "w3c"

    def delivery(self, judge: Judge) -> Delivery:
        """The way there, past ``judge``."""
        tells = self.store is None  # which does so itself
        given = self.given
        return Delivery(
            self.name,
            self.channel,
            prepare=judge.span,
            keep=given.filter if given is not None else None,
            sample=sample_of(given.sample)
            if given is not None and given.sample is not None
            else None,
            tells=tells,
        )


def outlet(given: Any, *, content: ContentPolicy, directory: str) -> Outlet:
    """From a preset's name, a ``Destination`` or an exporter object of the SDK's."""
    if isinstance(given, str):
        given = Destination(given)
    if isinstance(given, Destination):
        keeps = content if given.content is None else as_policy(given.content)
        if given.preset == "local":
            return _local(given, given.directory or directory, content=keeps)
        return (_console if given.preset == "console" else _otlp)(given, content=keeps)
    if isinstance(given, SpanExporter):
        name, where = type(given).__name__, "an exporter given in code"
        return Outlet(name, where, ExporterChannel(given), content)
    raise ValueError(
        f"a destination is one of {', '.join(PRESETS)}, a Destination or a SpanExporter,"
        f" not {type(given).__name__}"
    )


def _local(given: Destination, directory: str, *, content: ContentPolicy) -> Outlet:
    from genai_otel.store.local import LocalStore

    store = LocalStore(directory)
    metrics = store.metric_exporter() if _takes(given, "metrics") else None
    channel = ExporterChannel(store.span_exporter(), metrics)
    return Outlet(
        "local",
        str(store.directory),
        channel,
        content,
        "cumulative" if metrics else None,
        store,
        given,
    )


def _otlp(given: Destination, *, content: ContentPolicy) -> Outlet:
    to = target(given)
    temporality = to.temporality if "metrics" in to.addresses else None
    channel = OtlpChannel(to, sender(to))
    return Outlet(
        to.name,
        to.where,
        channel,
        content,
        temporality,
        given=given,
        ids=to.ids,
        propagation=to.propagation,
    )


def _console(given: Destination, *, content: ContentPolicy) -> Outlet:
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    channel = ExporterChannel(ConsoleSpanExporter())
    return Outlet("console", "standard output", channel, content, given=given)


def _takes(given: Destination, signal: str) -> bool:
    return given.signals is None or signal in given.signals


def sender(to: Target) -> Callable[[Target], Sender]:
    """What speaks the target's protocol."""
    if to.protocol == "grpc":
        from .sending_grpc import GrpcSender

        return GrpcSender
    return HttpSender
