"""The local store: write OTLP-JSON files, read them, and turn them back into SDK spans."""
