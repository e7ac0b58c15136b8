"""vLLM in this process: ``LLM.generate`` and ``LLM.chat``.

Read from docs.vllm.ai: "Offline Inference", ``RequestOutput``. A vLLM *server* is asked through
OpenAI's client. One call may hold many prompts: their tokens are added up, as their bill would be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Extractor
from genai_otel.instrumentation.fields import Json, as_dict, get_dicts, get_str, pick
from genai_otel.instrumentation.patchers.function import patch_function
from genai_otel.record import Kind, text

from . import _openai_wire as wire
from ._message_builder import assistant_message

if TYPE_CHECKING:
    from genai_otel.record import Operation

_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "seed": "seed",
    "n": "choices",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}


def _origin(_given: Json, op: Operation) -> None:
    op.provider = "vllm"


def _read_model(given: Json) -> str | None:
    engine = getattr(given["self"], "llm_engine", None)
    return get_str(as_dict(getattr(engine, "model_config", None)), "model")


def _read_request(given: Json, op: Operation) -> None:
    op.params = pick(as_dict(given.get("sampling_params")), _PARAMS)


def _read_prompts(given: Json, op: Operation) -> None:
    prompts = given.get("prompts")
    several = prompts if type(prompts) is list else [prompts]
    words = [each if type(each) is str else get_str(as_dict(each), "prompt") for each in several]
    op.input = [{"role": "user", "parts": [text(each)]} for each in words if each is not None]


def _read_messages(given: Json, op: Operation) -> None:
    messages = given.get("messages")
    if type(messages) is list and messages and type(messages[0]) is not list:
        wire.read_chat_content(given, op)


def _read_response(reply: Any, op: Operation) -> None:
    results = [as_dict(each) for each in reply] if type(reply) is list else []
    outputs = [output for result in results for output in get_dicts(result, "outputs")]
    asked = [_length(result.get("prompt_token_ids")) for result in results]
    made = [_length(output.get("token_ids")) for output in outputs]
    op.usage.input = sum(asked) if all(asked) else None
    op.usage.output = sum(made) if outputs else None
    reasons = [get_str(output, "finish_reason") for output in outputs]
    op.finish_reasons = [reason for reason in reasons if reason is not None]
    if op.capture:
        op.output = [
            assistant_message(
                [text(get_str(output, "text") or "")], get_str(output, "finish_reason")
            )
            for output in outputs
        ]


def _length(ids: Any) -> int:
    return len(ids) if type(ids) in (list, tuple) else 0


ADAPTER = declare(
    "vllm",
    patches=(
        patch_function(
            "vllm.entrypoints.llm:LLM.generate",
            Extractor(
                Kind.COMPLETION,
                _read_request,
                _read_response,
                _read_prompts,
                read_model=_read_model,
            ),
            origin=_origin,
            stream=False,
        ),
        patch_function(
            "vllm.entrypoints.llm:LLM.chat",
            Extractor(
                Kind.CHAT, _read_request, _read_response, _read_messages, read_model=_read_model
            ),
            origin=_origin,
            stream=False,
        ),
    ),
)
