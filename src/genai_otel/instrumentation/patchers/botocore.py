"""AWS clients: boto3 and botocore, and aiobotocore, which is the same with ``await``.

Every call of every service ends in ``_make_api_call(operation, parameters)``. The result is a dict;
a member of it may be an event stream, which is observed in place, or a body, which is observed as
the host reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial, wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from weakref import ref

from genai_otel.instrumentation.adapter import Extractor, Patch
from genai_otel.instrumentation.fields import Json, as_dict, get_dict, get_int
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.instrumentation.returned_objects import (
    MethodHooks,
    observable_methods,
    observe_object,
)
from genai_otel.instrumentation.stream_wrappers import observe, observe_async, separate_iterator
from genai_otel.instrumentation.wrappers import wrap, wrap_async
from genai_otel.record import Operation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from genai_otel.instrumentation.tracker import CallTracker, ObservedCall

# Bytes of a body that are kept while the host reads it; a longer one is not decoded.
_BODY_KEPT = 4 * 1024 * 1024


class Route(NamedTuple):
    """One operation of one service.

    ``extractor`` may be a function that chooses one by the parameters. ``name`` returns the
    operation's own name. ``stream``: the response is a stream.
    """

    provider: str
    extractor: Extractor | Callable[[Json], Extractor]
    name: Callable[[Json], str | None] | None = None
    stream: bool = False


# (service, operation), as AWS names them -> how it is read.
Routes = Mapping[tuple[str, str], Route]


def patch_botocore(routes: Routes, headers: Callable[[Json, Operation], None]) -> tuple[Patch, ...]:
    """Return the patches for these operations; ``headers`` reads a response's headers."""

    def make_wrapper(make: Any, original: Any, tracker: CallTracker) -> Any:
        return make(original, _Begin(routes, tracker), partial(_handle_result, headers))

    return (
        Patch("botocore.client:BaseClient._make_api_call", partial(make_wrapper, wrap)),
        Patch("aiobotocore.client:AioBaseClient._make_api_call", partial(make_wrapper, wrap_async)),
        *_event_patches(),
        *_body_patches(),
    )


class _Begin:
    """Starts a call of an operation in the routes."""

    __slots__ = ("_routes", "_tracker")

    def __init__(self, routes: Routes, tracker: CallTracker) -> None:
        self._routes, self._tracker = routes, tracker

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ObservedCall | None:
        guard = self._tracker.guard
        return guard.run(self._open, *args, **kwargs) if guard.enabled else None

    def _open(self, client: Any, operation_name: str, api_params: Json) -> ObservedCall | None:
        meta = client.meta
        route = self._routes.get((meta.service_model.service_name, operation_name))
        if route is None:
            return None
        extractor = (
            route.extractor
            if isinstance(route.extractor, Extractor)
            else route.extractor(api_params)
        )
        op = Operation(extractor.kind, name=route.name and route.name(api_params))
        op.provider, op.stream = route.provider, route.stream
        op.host, op.port = _host_and_port(meta.endpoint_url)
        return self._tracker.start(extractor, op, api_params)


@lru_cache(1_000)
def _host_and_port(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _handle_result(
    headers: Callable[[Json, Operation], None], call: ObservedCall, result: Any
) -> None:
    """Handle the result by what its members are."""
    found = as_dict(result)
    meta = get_dict(found, "ResponseMetadata")
    call.op.timing.attempts = 1 + (get_int(meta, "RetryAttempts") or 0)
    headers(get_dict(meta, "HTTPHeaders"), call.op)
    for member in found.values():
        own = getattr(member, "__dict__", ())
        if "_event_generator" in own:
            _observe_events(call, member)
            return
        if "_amount_read" in own:
            _Body(call, member)
            return
    call.read_response(result)
    call.finish()


# ------------------------------------------------------------------------------- event streams


_EVENTS = tuple(
    f"{package}.eventstream:{prefix}EventStream"
    for package, prefix in (("botocore", ""), ("aiobotocore", "Aio"))
)
# The parsed event by the ``id`` of the raw one, until its stream is about to parse it.
_PARSED_EVENTS: dict[int, Any] = {}


def _event_patches() -> Iterator[Patch]:
    for target in _EVENTS:
        yield Patch(f"{target}._parse_event", _wrap_parse_event, optional=True)
    yield from observable_methods(_EVENTS[0], "close")


def _wrap_parse_event(original: Any, _tracker: CallTracker) -> Any:
    """Wrap ``_parse_event``, so that no event is parsed twice."""
    if iscoroutinefunction(original):

        @wraps(original)
        async def parse_async(stream: Any, event: Any) -> Any:
            found = _PARSED_EVENTS.pop(id(event), None)
            return await original(stream, event) if found is None else found

        return parse_async

    @wraps(original)
    def parse(stream: Any, event: Any) -> Any:
        found = _PARSED_EVENTS.pop(id(event), None)
        return original(stream, event) if found is None else found

    return parse


def _observe_events(call: ObservedCall, stream: Any) -> None:
    """Replace the stream's iterator with ours, which parses; the stream does not parse again.

    Ours yields the raw events, so other code that parses them still can.
    """
    OPEN.add(call, stream._raw_stream)  # noqa: SLF001 - there is no other way
    call.restore = observe_object(stream, {"close": MethodHooks(partial(_closed, call.key))})
    source = separate_iterator(stream, "_event_generator", "_create_raw_event_generator")
    raw, parse = source._event_generator, source._parse_event  # noqa: SLF001 - as above
    latest: list[Any] = [None]
    if hasattr(raw, "__anext__"):
        watcher: Any = observe_async(_parse_events_async(raw, parse, latest), call)
        ours: Any = _raw_events_async(watcher, latest)
    else:
        watcher = observe(_parse_events(raw, parse, latest), call)
        ours = _raw_events(watcher, latest)
    stream._event_generator = ours  # noqa: SLF001 - as above
    call.watcher = ref(watcher)
    OPEN.tie_to(call, stream)


def _parse_events(raw: Any, parse: Any, latest: list[Any]) -> Iterator[Any]:
    for event in raw:
        found = parse(event)
        if found:
            latest[0] = event
            yield found


async def _parse_events_async(raw: Any, parse: Any, latest: list[Any]) -> AsyncIterator[Any]:
    async for event in raw:
        found = await parse(event)
        if found:
            latest[0] = event
            yield found


def _raw_events(watcher: Any, latest: list[Any]) -> Iterator[Any]:
    for found in watcher:
        event = latest[0]
        _PARSED_EVENTS[id(event)] = found
        try:
            yield event
        finally:
            _PARSED_EVENTS.pop(id(event), None)


async def _raw_events_async(watcher: Any, latest: list[Any]) -> AsyncIterator[Any]:
    async for found in watcher:
        event = latest[0]
        _PARSED_EVENTS[id(event)] = found
        try:
            yield event
        finally:
            _PARSED_EVENTS.pop(id(event), None)


def _closed(key: int, _error: BaseException | None, _result: Any) -> None:
    """End the call of a closed stream, unless it is being read: then its iterator ends it."""
    call = OPEN.get(key)
    if call is not None and not call.is_being_read():
        OPEN.end(key, completed=False)


# -------------------------------------------------------------------------------------- bodies


_BODIES = (
    "botocore.response:StreamingBody",
    "aiobotocore.response:StreamingBody",
    "aiobotocore.response:HttpxStreamingBody",
)


def _body_patches() -> Iterator[Patch]:
    for target in _BODIES:
        yield from observable_methods(target, "read", "readinto", "readlines", "close", "aclose")


class _Body:
    """A body that the host reads: its bytes are kept, up to a limit."""

    def __init__(self, call: ObservedCall, body: Any) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._length = getattr(body, "_content_length", None)
        OPEN.add(call, body._raw_stream)  # noqa: SLF001 - what holds the body would keep it
        self._key, call.progress = call.key, lambda: self._size
        methods = {
            "read": MethodHooks(self._read),
            **dict.fromkeys(("readinto", "readlines"), MethodHooks(self._passed)),
            **dict.fromkeys(("close", "aclose"), MethodHooks(self._closed)),
        }
        call.restore = observe_object(body, methods)
        OPEN.tie_to(call, body)

    def _read(self, error: BaseException | None, chunk: Any) -> None:
        if error is not None:
            OPEN.end(self._key, error)
            return
        self._size += len(chunk)
        if self._size <= _BODY_KEPT:
            self._pieces.append(chunk)
        if not chunk or str(self._size) == str(self._length):
            self._end()

    def _passed(self, error: BaseException | None, _: Any) -> None:
        """The body is read in a way that does not show the bytes: only the headers are recorded."""
        if error is not None:
            OPEN.end(self._key, error)

    def _closed(self, _error: BaseException | None, _: Any) -> None:
        self._end()

    def _end(self) -> None:
        call = OPEN.get(self._key)
        if call is not None:
            if self._pieces and self._size <= _BODY_KEPT:
                call.read_response(b"".join(self._pieces))
            OPEN.end(self._key)
