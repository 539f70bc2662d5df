"""Multi-fidelity searchers that are asked as each worker becomes free."""
