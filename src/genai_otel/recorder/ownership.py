"""One model call is one usage-bearing span, whichever layers saw it.

The outermost layer that opened the call owns it; a layer below that sees the same call adds what it
knows. A call that an owner has taken up is taken: a second one inside the same owner is a call of
its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genai_otel.record import Kind

if TYPE_CHECKING:
    from genai_otel.record import Operation

GENERATING = frozenset({Kind.CHAT, Kind.COMPLETION, Kind.GENERATION})
"""The kinds that answer a prompt."""
_JOINING = GENERATING | {Kind.EMBEDDINGS, Kind.RERANK}
MODEL_KINDS = _JOINING
"""The kinds that carry usage."""


def same_call(owner: Operation, op: Operation) -> bool:
    """Whether ``op``, begun inside ``owner``, is the same model call seen by a lower layer."""
    if owner.kind in GENERATING:
        return op.kind in GENERATING
    return owner.kind is op.kind and op.kind in _JOINING


_FACTS = (
    "provider",
    "model",
    "host",
    "port",
    "params",
    "system",
    "input",
    "tools",
    "response_id",
    "response_model",
    "finish_reasons",
    "output",
    "output_type",
    "dimensions",
    "details",
    "completed",
)


def absorb(owner: Operation, op: Operation) -> None:
    """Adds to ``owner`` what only the lower layer knew."""
    for fact in _FACTS:
        if getattr(owner, fact) is None:
            setattr(owner, fact, getattr(op, fact))
    owner.usage.absorb(op.usage)
    if op.stream and owner.timing.first_chunk is None:
        started, ended = owner.timing.started, owner.timing.ended
        op.timing.waited += op.timing.started - started  # for the layer above, too
        owner.stream, owner.timing = True, op.timing
        owner.timing.started, owner.timing.ended = started, ended
