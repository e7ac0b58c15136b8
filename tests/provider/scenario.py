"""What a model says and how the telling goes wrong, in neutral words.

How it is spelled on the wire is the business of the wire files; the table of all scenarios is in
`fixtures.py`.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Kind = Literal["reasoning", "text", "refusal", "call", "arguments"]

_WORD = re.compile(r"\s*\S+(?:\s+$)?")
_ARGUMENT_CHARACTERS = 6


@dataclass(frozen=True)
class Usage:
    """Tokens as the provider counts them; `None` means that the provider does not say."""

    input: int
    output: int | None
    cached: int | None = 0
    cache_written: int | None = 0
    reasoning: int | None = 0

    def plain(self) -> Usage:
        """Return the counts of an endpoint that gives no details."""
        return Usage(self.input, self.output, None, None, None)


@dataclass(frozen=True)
class ToolCall:
    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Reply:
    """What the model says in one choice."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish: str = "stop"


@dataclass(frozen=True)
class Piece:
    """A bit of generated output, as a stream delivers it.

    `call` opens a tool call (identity and name), `arguments` continues one; `slot` is its place
    among the calls of the reply. Where calls are not split, `value` has all their arguments.
    """

    kind: Kind
    value: str = ""
    choice: int = 0
    slot: int = 0
    call: ToolCall | None = None
    pause: float = 0.0


@dataclass(frozen=True)
class Failure:
    """What comes instead of a reply. Status 0: the connection closes without an answer."""

    status: int
    code: str | None = None
    type: str = "invalid_request_error"
    message: str = "The request cannot be served."
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.0
    once: bool = False
    """Only the first attempt fails, a retry succeeds."""
    plain: bool = False
    """The body is the page of a proxy, not the provider's JSON."""

    def told(self, prompt: str, key: str) -> str:
        """Return the message, with what it quotes of the request."""
        return self.message.replace("{prompt}", prompt).replace("{key}", key)


@dataclass(frozen=True)
class Scenario:
    """One row of the table in `fixtures.py`."""

    replies: tuple[Reply, ...]
    usage: Usage
    report: Literal["asked", "always", "never", "null"] = "asked"
    """When a reply carries its usage: as the API says, in every chunk, not at all, as null."""
    model: str | None = None
    """The model that claims to have answered, when it is not the one that was asked."""
    flavour: str = ""
    """A peculiarity that the wire files know by name."""
    split: int | None = None
    """Characters in a streamed piece; words when not given."""
    shuffled: bool = False
    """Streamed tool calls open in reverse order."""
    pause: float = 0.0
    """Seconds before every streamed piece."""
    turn_pause: float = 0.0
    """Seconds before the first streamed piece of each kind."""
    stall: tuple[int, float] | None = None
    """After so many streamed pieces, so many seconds of silence."""
    ending: Literal["done", "cut", "error", "failed"] = "done"
    stop: tuple[Literal["pieces", "frames"], int] | None = None
    """Where a stream stops that does not reach its end."""
    failure: Failure | None = None
    then: str | None = None
    """The scenario to act as once the conversation holds tool results; agents loop otherwise."""
    echo: bool = False
    """The reply is the prompt."""
    gzip: bool = False
    comments: bool = False
    """Streams are kept alive with comments, as gateways do."""
    strict: bool = True
    """Whether the official client's strict validation accepts what is sent."""

    def answering(self, prompt: str) -> Scenario:
        """Return the scenario with the prompt filled in where it echoes it."""
        return replace(self, replies=(Reply(prompt),)) if self.echo else self

    def pieces(self) -> Iterator[Piece]:
        """Yield the generated output as it is streamed; several choices take turns."""
        each = [self._pieces(choice, reply) for choice, reply in enumerate(self.replies)]
        kinds: set[Kind] = set()
        for at, piece in enumerate(_taking_turns(each)):
            turn = self.turn_pause if piece.kind not in kinds else 0.0
            kinds.add(piece.kind)
            stall = self.stall[1] if self.stall and at == self.stall[0] else 0.0
            yield replace(piece, pause=self.pause + turn + stall)

    def _pieces(self, choice: int, reply: Reply) -> Iterator[Piece]:
        told: tuple[tuple[Kind, str], ...] = (
            ("reasoning", reply.reasoning),
            ("text", reply.text),
            ("refusal", reply.refusal),
        )
        for kind, text in told:
            for value in self._split(text):
                yield Piece(kind, value, choice)
        yield from self._call_pieces(choice, reply.calls)

    def _call_pieces(self, choice: int, calls: tuple[ToolCall, ...]) -> Iterator[Piece]:
        slots = list(enumerate(calls))
        for slot, call in reversed(slots) if self.shuffled else slots:
            yield Piece("call", choice=choice, slot=slot, call=call)
        yield from _taking_turns(_argument_pieces(choice, slot, call) for slot, call in slots)

    def _split(self, text: str) -> Iterable[str]:
        return _cut(text, self.split) if self.split else _WORD.findall(text)


def with_whole_calls(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The same output as told by an API whose tool calls come in one piece."""
    for piece in pieces:
        if piece.call:
            yield replace(piece, value=piece.call.arguments)
        elif piece.kind != "arguments":
            yield piece


def _argument_pieces(choice: int, slot: int, call: ToolCall) -> Iterator[Piece]:
    for value in _cut(call.arguments, _ARGUMENT_CHARACTERS):
        yield Piece("arguments", value, choice, slot)


def _cut(text: str, size: int) -> Iterator[str]:
    return (text[start : start + size] for start in range(0, len(text), size))


def _taking_turns(each: Iterable[Iterable[Piece]]) -> Iterator[Piece]:
    for turn in itertools.zip_longest(*each):
        yield from (piece for piece in turn if piece is not None)
