"""Secrets at rest and their seals."""
