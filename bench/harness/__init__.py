"""What runs inside a peer's environment: workloads, switches and counters."""
