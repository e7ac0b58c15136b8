"""Named prompt templates: the model call after ``render()`` records the prompt's name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from string import Formatter
from typing import TYPE_CHECKING

from genai_otel._support.errors import contained
from genai_otel.record import PromptTag
from genai_otel.recorder import context

if TYPE_CHECKING:
    from collections.abc import Iterator

_HASH_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Prompt:
    """A named prompt template; created by ``prompt()``."""

    name: str
    template: str
    version: str
    tag: PromptTag
    variables: frozenset[str] = field(repr=False)

    def render(self, **variables: object) -> str:
        """Return the text with ``variables`` filled in; the next model call records the prompt.

        The next model call is the next one in this task or thread, or in those that it starts,
        before the current operation ends. Values are not recorded. Raise ``ValueError`` if a value
        is missing; additional values are ignored.
        """
        missing = self.variables - variables.keys()
        if missing:
            told = ", ".join(sorted(missing))
            raise ValueError(f"prompt {self.name!r}: missing values: {told}")
        text = self.template.format_map(variables)
        contained(context.expect_prompt, self.tag)
        return text


def prompt(name: str, template: str, version: str | None = None) -> Prompt:
    """Return a template in ``str.format`` syntax: ``{city}`` is a variable, ``{{`` is a brace.

    ``version`` defaults to a hash of the template. Raise ``ValueError`` if the name is empty, or if
    a placeholder is not a plain name, such as ``{0}`` or ``{user.email}``.
    """
    if not name:
        raise ValueError("a prompt needs a name")
    variables = frozenset(_variables(name, template))
    digest = hashlib.sha256(template.encode("utf-8", "replace")).hexdigest()[:_HASH_LENGTH]
    version = digest if version is None else str(version)
    return Prompt(name, template, version, PromptTag(name, version, digest), variables)


def _variables(name: str, template: str) -> Iterator[str]:
    try:
        places = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(
            f"prompt {name!r}: {error}; write {{{{ and }}}} for braces in the text"
        ) from None
    for _, place, form, _ in places:
        if place is None:
            continue
        if not place.isidentifier() or "{" in (form or ""):
            raise ValueError(
                f"prompt {name!r}: {{{place}}} is no name of a variable such as {{city}}; write"
                " {{ and }} for braces in the text"
            )
        yield place
