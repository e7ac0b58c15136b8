"""What a model call costs: price table, overrides, and who bills for a host."""
