"""Searchers: pure `init` / `ask` / `tell` over a state that carries its PRNG key."""
