"""Mistakes in the environment: variables that nobody reads, and values that are not accepted.

They are reported, and the program runs with the defaults.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from ._settings import Settings, on_or_off, standard_mistakes
from .record.misuse import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREFIX = "GENAI_OTEL_"
_OF_OUR_SUITE = ("BACKENDS", "POOL_RUNS", "PYTHONS", "SHARE", "SOAK_SECONDS", "WHOLE")
"""What the Makefile and the tests of this project use."""
_SETTINGS = {each.metadata["variable"]: each.default for each in fields(Settings)}
_KNOWN = sorted(name for name in _SETTINGS if name.startswith(_PREFIX))
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
    """A sentence for each; none has the value of a variable that is not known."""
    yield from _unknown(environ)
    yield from _neither_on_nor_off(environ)
    yield from standard_mistakes(environ)
    yield from _sampling(environ)


def _unknown(environ: Mapping[str, str]) -> Iterator[str]:
    known = {*_KNOWN, *(_PREFIX + name for name in _OF_OUR_SUITE)}
    found = sorted(name for name in environ if name.startswith(_PREFIX) and name not in known)
    for name in found[:_MOST]:
        near = nearest(name.removeprefix(_PREFIX), (each.removeprefix(_PREFIX) for each in _KNOWN))
        hint = f"did you mean {_PREFIX}{near}?" if near else "see docs/configuration.md"
        yield f"{name[:_LONGEST]} is ignored: it is no variable of genai_otel; {hint}"


def _neither_on_nor_off(environ: Mapping[str, str]) -> Iterator[str]:
    for name in _KNOWN:
        raw = environ.get(name, "").strip()
        if isinstance(_SETTINGS[name], bool) and raw and on_or_off(raw) is None:
            yield f"{name}={_shown(raw)} is ignored: accepted are {_ON_OR_OFF}"
    said = environ.get(_SDK_DISABLED, "").strip().lower()
    if said not in ("", "true", "false"):
        yield f"{_SDK_DISABLED}={_shown(said)} is ignored: accepted are true and false"


def _sampling(environ: Mapping[str, str]) -> Iterator[str]:
    """The SDK reads these itself, and takes a malformed one as its default."""
    sampler = environ.get(_SAMPLER, "").lower()
    if sampler and sampler not in _SAMPLERS:
        accepted = ", ".join(_SAMPLERS)
        yield f"{_SAMPLER}={_shown(sampler)} is ignored: accepted are {accepted}"
    share = environ.get(_SAMPLER_ARG, "").strip()
    used = sampler in _RATIOS or sampler not in ("", *_SAMPLERS)
    if share and used and not _is_share(share):
        yield f"{_SAMPLER_ARG}={_shown(share)} is ignored: it is no number between 0 and 1"


def _is_share(text: str) -> bool:
    try:
        return 0.0 <= float(text) <= 1.0
    except ValueError:
        return False


def _shown(value: str) -> str:
    return value[:_LONGEST].encode("unicode_escape").decode("ascii")
