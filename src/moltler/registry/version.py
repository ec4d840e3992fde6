"""Which runtime this is, for packages that require one."""

from __future__ import annotations

from moltler.registry.semver import parse_version

RUNTIME = parse_version("0.1.0")
"""The version of Moltler; a test compares it with the distribution's."""
