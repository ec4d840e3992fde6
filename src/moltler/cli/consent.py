"""Asking whoever sits at the terminal what a package may do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from moltler.session.registries import Consent


def is_attended() -> bool:
    """Tell whether somebody could answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_consent(consent: Consent) -> bool:
    """Show what a package may do and ask for a yes; without a terminal the answer is no."""
    if not is_attended():
        return False
    click.echo(f"{consent.title} would be allowed to:", err=True)
    for line in consent.lines:
        click.echo(f"  - {line}", err=True)
    return click.confirm("Go on?", default=False, err=True)
