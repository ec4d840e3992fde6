"""Synced tables in a PostgreSQL database."""
