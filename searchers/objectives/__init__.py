"""Searches for several objectives at once, and under constraints."""
