"""The networks of NAS-Bench-101."""
