"""Compare the installed version of a library with those that its adapter was tested with."""

from __future__ import annotations

_OLDEST, _UNTESTED = ">=", "<"
_DIGITS = "0123456789"


def bounds(versions: str) -> tuple[str, str]:
    """Split ``>=1.2,<3`` into the oldest version and the first untested one; "" for no bound.

    Raises ``ValueError`` for any other specifier.
    """
    found = {_OLDEST: "", _UNTESTED: ""}
    for clause in filter(None, versions.replace(" ", "").split(",")):
        bound = clause.lstrip("<>=~!^")
        operator = clause.removesuffix(bound)
        if operator not in found or not bound:
            raise ValueError(f"{versions!r} is not of the form '>=1.2,<3'")
        found[operator] = bound
    return found[_OLDEST], found[_UNTESTED]


def release(version: str) -> tuple[int, ...]:
    """Return a version's leading numbers, enough to compare releases."""
    numbers: list[int] = []
    for part in version.split("."):
        digits = part.removesuffix(part.lstrip(_DIGITS))
        if digits:
            numbers.append(int(digits))
        if not digits or digits != part:
            break
    return tuple(numbers)


def installed_version(name: str) -> str | None:
    """Return a distribution's version; ``None`` where it is not installed."""
    from importlib.metadata import PackageNotFoundError

    try:
        return _version(name)
    except PackageNotFoundError:
        return None


def _version(name: str) -> str:
    """Like ``importlib.metadata.version``, which parses a whole README to find this line."""
    from importlib.metadata import distribution

    found = distribution(name)
    lines = (found.read_text("METADATA") or "").partition("\nVersion:")[2]
    return lines.partition("\n")[0].strip() or found.version
