"""Where telemetry goes; the only users of the export side of the OpenTelemetry SDK."""
