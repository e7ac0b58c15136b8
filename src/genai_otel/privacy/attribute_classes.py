"""Which attribute carries what: the one list that says what is content.

An attribute that is not here is a fact: it is looked through for secrets, and never withheld.
"""

from __future__ import annotations

import re

from genai_otel import _semconv as names

NONE, REDACTED, FULL = "none", "redacted", "full"
WITHHELD = "[withheld]"
MESSAGES, SYSTEM, TOOLS = "messages", "system", "tools"
RETRIEVED, ERRORS, METADATA = "retrieved", "errors", "metadata"

JSON = {
    names.GEN_AI_INPUT_MESSAGES: MESSAGES,
    names.GEN_AI_OUTPUT_MESSAGES: MESSAGES,
    names.GENAI_OTEL_INPUT: MESSAGES,
    names.GENAI_OTEL_OUTPUT: MESSAGES,
    names.GEN_AI_SYSTEM_INSTRUCTIONS: SYSTEM,
    names.GEN_AI_TOOL_DEFINITIONS: TOOLS,
    names.GEN_AI_TOOL_CALL_ARGUMENTS: TOOLS,
    names.GEN_AI_TOOL_CALL_RESULT: TOOLS,
    names.GEN_AI_RETRIEVAL_DOCUMENTS: RETRIEVED,
    names.GEN_AI_MEMORY_RECORDS: RETRIEVED,
}
"""Content that is JSON in a string."""

TEXT = {
    names.GEN_AI_REQUEST_STOP_SEQUENCES: MESSAGES,
    names.GEN_AI_GUARDRAIL_RESULT_REASON: MESSAGES,
    names.GEN_AI_TOOL_DESCRIPTION: TOOLS,
    names.GEN_AI_EVALUATION_EXPLANATION: MESSAGES,
    names.GEN_AI_RETRIEVAL_QUERY_TEXT: RETRIEVED,
    names.GEN_AI_MEMORY_QUERY_TEXT: RETRIEVED,
    names.EXCEPTION_MESSAGE: ERRORS,
    names.EXCEPTION_STACKTRACE: ERRORS,
}
"""Content that is text, or a list of texts."""

CONTENT = {**JSON, **TEXT}

REFS = {
    names.GEN_AI_INPUT_MESSAGES_REF: MESSAGES,
    names.GEN_AI_OUTPUT_MESSAGES_REF: MESSAGES,
    names.GEN_AI_SYSTEM_INSTRUCTIONS_REF: SYSTEM,
    names.GEN_AI_TOOL_DEFINITIONS_REF: TOOLS,
    names.GENAI_OTEL_CONTENT_REF: MESSAGES,
}
"""Where content was written: an address of ours, in which nothing is to be found."""

AMBIENT = (
    names.USER_ID,
    names.SESSION_ID,
    names.GEN_AI_CONVERSATION_ID,
    names.GENAI_OTEL_TAGS,
)
"""What ``scope`` was given, and so whoever called it."""

_PREFIXES = (
    (f"{names.GENAI_OTEL_METADATA}.", METADATA),
    (f"{names.GEN_AI_PROMPT_VARIABLE}.", MESSAGES),
)


FIXED = frozenset(value for value in vars(names).values() if type(value) is str)
"""Names that are ours or the convention's; any other holds what somebody has chosen."""


OPAQUE = frozenset(
    {
        names.GEN_AI_RESPONSE_ID,
        names.GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID,
        names.OPENAI_RESPONSE_SYSTEM_FINGERPRINT,
    }
)
"""Ids that a provider has made, of which each is another."""

PLAIN_ID = re.compile(
    r"(?:chatcmpl|cmpl|resp|msg|gen|req|fp)[-_][0-9A-Za-z]{1,80}"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
"""The form of most of them: in what is written otherwise something may be found."""

TOLD = OPAQUE | {
    names.GEN_AI_RESPONSE_MODEL,
    names.GEN_AI_RESPONSE_FINISH_REASONS,
    names.GEN_AI_TOOL_CALL_ID,
    names.GEN_AI_OUTPUT_TYPE,
    names.GEN_AI_REQUEST_REASONING_LEVEL,
    names.GEN_AI_REQUEST_ENCODING_FORMATS,
    names.GEN_AI_GUARDRAIL_RISK_CATEGORY,
    names.GENAI_OTEL_RESPONSE_TIER,
    names.GENAI_OTEL_ERROR_CODE,
    names.GENAI_OTEL_ERROR_REQUEST_ID,
    names.OPENAI_REQUEST_SERVICE_TIER,
    names.OPENAI_RESPONSE_SERVICE_TIER,
}
"""Words that a provider or a model has chosen, out of a few: a text in their place is content."""

WORD = re.compile(r"[A-Za-z0-9_.:/@+=,-]{1,256}")
"""The form of such a word: no space, no script but Latin."""


def class_of(name: str) -> str | None:
    """What an attribute carries; ``None`` for a fact."""
    found = CONTENT.get(name) or REFS.get(name)
    if found is not None:
        return found
    if name in AMBIENT:
        return METADATA
    return next((kind for prefix, kind in _PREFIXES if name.startswith(prefix)), None)
