"""What the rows of clients made by Stainless share: openai, anthropic, groq, together ..."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.conformance.facts import ANSWERS
from tests.conformance.table import Door, Gap, Mode
from tests.conformance.visits import entered, now
from tests.provider import SCENARIOS
from tests.provider.fixtures import NEVER_DONE

if TYPE_CHECKING:
    from tests.conformance.visits import Visit


STREAM = Mode("stream", {"stream": True}, stream=True)
ALL = [name for name in SCENARIOS if name not in NEVER_DONE and not name.startswith("retry-")]
EARLY = "exhausted in with, closed early, left with, dropped, closed unread, dropped unread"


class Route(NamedTuple):
    """What ``client.post`` wants to know of an endpoint (its `Endpoint.route`)."""

    path: str
    reply: Any
    chunk: Any = None


async def create(visit: Visit) -> None:
    await visit.read(await now(visit.method()(**visit.arguments)))


async def raw(visit: Visit) -> None:
    response = visit.given(await now(visit.method_by("with_raw_response")(**visit.arguments)))
    await visit.read(await now(response.parse()))


async def raw_unparsed(visit: Visit) -> None:
    visit.given(await now(visit.method_by("with_raw_response")(**visit.arguments)))


async def streaming(visit: Visit) -> None:
    manager = visit.method_by("with_streaming_response")(**visit.arguments)
    async with entered(visit.given(manager)) as response:
        await visit.read(await now(visit.given(response).parse()))


async def lines(visit: Visit) -> None:
    async with entered(visit.method_by("with_streaming_response")(**visit.arguments)) as response:
        await visit.take(visit.given(response).iter_lines())


async def read_bytes(visit: Visit) -> None:
    async with entered(visit.method_by("with_streaming_response")(**visit.arguments)) as response:
        visit.note(await now(visit.given(response).read()))


async def unread(visit: Visit) -> None:
    async with entered(visit.method_by("with_streaming_response")(**visit.arguments)) as response:
        visit.given(response)


async def post(visit: Visit) -> None:
    client, route = visit.client, visit.endpoint.route
    kinds: dict[str, Any] = {}
    if visit.mode.stream:
        kinds = {"stream": True, "stream_cls": client._default_stream_cls[route.chunk]}
    sent = client.post(route.path, cast_to=route.reply, body=visit.arguments, **kinds)
    await visit.read(await now(sent))


DOORS = {
    door.name: door
    for door in (
        Door("create", create),
        Door("raw", raw),
        Door("raw unparsed", raw_unparsed, unread="streams"),
        Door("streaming", streaming),
        Door("lines", lines),
        Door("bytes", read_bytes),
        Door("unread", unread, unread="always"),
        Door("post", post),
    )
}

_SPEECHLESS = (*ANSWERS, "dimensions", "verdict")
GAPS = (
    Gap(
        "a stream that the application reads as raw lines or bytes is not decoded a second time",
        _SPEECHLESS,
        {"door": "lines", "scenario": "ok", "mode": "stream"},
    ),
    Gap(
        "a stream that the application reads as raw lines or bytes is not decoded a second time",
        _SPEECHLESS,
        {"door": "bytes", "scenario": "ok", "mode": "stream"},
    ),
    Gap(
        "the client reads a JSON error sent in place of a stream as a stream without events",
        ("error", "status"),
        {"scenario": "error-200", "mode": "stream"},
    ),
)
"""What none of them tells."""
