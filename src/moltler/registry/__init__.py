"""Packages and registries: archives that anybody can check, on static files."""
