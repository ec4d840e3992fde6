"""Opening a session as the global options say, and running scripts in it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from moltler.cli.base import settings_of
from moltler.cli.consent import ask_consent as at_terminal
from moltler.cli.consent import is_attended

if TYPE_CHECKING:
    from moltler.cli.output import Printer
    from moltler.cli.progress import Progress
    from moltler.errors import Source
    from moltler.session.registries import Consent
    from moltler.session.session import Session

_PROGRESS = "moltler.progress"
_WARNED = "moltler.warned"


class Erasable(Protocol):
    """A line on the terminal that makes room for other output."""

    def hide(self) -> None:
        """Wipe it for a while."""
        ...

    def rest(self) -> None:
        """Wipe it until something new begins."""
        ...


def open_session(
    context: click.Context,
    *,
    ask_consent: Callable[[Consent], bool] | None = None,
    prewarm: bool = False,
) -> Session:
    """Open a session; it is closed when the command ends, also by an interrupt.

    Args:
        context: Of the running command.
        ask_consent: Asks what a package may do; without it somebody at a terminal is asked.
        prewarm: Start a runtime process now, so that it gets ready while libraries load.
    """
    from moltler.compose import open_session as compose

    settings = settings_of(context)
    session = compose(
        home=Path(settings.home) if settings.home is not None else None,
        read_only=settings.read_only,
        log=_line_writer(context, on_stderr=True) if settings.verbose else None,
        # Programs that read JSON must find nothing else on stdout.
        echo=_line_writer(context, on_stderr=settings.json),
        watch=lambda handlers: _progress(context).watch(handlers) if _on_terminal() else handlers,
        watch_sync=(lambda record: _progress(context).sync_moved(record))
        if _on_terminal()
        else None,
        ask_consent=ask_consent or (at_terminal if is_attended() else None),
        prewarm=prewarm,
    )
    return context.with_resource(session)


def run_script(context: click.Context, session: Session, source: Source, printer: Printer) -> None:
    """Run a script and print each outcome as it comes.

    Raises:
        MoltlerError: A statement failed.
    """
    _warn_of_lost_actions(context, session)
    try:
        for _, outcome in session.run(source):
            if outcome is not None:
                printer.show(outcome, before_output=lambda: hide_progress(context))
            _end_progress(context)
    finally:
        _end_progress(context)


def hide_progress(context: click.Context) -> None:
    """Wipe the progress line, if there is one, for output on the same terminal."""
    progress: Erasable | None = context.find_root().meta.get(_PROGRESS)
    if progress is not None:
        progress.hide()


def keep_line(context: click.Context, line: Erasable) -> None:
    """Have a line of the command's own wiped before other output."""
    context.find_root().meta[_PROGRESS] = line


def _warn_of_lost_actions(context: click.Context, session: Session) -> None:
    """Tell of actions in doubt that an earlier program left behind, before anything is run."""
    root = context.find_root()
    if root.meta.setdefault(_WARNED, False):
        return
    root.meta[_WARNED] = True
    if warnings := session.lost_actions():
        from moltler.cli.output import print_warnings

        settings = settings_of(context)
        print_warnings(warnings, as_json=settings.json, color=settings.color)


def _end_progress(context: click.Context) -> None:
    progress: Erasable | None = context.find_root().meta.get(_PROGRESS)
    if progress is not None:
        progress.rest()


def _progress(context: click.Context) -> Progress:
    from moltler.cli.progress import Progress

    root = context.find_root()
    if _PROGRESS not in root.meta:
        root.meta[_PROGRESS] = root.with_resource(Progress(color=settings_of(context).color))
    return root.meta[_PROGRESS]


def _on_terminal() -> bool:
    return sys.stderr.isatty()


def _line_writer(context: click.Context, *, on_stderr: bool) -> Callable[[str], None]:
    def write(line: str) -> None:
        hide_progress(context)
        stream = sys.stderr if on_stderr else sys.stdout
        stream.write(line.rstrip("\n") + "\n")

    return write
