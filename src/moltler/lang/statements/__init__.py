"""One module a family of statements; none knows another."""
