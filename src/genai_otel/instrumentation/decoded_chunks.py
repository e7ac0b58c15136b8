"""What a stream's client has decoded, before it makes a model of it.

An attribute of a pydantic model costs as much as three keys of a dict, and of each chunk five would
be needed. The client's method that makes the models is given the dicts: they are seen there.
"""

from __future__ import annotations

from functools import lru_cache
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, cast

from genai_otel._support.errors import contained, is_odd_form

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from weakref import ref

    from .adapter import Accumulator

_ACCEPTED = ("data", "cast_to", "response")


class Decoding:
    """Stands in for the client in our copy of its stream; ``fold`` sees what chunks are made of.

    ``note`` is given what it should not raise.
    """

    __slots__ = ("_client", "_fold", "_note")

    def __init__(
        self, client: Any, fold: ref[Accumulator], note: Callable[[str, Exception], None]
    ) -> None:
        self._client, self._fold, self._note = client, fold, note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    @property
    def _process_response_data(self) -> Callable[..., Any]:
        """The client's method, asked for once a stream; any other than the usual is left alone."""
        make: Callable[..., Any] = self._client._process_response_data  # noqa: SLF001 - as said
        return contained(self._observed, make) or make

    def _observed(self, make: Callable[..., Any]) -> Callable[..., Any] | None:
        fold = self._fold()
        if fold is None or not _is_usual(make):
            return None
        return reading(make, fold, self._note)


def reading(
    make: Callable[..., Any], fold: Accumulator, note: Callable[[str, Exception], None]
) -> Callable[..., Any]:
    """``make``, the JSON of whose chunks is offered to ``fold``, to which it does not refer.

    The form is that of chat completions, which every client of this kind reads. It stands here, in
    one piece, since a further call for each chunk would cost what is saved, and so would names that
    are no constants. Whatever else ``add`` would read is looked at, so that neither way can lose
    anything that the other would have found.
    """
    expected: Any = object()  # no choice has this index
    add: Callable[[str], object] = bool
    taken, has_more = cast("list[Any]", fold.taken), fold.has_more

    def expect(index: Any, take: Callable[[str], object]) -> None:
        nonlocal expected, add
        expected, add = index, take

    def process(*, data: Any, cast_to: Any, response: Any) -> Any:
        chunk = make(data=data, cast_to=cast_to, response=response)
        try:
            (choice,) = data["choices"]
            if (
                choice["index"] is expected
                and choice.get("finish_reason") is None
                and data.get("usage") is None
                and "x_groq" not in data
                and "error" not in data
            ):
                delta = choice["delta"]
                text = delta["content"]
                if type(text) is str and text and (len(delta) == 1 or not has_more(delta)):
                    add(text)
                    taken[0] = chunk
        except Exception as error:  # noqa: BLE001 - the stream goes on; see safety
            contained(_judge, error, note)
        return chunk

    fold.expect = expect
    return process


def _judge(error: Exception, note: Callable[[str, Exception], None]) -> None:
    if not is_odd_form(error, error.__traceback__):
        note("decoded", error)


def is_of(method: Any, module: str) -> bool:
    """Whether a method's code is of a module of that name; wrappers copy ``__module__``."""
    if type(method) is not MethodType or type(method.__func__) is not FunctionType:
        return False
    return str(method.__func__.__globals__.get("__name__")).endswith(f".{module}")


def _is_usual(make: Any) -> bool:
    """Whether it is the client's own, and must be given these keywords and no more.

    Another's, the program's maybe, need not make of the JSON what the JSON says: it may mask texts.
    """
    if not is_of(make, "_base_client"):
        return False
    return _usual_code(make.__func__) is make.__code__


@lru_cache(maxsize=64)
def _usual_code(function: FunctionType) -> CodeType | None:
    """The code that a function had when it was first asked for, if it takes these keywords only."""
    code = function.__code__
    takes = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    more = code.co_flags & (CO_VARARGS | CO_VARKEYWORDS)
    usual = takes == _ACCEPTED and code.co_argcount == 1 and not more
    return code if usual and not function.__kwdefaults__ else None
