"""Read the local store: files, traces, reports, SDK spans."""
