"""The local store, read: files, traces, reports, and back into spans."""
