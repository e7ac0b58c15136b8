"""Context managers for a block of code: session, user, tags and metadata, and suppression."""

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
    """Set session, user, tags, metadata, prompt and experiment of everything inside the block.

    Scopes nest: tags are combined; for all other values the inner scope overrides the outer one.
    Tasks, generators and threads that start inside the block inherit the scope. ``session_id`` is
    also recorded as the conversation id. Numbers and UUIDs are recorded as text. ``prompt`` is the
    prompt (or its name) of all model calls inside; ``experiment`` is a pair of an experiment's key
    and the active variant. A span holds about 60 metadata entries; the rest is dropped.
    """
    token = contained(context.enter_scope, session_id, user_id, tags, metadata, prompt, experiment)
    try:
        yield
    finally:
        if token is not None:
            contained(context.detach, token)


@contextmanager
def suppress() -> Iterator[None]:
    """Record no operation inside the block."""
    token = contained(context.enter_suppression)
    try:
        yield
    finally:
        if token is not None:
            contained(context.detach, token)
