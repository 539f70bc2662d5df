"""The vocabulary and the one search loop."""
