"""Tests of connectors: a throwaway world for each, and what became of it."""
