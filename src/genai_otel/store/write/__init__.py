"""The local store, written: bounded private files of OTLP-JSON lines."""
