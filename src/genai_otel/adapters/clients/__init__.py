"""Clients of model providers, and the wire formats that they share."""
