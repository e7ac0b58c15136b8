"""Read a stream's chunks from the decoded JSON, before the client makes a model of it.

An attribute of a pydantic model costs as much as three keys of a dict, and each chunk would need
five. The client's method that makes the models is given the dicts; it is wrapped here.
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


class DecodingClient:
    """Replaces the client in our copy of its stream: the accumulator sees the chunks' JSON.

    ``note_error`` is given internal errors.
    """

    __slots__ = ("_accumulator", "_client", "_note_error")

    def __init__(
        self,
        client: Any,
        accumulator: ref[Accumulator],
        note_error: Callable[[str, Exception], None],
    ) -> None:
        self._client, self._accumulator, self._note_error = client, accumulator, note_error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    @property
    def _process_response_data(self) -> Callable[..., Any]:
        """The client's method, asked for once a stream; any other than the usual is left alone."""
        make: Callable[..., Any] = self._client._process_response_data  # noqa: SLF001 - as said
        return contained(self._observed, make) or make

    def _observed(self, make: Callable[..., Any]) -> Callable[..., Any] | None:
        accumulator = self._accumulator()
        if accumulator is None or not _is_original_decoder(make):
            return None
        return wrap_decoder(make, accumulator, self._note_error)


def wrap_decoder(
    make: Callable[..., Any], accumulator: Accumulator, note_error: Callable[[str, Exception], None]
) -> Callable[..., Any]:
    """Wrap ``make``: text in a chunk's JSON is added without reading the model made of it.

    Only the form of chat completions is read, inline, since another function call, or a name that
    is not a constant, for each chunk would cost what is saved. A chunk with anything else that
    ``add`` would read is left to ``add``. The wrapper must not keep the accumulator alive.
    """
    expected: Any = object()  # no choice has this index
    add: Callable[[str], object] = bool
    taken, has_more = cast("list[Any]", accumulator.added_from_json), accumulator.has_more

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
        except Exception as error:  # noqa: BLE001 - the stream goes on; see _support.errors
            contained(_note_unless_odd, error, note_error)
        return chunk

    accumulator.expect_json = expect
    return process


def _note_unless_odd(error: Exception, note_error: Callable[[str, Exception], None]) -> None:
    if not is_odd_form(error, error.__traceback__):
        note_error("decoded", error)


def is_from_module(method: Any, module: str) -> bool:
    """Whether a method's code is of a module of that name; wrappers copy ``__module__``."""
    if type(method) is not MethodType or type(method.__func__) is not FunctionType:
        return False
    return str(method.__func__.__globals__.get("__name__")).endswith(f".{module}")


def _is_original_decoder(make: Any) -> bool:
    """Whether it is the client's own, and must be given these keywords and no more.

    Another's, the program's maybe, need not make of the JSON what the JSON says: it may mask texts.
    """
    if not is_from_module(make, "_base_client"):
        return False
    return _original_code(make.__func__) is make.__code__


@lru_cache(maxsize=64)
def _original_code(function: FunctionType) -> CodeType | None:
    """The code that a function had when it was first asked for, if it takes these keywords only."""
    code = function.__code__
    takes = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    more = code.co_flags & (CO_VARARGS | CO_VARKEYWORDS)
    usual = takes == _ACCEPTED and code.co_argcount == 1 and not more
    return code if usual and not function.__kwdefaults__ else None
