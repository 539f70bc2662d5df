"""The networks and supernets of the spaces."""
