"""The cells of NAS-Bench-101."""
