"""IBM watsonx.ai: its package has types for parameters only, the rest is its API's description.

Messages and replies are dicts there. Their types are those of cloud.ibm.com/apidocs/watsonx-ai, as
IBM's client for Node.js 1.7 declares them.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from genai_otel import _semconv as names
from tests.wire_types import Found, Recorded, WireFormat, fields_of, recorded

PACKAGE, CHECKED = "ibm-watsonx-ai", "1.8.1"


def _fields(name: str) -> Found:
    schema = import_module("ibm_watsonx_ai.foundation_models.schema")
    return fields_of(getattr(schema, name))


def _none(*fields: str) -> dict[str, Recorded]:
    return dict.fromkeys(fields, recorded())


_SAMPLING = {
    "temperature": recorded(names.GEN_AI_REQUEST_TEMPERATURE),
    "top_p": recorded(names.GEN_AI_REQUEST_TOP_P),
}
_CHAT = {
    **_SAMPLING,
    "frequency_penalty": recorded(names.GEN_AI_REQUEST_FREQUENCY_PENALTY),
    "presence_penalty": recorded(names.GEN_AI_REQUEST_PRESENCE_PENALTY),
    "max_tokens": recorded(names.GEN_AI_REQUEST_MAX_TOKENS),
    "max_completion_tokens": recorded(names.GEN_AI_REQUEST_MAX_TOKENS),
    "n": recorded(names.GEN_AI_REQUEST_CHOICE_COUNT),
    "seed": recorded(names.GEN_AI_REQUEST_SEED),
    "stop": recorded(names.GEN_AI_REQUEST_STOP_SEQUENCES),
    "response_format": recorded(names.GEN_AI_OUTPUT_TYPE, why="its type, not its schema"),
    "reasoning_effort": recorded(names.GEN_AI_REQUEST_REASONING_LEVEL),
    **_none("logprobs", "top_logprobs", "logit_bias", "time_limit", "repetition_penalty"),
    **_none("length_penalty", "chat_template_kwargs", "include_reasoning"),
    **_none("guided_choice", "guided_regex", "guided_grammar", "guided_json"),
}
_TEXT = {
    **_SAMPLING,
    "top_k": recorded(names.GEN_AI_REQUEST_TOP_K),
    "random_seed": recorded(names.GEN_AI_REQUEST_SEED),
    "max_new_tokens": recorded(names.GEN_AI_REQUEST_MAX_TOKENS),
    "stop_sequences": recorded(names.GEN_AI_REQUEST_STOP_SEQUENCES),
    **_none("decoding_method", "length_penalty", "repetition_penalty", "min_new_tokens"),
    **_none("time_limit", "truncate_input_tokens", "return_options", "include_stop_sequence"),
    **_none("prompt_variables"),
}
_CONTENT = {
    "text": recorded("text", why="of any message"),
    "image_url": recorded("media", why="of a user: address, or size and hash"),
    "video_url": recorded("media", why="of a user: address, or size and hash"),
    "input_audio": recorded("media", why="of a user: size and hash"),
}
_REPLY = {
    "content": recorded("text"),
    "reasoning_content": recorded("reasoning"),
    "refusal": recorded("text"),
    "tool_calls": recorded("tool_call"),
    "role": recorded(why="the message's role"),
}
_GENERATED = {
    "generated_text": recorded("text"),
    "stop_reason": recorded(names.GEN_AI_RESPONSE_FINISH_REASONS),
    "input_token_count": recorded(names.GEN_AI_USAGE_INPUT_TOKENS),
    "generated_token_count": recorded(names.GEN_AI_USAGE_OUTPUT_TOKENS),
    **_none("seed", "input_text", "input_tokens", "generated_tokens", "moderations"),
}


def _format(title: str, found: Any, rows: Any) -> WireFormat:
    return WireFormat(f"IBM watsonx.ai, {title}", PACKAGE, CHECKED, found, rows)


def _of_the_api(title: str, rows: Any) -> WireFormat:
    return _format(title, dict, {})._replace(beyond=rows)


CHAT = _format("parameters of chats", partial(_fields, "TextChatParameters"), _CHAT)
TEXT = _format("parameters of generations", partial(_fields, "TextGenParameters"), _TEXT)
CONTENT = _of_the_api("content of messages", _CONTENT)
REPLY = _of_the_api("fields of a reply", _REPLY)
GENERATED = _of_the_api("fields of a generation", _GENERATED)
FORMATS = [CHAT, TEXT, CONTENT, REPLY, GENERATED]
