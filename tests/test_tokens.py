"""Estimates of tokens, against counts of OpenAI's o200k encoding made beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genai_otel.enrich.tokens import estimate

COUNTED = json.loads(Path(__file__).with_name("tokens_counted.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", COUNTED)
def test_within_fifteen_per_cent_for_each_kind_of_text(kind: str) -> None:
    truth = sum(row["o200k"] for row in COUNTED[kind])
    told = sum(estimate(row["text"]) for row in COUNTED[kind])

    assert told == pytest.approx(truth, rel=0.15)


def test_special_marks_in_a_users_text_are_text() -> None:
    assert estimate("<|endoftext|>") > 1


@given(st.text())
def test_any_text_has_an_estimate(text: str) -> None:
    assert estimate(text) >= bool(text)


def test_nothing_is_nothing() -> None:
    assert estimate("") == 0
