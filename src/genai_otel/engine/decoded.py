"""What a stream's client has decoded, before it makes a model of it.

An attribute of a pydantic model costs as much as three keys of a dict, and of each chunk five would
be needed. The client's method that makes the models is given the dicts: they are seen there.
"""

from __future__ import annotations

from inspect import CO_VARARGS, CO_VARKEYWORDS
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_ACCEPTED = ("data", "cast_to", "response")


class Decoding:
    """Stands in for the client in our copy of its stream; ``beside`` observes what makes chunks."""

    __slots__ = ("_beside", "_client")

    def __init__(self, client: Any, beside: Callable[[Any], Any]) -> None:
        self._client, self._beside = client, beside

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    @property
    def _process_response_data(self) -> Callable[..., Any]:
        """The client's method, asked for once a stream; any other than the usual is left alone."""
        make: Callable[..., Any] = self._client._process_response_data  # noqa: SLF001 - as said
        return self._beside(make) if _is_usual(make) else make


def _is_usual(make: Any) -> bool:
    """Whether it must be given these keywords and no more: then so can what stands in for it."""
    code = getattr(getattr(make, "__func__", None), "__code__", None)
    return (
        code is not None
        and code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount] == _ACCEPTED
        and code.co_argcount == 1
        and not code.co_flags & (CO_VARARGS | CO_VARKEYWORDS)
        and not make.__kwdefaults__
    )
