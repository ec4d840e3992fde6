"""Synced tables in a DuckDB file."""
