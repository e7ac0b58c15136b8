"""Streamed chat completions, as many servers and clients have them: chunks that make up a reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.engine.adapter import Accumulator
from genai_otel.engine.read import Json, fields, integer, mapping, mappings, string
from genai_otel.record import Pieces

from ._openai_wire import answer_chat

if TYPE_CHECKING:
    from genai_otel.record import Operation

_NOTHING: Json = {}


class ChatChunks(Accumulator):
    """Folds chunks into the shape of the whole reply, which ``answer_chat`` reads."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._head: Json = {}
        self._choices: dict[int, _ChoiceSoFar] = {}
        self._last: Any = None
        self._append: Any = None

    def quick(self, chunk: Any) -> bool | None:
        """A piece of text for the one choice, as almost all chunks are.

        What may stand beside it at the end, finish reason and usage, is read when the next chunk of
        another form comes, or the end. Each attribute of a model costs four times what a key does.
        """
        (choice,) = chunk.choices
        said = choice.delta.__dict__
        content = said["content"]
        if type(content) is str and content and said["tool_calls"] is None:
            self._append(content)
            self._last = chunk
            return True
        return None

    def add(self, chunk: Any) -> bool:
        self._settle_last()
        chunk = fields(chunk)
        self._note_head(chunk)
        generated = False
        for choice in mappings(chunk, "choices"):
            delta = mapping(choice, "delta") or {"content": choice.get("text")}
            generated = self._so_far(choice).add(delta) or generated
        self._append = self._quick_append()
        return generated

    def _so_far(self, choice: Json) -> _ChoiceSoFar:
        """What there is of this choice, its finish reason included."""
        index = integer(choice, "index") or 0
        so_far = self._choices.get(index)
        if so_far is None:
            so_far = self._choices[index] = _ChoiceSoFar(self._op)
        so_far.finish_reason = string(choice, "finish_reason") or so_far.finish_reason
        return so_far

    def _quick_append(self) -> Any:
        """Where quick text goes; nowhere if there are several choices or more than plain text."""
        if len(self._choices) != 1:
            return None
        (so_far,) = self._choices.values()
        return so_far.quick_append()

    def _settle_last(self) -> None:
        if self._last is None:
            return
        last, self._last = fields(self._last), None
        self._note_head(last)
        for choice in mappings(last, "choices"):
            self._so_far(choice)

    def _note_head(self, chunk: Json) -> None:
        """The newest count replaces the one before: some servers send a running total."""
        head = self._head
        for name in ("id", "model", "service_tier", "system_fingerprint", "error"):
            value = chunk.get(name)
            if value:
                head[name] = value
        usage = mapping(chunk, "usage")
        if not usage and "x_groq" in chunk:
            usage = mapping(mapping(chunk, "x_groq"), "usage")
        if usage:
            head["usage"] = {**head.get("usage", {}), **usage}

    def close(self) -> None:
        self._settle_last()
        choices = [so_far.whole() for _, so_far in sorted(self._choices.items())]
        answer_chat({**self._head, "choices": choices}, self._op)


def only_usage(chunk: Any) -> bool:
    """The last chunk of a stream whose usage was asked for: no choices, and the usage."""
    found = fields(chunk)
    return not found.get("choices") and found.get("usage") is not None


_MORE = (
    *("reasoning_content", "reasoning", "refusal", "tool_calls", "audio", "function_call"),
    "images",
)
_IMAGES = 16
"""Pictures of one choice that are kept until its end."""


class _ChoiceSoFar:
    """One choice of a stream: its text in pieces, its tool calls by index."""

    __slots__ = ("_calls", "_images", "_op", "_plain", "_texts", "finish_reason")

    def __init__(self, op: Operation) -> None:
        self._op = op
        self._plain = True
        self._texts: dict[str, Pieces] = {}
        self._calls: dict[int, Json] = {}
        self._images: list[Json] = []
        self.finish_reason: str | None = None

    def quick_append(self) -> Any:
        """Takes text that comes alone; ``None`` once this stream has shown more than text."""
        if not self._plain:
            return None
        return self._text("content").add

    def _text(self, name: str) -> Pieces:
        found = self._texts.get(name)
        if found is None:
            found = self._texts[name] = Pieces(self._op)
        return found

    def add(self, delta: Json) -> bool:
        """Takes one delta; whether it held anything generated."""
        content = string(delta, "content")
        if content:
            self._text("content").add(content)
        more = any(map(delta.get, _MORE)) and self._add_more(delta)
        self._plain = self._plain and not more
        return more or bool(content)

    def _add_more(self, delta: Json) -> bool:
        """Takes what is no plain text."""
        thought = string(delta, "reasoning_content") or string(delta, "reasoning")
        refusal = string(delta, "refusal")
        calls = mappings(delta, "tool_calls")
        replaced = mapping(delta, "function_call")  # by tools; without index and id
        if replaced:
            calls.append({"function": replaced})
        images = mappings(delta, "images")
        spoken = mapping(delta, "audio")
        self._text("content").add(string(spoken, "transcript") or "")
        self._text("reasoning_content").add(thought or "")
        self._text("refusal").add(refusal or "")
        if self._op.capture:
            self._images += images[: _IMAGES - len(self._images)]
            for call in calls:
                self._add_call(call)
        return bool(thought or refusal or calls or spoken or images)

    def _add_call(self, call: Json) -> None:
        index = integer(call, "index") or 0
        before = self._calls.get(index, _NOTHING).get("id")
        if before and string(call, "id") not in {None, "", before}:
            index = max(self._calls) + 1  # whole calls, which some servers number 0, all of them
        so_far = self._calls.get(index)
        if so_far is None:
            so_far = self._calls[index] = {"pieces": Pieces(self._op)}
        so_far["id"] = string(call, "id") or so_far.get("id")
        function = mapping(call, "function") or mapping(call, "custom")
        if not function:  # of a kind that we do not know
            so_far["other"] = {**so_far.get("other", {}), **call}
        so_far["name"] = string(function, "name") or so_far.get("name")
        given = function.get("arguments", function.get("input"))
        if type(given) is str:
            so_far["pieces"].add(given)
        elif given is not None:  # whole, as some servers send it
            so_far["arguments"] = given

    def whole(self) -> Json:
        """The choice as a whole reply has it."""
        calls = [_whole_call(call) for _, call in sorted(self._calls.items())]
        said = {name: pieces.whole() for name, pieces in self._texts.items()}
        texts = {name: words for name, words in said.items() if words}
        message = {"role": "assistant", **texts, "tool_calls": calls, "images": self._images}
        return {"message": message, "finish_reason": self.finish_reason}


def _whole_call(call: Json) -> Json:
    if call.get("name") is None and "other" in call:
        return {**call["other"], "id": call["id"]}
    given = call.get("arguments")
    arguments = call["pieces"].whole() if given is None else given
    return {"id": call["id"], "function": {"name": call["name"], "arguments": arguments}}
