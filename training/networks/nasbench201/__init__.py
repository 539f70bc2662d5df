"""The networks and the supernet of NAS-Bench-201."""
