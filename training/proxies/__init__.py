"""Scores of architectures without training."""
