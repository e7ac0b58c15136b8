"""Settings: the only reader of the environment.

What ``instrument()`` is given wins over a ``Settings`` object, that over the environment.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from .privacy.policy import ContentPolicy, as_policy, elsewhere
from .record.misuse import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

THREAD_MODES = ("all", "threads", "off")
NEAR = 0.75  # difflib's ratio: a letter or two are wrong, not half of them
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_STANDARD_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_STANDARD_MODES = {
    "no_content": "none",
    "span_only": "redacted",
    "span_and_event": "redacted",
    "event_only": "none",
    "true": "redacted",
    "false": "none",
}
_NOT_ON_SPANS = ("no_content", "event_only")
_HOOK = "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK"
_OTLP_VARIABLES = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)


def _setting(default: Any, variable: str, sentence: str) -> Any:
    return field(default=default, metadata={"variable": variable, "sentence": sentence})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set; each field names its variable and says what it does."""

    disabled: bool = _setting(
        default=False, variable="GENAI_OTEL_DISABLED", sentence="Disables all instrumentation."
    )
    strict: bool = _setting(
        default=False,
        variable="GENAI_OTEL_STRICT",
        sentence="Raises internal errors instead of containing them; for our test suite.",
    )
    service_name: str | None = _setting(
        default=None,
        variable="GENAI_OTEL_SERVICE_NAME",
        sentence="Service name; the default is OTEL_SERVICE_NAME.",
    )
    environment: str | None = _setting(
        default=None,
        variable="GENAI_OTEL_ENVIRONMENT",
        sentence="Deployment environment, such as production.",
    )
    destinations: tuple[str, ...] = _setting(
        default=(),
        variable="GENAI_OTEL_DESTINATIONS",
        sentence="Where telemetry is exported to: local, otlp, console, or the name of a "
        "backend (see docs/destinations.md).",
    )
    content: str | ContentPolicy | None = _setting(  # noqa: RUF009 - as all the others
        default=None,
        variable="GENAI_OTEL_CONTENT",
        sentence="redacted, none or full: whether prompts, responses and error messages are "
        "recorded, and whether secrets and personal data in them are masked. The default is "
        "redacted, for all destinations. In code also a ContentPolicy.",
    )
    upload_to: str | None = _setting(
        default=None,
        variable="OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH",
        sentence="Where to write images, audio and files of messages: a path, or a URL that "
        "fsspec supports. By default they are not written. A ContentPolicy has its own value.",
    )
    completion_hook: str | None = _setting(
        default=None,
        variable=_HOOK,
        sentence="upload: write prompts and responses to the upload path too, after redaction, "
        "and refer to them on spans. No other value is supported.",
    )
    store_directory: str = _setting(
        default=".genai_otel",
        variable="GENAI_OTEL_STORE_DIRECTORY",
        sentence="Directory of the local store.",
    )
    libraries: tuple[str, ...] = _setting(
        default=("auto",),
        variable="GENAI_OTEL_LIBRARIES",
        sentence="Libraries to instrument; auto means all supported libraries.",
    )
    exclude: tuple[str, ...] = _setting(
        default=(), variable="GENAI_OTEL_EXCLUDE", sentence="Libraries not to instrument."
    )
    estimate_usage: bool = _setting(
        default=False,
        variable="GENAI_OTEL_ESTIMATE_USAGE",
        sentence="Estimate missing token usage from recorded content, and mark it as estimated.",
    )
    tiktoken_cache_dir: str | None = _setting(
        default=None,
        variable="TIKTOKEN_CACHE_DIR",
        sentence="Directory of tiktoken's files. Files that exist make estimates exact; none is "
        "downloaded.",
    )
    prices: str | None = _setting(
        default=None,
        variable="GENAI_OTEL_PRICES",
        sentence="File of prices that override the bundled ones; off disables pricing.",
    )
    request_stream_usage: tuple[str, ...] = _setting(
        default=(),
        variable="GENAI_OTEL_REQUEST_STREAM_USAGE",
        sentence="Where to request the token usage of streams automatically: known means all "
        "endpoints that are known to accept stream_options.include_usage; otherwise host names.",
    )
    resource_attributes: tuple[str, ...] = _setting(
        default=(),
        variable="GENAI_OTEL_RESOURCE_ATTRIBUTES",
        sentence="Resource attributes to export in addition to those in docs/privacy.md; a star "
        "at the end matches every name with that prefix.",
    )
    propagate_to_threads: str = _setting(
        default="all",
        variable="GENAI_OTEL_PROPAGATE_TO_THREADS",
        sentence="Context propagation: which threads inherit the current operation and scope. "
        "all: started threads and work submitted to thread pools; threads: only started threads; "
        "off: none.",
    )
    exception_str: bool = _setting(
        default=True,
        variable="GENAI_OTEL_EXCEPTION_STR",
        sentence="Call an exception's own __str__ to record its message, at most 4,096 characters. "
        "off: record only text that can be read without running its code.",
    )
    record_otel_spans: bool = _setting(
        default=True,
        variable="GENAI_OTEL_RECORD_OTEL_SPANS",
        sentence="Record spans that the program and other libraries create with the OpenTelemetry "
        "API while the process has no TracerProvider of its own.",
    )
    handle_sigterm: bool = _setting(
        default=True,
        variable="GENAI_OTEL_HANDLE_SIGTERM",
        sentence="Graceful shutdown: on SIGTERM, if the program has no handler for it, export the "
        "queue before the process dies.",
    )
    serverless: bool = _setting(
        default=False,
        variable="AWS_LAMBDA_FUNCTION_NAME",
        sentence="Whether the process is frozen between invocations; the queue is then exported at "
        "the end of each one. Any value of the variable means yes.",
    )
    otlp_in_environment: bool = _setting(
        default=False,
        variable=" or ".join(_OTLP_VARIABLES),
        sentence="Whether a standard OTLP endpoint is set: the default destination is then otlp.",
    )

    def __post_init__(self) -> None:
        if self.content is not None:
            with naming_the_variable("content", self.content):
                as_policy(self.content)
        with naming_the_variable("propagate_to_threads", self.propagate_to_threads):
            one_of("thread propagation", self.propagate_to_threads, THREAD_MODES)
        if self.completion_hook is not None:
            one_of("completion hook", self.completion_hook, ("upload",))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings of the environment; raises ``ValueError`` on a value that none accepts."""
        environ = os.environ if environ is None else environ
        found: dict[str, Any] = {
            "otlp_in_environment": any(environ.get(name) for name in _OTLP_VARIABLES),
        }
        for each in fields(cls):
            raw = environ.get(each.metadata["variable"], "").strip()
            if raw:
                found[each.name] = _converted(each.default, raw)
        found["serverless"] = bool(environ.get("AWS_LAMBDA_FUNCTION_NAME"))  # any name means yes
        if switched_off(environ):
            found["disabled"] = True
        if found.get("completion_hook", "upload") != "upload":
            del found["completion_hook"]
        standard = environ.get(_STANDARD_CONTENT, "").strip()
        if standard and "content" not in found:
            found["content"] = _STANDARD_MODES.get(standard.lower(), "none")
            if standard.lower() in _NOT_ON_SPANS and "completion_hook" in found:
                base = found.get("upload_to")  # the convention: not on spans, but uploaded
                found["content"] = "none" if base is None else elsewhere(base)
        return cls(**found)


def environment() -> Mapping[str, str]:
    return os.environ


def switched_off(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the environment turns everything off, whatever else it or the code says."""
    environ = os.environ if environ is None else environ
    ours = environ.get("GENAI_OTEL_DISABLED", "").strip().lower() in _TRUE
    return ours or environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def variable(*names: str) -> str | None:
    """The first of these variables that is set: what a destination's own backend documents."""
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)


@contextmanager
def naming_the_variable(setting: str, value: Any) -> Iterator[None]:
    """A ``ValueError`` in here begins with the setting's variable, if ``value`` came from that."""
    try:
        yield
    except ValueError as error:
        (of,) = [each for each in fields(Settings) if each.name == setting]
        name = of.metadata["variable"]
        raw = variable(name)
        if (
            raw is not None
            and isinstance(value, str | tuple)
            and _converted(of.default, raw) == value
        ):
            error.args = (f"{name}: {error}",)
        raise


def _converted(default: Any, raw: str) -> Any:
    if isinstance(default, bool):
        value = on_or_off(raw)
        return default if value is None else value
    if isinstance(default, tuple):
        return tuple(part.strip() for part in raw.split(",") if part.strip())
    return raw


def on_or_off(raw: str) -> bool | None:
    """What a variable says; ``None``: neither."""
    word = raw.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def standard_mistakes(environ: Mapping[str, str]) -> Iterator[str]:
    """Which of the convention's variables are not used as they are set, and why."""
    if environ.get(_HOOK, "").strip() not in ("", "upload"):
        yield f"{_HOOK} is ignored: only upload is supported"
    raw = environ.get(_STANDARD_CONTENT, "").strip()
    if not raw or environ.get("GENAI_OTEL_CONTENT", "").strip():
        return
    mode = _STANDARD_MODES.get(raw.lower())
    if mode is None or raw.lower() in ("true", "false", "event_only"):
        yield f"{_STANDARD_CONTENT}={raw[:60]!r} is treated as content={mode or 'none'!r}"


def one_of(what: str, given: str, accepted: Iterable[str], where: str = "") -> None:
    """Raises ``ValueError`` if ``given`` is not accepted; the nearest match comes first.

    ``where`` follows the name that was given: ``of destination 'otlp'``.
    """
    names = list(accepted)
    if given in names:
        return
    near = nearest(str(given), names, NEAR)
    hint = f"did you mean {near!r}? " if near else ""
    place = where and f" {where}"
    raise ValueError(f"unknown {what} {given!r}{place}: {hint}expected one of {', '.join(names)}")
