"""Upload media and long messages; the span has a reference to them."""
