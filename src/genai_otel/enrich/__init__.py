"""What is added to the facts of a call: its cost, its budget."""
