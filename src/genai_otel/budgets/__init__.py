"""Spending limits that warn or stop, and where spending is summed up."""
