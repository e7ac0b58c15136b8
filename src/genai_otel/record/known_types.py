"""Convert values of standard library and NumPy types without running the application's code.

Only instances of exactly these classes are converted: a subclass may override any method that is
called here. A class is found by its name and compared with the attribute of that name in the loaded
module, so nothing is imported, and an application's class of the same name is not accepted.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# The result of ``plain_value`` for a value of any other class.
UNKNOWN: Final = object()

_type_attribute = type.__getattribute__


def plain_value(value: Any, cls: type) -> Any:
    """Return ``value`` as text or a number, or ``UNKNOWN``; never raise."""
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
    except Exception:  # noqa: BLE001 - str() of an integer with thousands of digits raises
        return UNKNOWN


def _is_loaded(package: str, name: str, cls: type) -> bool:
    loaded = sys.modules.get(package)
    return loaded is not None and vars(loaded).get(name) is cls


def _iso(value: Any) -> str:
    """Return ISO 8601; without the offset if its ``tzinfo`` is of an application's class."""
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
