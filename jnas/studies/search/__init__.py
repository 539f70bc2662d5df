"""Studies of searchers on a table."""
