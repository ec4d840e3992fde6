"""Moltler: connectors to HTTP APIs as text, queried with SQL."""
