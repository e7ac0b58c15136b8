"""Operations that the application fills: every field may hold anything at all.

Adapters write what they have read from JSON, type by type. An application writes what it has:
numbers of numpy, enums, generators, half a mistake. Before such an Operation is encoded each field
is brought into its type, or counts as unknown, without running code of the value's own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .content import text
from .misuse import misused, sort_of, unknown
from .operation import CATEGORIES, Failure, Kind, Operation, PromptTag, Timing, Verdict
from .snapshot import snapshot
from .usage import COUNTS, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

_WORDS = (
    "name",
    "action",
    "provider",
    "model",
    "host",
    "output_type",
    "query",
    "response_id",
    "tier",
)
_OUTPUT_TYPES = ("text", "json", "image", "speech")
_CONTENT = ("system", "input", "tools", "arguments", "output", "documents", "result")


class _HandMadeUsage(Usage):
    """A Usage in the application's hands."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _USAGE_FIELDS:
            misused(unknown("field", name, _USAGE_FIELDS, "of an Operation's usage"))
        object.__setattr__(self, name, value)


_USAGE_FIELDS = tuple(Usage.__annotations__)


def _is_one(value: Any, choices: tuple[str, ...]) -> bool:
    """No code of the value's own is run, not even to compare it."""
    return type(value) in (str, Kind) and value in choices


class HandMade(Operation):
    """An Operation in the application's hands: it is told of what cannot be recorded."""

    by_hand = True

    if TYPE_CHECKING:  # these are taken as whoever fills them has them
        system: Any
        input: Any
        tools: Any
        output: Any
        documents: Any

    def __init__(self, kind: Kind, name: str | None = None) -> None:
        super().__init__(kind, _words(name))
        self.usage = _HandMadeUsage()
        self.taken: dict[str, Any] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _KNOWN:
            misused(unknown("field", name, _FIELDS, "of an Operation"))
        elif value is not None and name in _TYPES and not issubclass(type(value), _TYPES[name]):
            accepted = " or ".join(each.__name__ for each in _TYPES[name])
            misused(f"{name} is {sort_of(value)} and not recorded: accepted is {accepted}")
            return  # what was there stays, so that filling its fields goes on
        elif value is not None and name in _CHOICES and not _is_one(value, _CHOICES[name]):
            misused(unknown(name, value, _CHOICES[name]))
        object.__setattr__(self, name, value)

    def settle(self) -> None:
        if type(self.kind) is not Kind:
            self.kind = _kind(self.kind)
        own = vars(self)  # what is wrong was told as it was set
        for name in (*_WORDS, "response_model"):
            own[name] = _words(getattr(self, name))
        for name in _CONTENT:
            value = getattr(self, name)
            if value is not None and value is not self.taken.get(name):
                own[name] = snapshot(value)
        self.port, self.dimensions = _count(self.port), _count(self.dimensions)
        self.records, self.rows = _count(self.records), _count(self.rows)
        self.finish_reasons = _reasons(self.finish_reasons)
        self.input, self.output = _said(self.input, "user"), _said(self.output, "assistant")
        self.system, self.tools = _parts(self.system), _tools(self.tools)
        self.documents = _documents(self.documents)
        if self.output_type is not None and self.output_type not in _OUTPUT_TYPES:
            self.output_type = None
        self.params, self.details = _fields(self.params), _fields(self.details)
        self.stream, self.completed = self.stream is True, _truth(self.completed)
        self.expired = self.expired is True
        self._settle_values()

    def _settle_values(self) -> None:
        """The fields that are objects of ours."""
        if type(self.usage) not in (Usage, _HandMadeUsage):
            self.usage = Usage()
        if type(self.timing) is not Timing:
            self.timing = Timing()
        for name in COUNTS:
            setattr(self.usage, name, _count(getattr(self.usage, name)))
        self.usage.seconds = snapshot(self.usage.seconds)
        self.usage.charged = snapshot(self.usage.charged)
        self.usage.estimated = _words(self.usage.estimated)
        self.usage.settle()
        if type(self.failure) is not Failure:
            self.failure = None
        if type(self.category) is not str or self.category not in CATEGORIES:
            self.category = None
        if type(self.prompt) is not PromptTag:
            self.prompt = None
        self.verdict = _verdict(self.verdict)


_TYPES: dict[str, tuple[type, ...]] = {
    "usage": (Usage,),
    "timing": (Timing,),
    "failure": (Failure,),
    "prompt": (PromptTag,),
    "verdict": (Verdict,),
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "kind": tuple(Kind),
    "category": CATEGORIES,
    "output_type": _OUTPUT_TYPES,
}
_FIELDS = (
    *("kind", "name", "usage", "timing"),
    *(name for name in Operation.__annotations__ if name not in ("capture", "pieces", "turns")),
)
_KNOWN = frozenset({*_FIELDS, *Operation.__annotations__, *vars(Operation), "taken"})


def take(op: Operation, name: str, value: Any) -> None:
    """Sets a field to a snapshot of ``value``, which is not made again when ``op`` is settled."""
    plain = snapshot(value)
    setattr(op, name, plain)
    if isinstance(op, HandMade):
        op.taken[name] = plain


def _kind(value: Any) -> Kind:
    try:
        return Kind(_words(value) or "")
    except ValueError:
        return Kind.STEP


def _words(value: Any) -> str | None:
    """Text that can be sent, not too long; numbers and enums as they are written."""
    if value is None:
        return None
    words = str(snapshot(value))
    return words if words.isascii() else words.encode("utf-8", "replace").decode("utf-8")


def _count(value: Any) -> int | None:
    """A whole number that is not negative, whatever integer type of Python's it has."""
    if value is None or type(value) is bool:
        return None
    plain = snapshot(value)
    if type(plain) is float and plain.is_integer():
        plain = int(plain)
    return plain if type(plain) is int and plain >= 0 else None


def _truth(value: Any) -> bool | None:
    return value if type(value) is bool else None


def _fields(value: Any) -> Any:
    plain = snapshot(value)
    return plain if type(plain) is dict else None


def _reasons(value: Any) -> list[str] | None:
    plain = snapshot(value)
    if type(plain) is str:
        return [plain]
    return [str(reason) for reason in plain] if type(plain) is list else None


def _objects(plain: Any, written: Callable[[str], Any] | None = None) -> list[dict[str, Any]]:
    """The objects of a list, as the schemas have it; a mere text is ``written`` as one."""
    listed = plain if type(plain) is list else [plain]
    found = [written(item) if written and type(item) is str else item for item in listed]
    return [item for item in found if type(item) is dict]


def _parts(plain: Any) -> Any:
    return [part for part in _objects(plain, text) if type(part.get("type")) is str] or None


def _said(plain: Any, role: str) -> Any:
    """Messages; a mere text is one, and ``content`` is as good as ``parts``."""
    found = []
    for item in _objects(plain, lambda words: {"content": words}):
        message = {"role": role, **item}
        parts = _parts(message.pop("content", None)) or _parts(message.get("parts"))
        if parts:
            found.append({**message, "role": str(message["role"]), "parts": parts})
    return found or None


def _tools(plain: Any) -> Any:
    """Definitions, with their fields in a ``function`` of theirs or beside it."""
    found = []
    for item in _objects(plain):
        inner = item.get("function")
        tool = {"type": "function", **(inner if type(inner) is dict else item)}
        if type(tool.get("name")) is str and type(tool["type"]) is str:
            found.append(tool)
    return found or None


def _documents(plain: Any) -> Any:
    """Without an id of its own a document's rank serves."""
    found = _objects(plain, lambda words: {"content": words})
    return [{"id": str(rank), **item} for rank, item in enumerate(found)] or None


def _verdict(value: Any) -> Verdict | None:
    if type(value) is not Verdict:
        return None
    score = snapshot(value.score)
    return replace(
        value,
        score=score if type(score) in (int, float) else None,
        reason=_words(value.reason),
        category=_words(value.category),
    )
