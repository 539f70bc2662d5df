"""Studies of weight-sharing searches."""
