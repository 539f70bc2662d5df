"""Training runs: one, many in a program, any number in a folder."""
