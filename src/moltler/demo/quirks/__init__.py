"""Oddities of real APIs, each to be asked for by name."""
