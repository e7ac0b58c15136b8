"""Write the local store: bounded private files of OTLP-JSON lines."""
