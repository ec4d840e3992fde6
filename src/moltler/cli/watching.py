"""Watching files, and playing again the tests that a change concerns."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moltler.cli.concern import concerned, handler_files
from moltler.cli.files import SUFFIXES, read_script, scripts_in
from moltler.cli.output import print_failure
from moltler.cli.playing import Order, play, tell_notes
from moltler.errors import MoltlerError

if TYPE_CHECKING:
    from moltler.session.session import Session

POLL_S = 0.1
_SEARCH_EVERY = 5
# Known files are looked at each time; whole folders, which may be large, less often.
_HANDLER_SUFFIXES = frozenset({".js", ".mjs", ".ts"})

Wait = Callable[[float], bool]
"""Waits that many seconds and tells whether to end (`threading.Event.wait`)."""
_Stamp = tuple[int, int]


class Folder:
    """Remembers how files looked; asked again, it tells which have changed.

    Args:
        paths: Files and folders, as the user named them.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._also: frozenset[Path] = frozenset()
        self._looks = 0
        self._stamps = self._look(self._search())

    def also(self, files: Iterable[Path]) -> None:
        """Watch further files, which may lie elsewhere: those that FILE names."""
        self._also = frozenset(files)
        for path in self._also - self._stamps.keys():
            self._stamps[path] = _stamp(path)

    def changed(self) -> frozenset[Path]:
        """Give the files that came, went or changed since the last look."""
        self._looks += 1
        known = set(self._stamps) | self._also
        if self._looks % _SEARCH_EVERY == 0:
            known |= self._search()
        before, self._stamps = self._stamps, self._look(known)
        return frozenset(p for p, stamp in self._stamps.items() if before.get(p) != stamp)

    def _look(self, files: Iterable[Path]) -> dict[Path, _Stamp | None]:
        return {path: _stamp(path) for path in files}

    def _search(self) -> set[Path]:
        found: set[Path] = set(self._also)
        for name in self._paths:
            path = Path(name)
            found.update(_files_below(path) if path.is_dir() else [path])
        return found


def _files_below(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".") and f != "node_modules"]
        yield from (
            Path(root, f)
            for f in files
            if Path(f).suffix in SUFFIXES | _HANDLER_SUFFIXES and not f.startswith(".")
        )


def _stamp(path: Path) -> _Stamp | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


# ── rounds ───────────────────────────────────────────────────────────────────────────────────


def watch_tests(
    context: click.Context, session: Session, order: Order, *, wait: Wait | None = None
) -> None:
    """Play every test once, and those that a change concerns again, until interrupted.

    Args:
        context: Of the command.
        session: Stays open, so that a round is quick.
        order: What to play.
        wait: Between two looks; tells whether to end.
    """
    pause = wait or threading.Event().wait
    rounds = _Rounds(context, session, order)
    try:
        rounds.play_all()
        while not pause(POLL_S):
            rounds.play_changed()
    except KeyboardInterrupt:
        click.echo("\nno longer watching", err=True)


class _Rounds:
    def __init__(self, context: click.Context, session: Session, order: Order) -> None:
        self._context = context
        self._session = session
        self._order = order
        self._folder = Folder(order.paths)
        self._pending: set[Path] = set()
        # Changes of files that could not be read yet: what they concern is still to be played.
        self._is_complete = False

    def play_all(self) -> None:
        """Play every test."""
        self._play(frozenset())
        click.echo("watching; Ctrl-C ends", err=True)

    def play_changed(self) -> None:
        """Play what the latest changes concern, if there are any."""
        changed = self._folder.changed()
        if changed:
            names = ", ".join(sorted(str(path) for path in changed))
            click.echo(f"\n{names} changed", err=True)
            self._play(changed)

    def _play(self, changed: frozenset[Path]) -> None:
        self._pending |= changed
        try:
            self._play_pending()
        except MoltlerError as error:
            print_failure(error, as_json=self._order.json)

    def _play_pending(self) -> None:
        order, session = self._order, self._session
        sources = [read_script(str(path)) for path in existing_scripts(order.paths)]
        scripts = [session.parse(source) for source in sources]
        self._folder.also(handler_files(scripts))
        collection = session.collect_tests(sources)
        chosen = order.choice.of(collection.tests)
        if self._is_complete:
            chosen = concerned(chosen, scripts, self._pending)
        else:
            tell_notes(collection, order)
        self._is_complete = True
        self._pending.clear()
        if chosen:
            play(self._context, session, order, sources, collection, chosen)
        else:
            click.echo("no test is concerned", err=True)


def existing_scripts(paths: Sequence[str]) -> list[Path]:
    """Give the scripts there are now; a path that has just gone is none.

    Editors replace a file by removing it first.
    """
    return scripts_in(name for name in paths if Path(name).exists())
