"""OpenAI's wire format, and Azure's spelling of its paths."""

from __future__ import annotations

from tests.provider.openai_wire import chat, media, responses, texts

ENDPOINTS = (*chat.ENDPOINTS, *responses.ENDPOINTS, *texts.ENDPOINTS, *media.ENDPOINTS)
