"""Find the biller of a call: by host if it is known, else by the provider's name.

Billers have the names of genai-prices' providers.
"""

from __future__ import annotations

import re

# Provider names of the semantic conventions, and names used by clients without one.
_PROVIDERS = {
    "anthropic": "anthropic",
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "elevenlabs": "elevenlabs",
    "fireworks": "fireworks",
    "fireworks_ai": "fireworks",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "groq": "groq",
    "minimax": "minimax",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together_ai": "together",
    "voyage_ai": "voyageai",
    "voyageai": "voyageai",
    "x_ai": "x-ai",
    "z_ai": "zai",
}
# Names in litellm's price map that differ.
_LITELLM = {
    "azure_ai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "bedrock_mantle": "aws",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "moonshot": "moonshotai",
    "together_ai": "together",
    "voyage": "voyageai",
    "xai": "x-ai",
}
# The most common hosts, so overrides know them before the table is loaded, and some it lacks.
_HOSTS = (
    (r"api\.openai\.com", "openai"),
    (r"api\.anthropic\.com", "anthropic"),
    (r"(?:[^.]+\.)*openai\.azure\.com", "azure"),
    (r"(?:[^.]+\.)*(?:cognitiveservices|services\.ai)\.azure\.com", "azure"),
    (r"(?:[^.]+\.)?bedrock-(?:runtime|mantle)(?:-fips)?\..*(?:amazonaws\.com|api\.aws)", "aws"),
    (r"generativelanguage\.googleapis\.com", "google"),
    (r"(?:[a-z0-9-]+-)?aiplatform\.googleapis\.com", "google"),
    (r"(?:api|codestral)\.mistral\.ai", "mistral"),
    (r"api\.together\.(?:ai|xyz)", "together"),
    (r"api\.deepseek\.com", "deepseek"),
    (r"api\.x\.ai", "x-ai"),
    (r"api\.groq\.com", "groq"),
    (r"api\.moonshot\.(?:ai|cn)", "moonshotai"),
)
_KNOWN_HOSTS = tuple((re.compile(pattern), biller) for pattern, biller in _HOSTS)
_LONGEST_HOST = 253  # RFC 1035
_REGIONS = tuple(
    re.compile(pattern)
    for pattern in (
        r"bedrock-(?:runtime|mantle)(?:-fips)?\.([a-z0-9-]+)\.",
        r"([a-z0-9-]+)-aiplatform\.googleapis\.com$",
        r"aiplatform\.([a-z0-9-]+)\.rep\.googleapis\.com$",
    )
)


def biller_of_provider(provider: str | None) -> str | None:
    """Return ``None`` for a name without a biller. ``azure.ai.openai`` is Azure, not OpenAI."""
    return None if provider is None else _PROVIDERS.get(provider.strip().lower())


def biller_of_host(host: str) -> str | None:
    return next((biller for pattern, biller in _KNOWN_HOSTS if pattern.fullmatch(host)), None)


def biller_of_litellm(provider: str) -> str:
    name = provider.lower()
    return "google" if name.startswith("vertex_ai") else _LITELLM.get(name, name)


def region_of_host(host: str | None) -> str | None:
    """Return ``None`` also for texts longer than a host name: the search takes quadratic time."""
    if host is None or len(host) > _LONGEST_HOST:
        return None
    matches = (pattern.search(host) for pattern in _REGIONS)
    return next((found[1] for found in matches if found), None)
