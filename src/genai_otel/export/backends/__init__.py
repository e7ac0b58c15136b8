"""Presets of observability backends: endpoints, credentials, limits, dialects."""
