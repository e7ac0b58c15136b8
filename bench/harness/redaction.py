"""What masking costs: CPU of a KB of text, and of a call's attributes; prints JSON.

CPU of this thread, the least of many rounds: a shared machine only ever adds.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names
from genai_otel.privacy import AttributeFilter, preset
from genai_otel.privacy.masking import DEFAULT, Masker

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 40
KB = 1024

PROSE = (
    "The committee met on the third of May and heard, at some length, why the bridge should not be"
    " widened. Its oldest member recalled that in 1987 a flood had carried off the footpath; nobody"
    " had missed it. They voted eleven to four, with two abstentions, and went to lunch.\n\n"
)
CODE = '''\
def settle(self, op: Operation, context: Context) -> list[Spending]:
    """Prices the finished call; returns how the budgets that count it stand now."""
    if op.kind not in MODEL_KINDS or self._budgets is None:
        return []
    tokens = (op.usage.input or 0) + (op.usage.output or 0)
    return self._budgets.settle(_who(context), tokens=tokens, usd=self._price(op, keep=True))


'''
RECORD = json.dumps(
    {"id": 4711, "created": "2026-05-01T12:30:45Z", "name": "Bridge widening", "state": "rejected",
     "votes": {"for": 11, "against": 4, "abstained": 2}, "tags": ["roads", "council"],
     "url": "https://example.org/council/2026/bridge", "share": 0.6471, "next": None}
) + "\n"  # fmt: skip
DIRTY = (
    "Write to ann@example.com or call +1 415 555 2671; the card is 4111 1111 1111 1111, and the key"
    " is sk-proj-abcDEF1234567890abcdef. " + PROSE
)
TEXTS = {"prose": PROSE, "code": CODE, "JSON": RECORD, "dirty text": DIRTY}


def microseconds(work: Callable[[Any], Any], given: Any) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.thread_time_ns()
        work(given)
        best = min(best, time.thread_time_ns() - started)
    return best / 1e3


def of(text: str, size: int) -> str:
    return (text * (size // len(text) + 1))[:size]


def call(size: int) -> dict[str, Any]:
    """The attributes of a call with so large a prompt."""
    said = [{"role": "user", "parts": [{"type": "text", "content": of(PROSE, size)}]}]
    answered = [{"role": "assistant", "parts": [{"type": "text", "content": PROSE}]}]
    return {
        names.GEN_AI_OPERATION_NAME: "chat",
        names.GEN_AI_REQUEST_MODEL: "gpt-5-mini",
        names.GEN_AI_RESPONSE_ID: "chatcmpl-AbCdEf1234567890AbCdEf12345",
        names.GEN_AI_INPUT_MESSAGES: json.dumps(said),
        names.GEN_AI_OUTPUT_MESSAGES: json.dumps(answered),
        names.GEN_AI_USAGE_INPUT_TOKENS: 12,
    }


def main() -> int:
    masker = Masker(DEFAULT)
    redacted, full = AttributeFilter(preset("redacted")), AttributeFilter(preset("full"))
    rows = [
        (f"a KB of {name}, us", microseconds(masker.masked, of(text, 64 * KB)) / 64)
        for name, text in TEXTS.items()
    ]
    for kb in (2, 100):
        found = call(kb * KB)
        more = microseconds(redacted.filter, found) - microseconds(full.filter, found)
        rows.append((f"redacted over full, prompt of {kb} KB, us", more))
    sys.stdout.write(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
