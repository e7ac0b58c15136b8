"""What genai_otel costs, measured beside its peers. See README.md; `python -m bench` runs it."""
