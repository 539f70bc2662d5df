"""Optimizers of other libraries as searchers, driven from Python."""
