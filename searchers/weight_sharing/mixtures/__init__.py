"""How searches by a mixture differ: rules of its weights, of what trains it, and of what is chosen in the end."""
