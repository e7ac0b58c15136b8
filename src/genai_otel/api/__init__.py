"""The public API for manual instrumentation: thin functions that fill Operations."""
