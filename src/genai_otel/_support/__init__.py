"""Helpers for every layer, independent of all layers: errors, forks, threads, suppression."""
