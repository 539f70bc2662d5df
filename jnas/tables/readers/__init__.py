"""Readers of published formats and of plain arrays, which become tables."""
