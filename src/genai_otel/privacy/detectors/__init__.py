"""What is found in texts: keys, passwords, card and account numbers, national identifiers."""
