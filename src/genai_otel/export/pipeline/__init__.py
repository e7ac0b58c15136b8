"""From an ended span to a request: span processor, queue and worker, retries, tail sampling."""
