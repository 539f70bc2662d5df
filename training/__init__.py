"""What touches data: data sets, networks, training one or many candidates. Nothing is here yet."""
