"""One library each: what only its own client shows; the common ground is conformance."""
