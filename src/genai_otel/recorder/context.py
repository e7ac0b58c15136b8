"""Context propagation: scope, operation and suppression across tasks, generators and threads."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

from genai_otel import _semconv as names
from genai_otel.record import PromptTag, misused, snapshot, sort_of

from .attributes import to_json, utf8

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextvars import Token


OPERATION_KEY = otel_context.create_key("genai_otel-operation")
AMBIENT_KEY = otel_context.create_key("genai_otel-ambient")
SUPPRESS_KEY = otel_context.create_key("genai_otel-suppress")
# Present inside an operation that is not recorded.
UNRECORDED_KEY = otel_context.create_key("genai_otel-unrecorded")
# OpenTelemetry's key for the span, so that a context is copied once for all values set in it.
(SPAN_KEY,) = set_span_in_context(INVALID_SPAN, Context())
_FOREIGN_SUPPRESS_KEYS = tuple(
    key
    for key in (
        getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", None),
        "suppress_instrumentation",
    )
    if key
)
_SUPPRESS_KEYS = frozenset({SUPPRESS_KEY, *_FOREIGN_SUPPRESS_KEYS})


def suppressed(context: Context) -> bool:
    """Return whether recording is suppressed by this package's key or one of OpenTelemetry's."""
    if _SUPPRESS_KEYS.isdisjoint(context):
        return False
    return SUPPRESS_KEY in context or any(context.get(key) for key in _FOREIGN_SUPPRESS_KEYS)


def attach(context: Context) -> Token[Context]:
    """Make ``context`` the current one."""
    return otel_context.attach(context)


def detach(token: Token[Context]) -> None:
    """Undo ``attach``; do nothing if the code has moved to another context in between.

    OpenTelemetry's own ``detach`` logs an error with a stack trace in that case, on every request.
    """
    try:
        token.var.reset(token)
    except (ValueError, RuntimeError):  # another context, or reset already
        return


def exchange(context: Context) -> Context:
    """Make ``context`` the current one without a token; return the previous one."""
    before = otel_context.get_current()
    attach(context)
    return before


def is_current(context: Context) -> bool:
    """Return whether ``context`` is the current one."""
    return otel_context.get_current() is context


class StepContext:
    """The context of a body that runs in steps; each step continues with the last one's context."""

    __slots__ = ("_context", "_token")

    def __init__(self, active: Any) -> None:
        self._context: Context = active.context
        self._token: Token[Context] | None = None

    def enter(self) -> None:
        """Attach the context at the start of a step."""
        self._token = attach(self._context)

    def leave(self) -> None:
        """Save and detach the context at the end of the step, in the frame of ``enter``."""
        token, self._token = self._token, None
        if token is not None:
            self._context = otel_context.get_current()
            detach(token)


def inheritable() -> Context | None:
    """Return the current context if it has values of this package that a thread inherits."""
    context = otel_context.get_current()
    ours = (OPERATION_KEY, AMBIENT_KEY, SUPPRESS_KEY)
    return context if any(key in context for key in ours) else None


class Ambient(NamedTuple):
    """The values of the current scope; ``attributes`` are encoded for spans."""

    tags: tuple[str, ...]
    attributes: Mapping[str, Any]

    def within(self, tags: Sequence[object], attributes: Mapping[str, Any]) -> Ambient:
        """Return these values combined with those of an inner scope, which take precedence."""
        plain = (_plain(tag) for tag in tags)
        merged = tuple(dict.fromkeys((*self.tags, *(tag for tag in plain if tag))))
        found = {**self.attributes, **attributes}
        if names.GEN_AI_PROMPT_NAME in attributes:  # drop version and hash of the outer prompt
            for name in _OF_PROMPTS:
                if name not in attributes:
                    found.pop(name, None)
        if len(found) > _MOST:  # a stable sort moves metadata, which is dropped first, to the end
            first = sorted(found, key=lambda name: name.startswith(_METADATA))
            found = {name: found[name] for name in first[:_MOST]}
        if merged:
            found[names.GENAI_OTEL_TAGS] = merged
        return Ambient(merged, found)


_NONE = Ambient((), {})
_METADATA = f"{names.GENAI_OTEL_METADATA}."
# Maximum attributes of a scope. A span has 128; the others are for the operation itself.
_MOST = 64
_OF_PROMPTS = (names.GEN_AI_PROMPT_VERSION, names.GENAI_OTEL_PROMPT_HASH)


def ambient(context: Context) -> Mapping[str, Any]:
    """Return the scope's attributes in ``context``."""
    found: Any = context.get(AMBIENT_KEY)
    return _NONE.attributes if found is None else found.attributes


def enter_scope(
    session_id: Any, user_id: Any, tags: Any, metadata: Any, prompt: Any, experiment: Any
) -> Token[Context]:
    """Add these values to the current scope until the token is detached."""
    scope = {
        "session_id": session_id,
        "user_id": user_id,
        "tags": tags,
        "metadata": metadata,
        "prompt": prompt,
        "experiment": experiment,
    }
    return attach(scoped(otel_context.get_current(), scope))


def scoped(context: Context, scope: Mapping[str, Any]) -> Context:
    """Return ``context`` with ``scope`` added; keys are the arguments of ``genai_otel.scope``."""
    flag, variant = _pair(scope.get("experiment"))
    given = {
        names.FEATURE_FLAG_KEY: flag,
        names.FEATURE_FLAG_RESULT_VARIANT: variant,
        names.SESSION_ID: scope.get("session_id"),
        names.GEN_AI_CONVERSATION_ID: scope.get("session_id"),
        names.USER_ID: scope.get("user_id"),
        **{f"{_METADATA}{_plain(key)}": value for key, value in _fields(scope.get("metadata"))},
        **_of_prompt(scope.get("prompt")),
    }
    attributes = {key: plain for key, value in given.items() if (plain := _plain(value))}
    _tell_root(context, attributes)
    outer: Any = context.get(AMBIENT_KEY, _NONE)
    inner = outer.within(_listed(scope.get("tags")), attributes)
    return otel_context.set_value(AMBIENT_KEY, inner, context)


_WHOSE = (names.SESSION_ID, names.GEN_AI_CONVERSATION_ID, names.USER_ID)


def _tell_root(context: Context, attributes: Mapping[str, Any]) -> None:
    """Pass session and user to the root operation: backends group traces by the root span."""
    layer: Any = context.get(OPERATION_KEY)
    facts = {name: attributes[name] for name in _WHOSE if name in attributes}
    if layer is not None and facts:
        while layer.parent is not None:
            layer = layer.parent
        layer.learn(facts)


def _listed(tags: Any) -> list[object]:
    """Return the tags as a list; a value that is not iterable is one tag; never raise."""
    if tags is None or issubclass(type(tags), str):
        return [tags]
    try:
        return list(tags)
    except Exception:  # noqa: BLE001 - a wrong value must not stop the program
        return [tags]


def _pair(experiment: Any) -> tuple[Any, Any]:
    """Return an experiment's key and variant; warn of any other value and return two ``None``."""
    if type(experiment) in (tuple, list) and len(experiment) == 2:  # noqa: PLR2004 - a pair
        return experiment[0], experiment[1]
    if experiment is not None:
        misused(f"experiment is {sort_of(experiment)}: expected a pair of key and variant")
    return None, None


def _of_prompt(prompt: Any) -> dict[str, Any]:
    """Return the attributes of a ``Prompt`` or of a prompt's name."""
    try:
        tag = prompt.tag
    except Exception:  # noqa: BLE001 - usually a name; a wrong value must not discard the scope
        tag = None
    return prompt_facts(tag) if isinstance(tag, PromptTag) else {names.GEN_AI_PROMPT_NAME: prompt}


def prompt_facts(tag: PromptTag) -> dict[str, str]:
    """Return the attributes of a model call with this prompt."""
    return {
        names.GEN_AI_PROMPT_NAME: utf8(tag.name),
        names.GEN_AI_PROMPT_VERSION: utf8(tag.version),
        names.GENAI_OTEL_PROMPT_HASH: tag.digest,
    }


class _Rendered:
    """A rendered prompt until its model call: one call, in any context derived from this one."""

    __slots__ = ("inside", "tag")

    def __init__(self, tag: PromptTag, inside: Any) -> None:
        self.tag: PromptTag | None = tag
        self.inside = inside


_RENDERED: ContextVar[_Rendered | None] = ContextVar("genai_otel-prompt", default=None)


def expect_prompt(tag: PromptTag) -> None:
    """Set the prompt of the next model call in this context."""
    _RENDERED.set(_Rendered(tag, otel_context.get_current().get(OPERATION_KEY)))


def take_prompt() -> PromptTag | None:
    """Return and clear the prompt rendered for the model call that starts now, if any."""
    rendered = _RENDERED.get()
    if rendered is None or rendered.tag is None:
        return None
    tag, rendered.tag = rendered.tag, None
    inside, rendered.inside = rendered.inside, None
    return None if inside is not None and inside.ended else tag


def _fields(metadata: Any) -> list[tuple[object, object]]:
    """Return the entries of a mapping; warn of any other value and return none."""
    if metadata is None:
        return []
    try:
        return list(metadata.items())
    except Exception:  # noqa: BLE001 - not a mapping, or a broken one
        misused(f"metadata is {sort_of(metadata)} and not recorded: expected a mapping")
        return []


def _plain(value: object) -> str | None:
    """Return any value as attribute text, lists and dicts as JSON; ``None`` for ``None``."""
    if value is None:
        return None
    plain = snapshot(value)
    return to_json(plain) if type(plain) in (list, dict) else utf8(str(plain))


def enter_suppression() -> Token[Context]:
    """Suppress recording until the token is detached."""
    return attach(otel_context.set_value(SUPPRESS_KEY, "yes"))
