"""Connector JavaScript in a confined child process."""
