"""The cells of DARTS."""
