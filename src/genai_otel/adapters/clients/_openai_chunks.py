"""Accumulate the chunks of a streamed chat completion, as many servers and clients have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Accumulator
from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_dicts,
    get_int,
    get_str,
    parse_json,
)
from genai_otel.record import TextBuffer
from genai_otel.record.usage import running

from ._openai_parts import message_parts
from ._openai_wire import read_chat_response

if TYPE_CHECKING:
    from genai_otel.record import Operation

# An index that no chunk has; a chunk may have ``None``.
_NO_INDEX: Any = object()
_HEAD = ("id", "model", "service_tier", "system_fingerprint", "error")
_COUNTS = ("usage", "x_groq", "error")
_READ = frozenset({*_HEAD, *_COUNTS})
# Lists of a choice, and how many items of each are kept.
_KEPT = {"images": 16, "annotations": 100, "executed_tools": 100}
# What a delta may hold besides ``content``.
_MORE = (
    *("reasoning_content", "reasoning", "refusal", "tool_calls", "audio", "function_call"),
    *_KEPT,
)


class ChatChunks(Accumulator):
    """Builds the whole response from chunks; ``read_chat_response`` reads it."""

    reads_json = True

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._head: Json = {}
        self._choices: dict[int, _ChoiceSoFar] = {}
        self._plain: _PlainChunk | None = None
        self._index: Any = _NO_INDEX  # of the plain chunk's choice
        self._append: Any = None
        self._alike = False
        self.added_from_json: list[Any] = [object()]

    @staticmethod
    def has_more(delta: Json) -> bool:
        return _has_more(delta)

    def add_fast(self, chunk: Any, /) -> bool | None:
        """Add a chunk that differs from the one before only in its text, as almost all do.

        Whatever else ``add`` would read is looked at, so that neither way can lose anything that
        the other would have found.
        """
        plain = self._plain
        if plain is None:
            return None
        head = chunk.__dict__
        (choice,) = head["choices"]
        chosen = choice.__dict__
        delta = chosen["delta"]
        said = delta.__dict__
        plain.delta["content"] = content = said["content"]
        if (
            said == plain.delta
            and type(content) is str
            and content
            and chosen["index"] is self._index
            and chosen["finish_reason"] is None
            and head["usage"] is None
            and (
                len(head) == plain.size
                if plain.head_rest is None
                else delta.__pydantic_extra__ == plain.delta_rest
                and (chunk.__pydantic_extra__ == plain.head_rest or not _is_read(chunk))
            )
        ):
            self._append(content)
            return True
        return None

    def add(self, chunk: Any) -> bool:
        found = as_dict(chunk)
        choices = get_dicts(found, "choices")
        alike = _is_text_only(found, choices)
        if not (alike and self._alike):
            self._note_head(found, choices)
        self._alike = alike
        generated = False
        for choice in choices:
            delta = get_dict(choice, "delta") or {"content": choice.get("text")}
            generated = self._so_far(choice).add(delta) or generated
        self._plain, self._index = None, _NO_INDEX
        if self.expect_json is not None:
            self.expect_json(_NO_INDEX, bool)
        if alike:
            self._expect_alike(chunk, choices[0].get("index"))
        return generated

    def _expect_alike(self, chunk: Any, index: Any) -> None:
        """Those that add text to this choice take a shorter way from now on."""
        if type(index) is not int:
            return
        append = self._choices[max(0, index)].append
        if self.expect_json is not None:
            self.expect_json(index, append)
            return
        self._plain = _PlainChunk.like(chunk)
        if self._plain is not None:
            self._index, self._append = index, append

    def _so_far(self, choice: Json) -> _ChoiceSoFar:
        """Return the choice so far, with its finish reason."""
        index = get_int(choice, "index") or 0
        so_far = self._choices.get(index)
        if so_far is None:
            so_far = self._choices[index] = _ChoiceSoFar(self._op)
        so_far.finish_reason = get_str(choice, "finish_reason") or so_far.finish_reason
        return so_far

    def _note_head(self, chunk: Json, choices: list[Json]) -> None:
        """Of usage the running total, which some servers send; Moonshot's is in its last choice."""
        head = self._head
        for name in _HEAD:
            value = chunk.get(name)
            if value:
                head[name] = value
        usage = get_dict(chunk, "usage")
        if not usage and "x_groq" in chunk:
            usage = get_dict(get_dict(chunk, "x_groq"), "usage")
        for choice in () if usage else choices:
            if choice.get("finish_reason"):  # so that no chunk of plain text need be looked at
                usage = get_dict(choice, "usage") or usage
        if usage:
            head["usage"] = running(head.get("usage", {}), usage)

    def finish(self) -> None:
        if self.expect_json is not None:
            self.expect_json(_NO_INDEX, bool)
        self.added_from_json[0] = None
        choices = [so_far.text() for _, so_far in sorted(self._choices.items())]
        read_chat_response({**self._head, "choices": choices}, self._op)


class _PlainChunk:
    """A chunk that had nothing but text to add, with which those after it are compared.

    ``head_rest`` and ``delta_rest`` are fields that the class of a pydantic model does not know;
    other objects keep those among their own.
    """

    __slots__ = ("delta", "delta_rest", "head_rest", "size")

    def __init__(self, chunk: Any, delta: Any) -> None:
        self.size, self.delta = len(chunk.__dict__), {**delta.__dict__}
        head_rest = getattr(chunk, "__pydantic_extra__", None)
        delta_rest = getattr(delta, "__pydantic_extra__", None)
        self.head_rest = None if head_rest is None else {**head_rest}
        self.delta_rest = None if delta_rest is None else {**delta_rest}

    @classmethod
    def like(cls, chunk: Any) -> _PlainChunk | None:
        """Of objects only: dicts are read faster than they are compared."""
        found = as_dict(chunk)
        delta = as_dict(found["choices"][0]).get("delta")
        said = as_dict(delta)
        return cls(chunk, delta) if said and said is not delta and found is not chunk else None


def _is_text_only(found: Json, choices: list[Json]) -> bool:
    """One piece of text, and neither an end nor a count: of the reply it says nothing new."""
    if len(choices) != 1 or any(map(found.get, _COUNTS)) or choices[0].get("finish_reason"):
        return False
    delta = get_dict(choices[0], "delta")
    return bool(get_str(delta, "content")) and not _has_more(delta)


def _has_more(delta: Json) -> bool:
    """Whether a delta holds anything besides its ``content``; many name what they do not hold."""
    filled = len([*filter(None, delta.values())])
    return filled > bool(delta.get("content")) and any(map(delta.get, _MORE))


def _is_read(chunk: Any) -> bool:
    """Whether any field that the class of a model does not know would be read."""
    return not _READ.isdisjoint(chunk.__pydantic_extra__ or ())


def is_usage_chunk(chunk: Any) -> bool:
    """Whether it is the last chunk of a stream with requested usage: usage and no choices."""
    found = as_dict(chunk)
    return not found.get("choices") and found.get("usage") is not None


class _ChoiceSoFar:
    """One choice of a stream: its text, and its tool calls by index."""

    __slots__ = ("_calls", "_lists", "_op", "_places", "_texts", "finish_reason")

    def __init__(self, op: Operation) -> None:
        self._op = op
        self._texts: dict[str, TextBuffer] = {}
        self._calls: dict[int, Json] = {}
        self._places: dict[int, int] = {}  # of the newest call with a server's number
        self._lists: dict[str, list[Json]] = {}
        self.finish_reason: str | None = None

    @property
    def append(self) -> Any:
        """Add a delta that has only text."""
        return self._text("content").add

    def _text(self, name: str) -> TextBuffer:
        found = self._texts.get(name)
        if found is None:
            found = self._texts[name] = TextBuffer(self._op)
        return found

    def add(self, delta: Json) -> bool:
        """Add one delta; return whether it held generated output."""
        if type(delta.get("content")) is list:
            delta = _joined(delta)
        content = get_str(delta, "content")
        if content:
            self._text("content").add(content)
        more = _has_more(delta) and self._add_more(delta)
        return more or bool(content)

    def _add_more(self, delta: Json) -> bool:
        """Add what is not plain text."""
        thought = get_str(delta, "reasoning_content") or get_str(delta, "reasoning")
        refusal = get_str(delta, "refusal")
        calls = get_dicts(delta, "tool_calls")
        replaced = get_dict(delta, "function_call")  # by tools; without index and id
        if replaced:
            calls.append({"function": replaced})
        listed = [name for name in _KEPT if delta.get(name)]
        spoken = get_dict(delta, "audio")
        self._text("content").add(get_str(spoken, "transcript") or "")
        self._text("reasoning_content").add(thought or "")
        self._text("refusal").add(refusal or "")
        if self._op.capture:
            for name in listed:
                self._add_listed(name, get_dicts(delta, name))
            for call in calls:
                self._add_call(call)
        return bool(thought or refusal or calls or spoken or listed)

    def _add_listed(self, name: str, items: list[Json]) -> None:
        """Merge a server tool, which comes again with its result, under the same index."""
        kept = self._lists.setdefault(name, [])
        for item in items:
            number = get_int(item, "index") if name == "executed_tools" else None
            known = number is not None and any(each.get("index") == number for each in kept)
            if known:
                kept[:] = [
                    {**each, **item} if each.get("index") == number else each for each in kept
                ]
            elif len(kept) < _KEPT[name]:
                kept.append(item)

    def _add_call(self, call: Json) -> None:
        index = self._place(call)
        so_far = self._calls.get(index)
        if so_far is None:
            so_far = self._calls[index] = {"pieces": TextBuffer(self._op)}
        so_far["id"] = get_str(call, "id") or so_far.get("id")
        function = get_dict(call, "function") or get_dict(call, "custom")
        if not function:  # of a kind that we do not know
            so_far["other"] = {**so_far.get("other", {}), **call}
        so_far["name"] = get_str(function, "name") or so_far.get("name")
        given = function.get("arguments", function.get("input"))
        if type(given) is str:
            so_far["pieces"].add(given)
            so_far["may_be_whole"] = given.endswith("}")
        elif given is not None:  # whole, as some servers send it
            so_far["arguments"] = given

    def _place(self, call: Json) -> int:
        """Which call it belongs to: some servers number all of them 0, with ids or without.

        They may repeat one that has an id as they go on.
        """
        number, call_id = get_int(call, "index") or 0, get_str(call, "id")
        place = self._places.get(number, number)
        before = self._calls.get(place)
        if before is None:
            return place
        if call_id and before["id"] and call_id != before["id"]:
            same = (i for i, each in self._calls.items() if each["id"] == call_id)
            place = next(same, max(self._calls) + 1)
        elif not (call_id and before["id"]) and _is_another(get_dict(call, "function"), before):
            place = max(self._calls) + 1
        self._places[number] = place
        return place

    def text(self) -> Json:
        """Return the choice as a whole response has it."""
        calls = [_whole_call(call) for _, call in sorted(self._calls.items())]
        said = {name: pieces.text() for name, pieces in self._texts.items()}
        texts = {name: words for name, words in said.items() if words}
        message = {"role": "assistant", **texts, "tool_calls": calls, **self._lists}
        return {"message": message, "finish_reason": self.finish_reason}


def _is_another(function: Json, before: Json) -> bool:
    """Whether a name and an object come after a call that has both already."""
    if not (get_str(function, "name") and before.get("name")):
        return False
    given = function.get("arguments")
    if type(given) is not str:
        return given is not None and "arguments" in before
    begins = before.get("may_be_whole") and given.lstrip().startswith("{")
    return bool(begins) and type(parse_json(before["pieces"].text())) is dict


def _whole_call(call: Json) -> Json:
    if call.get("name") is None and "other" in call:
        return {**call["other"], "id": call["id"]}
    given = call.get("arguments")
    arguments = call["pieces"].text() if given is None else given
    return {"id": call["id"], "function": {"name": call["name"], "arguments": arguments}}


def _joined(delta: Json) -> Json:
    """Read a delta whose content is a list of parts: text and reasoning as strings."""
    parts: list[Json] = [{**part} for part in message_parts({"content": delta["content"]})]
    said = {
        kind: "".join(part["content"] for part in parts if part["type"] == kind)
        for kind in ("text", "reasoning")
    }
    thought = (get_str(delta, "reasoning_content") or "") + said["reasoning"]
    return {**delta, "content": said["text"], "reasoning_content": thought}
