"""Searchers that see scores alone: `init / ask / tell`."""
