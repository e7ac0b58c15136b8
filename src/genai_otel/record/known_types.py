"""Plain values of the standard library's and NumPy's own types, read without running host code.

Only of instances of exactly these classes: a subclass may override any method that is called here.
A class is found by its name and compared with what the loaded module holds under that name, so
nothing is imported and a class of the host's with the same name is not taken for it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

UNKNOWN: Final = object()
"""What ``plain_value`` returns for a value of any other class."""

_type_attribute = type.__getattribute__


def plain_value(value: Any, cls: type) -> Any:
    """``value`` as text or a number, or ``UNKNOWN``; never raises."""
    module = _type_attribute(cls, "__module__")
    if type(module) is not str:
        return UNKNOWN
    package = module.partition(".")[0]  # Python 3.13 keeps pathlib's classes in pathlib._local
    name = _type_attribute(cls, "__qualname__")
    render = _RENDERERS.get((package, name))
    if render is None or not _is_loaded(package, name, cls):
        return UNKNOWN
    try:
        return render(value)
    except Exception:  # noqa: BLE001 - Python refuses to write integers of thousands of digits
        return UNKNOWN


def _is_loaded(package: str, name: str, cls: type) -> bool:
    loaded = sys.modules.get(package)
    return loaded is not None and vars(loaded).get(name) is cls


def _iso(value: Any) -> str:
    """ISO 8601; without the offset where a time zone of the host's would have to be asked."""
    zone = value.tzinfo
    if zone is not None and plain_value(zone, type(zone)) is UNKNOWN:
        value = value.replace(tzinfo=None)
    return str(value.isoformat())


def _item(value: Any) -> Any:
    return value.item()


_RENDERERS: Final[dict[tuple[str, str], Callable[[Any], Any]]] = {
    ("datetime", "datetime"): _iso,
    ("datetime", "time"): _iso,
    **{
        (module, name): str
        for module, names in {
            "builtins": ("complex", "range"),
            "datetime": ("date", "timedelta", "timezone"),
            "decimal": ("Decimal",),
            "fractions": ("Fraction",),
            "ipaddress": (
                *("IPv4Address", "IPv4Interface", "IPv4Network"),
                *("IPv6Address", "IPv6Interface", "IPv6Network"),
            ),
            "pathlib": ("PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
            "uuid": ("UUID",),
            "zoneinfo": ("ZoneInfo",),
        }.items()
        for name in names
    },
    **{
        ("numpy", name): _item
        for name in (
            *("bool", "bool_", "float16", "float32", "int8", "int16", "int32", "int64"),
            *("uint8", "uint16", "uint32", "uint64"),
        )
    },
}
