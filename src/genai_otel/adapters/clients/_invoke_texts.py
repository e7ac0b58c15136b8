"""Replies of InvokeModel that are texts, in the words of each family of models.

Read from docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genai_otel.instrumentation.fields import Json, get_dict, get_dicts, get_int, get_str
from genai_otel.record import text
from genai_otel.record.usage import BEDROCK_BODIES, read_usage

from ._cohere_v1 import v1_parts
from ._message_builder import assistant_message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from genai_otel.record import Operation


def set_output(choices: Iterable[tuple[str | None, str | None]], op: Operation) -> None:
    """Takes the text of each choice, and why it ended."""
    choices = list(choices)
    op.finish_reasons = [reason for _, reason in choices if reason is not None]
    if op.capture:
        op.output = [
            assistant_message([text(words)], reason)
            for words, reason in choices
            if words is not None
        ]


def each(
    found: Json, words: str, reason: str, key: str = ""
) -> list[tuple[str | None, str | None]]:
    """Text and finish reason of each result in a list, or of the one that stands alone."""
    results = get_dicts(found, key) or [found]
    return [(get_str(result, words), get_str(result, reason)) for result in results]


def titan(found: Json, op: Operation) -> None:
    counts = [get_int(result, "tokenCount") for result in get_dicts(found, "results")]
    made = [count for count in counts if count is not None]
    usage = {**found, "tokenCount": sum(made)} if made and len(made) == len(counts) else found
    read_usage(usage, op.usage, BEDROCK_BODIES)
    set_output(each(found, "outputText", "completionReason", "results"), op)


def titan_chunk(found: Json, op: Operation) -> None:
    read_usage(found, op.usage, BEDROCK_BODIES)
    set_output(each(found, "outputText", "completionReason"), op)


def llama(found: Json, op: Operation) -> None:
    read_usage(found, op.usage, BEDROCK_BODIES)
    set_output(each(found, "generation", "stop_reason"), op)


def mistral(found: Json, op: Operation) -> None:
    set_output(each(found, "text", "stop_reason", "outputs"), op)


def claude_text(found: Json, op: Operation) -> None:
    """Claude's completions, older than its messages."""
    set_output(each(found, "completion", "stop_reason"), op)


def jurassic(found: Json, op: Operation) -> None:
    """AI21's completions: each a text in ``data``, and a reason in an object."""
    called = found.get("id")
    op.response_id = str(called) if type(called) in (int, str) else None
    completions = get_dicts(found, "completions")
    set_output(
        (
            (
                get_str(get_dict(one, "data"), "text"),
                get_str(get_dict(one, "finishReason"), "reason"),
            )
            for one in completions
        ),
        op,
    )


def cohere(found: Json, op: Operation) -> None:
    op.response_id = get_str(found, "generation_id") or get_str(found, "id")
    if "generations" in found:
        set_output(each(found, "text", "finish_reason", "generations"), op)
    else:
        reason = get_str(found, "finish_reason")
        op.finish_reasons = [] if reason is None else [reason]
        if op.capture:
            op.output = [assistant_message(v1_parts(found, "text"), reason)]
