"""OTLP: encoding, sending over HTTP and gRPC, and results of requests."""
