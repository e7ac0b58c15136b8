"""The SDK in a process: configuration, set-up, what is patched, status, flush and exit."""
