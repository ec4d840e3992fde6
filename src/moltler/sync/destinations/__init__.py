"""Stores that syncs write to, one module each."""
