"""Spending limits that warn or reject calls, and the stores that sum up spending."""
