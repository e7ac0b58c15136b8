"""The rows of `test_clients`: a client is here if its package is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.adapters.kin import Row

ROWS: list[Row] = []

if find_spec("cohere"):
    from tests.adapters import cohere_rows

    ROWS += cohere_rows.ROWS
if find_spec("azure") and find_spec("azure.ai.inference"):
    from tests.adapters import azure_rows

    ROWS += azure_rows.ROWS
if find_spec("google") and find_spec("google.genai"):
    from tests.adapters import google_rows

    ROWS += google_rows.ROWS
if find_spec("huggingface_hub"):
    from tests.adapters import huggingface_rows

    ROWS += huggingface_rows.ROWS
if find_spec("litellm"):
    from tests.adapters import litellm_rows

    ROWS += litellm_rows.ROWS
if find_spec("mistralai"):
    from tests.adapters import mistral_rows

    ROWS += mistral_rows.ROWS
if find_spec("ollama"):
    from tests.adapters import ollama_rows

    ROWS += ollama_rows.ROWS
