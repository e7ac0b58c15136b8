"""Detectors: keys, passwords, card and account numbers, national identifiers."""
