"""The estimate of tokens that nobody counted: its errors, and what it costs, by kind of text."""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path
from typing import Any

COUNTED = Path(__file__).resolve().parents[2] / "tests" / "tokens_counted.json"
"""Texts with the count of OpenAI's o200k encoding, made beforehand."""
TIMES = 20


def measure() -> dict[str, Any]:
    """Characters, tokens and estimate of each kind; dumps what an estimate costs."""
    from genai_otel.tokens.estimate import estimate

    library = ctypes.CDLL(os.environ["BENCH_CALLGRIND_LIB"])
    found = {}
    for number, (kind, rows) in enumerate(json.loads(COUNTED.read_text("utf-8")).items()):
        texts = [row["text"] for row in rows]
        found[kind] = {
            "label": f"kind{number}",
            "characters": sum(map(len, texts)),
            "counted": sum(row["o200k"] for row in rows),
            "estimated": sum(map(estimate, texts)),
        }
        library.bench_start()
        for _ in range(TIMES):
            for text in texts:
                estimate(text)
        library.bench_stop()
        library.bench_dump(f"bench:kind{number}:traced:0:{TIMES}".encode())
    return found
