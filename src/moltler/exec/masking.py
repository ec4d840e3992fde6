"""Errors that show what a handler gave, without the secrets that may be in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from moltler.errors import MoltlerError
from moltler.secret import Secret, redact


def masked(error: MoltlerError, secrets: Iterable[Secret]) -> MoltlerError:
    """Give the same error, with every secret in its messages replaced."""
    known = tuple(secrets)
    if known:
        error.problems = tuple(replace(p, message=redact(p.message, known)) for p in error.problems)
        error.args = (error.message,)  # what a traceback shows
    return error
