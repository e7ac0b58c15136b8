"""What holds for everything inside: whose it is, and that it is not recorded."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from genai_otel._support.errors import contained
from genai_otel.recorder import context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .prompts import Prompt


@contextmanager
def scope(
    *,
    session_id: object = None,
    user_id: object = None,
    tags: Sequence[object] = (),
    metadata: Mapping[str, object] | None = None,
    prompt: Prompt | str | None = None,
    experiment: tuple[str, str] | None = None,
) -> Iterator[None]:
    """Gives everything inside a session, a user, tags and metadata.

    Scopes nest: tags add up, of all else the inner value wins. What is inside inherits: tasks,
    generators and threads started there. ``session_id`` is also the conversation's id. Numbers and
    UUIDs are told as text. ``prompt`` is the one that all model calls inside are made with, or its
    name; ``experiment`` is an experiment's key and the variant that is in force. A span has some 60
    entries of metadata at most; others are left out.
    """
    token = contained(context.enter_scope, session_id, user_id, tags, metadata, prompt, experiment)
    try:
        yield
    finally:
        if token is not None:
            contained(context.detach, token)


@contextmanager
def suppress() -> Iterator[None]:
    """Records nothing of what happens inside."""
    token = contained(context.enter_suppression)
    try:
        yield
    finally:
        if token is not None:
            contained(context.detach, token)
