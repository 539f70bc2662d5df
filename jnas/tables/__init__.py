"""Tabular benchmarks as arrays on the device."""
