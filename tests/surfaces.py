"""What anybody can see of an object that a client has handed out."""

from __future__ import annotations

import pickle
from typing import Any

from tests.differential.seen import masked

_DEEP = 3


def surface(value: Any, path: str = "", deep: int = _DEEP) -> dict[str, Any]:
    """What anybody can see of an object, and of those that its public attributes lead to."""
    own = getattr(value, "__dict__", None)
    if type(own) is not dict or type(value).__module__ == "builtins":
        return {}
    seen = {
        f"{path} is": type(value),
        f"{path} vars": sorted(own),
        f"{path} dir": [name for name in dir(value) if name[:2] != "__"],  # classes cache in these
        f"{path} repr": masked(repr(value)),
        f"{path} pickled": _pickled(value),
    }
    for name, each in own.items():
        if deep and not name.startswith("_"):
            seen |= surface(each, f"{path}.{name}", deep - 1)
    return seen


def _pickled(value: Any) -> str:
    try:
        pickle.dumps(value)
    except Exception as error:  # noqa: BLE001 - of whatever kind: it must be the same
        return type(error).__qualname__
    return "fine"


def differences(with_us: list[dict[str, Any]], without: list[dict[str, Any]]) -> list[Any]:
    assert len(with_us) == len(without)
    return [
        (stage, name, ours.get(name), theirs.get(name))
        for stage, (ours, theirs) in enumerate(zip(with_us, without, strict=True))
        for name in {*ours, *theirs}
        if ours.get(name) != theirs.get(name)
    ]
