"""The rows of LiteLLM, in an environment of its own: OpenAI's client below, and its own requests.

What it hands out of a stream is not what the provider sent, chunk by chunk, and bears the name that
was asked for.
"""

from __future__ import annotations

import os
import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would ask the network when imported

import litellm

from tests.conformance.facts import PROMPT
from tests.conformance.plain import CALL
from tests.conformance.table import WHOLE, Block, Endpoint, Library, Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.provider import Provider


def _clients(provider: Provider, _colour: str) -> Mapping[str, Any]:
    litellm.api_key = "k"
    module = _Module(provider.base_url)
    for more in ({}, {"stream": True}):  # what it loads when it is first asked gives warnings
        list(module.completion(model="openai/ok", messages=[], **more))
    return {"plain": module}


class _Module:
    """Its functions, each told where the provider is."""

    def __init__(self, base: str) -> None:
        self._asked = {"api_base": base, "num_retries": 0, "max_retries": 0}

    def __getattr__(self, name: str) -> Any:
        function = getattr(litellm, name)
        return lambda **given: function(**self._asked, **given)


def _bare(model: str | None) -> str | None:
    """Without the provider that stands before it, or the day that stands behind it."""
    return model and model.replace("openai/", "").removesuffix("-2026-11-01")


_STREAM = Mode(
    "stream",
    {"stream": True, "stream_options": {"include_usage": True}},
    stream=True,
    facts={"response model": _bare},
)
_FACTS = {"asked": ("Be brief.", PROMPT), "name": _bare, "model": _bare, "temperature": 0.5}
_ENDPOINTS = (
    Endpoint(
        "chat",
        "",
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": PROMPT},
            ],
            "temperature": 0.5,
        },
        "chat",
        modes=(WHOLE, _STREAM),
        verb="completion",
        facts=_FACTS,
        spelled="openai/{}".format,
        untold="chunks, first token",
    ),
    Endpoint(
        "embeddings",
        "",
        {"input": [PROMPT, "Good night."]},
        "embeddings",
        verb="embedding",
        facts={"name": _bare, "model": _bare, "output tokens": None},
        spelled="openai/{}".format,
        told=lambda _: {"dimensions": 1536},
    ),
)

LIBRARY = Library(
    name="litellm",
    clients=_clients,
    providers={"plain": "openai"},
    endpoints={endpoint.name: endpoint for endpoint in _ENDPOINTS},
    doors={"call": CALL},
    blocks=(
        Block("chat", "call", "ok, tools, reasoning, length, cached, filtered, err400, err401"),
        Block("chat", "call", "cut, err429, err500", "stream"),
        Block("embeddings", "call", "ok, gzip, err400"),
    ),
    major=lambda: int(version("litellm").partition(".")[0]),
    shown=lambda value: re.sub(r"created=\d+", "", repr(value)),
    later="a{}".format,
    share=2,
)
