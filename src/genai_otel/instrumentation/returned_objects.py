"""What a client hands out, whose methods are observed while the host calls them.

The stand-ins lie on its class, placed once with the adapter's other patches. Which objects are
observed is kept beside them by ``id``: nothing is put on the object, and nothing keeps it alive.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet, ref

from genai_otel._support.errors import contained

from .adapter import Patch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .tracker import Observer

Before = Callable[[tuple[Any, ...], dict[str, Any]], None]
After = Callable[[BaseException | None, Any], None]


class Around(NamedTuple):
    """``before`` is given the arguments; ``after`` what was raised, and what was returned."""

    after: After
    before: Before | None = None


class _Observed(NamedTuple):
    holder: ref[Any]
    methods: Mapping[str, Around]


_OBSERVED: dict[int, _Observed] = {}
_STAND_INS: WeakSet[Callable[..., Any]] = WeakSet()


def observable(target: str, *methods: str) -> tuple[Patch, ...]:
    """The patches of a class, ``module:Class``, of which ``around`` may observe these methods."""
    return tuple(
        Patch(f"{target}.{name}", partial(_stand_in, name), optional=True, where_defined=True)
        for name in methods
    )


def around(holder: Any, methods: Mapping[str, Around]) -> Callable[[], None]:
    """Observes ``holder`` until what is returned is called; that is due when it is dropped."""
    holder = _beneath(holder)
    observed = _Observed(ref(holder), methods)
    _OBSERVED[id(holder)] = observed
    return partial(_let_go, id(holder), observed)


_PROXIES = 8


def _beneath(holder: Any) -> Any:
    """What other tools have put a proxy over, which calls the methods of what it wraps."""
    for _ in range(_PROXIES):
        inner = getattr(holder, "__wrapped__", None)
        if inner is None:
            break
        holder = inner
    return holder


def _let_go(holder_id: int, observed: _Observed) -> None:
    if _OBSERVED.get(holder_id) is observed:
        del _OBSERVED[holder_id]


def _find(holder: Any, name: str) -> Around | None:
    observed = _OBSERVED.get(id(holder))
    if observed is None or observed.holder() is not holder:
        return None
    return observed.methods.get(name)


def _stand_in(name: str, original: Any, _observer: Observer) -> Any:
    """One for all classes that inherit the method, of which several may be observable."""
    if original in _STAND_INS:
        return original
    make = _calling_async if inspect.iscoroutinefunction(original) else _calling
    stand_in = make(name, original)
    _STAND_INS.add(stand_in)
    return stand_in


def _calling(name: str, original: Any) -> Any:
    @wraps(original)
    def call(holder: Any, *args: Any, **kwargs: Any) -> Any:
        if id(holder) not in _OBSERVED:  # all other services' bodies, at the cost of little more
            return original(holder, *args, **kwargs)
        found = contained(_find, holder, name)
        if found is None:
            return original(holder, *args, **kwargs)
        if found.before is not None:
            contained(found.before, args, kwargs)
        try:
            result = original(holder, *args, **kwargs)
        except BaseException as error:
            contained(found.after, error, None)
            raise
        contained(found.after, None, result)
        return result

    return call


def _calling_async(name: str, original: Any) -> Any:
    @wraps(original)
    async def call(holder: Any, *args: Any, **kwargs: Any) -> Any:
        found = contained(_find, holder, name)
        if found is None:
            return await original(holder, *args, **kwargs)
        if found.before is not None:
            contained(found.before, args, kwargs)
        try:
            result = await original(holder, *args, **kwargs)
        except BaseException as error:
            contained(found.after, error, None)
            raise
        contained(found.after, None, result)
        return result

    return call
