"""Decorated generators: our context is current while the body runs, never while it waits.

Each step attaches and detaches in one frame of ours, so that a generator which is finished by
another task, or by the garbage collector, leaves nothing behind.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from genai_otel.engine.safety import contained
from genai_otel.record import snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from genai_otel.engine.observe import Call
    from genai_otel.engine.wrap import Begin

_ITEMS_KEPT = 1_000


class _Steps:
    """One run of a decorated generator: its context for each step, and what it gave, bounded."""

    def __init__(self, call: Call | None) -> None:
        self._call = call
        self._items: list[Any] = []

    def __enter__(self) -> None:
        if self._call is not None:
            self._call.enter()

    def __exit__(self, *_error: object) -> None:
        if self._call is not None:
            self._call.leave()

    def add(self, item: Any) -> None:
        if self._call is not None and self._call.op.capture and len(self._items) < _ITEMS_KEPT:
            self._items.append(item if type(item) is str else snapshot(item, nodes=100))

    def finish(self, error: BaseException | None = None) -> None:
        if self._call is None:
            return
        if self._items:
            text = all(type(item) is str for item in self._items)
            self._call.reply("".join(self._items) if text else self._items)
        self._call.finish(error)


def wrap_generator(original: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    """``original``, a generator function, observed from its first step to its last."""

    @wraps(original)
    def observed(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = original(*args, **kwargs)  # first: it may not take these arguments
        steps = _Steps(begin(args, kwargs))
        step, sent = generator.send, None
        try:
            while True:
                with steps:
                    item = step(sent)
                contained(steps.add, item)
                try:
                    step, sent = generator.send, (yield item)
                except BaseException as thrown:  # noqa: BLE001 - it goes where it was meant to go
                    step, sent = generator.throw, thrown
        except StopIteration as stop:
            contained(steps.finish)
            return stop.value
        except BaseException as error:
            contained(steps.finish, error)
            raise

    return observed


def wrap_async_generator(original: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    """The same for an asynchronous generator function."""

    @wraps(original)
    async def observed(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = original(*args, **kwargs)  # first: it may not take these arguments
        steps = _Steps(begin(args, kwargs))
        step, sent = generator.asend, None
        try:
            while True:
                with steps:
                    item = await step(sent)
                contained(steps.add, item)
                try:
                    step, sent = generator.asend, (yield item)
                except BaseException as thrown:  # noqa: BLE001 - it goes where it was meant to go
                    step, sent = generator.athrow, thrown
        except StopAsyncIteration:
            contained(steps.finish)
        except BaseException as error:
            contained(steps.finish, error)
            raise

    return observed
