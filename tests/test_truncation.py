"""What is too long is cut inside its parts: the JSON stays valid, and within its size."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genai_otel import ContentPolicy
from genai_otel import _semconv as names
from genai_otel.privacy import AttributeFilter, fit, shorten
from genai_otel.privacy.detectors.scanner import Scanner
from genai_otel.privacy.masking import MARGIN
from genai_otel.privacy.truncation import fitted, shorten_text, size

LONG = "abcdefghij" * 1_000


def message(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def test_what_fits_is_the_very_same() -> None:
    said = [message("hello")]
    assert shorten(said, 1_000) is said


def test_the_longest_is_cut_and_says_what_it_was() -> None:
    said = [message("be kind", "system"), message(LONG), message("short")]
    cut = shorten(said, 1_000)
    assert size(cut) <= 1_000
    assert (cut[0], cut[2]) == (said[0], said[2])
    text = cut[1]["parts"][0]["content"]
    digest = hashlib.sha256(LONG.encode()).hexdigest()[:16]
    assert f"[... 10,000 characters in all, sha256 {digest} ...]" in text
    assert text.startswith("abcdefghij")
    assert text.endswith("abcdefghij")
    assert said[1]["parts"][0]["content"] == LONG, "what was given stays as it is"


def test_several_are_cut_to_the_same_length() -> None:
    cut = shorten([message(LONG), message(LONG * 3), message("x" * 300)], 3_000)
    one, two, three = (m["parts"][0]["content"] for m in cut)
    assert abs(len(one) - len(two)) < 5
    assert three == "x" * 300


def test_ids_roles_and_names_are_never_cut() -> None:
    call = {"type": "tool_call", "id": "i" * 300, "name": "n" * 300, "arguments": {"q": LONG}}
    (cut,) = shorten([{"role": "assistant", "parts": [call], "finish_reason": "tool_call"}], 1_200)
    (part,) = cut["parts"]
    assert (part["id"], part["name"]) == (call["id"], call["name"])
    assert (cut["role"], cut["finish_reason"]) == ("assistant", "tool_call")
    assert len(part["arguments"]["q"]) < 600


def test_too_many_are_left_out_of_the_middle() -> None:
    cut = shorten([message(f"number {n}") for n in range(10_000)], 2_000)
    texts = [m["parts"][0]["content"] for m in cut]
    assert (texts[0], texts[-1]) == ("number 0", "number 9999")
    (note,) = (text for text in texts if text.startswith("["))
    assert note == f"[{10_000 - len(texts) + 1:,} of 10,000 left out]"
    assert all(set(m) == {"role", "parts"} for m in cut), "each entry is a message"


def test_objects_with_too_many_fields() -> None:
    cut = shorten({f"field {n}": n for n in range(10_000)}, 1_000)
    assert size(cut) <= 1_000
    assert cut["field 0"] == 0
    assert "left out" in cut["..."]


def test_of_a_part_with_too_many_fields_its_kind_is_kept() -> None:
    """By it a destination knows whose policy holds."""
    part = {**{f"field {n}": n for n in range(999)}, "arguments": {}, "type": "tool_call"}
    (cut,) = shorten([{"parts": [part], "role": "system"}], 500)
    assert cut["role"] == "system"
    assert cut["parts"][0]["type"] == "tool_call"
    assert "left out" in cut["parts"][0]["..."]


def test_texts_of_other_scripts() -> None:
    cut = shorten_text("日本語" * 1_000, 500)
    assert len(cut.encode()) <= 500
    assert cut.startswith("日本語")
    assert "3,000 characters in all" in cut
    assert size(shorten([message("日本語" * 1_000)], 500)) <= 500


@pytest.mark.parametrize("text", ["日本語", "текст ", "😀", "a\n", '"', "a"])
@pytest.mark.parametrize("limit", [2_000, 20_000])
def test_as_much_is_kept_of_every_script_as_fits(text: str, limit: int) -> None:
    said = [message("Be brief.", "system"), message(text * limit), message(text)]
    assert limit - 400 < size(shorten(said, limit)) <= limit


def test_attributes_of_a_span() -> None:
    found: dict[str, Any] = {
        names.GEN_AI_INPUT_MESSAGES: json.dumps([message(LONG * 30)]),
        names.GEN_AI_OUTPUT_MESSAGES: json.dumps([message(LONG * 3)]),
        names.EXCEPTION_STACKTRACE: LONG * 10,
        names.GENAI_OTEL_TAGS: ("a", "b"),
        names.GEN_AI_USAGE_INPUT_TOKENS: 7,
    }
    cut = fit(found, attribute=65_536, span=100_000)
    assert all(len(v) <= 65_536 for v in cut.values() if isinstance(v, str))
    assert sum(len(v) for v in cut.values() if isinstance(v, str)) <= 100_000
    for name in (names.GEN_AI_INPUT_MESSAGES, names.GEN_AI_OUTPUT_MESSAGES):
        assert json.loads(cut[name])[0]["role"] == "user"
    assert cut[names.GENAI_OTEL_TAGS] == ("a", "b")
    assert cut[names.GEN_AI_USAGE_INPUT_TOKENS] == 7


def test_ids_and_names_are_whole_in_attributes_too() -> None:
    found = {"gen_ai.response.id": "r" * 900, "llm.tools.0.tool.name": "n" * 900, "text": LONG}
    cut = fit(found, attribute=500, span=3_000)
    assert (cut["gen_ai.response.id"], len(cut["llm.tools.0.tool.name"])) == ("r" * 900, 900)
    assert len(cut["text"]) <= 500


def test_lists_of_texts_are_shortened_inside() -> None:
    assert fitted(("a", "b"), 10) == ("a", "b")
    one, two = fitted(("short", LONG), 400)
    assert (one, two[:5]) == ("short", "abcde")
    assert "10,000 characters in all" in two
    assert fitted(tuple(range(100)), 80) == tuple(range(10))


def test_cut_again_it_says_what_it_was_at_first() -> None:
    """A destination may have less than the recorder kept."""
    first = shorten_text(LONG, 5_000)
    second = shorten_text(first, 500)
    assert len(second) <= 500
    assert second.count("10,000 characters in all") == 1
    assert hashlib.sha256(LONG.encode()).hexdigest()[:16] in second


def test_too_many_in_one_part_leave_the_other_parts_alone() -> None:
    asked = {"messages": [message(f"number {n}") for n in range(10_000)]}
    said = {"input": asked, "output": {"messages": [message("yes", "assistant")]}}
    cut = shorten(said, 3_000)
    assert size(cut) <= 3_000
    assert cut["output"] == said["output"]
    assert cut["input"]["messages"][-1] == asked["messages"][-1]


def test_the_recorder_keeps_so_much_of_an_attribute() -> None:
    gate = AttributeFilter(ContentPolicy(max_chars=1_000))
    long = json.dumps([message(f"ann@example.com {LONG}")])
    found = gate.filter({names.GEN_AI_INPUT_MESSAGES: long, names.EXCEPTION_MESSAGE: LONG})
    assert len(found[names.GEN_AI_INPUT_MESSAGES]) <= 1_000
    assert len(found[names.EXCEPTION_MESSAGE]) <= 1_000
    (told,) = json.loads(found[names.GEN_AI_INPUT_MESSAGES])
    assert told["parts"][0]["content"].startswith("[EMAIL] abc"), "masked first, then cut"


def test_a_secret_is_not_cut_in_two() -> None:
    key = "sk-proj-abcDEF1234567890abcdef"
    gate = AttributeFilter(ContentPolicy(max_chars=400))
    for at in range(100, 260, 7):
        said = json.dumps([message("x y " * (at // 4) + key + " z w" * 500)])
        assert "abcDEF" not in str(gate.filter({names.GEN_AI_INPUT_MESSAGES: said}))


# ----------------------------------------------------------------------------------- any value

REPEATED = st.builds(lambda text, n: text * n, st.text(max_size=5), st.integers(0, 400))
STORAGE = st.text(max_size=30) | REPEATED
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | STORAGE,
    lambda inner: st.lists(inner, max_size=8)
    | st.dictionaries(st.sampled_from(["id", "role", "content", "a", "name"]) | STORAGE, inner,
                      max_size=6),
    max_leaves=30,
)  # fmt: skip


@given(VALUES, st.integers(128, 2_000))
def test_anything_fits(value: Any, limit: int) -> None:
    cut = shorten(value, limit)
    assert size(cut) <= limit
    json.loads(json.dumps(cut))
    assert shorten(cut, limit) == cut, "what fits is left alone"


@given(STORAGE, st.integers(128, 1_000))
def test_any_text_fits(text: str, limit: int) -> None:
    cut = shorten_text(text, limit)
    assert len(cut.encode("utf-8", "replace")) <= limit
    assert shorten_text(cut, limit) == cut


@given(st.dictionaries(st.sampled_from(sorted(names.METRICS)), STORAGE | st.integers(), max_size=6))
def test_any_attributes_fit(found: dict[str, Any]) -> None:
    cut = fit(found, attribute=500, span=2_000)
    assert set(cut) == set(found)
    assert all(fitted(value, 500) == value for value in cut.values())


# ------------------------------------------------------------------------------- texts without end

SECRET = "sk-proj-abcDEF1234567890abcdef"


def kept(text: str, most: int = 1_000) -> str:
    gate = AttributeFilter(ContentPolicy(max_chars=most))
    return str(gate.filter({names.GEN_AI_INPUT_MESSAGES: json.dumps([message(text)])}))


@pytest.mark.parametrize("before", [MARGIN - 40, MARGIN - 5, MARGIN, MARGIN + 570, MARGIN + 590])
def test_of_a_text_without_end_both_ends_are_looked_at(before: int) -> None:
    """Wherever the secret is, across the place of the cut, too, no half of it stays."""
    for text in ("x " * (before // 2) + SECRET + " y" * 200_000,
                 "x " * 200_000 + SECRET + " y" * (before // 2)):  # fmt: skip
        told = kept(text)
        assert "abcDEF" not in told
        assert "cdef" not in told
        assert f"{len(text):,} characters in all" in told
        assert len(told) <= 1_100


def test_a_word_without_end_is_no_text() -> None:
    """A key of a megabyte has no end in sight: nothing of it is told."""
    token = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0" * 40_000
    told = kept(f"my key is {token}")
    assert "eyJ" not in told
    assert "my key is" in kept(f"my key is {'a b ' * 200_000} {token}")


def test_texts_of_many_scripts_without_end() -> None:
    told = kept("汉字没有空格" * 60_000)
    assert told.count("汉字") > 30


def test_a_text_without_end_takes_steps_in_proportion_to_what_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = 0
    found = Scanner.findings

    def counting(scanner: Scanner, text: str) -> Any:
        nonlocal looked
        looked += len(text)
        return found(scanner, text)

    monkeypatch.setattr(Scanner, "findings", counting)
    text = "mail jane@example.com or 555 123 4567; " * 100
    kept(text)
    once, looked = looked / len(text), 0
    told = json.dumps([message(text * 1_000)])
    kept(text * 1_000)
    # Only asked whether there is anything, all of it; that ends with the first that is found.
    assert looked - len(told) < 6 * (2 * MARGIN + 1_000) * once
