"""A small real shop API on loopback, the connector for it, and a tour of both."""
