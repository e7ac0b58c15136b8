"""Observe the methods of an object that a client returns, while the host calls them.

The wrappers are on its class, applied once with the adapter's other patches. A table holds the
observed objects by ``id``: no attribute is added to an object, and nothing keeps it alive.
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

    from .tracker import CallTracker

Before = Callable[[tuple[Any, ...], dict[str, Any]], None]
After = Callable[[BaseException | None, Any], None]


class MethodHooks(NamedTuple):
    """``before`` is given the arguments; ``after`` the exception, and the result."""

    after: After
    before: Before | None = None


class _Observed(NamedTuple):
    holder: ref[Any]
    methods: Mapping[str, MethodHooks]


_OBSERVED: dict[int, _Observed] = {}
_WRAPPERS: WeakSet[Callable[..., Any]] = WeakSet()


def observable_methods(target: str, *methods: str) -> tuple[Patch, ...]:
    """Return the patches of a class, ``module:Class``, whose objects can be observed."""
    return tuple(
        Patch(f"{target}.{name}", partial(_make_wrapper, name), optional=True, where_defined=True)
        for name in methods
    )


def observe_object(holder: Any, methods: Mapping[str, MethodHooks]) -> Callable[[], None]:
    """Observe an object; return the function to call when it is dropped."""
    holder = _unwrap_proxies(holder)
    observed = _Observed(ref(holder), methods)
    _OBSERVED[id(holder)] = observed
    return partial(_stop_observing, id(holder), observed)


_PROXIES = 8


def _unwrap_proxies(holder: Any) -> Any:
    """Return the object inside the proxies of other tools."""
    for _ in range(_PROXIES):
        inner = getattr(holder, "__wrapped__", None)
        if inner is None:
            break
        holder = inner
    return holder


def _stop_observing(holder_id: int, observed: _Observed) -> None:
    if _OBSERVED.get(holder_id) is observed:
        del _OBSERVED[holder_id]


def _find(holder: Any, name: str) -> MethodHooks | None:
    observed = _OBSERVED.get(id(holder))
    if observed is None or observed.holder() is not holder:
        return None
    return observed.methods.get(name)


def _make_wrapper(name: str, original: Any, _tracker: CallTracker) -> Any:
    """Make one wrapper for all classes that inherit the method."""
    if original in _WRAPPERS:
        return original
    make = _wrap_method_async if inspect.iscoroutinefunction(original) else _wrap_method
    wrapper = make(name, original)
    _WRAPPERS.add(wrapper)
    return wrapper


def _wrap_method(name: str, original: Any) -> Any:
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


def _wrap_method_async(name: str, original: Any) -> Any:
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
