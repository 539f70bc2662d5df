"""Studies of scores without training: how well they order the cells of a table."""
