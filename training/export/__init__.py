"""What a user takes home of a trained network."""
