"""OTLP: encoding, sending over HTTP and gRPC, and what receivers answer."""
