"""Media and long messages that are uploaded; a reference to them stands on the span."""
