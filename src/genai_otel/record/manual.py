"""Operations that the application fills: a field may have a value of any type.

Adapters set fields to values of the declared types. An application sets NumPy numbers, enums,
generators or wrong values. ``normalize`` converts each field to its declared type before encoding,
or sets it to ``None``, without running code of the value's class.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import contained

from .accepted import (
    CHOICES,
    CONTENT,
    FIELDS,
    OUTPUT_TYPES,
    USAGE,
    WORDS,
    count,
    is_scored,
    is_word,
    left_out,
    wrong,
)
from .content import text
from .misuse import misused, sort_of, unknown
from .operation import CATEGORIES, Failure, Kind, Operation, PromptTag, Timing, Verdict
from .snapshot import snapshot
from .usage import COUNTS, PARTS, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

_CONTENT = (*CONTENT, "arguments", "result")
_WORDS = frozenset(WORDS)


class ManualUsage(Usage):
    """A Usage that the application fills."""

    if not TYPE_CHECKING:  # so that type checkers report unknown fields

        def __setattr__(self, name: str, value: Any) -> None:
            if not contained(_refuses_usage, name, value):
                object.__setattr__(self, name, value)

    def drop_impossible_parts(self) -> None:
        """Normalize, and warn of parts that are larger than their total."""
        own = vars(self)
        before = dict(own)
        self.normalize()
        for total, parts in PARTS:
            for part in parts:
                if before.get(part) and own.get(part) is None:
                    before[part] = None
                    misused(
                        f"usage.{part} is not recorded: it is part of usage.{total}, which is less"
                    )


def _refuses_usage(name: str, value: Any) -> bool:
    """Warn of a wrong name or value; return whether the value is rejected."""
    accepted = USAGE.get(name)
    if name not in _USAGE_FIELDS:
        misused(unknown("field", name, _USAGE_FIELDS, "of an Operation's usage"))
    elif value is not None and accepted is not None and not accepted.holds(value):
        misused(_refused(f"usage.{name}", value, accepted.words))
        return True
    return False


def _refused(name: str, value: Any, words: str) -> str:
    return f"{name} is {wrong(value)} and not recorded: expected {words}"


_USAGE_FIELDS = tuple(Usage.__annotations__)


def _is_one(value: Any, choices: tuple[str, ...]) -> bool:
    """Return whether ``value`` is one of ``choices``; compare exact ``str`` and ``Kind`` only."""
    return type(value) in (str, Kind) and value in choices


class ManualOperation(Operation):
    """An Operation that the application fills; warns of values that cannot be recorded."""

    is_manual = True

    if TYPE_CHECKING:  # the application may set these to values of any type
        system: Any
        input: Any
        tools: Any
        output: Any
        documents: Any

    def __init__(self, kind: Kind, name: str | None = None) -> None:
        if name is not None and not is_word(name):
            misused(_as_text("name", name))
        super().__init__(kind, _words(name))
        self.usage = ManualUsage()
        self.taken: dict[str, Any] = {}

    if not TYPE_CHECKING:  # so that type checkers report unknown fields

        def __setattr__(self, name: str, value: Any) -> None:
            if not contained(_refuses, name, value):  # a rejected value leaves the field unchanged
                object.__setattr__(self, name, value)

    def normalize(self) -> None:
        if type(self.kind) is not Kind:
            self.kind = _kind(self.kind)
        own = vars(self)  # bypass __setattr__: wrong values were reported at assignment
        for name in WORDS:
            own[name] = _words(getattr(self, name))
        for name in _CONTENT:
            value = getattr(self, name)
            if value is not None and value is not self.taken.get(name):
                own[name] = snapshot(value)
        for name in ("port", "dimensions", "records", "rows"):
            own[name] = count(getattr(self, name))
        own["finish_reasons"] = _reasons(self.finish_reasons)
        own["input"], own["output"] = _said(self.input, "user"), _said(self.output, "assistant")
        _give_reasons(self.output, self.finish_reasons)
        own["system"], own["tools"] = _parts(self.system), _tools(self.tools)
        own["documents"] = _documents(self.documents)
        if self.output_type is not None and self.output_type not in OUTPUT_TYPES:
            own["output_type"] = None
        own["params"], own["details"] = _fields(self.params), _fields(self.details)
        own["stream"], own["completed"] = self.stream is True, _truth(self.completed)
        own["expired"] = self.expired is True
        self._settle_values()

    def _settle_values(self) -> None:
        """Normalize the fields that are objects of this package."""
        if type(self.usage) not in (Usage, ManualUsage):
            self.usage = Usage()
        if type(self.timing) is not Timing:
            self.timing = Timing()
        used = vars(self.usage)
        for name in COUNTS:
            used[name] = count(getattr(self.usage, name))
        used["seconds"] = snapshot(self.usage.seconds)
        used["charged"] = snapshot(self.usage.charged)
        used["estimated"] = _words(self.usage.estimated)
        if isinstance(self.usage, ManualUsage):
            self.usage.drop_impossible_parts()
        else:
            self.usage.normalize()
        if type(self.failure) is not Failure:
            self.failure = None
        if type(self.category) is not str or self.category not in CATEGORIES:
            self.category = None
        if type(self.prompt) is not PromptTag:
            self.prompt = None
        self.verdict = _verdict(self.verdict)


def _refuses(name: str, value: Any) -> bool:
    """Warn of a wrong name or value; return whether the value is rejected."""
    if value is None and name in _KNOWN:
        return False
    accepted = FIELDS.get(name)
    if accepted is None:
        mistake = _mistake(name, value)
        if mistake is not None:
            misused(mistake)
        return False
    if accepted.holds(value):
        return False
    misused(_refused(name, value, accepted.words))
    return True


def _mistake(name: str, value: Any) -> str | None:
    """Describe a mistake in a value that is nevertheless accepted, at least in part."""
    if name not in _KNOWN:
        return unknown("field", name, _FIELDS, "of an Operation")
    if name in CHOICES:
        return None if _is_one(value, CHOICES[name]) else unknown(name, value, CHOICES[name])
    if name in _WORDS:
        return None if is_word(value) else _as_text(name, value)
    left = left_out(name, value) if name in CONTENT else None
    return left and f"{name} contains {left}, which is not recorded: expected {CONTENT[name]}"


def _as_text(name: str, value: Any) -> str:
    return f"{name} is {sort_of(value)} and recorded as text: expected a str"


# Set by this package, also in operations that the application fills.
_OF_THE_LIBRARY = ("capture", "cost", "expired", "text_buffers", "sent", "turns")
_FIELDS = (
    *("kind", "name", "usage", "timing"),
    *(name for name in Operation.__annotations__ if name not in _OF_THE_LIBRARY),
)
_KNOWN = frozenset({*_FIELDS, *Operation.__annotations__, *vars(Operation), "taken"})


def take(op: Operation, name: str, value: Any) -> None:
    """Set a field to a snapshot of ``value``; ``normalize`` does not make another one."""
    plain = snapshot(value)
    setattr(op, name, plain)
    if isinstance(op, ManualOperation):
        op.taken[name] = plain


def _kind(value: Any) -> Kind:
    try:
        return Kind(_words(value) or "")
    except ValueError:
        return Kind.STEP


def _words(value: Any) -> str | None:
    """Return ``value`` as bounded text that is valid UTF-8, also numbers and enums."""
    if value is None:
        return None
    words = str(snapshot(value))
    return words if words.isascii() else words.encode("utf-8", "replace").decode("utf-8")


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


def _give_reasons(output: Any, reasons: Any) -> None:
    """Give messages without a finish reason the one of their index, if the numbers are equal."""
    if output and reasons and len(output) == len(reasons):
        for message, reason in zip(output, reasons, strict=True):
            message["finish_reason"] = message.get("finish_reason") or reason


def _objects(plain: Any, written: Callable[[str], Any] | None = None) -> list[dict[str, Any]]:
    """Return the dicts of a list, or of one item; ``written`` converts a text to a dict."""
    found = [written(item) if written and type(item) is str else item for item in _listed(plain)]
    return [item for item in found if type(item) is dict]


def _listed(plain: Any) -> list[Any]:
    return plain if type(plain) is list else [plain]


def _parts(plain: Any) -> Any:
    return [part for part in _objects(plain, text) if type(part.get("type")) is str] or None


def _said(plain: Any, role: str) -> Any:
    """Return messages; a text is one message, and ``content`` is accepted as ``parts``."""
    found = []
    for item in _objects(plain, lambda words: {"content": words}):
        message = {"role": role, **item}
        parts = _parts(message.pop("content", None)) or _parts(message.get("parts"))
        if parts:
            found.append({**message, "role": str(message["role"]), "parts": parts})
    return found or None


def _tools(plain: Any) -> Any:
    """Return tool definitions, whose fields are inside ``function`` or at the top level."""
    found = []
    for item in _objects(plain):
        inner = item.get("function")
        tool = {"type": "function", **(inner if type(inner) is dict else item)}
        if type(tool.get("name")) is str and type(tool["type"]) is str:
            found.append(tool)
    return found or None


def _documents(plain: Any) -> Any:
    """Return documents; the rank replaces a missing id."""
    listed = [_scored(*item) if is_scored(item) else item for item in _listed(plain)]
    found = _objects(listed, lambda words: {"content": words})
    return [{"id": str(rank), **item} for rank, item in enumerate(found)] or None


def _scored(document: Any, score: float) -> dict[str, Any]:
    fields = document if type(document) is dict else {"content": document}
    return {"score": float(score), **fields}


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
