"""Frameworks for chains and agents."""
