"""The libraries of the table: a further one adds its rows here."""

from __future__ import annotations

from tests.conformance.openai_rows import OPENAI

LIBRARIES = {library.name: library for library in (OPENAI,)}
