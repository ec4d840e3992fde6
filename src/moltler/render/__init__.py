"""Results and errors as people and programs read them."""
