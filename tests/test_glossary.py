"""docs/glossary.md is the list of terms: what it points at exists, and former words stay away."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "genai_otel"
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")

_FORMER = {
    # A word that the field would not search for, and the one that took its place.
    "courier": "sender",
    "foretold": "known_result",
    "gatherer": "metric_reader",
    "lingering": "batching",
    "outlet": "pipeline",
    "outlets": "pipelines",
    "seat": "processor",
    "overflowed": "queue_full",
    "parcel": "payload",
    "parcels": "payloads",
    "patience": "retry_timeout",
    "ticket": "flush_request",
    "attached": "weakmap",
    "hearsay": "from_framework",
    "lend": "pass_through",
    "lent": "passed_through",
    "observer": "tracker",
    "pulse": "progress",
    "quick": "fast",
    "quietly": "suppression",
    "secondhand": "from_framework",
    "stir": "touch",
    "stirred": "last_activity",
    "taker": "find_owner",
    "unheard": "without_asyncgen_hooks",
    "unterminated": "block_sigterm",
    "unwatched": "passthrough",
    "upright": "implicit_parent",
    "gate": "attribute_filter, text_redactor",
    "handmade": "manual",
    "ledgers": "sinks",
}
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def _identifiers(file: Path) -> set[str]:
    found = {*file.relative_to(PACKAGE).with_suffix("").parts}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name):
                found.add(name)
    return found


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.stem)
def test_former_words_are_in_no_identifier(file: Path) -> None:
    for name in _identifiers(file):
        words = {name.strip("_").lower(), *(word.lower() for word in _WORDS.findall(name))}
        found = words & _FORMER.keys()
        assert not found, f"{name}: say {', '.join(_FORMER[word] for word in sorted(found))}"


def test_the_glossary_points_at_what_there_is() -> None:
    places = re.findall(r"`([a-z_/]+(?:\.py|/))`", GLOSSARY)
    assert len(places) > 30
    assert [place for place in places if not (PACKAGE / place).exists()] == []


# Words that read like a translation: "X is told", "what was said", "whoever sends it".
_NOT_IN_PROSE = re.compile(r"\b(told|tells|said|whoever)\b", re.IGNORECASE)
_PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_pages_are_in_plain_technical_english(page: Path) -> None:
    assert _NOT_IN_PROSE.findall(page.read_text(encoding="utf-8")) == []
