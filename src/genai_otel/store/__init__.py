"""The local store: telemetry in plain OTLP-JSON files, written, read, and read back into spans."""
