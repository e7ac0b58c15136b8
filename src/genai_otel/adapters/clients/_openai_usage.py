"""What a call to the OpenAI API used, in all its spellings."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from genai_otel.instrumentation.fields import get_dict, get_int, in_common_form
from genai_otel.record.usage import MOST, OPENAI_CHAT, OPENAI_RESPONSES, read_usage

from . import _charges as charges

if TYPE_CHECKING:
    from genai_otel.instrumentation.fields import Json
    from genai_otel.record import Operation, Usage

_USUAL_KEYS = 5


def count(usage: Json, op: Operation) -> None:
    """Notes what was used; nothing if nothing is told."""
    if usage and not in_common_form(_counted_plainly, usage, op.usage):
        chat = "prompt_tokens" in usage or "completion_tokens" in usage
        read_usage(usage, op.usage, OPENAI_CHAT if chat else OPENAI_RESPONSES)
        if op.provider in _THOUGHTS_IN_SUM:
            _add_reasoning(usage, op.usage)
        charges.counted(op.usage)
        if "queue_time" in usage:
            _read_queue_times(usage, op)
        charged = _CHARGED.get(op.provider or "")
        if charged is not None:
            op.usage.charged = charged(usage)
            _mark_unpriced(usage, op)


_THOUGHTS_IN_SUM = frozenset({"gcp.gemini", "gcp.vertex_ai"})


def _add_reasoning(usage: Json, ledger: Usage) -> None:
    """Google's endpoint for OpenAI's clients counts thoughts in the sum of all and nowhere else."""
    whole, asked, answered = get_int(usage, "total_tokens"), ledger.input, ledger.output
    if whole is None or asked is None or answered is None or ledger.reasoning:
        return
    thought = whole - asked - answered
    if thought > 0:
        ledger.reasoning, ledger.output = thought, answered + thought


def _mark_unpriced(usage: Json, op: Operation) -> None:
    """What is billed beside tokens, where the provider does not tell the sum of all."""
    if op.usage.charged is None:
        if op.provider == "perplexity":  # a fee by request, its amount by the depth of the search
            op.usage.doubt("other_charges")
        if usage.get("server_side_tools_used"):  # xAI's own client, by the tool
            op.usage.doubt("other_charges")


def _openrouter(usage: Json) -> float | None:
    """In credits, which are dollars; where one's own key is used, the model's maker bills the rest.

    https://openrouter.ai/docs/use-cases/usage-accounting
    """
    cost = _amount(usage, "cost")
    if usage.get("is_byok") is not True or cost is None:
        return cost
    upstream = _amount(get_dict(usage, "cost_details"), "upstream_inference_cost")
    return None if upstream is None else cost + upstream


def _perplexity(usage: Json) -> float | None:
    """https://docs.perplexity.ai/api-reference/chat-completions-post, ``usage.cost``."""
    return _amount(get_dict(usage, "cost"), "total_cost")


def _xai(usage: Json) -> float | None:
    """https://docs.x.ai/developers/cost-tracking."""
    ticks = _amount(usage, "cost_in_usd_ticks")
    return None if ticks is None else ticks / TICKS


# xAI's ticks in a dollar.
TICKS = 10**10
# Providers that report the cost of a call in USD; others may use that field for anything.
_CHARGED = {"openrouter": _openrouter, "perplexity": _perplexity, "x_ai": _xai}


def _read_queue_times(usage: Json, op: Operation) -> None:
    """Groq tells in seconds how long a call waited and was worked on; servers like it do, too."""
    op.timing.queued = _amount(usage, "queue_time")
    prompt, completion = _amount(usage, "prompt_time"), _amount(usage, "completion_time")
    if prompt is not None and completion is not None:
        op.timing.server = prompt + completion


def _amount(source: Json, key: str) -> float | None:
    value = source.get(key)
    sane = isinstance(value, int | float) and 0 <= value < inf
    return float(value) if sane and value is not None else None


def _counted_plainly(usage: Json, ledger: Usage) -> bool:
    """The rule for chat unrolled, for what a current client gives after almost all calls.

    Text in and out, some of it cached or reasoned, and the sums agree: a third of the rule's time.
    """
    sent, made = usage["prompt_tokens_details"], usage["completion_tokens_details"]
    if len(usage) != _USUAL_KEYS or sent.__pydantic_extra__ or made.__pydantic_extra__:
        return False
    sent, made = sent.__dict__, made.__dict__
    asked, answered = usage["prompt_tokens"], usage["completion_tokens"]
    read, written = sent["cached_tokens"] or 0, sent["cache_write_tokens"] or 0
    thought = made["reasoning_tokens"] or 0
    if (
        sent["audio_tokens"]
        or sent["image_tokens"]
        or made["audio_tokens"]
        or made["accepted_prediction_tokens"]
        or made["rejected_prediction_tokens"]
        or not type(asked) is type(answered) is type(read) is type(written) is type(thought) is int
        or not 0 <= read <= asked - written <= asked
        or not 0 <= thought <= answered
        or not asked + answered == usage["total_tokens"] <= MOST
    ):
        return False
    ledger.input, ledger.output = asked, answered
    ledger.cache_read = None if sent["cached_tokens"] is None else read
    ledger.cache_write = None if sent["cache_write_tokens"] is None else written
    ledger.reasoning = None if made["reasoning_tokens"] is None else thought
    return True
