"""What is defined: an immutable catalog, its checks and its file."""
