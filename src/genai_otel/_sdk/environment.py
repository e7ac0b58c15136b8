"""Finds mistakes in the environment: unknown variables and values that are not accepted.

They are reported, and the program runs with the defaults.
"""

from __future__ import annotations

from dataclasses import fields
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from genai_otel._settings import Settings, on_or_off, standard_mistakes
from genai_otel.record.misuse import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREFIX = "GENAI_OTEL_"
# Used by the Makefile and the tests of this project.
_OF_OUR_SUITE = ("BACKENDS", "POOL_RUNS", "PYTHONS", "SHARE", "SOAK_SECONDS", "WHOLE")
_SETTINGS = {each.metadata["variable"]: each.default for each in fields(Settings)}
_KNOWN = sorted(name for name in _SETTINGS if name.startswith(_PREFIX))
_OTLP = "OTEL_EXPORTER_OTLP_"
_CONVENTION = "OTEL_INSTRUMENTATION_GENAI_"
# Variables of the specification and the convention, whether used here or not.
_STANDARD = (
    *("OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_PROPAGATORS"),
    *("OTEL_LOG_LEVEL", "OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"),
    *("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"),
    *("OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_METRICS_EXEMPLAR_FILTER"),
    *("OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT"),
    *(
        f"OTEL_{processor}_{setting}"
        for processor in ("BSP", "BLRP")
        for setting in (
            *("SCHEDULE_DELAY", "EXPORT_TIMEOUT", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE"),
        )
    ),
    *(f"OTEL_{of}ATTRIBUTE_COUNT_LIMIT" for of in ("", "SPAN_", "EVENT_", "LINK_", "LOGRECORD_")),
    *(f"OTEL_{of}ATTRIBUTE_VALUE_LENGTH_LIMIT" for of in ("", "SPAN_", "LOGRECORD_")),
    *("OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT"),
    *(
        f"{_OTLP}{signal}{setting}"
        for signal in ("", "TRACES_", "METRICS_", "LOGS_", "PROFILES_")
        for setting in (
            *("ENDPOINT", "PROTOCOL", "HEADERS", "COMPRESSION", "TIMEOUT", "INSECURE"),
            *("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"),
        )
    ),
    f"{_OTLP}METRICS_TEMPORALITY_PREFERENCE",
    f"{_OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    f"{_CONVENTION}CAPTURE_MESSAGE_CONTENT",
    *(name for name in _SETTINGS if name.startswith(_CONVENTION)),
)


class _Names(NamedTuple):
    """Variables with a common prefix: the known ones, and when another is a mistake."""

    prefix: str
    known: frozenset[str]
    suggested: tuple[str, ...]
    # The least difflib ratio of a misspelt name, without the prefix, which would make all close.
    near: float
    owner: str
    # No other tool uses the prefix: each unknown name is a mistake.
    exclusive: bool = False


def _standard_names(prefix: str) -> _Names:
    suggested = tuple(name for name in _STANDARD if name.startswith(prefix))
    return _Names(prefix, frozenset(_STANDARD), suggested, 0.85, "standard variable")


# A name belongs to the first whose prefix it has.
_FAMILIES = (
    _Names(
        _PREFIX,
        frozenset({*_KNOWN, *(_PREFIX + name for name in _OF_OUR_SUITE)}),
        tuple(_KNOWN),
        0.6,
        "variable of genai_otel",
        exclusive=True,
    ),
    *map(_standard_names, (_OTLP, _CONVENTION, "OTEL_")),
)
# A prefix of many variables of other instrumentations.
_OTHERS = ("OTEL_PYTHON_",)
_ON_OR_OFF = "1, true, yes, on, 0, false, no, off"
_SDK_DISABLED = "OTEL_SDK_DISABLED"
_LONGEST = 60
_MOST = 10
_SAMPLER, _SAMPLER_ARG = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
_RATIOS = ("traceidratio", "parentbased_traceidratio")
_SAMPLERS = (
    *("always_on", "always_off", "parentbased_always_on", "parentbased_always_off"),
    *_RATIOS,
)


def mistakes(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each; the value of an unknown variable is in none."""
    yield from _unknown(environ)
    yield from _neither_on_nor_off(environ)
    yield from standard_mistakes(environ)
    yield from _sampling(environ)


def _unknown(environ: Mapping[str, str]) -> Iterator[str]:
    """Return at most ten: a thousand of them were not set by hand."""
    return islice(filter(None, map(_misspelt, sorted(environ))), _MOST)


def _misspelt(name: str) -> str:
    """Return what is wrong with a variable's name, or an empty text; never its value."""
    names = next((each for each in _FAMILIES if name.startswith(each.prefix)), None)
    if names is None or name in names.known or name.startswith(_OTHERS):
        return ""
    bare = (each.removeprefix(names.prefix) for each in names.suggested)
    near = nearest(name.removeprefix(names.prefix)[:_LONGEST], bare, names.near)
    if near is None and not names.exclusive:
        return ""
    hint = f"did you mean {names.prefix}{near}?" if near else "see docs/configuration.md"
    return f"{name[:_LONGEST]} is ignored: it is not a {names.owner}; {hint}"


def _neither_on_nor_off(environ: Mapping[str, str]) -> Iterator[str]:
    for name in _KNOWN:
        raw = environ.get(name, "").strip()
        if isinstance(_SETTINGS[name], bool) and raw and on_or_off(raw) is None:
            yield f"{name}={_shown(raw)} is ignored: expected one of {_ON_OR_OFF}"
    value = environ.get(_SDK_DISABLED, "").strip().lower()
    if value not in ("", "true", "false"):
        yield f"{_SDK_DISABLED}={_shown(value)} is ignored: expected true or false"


def _sampling(environ: Mapping[str, str]) -> Iterator[str]:
    """The SDK reads these itself, and takes a malformed one as its default."""
    sampler = environ.get(_SAMPLER, "").lower()
    if sampler and sampler not in _SAMPLERS:
        accepted = ", ".join(_SAMPLERS)
        yield f"{_SAMPLER}={_shown(sampler)} is ignored: expected one of {accepted}"
    share = environ.get(_SAMPLER_ARG, "").strip()
    used = sampler in _RATIOS or sampler not in ("", *_SAMPLERS)
    if share and used and not _is_share(share):
        yield f"{_SAMPLER_ARG}={_shown(share)} is ignored: it is not a number between 0 and 1"


def _is_share(text: str) -> bool:
    try:
        return 0.0 <= float(text) <= 1.0
    except ValueError:
        return False


def _shown(value: str) -> str:
    return value[:_LONGEST].encode("unicode_escape").decode("ascii")
