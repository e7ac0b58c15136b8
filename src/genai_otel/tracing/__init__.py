"""Where spans are made: tracer providers, our own spans, ids, spans of the OpenTelemetry API."""
