"""``genai-otel redact``: the masked text on one side, what and why on the other."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from genai_otel.cli import main

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "mail ann@example.com\nkey sk-proj-abcDEF1234567890abcdef, done\n"


@pytest.fixture
def notes(tmp_path: Path) -> str:
    path = tmp_path / "notes.txt"
    path.write_text(TEXT, "utf-8")
    return str(path)


def test_masks_and_says_why(notes: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redact", notes]) == 0
    out, err = capsys.readouterr()
    assert out == "mail [EMAIL]\nkey [OPENAI_KEY], done\n"
    assert err.splitlines() == [
        "1:6: [EMAIL]: an email address",
        "2:5: [OPENAI_KEY]: the format of an openai key: contains 'sk-proj-', 'sk-'",
    ]


def test_reads_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"at ann@example.com \xff")))
    assert main(["redact"]) == 0
    assert capsys.readouterr().out == "at [EMAIL] \N{REPLACEMENT CHARACTER}"


def test_check_and_choice(notes: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redact", "--check", notes]) == 1
    assert main(["redact", "--check", "--find", "card,iban", notes]) == 0
    assert capsys.readouterr().out == ""
    assert main(["redact", "--key", "k", notes]) == 0
    out, err = capsys.readouterr()
    assert "[EMAIL " in out
    assert "ann" not in out + err


def test_wrong_calls(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["redact", "--find", "emails"]) == 2
    assert (
        "unknown redaction 'emails': did you mean 'email'? expected one of secrets, email"
        in capsys.readouterr().err
    )
    assert main(["redact", str(tmp_path / "missing")]) == 2
    assert "cannot read" in capsys.readouterr().err
