"""Opening a session as the global options say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moltler.cli.base import settings_of

if TYPE_CHECKING:
    from moltler.session.session import Session


def open_session(context: click.Context, *, prewarm: bool = False) -> Session:
    """Open a session; it is closed when the command ends, also by an interrupt.

    Args:
        context: Of the running command.
        prewarm: Start a runtime process now, so that it gets ready while libraries load.
    """
    from moltler.compose import open_session as compose

    settings = settings_of(context)
    session = compose(
        home=Path(settings.home) if settings.home is not None else None,
        read_only=settings.read_only,
        log=_log_to_stderr if settings.verbose else None,
        prewarm=prewarm,
    )
    return context.with_resource(session)


def _log_to_stderr(line: str) -> None:
    sys.stderr.write(line.rstrip("\n") + "\n")
