"""The rows of clients made like OpenAI's, for the same API: groq, together, fireworks, cerebras."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.conformance import openai_rows
from tests.conformance.facts import KEY
from tests.conformance.stainless_doors import ALL, DOORS, EARLY, GAPS
from tests.conformance.table import WHOLE, Block, Gap, Library, Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conformance.table import Endpoint
    from tests.provider import Provider


class _Kin(NamedTuple):
    module: str
    client: str
    endpoints: str
    """Those of OpenAI that it has beside chat."""
    options: Mapping[str, Any]
    gaps: tuple[Gap, ...] = ()


_AN_ERROR_AS_CHUNK = Gap(
    "the client yields the final error event as a chunk, so it is counted as one",
    ("chunks",),
    {"mode": "stream", "scenario": "error-event, failed"},
)
_KIN = {
    "groq": _Kin("groq", "Groq", "embeddings, transcriptions, translations", {}),
    "together": _Kin("together", "Together", "completions, embeddings", {}),
    "fireworks": _Kin(
        "fireworks", "Fireworks", "completions", {"account_id": "a"}, (_AN_ERROR_AS_CHUNK,)
    ),
    "cerebras": _Kin(
        "cerebras.cloud.sdk", "Cerebras", "completions", {"warm_tcp_connection": False}
    ),
}

# Most have no argument for that, and all send what they are given beside their arguments.
_USAGE = {"stream": True, "extra_body": {"stream_options": {"include_usage": True}}}
_WITH_USAGE = Mode("stream", _USAGE, stream=True)
_MODES = WHOLE, _WITH_USAGE, openai_rows.UNASKED
_TEXTS = ("chat", "completions")


def _clients(kin: _Kin, provider: Provider, colour: str) -> Mapping[str, Any]:
    make = getattr(import_module(kin.module), "Async" * (colour == "async") + kin.client)
    common = {"api_key": KEY, "base_url": provider.root, **kin.options}
    return {
        "plain": make(**common, max_retries=0),
        "retrying": make(**common, max_retries=1),
    }


def _endpoint(name: str) -> Endpoint:
    theirs = openai_rows.LIBRARY.endpoints[name]
    return replace(theirs, modes=_MODES) if name in _TEXTS else replace(theirs, modes=(WHOLE,))


_SOME = "ok, tools, reasoning, cached, length, nousage, future, cut, error-event, err400, error-200"


def library(name: str) -> Library:
    kin = _KIN[name]
    names = ["chat", *kin.endpoints.split(", ")]
    others = ", ".join(names[1:])
    return Library(
        name=name,
        clients=partial(_clients, kin),
        providers={"plain": name},
        endpoints={each: _endpoint(each) for each in names},
        doors={each: door for each, door in DOORS.items() if each != "post"},
        blocks=(
            Block("chat", "create", ALL, "whole, stream"),
            Block("chat", "create", "ok, usage-every-chunk", "stream without usage"),
            Block("chat", "raw, streaming", _SOME, "whole, stream"),
            Block("chat", "raw unparsed, lines, bytes, unread", "ok, err400", "whole, stream"),
            Block("chat", "create, raw, streaming", "ok, tools", "stream", EARLY),
            Block("chat", "create", "stalls", "stream", "cancelled"),
            Block("chat", "create", "retry-429, retry-500", "whole, stream", client="retrying"),
            Block(others, "create, raw", "ok, nousage, future, cut, err400"),
        ),
        gaps=(*GAPS, *kin.gaps),
        arguments={"hang": {"timeout": import_module(kin.module).Timeout(10, read=0.1)}},
        touches=openai_rows.LIBRARY.touches,
        major=lambda: int(import_module(kin.module).__version__.partition(".")[0]),
        share=1,
    )
