"""Prompt templates with a name: the model call that a rendered one goes to is told so."""

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
    """A named template; made by ``prompt()``."""

    name: str
    template: str
    version: str
    tag: PromptTag
    variables: frozenset[str] = field(repr=False)

    def render(self, **variables: object) -> str:
        """The text, with ``variables`` in their places; the next model call here is told of it.

        "Here" is this task or thread and what it starts, within the operation that is current. The
        values are not recorded. Raises ``ValueError`` if one is missing; others may be given.
        """
        missing = self.variables - variables.keys()
        if missing:
            told = ", ".join(sorted(missing))
            raise ValueError(f"prompt {self.name!r}: missing values: {told}")
        text = self.template.format_map(variables)
        contained(context.expect_prompt, self.tag)
        return text


def prompt(name: str, template: str, version: str | None = None) -> Prompt:
    """A template in the manner of ``str.format``: ``{city}`` is a variable, ``{{`` a brace.

    ``version`` is a hash of the template if it is not given. Raises ``ValueError`` on an empty name
    and on a place that is no plain name, such as ``{0}`` or ``{user.email}``.
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
