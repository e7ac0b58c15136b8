"""Read exceptions. Of the application's code only ``__str__`` is run, which can be disabled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genai_otel.record import Failure, cut

from .context import detach, enter_suppression
from .error_categories import CANCELLED, category_of, facts_of

if TYPE_CHECKING:
    from types import TracebackType

    from genai_otel.record import Operation

_FRAMES = 32
_MESSAGE = 4_096
_CANCELLED = frozenset({"CancelledError", "Cancelled", "GeneratorExit"})
_SLOT = type(object.__str__)
_arguments = BaseException.args.__get__  # type: ignore[attr-defined]
_LARGE = 10**100
_PLAIN = (str, int, float, bool, bytes, type(None))


class _Text:
    """The setting ``Settings.exception_str`` of the process."""

    call_str = True


def call_str(enabled: bool) -> None:  # noqa: FBT001 - a setting's value
    """Set whether ``__str__`` of an exception may be called to record its text."""
    _Text.call_str = enabled


def is_cancellation(error: BaseException) -> bool:
    """Return whether this is a cancellation (asyncio, trio, a closed generator), not an error."""
    return type(error).__name__ in _CANCELLED


def fail(op: Operation, error: BaseException, *, capture: bool) -> None:
    """Record the error or cancellation in ``op``; ``capture``: whether error texts are recorded."""
    if is_cancellation(error):
        op.completed = False
        op.category = None if isinstance(error, GeneratorExit) else CANCELLED
    else:
        op.failure, op.category = failure(error, capture=capture), category_of(error)


def failure(error: BaseException, *, capture: bool) -> Failure:
    """Return the ``Failure``; with message and stack trace, which may quote content, if wanted."""
    cls = type(error)
    name = (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )
    code, status, request_id = facts_of(error)
    found = Failure(name, code=code, status=status, request_id=request_id)
    if capture:
        found.message = _message(error)
        found.stacktrace = _stacktrace(error.__traceback__, name)
    return found


def _message(error: BaseException) -> str:
    """Return the exception's text or, if not available, those of its arguments that are text."""
    arguments = _arguments(error)
    if _Text.call_str or (_is_builtin(type(error)) and all(map(_is_plain, arguments))):
        text = _called(error)
        if text is not None:
            return text
    return cut(", ".join(each for each in arguments if type(each) is str), _MESSAGE)


def _called(error: BaseException) -> str | None:
    """Return ``str(error)``, or ``None`` if that raises; suppress recording meanwhile."""
    token = enter_suppression()
    try:
        return cut(str.__str__(str(error)), _MESSAGE)
    except KeyboardInterrupt:  # from the user, meant for the program
        raise
    except BaseException:  # noqa: BLE001 - it must not replace ``error``
        return None
    finally:
        detach(token)


def _is_plain(argument: object) -> bool:
    """Return whether ``str()`` works: it raises for integers with thousands of digits."""
    return type(argument) in _PLAIN and (type(argument) is not int or abs(argument) < _LARGE)


def _is_builtin(cls: type[BaseException]) -> bool:
    """Return whether ``__str__`` of the exception class is that of a built-in class."""
    owner = next(base for base in cls.__mro__ if "__str__" in vars(base))
    return owner.__module__ == "builtins" and type(vars(owner)["__str__"]) is _SLOT


def _stacktrace(traceback: TracebackType | None, name: str) -> str:
    """Return a traceback without source lines, which are on disk and may contain literals."""
    lines = ["Traceback (most recent call last):"]
    while traceback is not None and len(lines) <= _FRAMES:
        code = traceback.tb_frame.f_code
        lines.append(f'  File "{code.co_filename}", line {traceback.tb_lineno}, in {code.co_name}')
        traceback = traceback.tb_next
    return "\n".join([*lines, name])
