"""Cost of model calls: price table, overrides, billers."""
