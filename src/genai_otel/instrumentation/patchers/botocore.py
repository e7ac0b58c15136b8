"""AWS clients: boto3 and botocore, and aiobotocore, which is the same with ``await``.

Every call of every service ends in ``_make_api_call(operation, parameters)``, whenever the client
was made. What comes back is a dict; a member of it may be an event stream, which is observed in
place, or a body that the host reads by itself, which is seen as the host reads it.
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
from genai_otel.instrumentation.returned_objects import Around, around, observable
from genai_otel.instrumentation.stream_wrappers import apart, watched, watched_async
from genai_otel.instrumentation.wrappers import wrap, wrap_async
from genai_otel.record import Operation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from genai_otel.instrumentation.tracker import Call, Observer

_BODY_KEPT = 4 * 1024 * 1024
"""Bytes of a body that the host reads; a longer one is not decoded."""


class Route(NamedTuple):
    """One operation of one service.

    ``extractor`` reads parameters and response; where that depends on the parameters, a function
    of them finds it. ``name`` finds the operation's own name. ``stream``: its answer is one.
    """

    provider: str
    extractor: Extractor | Callable[[Json], Extractor]
    name: Callable[[Json], str | None] | None = None
    stream: bool = False


Routes = Mapping[tuple[str, str], Route]
"""Service and operation, as AWS names them -> how it is read."""


def botocore(routes: Routes, headers: Callable[[Json, Operation], None]) -> tuple[Patch, ...]:
    """The patches for these operations. ``headers`` takes what an answer's headers tell."""

    def stand_in(make: Any, original: Any, observer: Observer) -> Any:
        return make(original, _Begin(routes, observer), partial(_settle, headers))

    return (
        Patch("botocore.client:BaseClient._make_api_call", partial(stand_in, wrap)),
        Patch("aiobotocore.client:AioBaseClient._make_api_call", partial(stand_in, wrap_async)),
        *_event_patches(),
        *_body_patches(),
    )


class _Begin:
    """Opens a call of an operation that we read."""

    __slots__ = ("_observer", "_routes")

    def __init__(self, routes: Routes, observer: Observer) -> None:
        self._routes, self._observer = routes, observer

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        guard = self._observer.guard
        return guard.run(self._open, *args, **kwargs) if guard.enabled else None

    def _open(self, client: Any, operation_name: str, api_params: Json) -> Call | None:
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
        op.host, op.port = _server(meta.endpoint_url)
        return self._observer.open(extractor, op, api_params)


@lru_cache(1_000)
def _server(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _settle(headers: Callable[[Json, Operation], None], call: Call, result: Any) -> None:
    """Tells what kind of result came back from what lies in it."""
    found = as_dict(result)
    meta = get_dict(found, "ResponseMetadata")
    call.op.timing.attempts = 1 + (get_int(meta, "RetryAttempts") or 0)
    headers(get_dict(meta, "HTTPHeaders"), call.op)
    for member in found.values():
        own = getattr(member, "__dict__", ())
        if "_event_generator" in own:
            _watch_events(call, member)
            return
        if "_amount_read" in own:
            _Body(call, member)
            return
    call.reply(result)
    call.finish()


# ------------------------------------------------------------------------------- event streams


_EVENTS = tuple(
    f"{package}.eventstream:{prefix}EventStream"
    for package, prefix in (("botocore", ""), ("aiobotocore", "Aio"))
)
_PARSED: dict[int, Any] = {}
"""What an event was parsed to, by its ``id``, while its stream is about to parse it."""


def _event_patches() -> Iterator[Patch]:
    for target in _EVENTS:
        yield Patch(f"{target}._parse_event", _parsing, optional=True)
    yield from observable(_EVENTS[0], "close")


def _parsing(original: Any, _observer: Observer) -> Any:
    """``_parse_event``: no event is parsed twice."""
    if iscoroutinefunction(original):

        @wraps(original)
        async def parse_async(stream: Any, event: Any) -> Any:
            found = _PARSED.pop(id(event), None)
            return await original(stream, event) if found is None else found

        return parse_async

    @wraps(original)
    def parse(stream: Any, event: Any) -> Any:
        found = _PARSED.pop(id(event), None)
        return original(stream, event) if found is None else found

    return parse


def _watch_events(call: Call, stream: Any) -> None:
    """Puts our iterator where the stream has its own: it parses, which the stream does not again.

    It hands on the events as they came: whoever else parses them finds what there would be.
    """
    OPEN.add(call, stream._raw_stream)  # noqa: SLF001 - there is no other way
    call.release = around(stream, {"close": Around(partial(_closed, call.key))})
    source = apart(stream, "_event_generator", "_create_raw_event_generator")
    raw, parse = source._event_generator, source._parse_event  # noqa: SLF001 - as above
    latest: list[Any] = [None]
    if hasattr(raw, "__anext__"):
        watcher: Any = watched_async(_parsed_async(raw, parse, latest), call)
        ours: Any = _raw_async(watcher, latest)
    else:
        watcher = watched(_parsed(raw, parse, latest), call)
        ours = _raw(watcher, latest)
    stream._event_generator = ours  # noqa: SLF001 - as above
    call.watcher = ref(watcher)
    OPEN.hold(call, stream)


def _parsed(raw: Any, parse: Any, latest: list[Any]) -> Iterator[Any]:
    for event in raw:
        found = parse(event)
        if found:
            latest[0] = event
            yield found


async def _parsed_async(raw: Any, parse: Any, latest: list[Any]) -> AsyncIterator[Any]:
    async for event in raw:
        found = await parse(event)
        if found:
            latest[0] = event
            yield found


def _raw(watcher: Any, latest: list[Any]) -> Iterator[Any]:
    for found in watcher:
        event = latest[0]
        _PARSED[id(event)] = found
        try:
            yield event
        finally:
            _PARSED.pop(id(event), None)


async def _raw_async(watcher: Any, latest: list[Any]) -> AsyncIterator[Any]:
    async for found in watcher:
        event = latest[0]
        _PARSED[id(event)] = found
        try:
            yield event
        finally:
            _PARSED.pop(id(event), None)


def _closed(key: int, _error: BaseException | None, _result: Any) -> None:
    """Closed by the host; while the stream is being read, its iterator knows better why."""
    call = OPEN.get(key)
    if call is not None and not call.reading():
        OPEN.end(key, completed=False)


# -------------------------------------------------------------------------------------- bodies


_BODIES = (
    "botocore.response:StreamingBody",
    "aiobotocore.response:StreamingBody",
    "aiobotocore.response:HttpxStreamingBody",
)


def _body_patches() -> Iterator[Patch]:
    for target in _BODIES:
        yield from observable(target, "read", "readinto", "readlines", "close", "aclose")


class _Body:
    """A body that the host reads: its bytes are kept as they pass, up to a limit."""

    def __init__(self, call: Call, body: Any) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._length = getattr(body, "_content_length", None)
        OPEN.add(call, body._raw_stream)  # noqa: SLF001 - what holds the body would keep it
        self._key, call.pulse = call.key, lambda: self._size
        methods = {
            "read": Around(self._read),
            **dict.fromkeys(("readinto", "readlines"), Around(self._passed)),
            **dict.fromkeys(("close", "aclose"), Around(self._closed)),
        }
        call.release = around(body, methods)
        OPEN.hold(call, body)

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
        """Read in a way that does not show the bytes: what the headers told is all."""
        if error is not None:
            OPEN.end(self._key, error)

    def _closed(self, _error: BaseException | None, _: Any) -> None:
        self._end()

    def _end(self) -> None:
        call = OPEN.get(self._key)
        if call is not None:
            if self._pieces and self._size <= _BODY_KEPT:
                call.reply(b"".join(self._pieces))
            OPEN.end(self._key)
