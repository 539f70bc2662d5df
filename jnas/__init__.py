"""Neural architecture search as pure functions in JAX."""
