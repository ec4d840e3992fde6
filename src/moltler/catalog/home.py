"""The folder with catalog, secrets and synced data: where it is, and its creation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from moltler.errors import LookupFailed

_FOLDER = ".moltler"


def find_home(flag: str | Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """Tell where the home is; the folder need not exist yet.

    The first of: the flag, ``MOLTLER_HOME``, the ``.moltler`` folder of the current folder or of
    its nearest ancestor that has one, ``~/.moltler``.

    Args:
        flag: What ``--home`` or ``connect(home)`` named.
        environ: The environment.
        cwd: The current folder, absolute.

    Source: LANGUAGE §12.1.
    """
    named = flag or environ.get("MOLTLER_HOME")
    if named:
        return cwd / _expand(Path(named), environ)
    for folder in (cwd, *cwd.parents):
        candidate = folder / _FOLDER
        if candidate.is_dir():
            return candidate
    return _user_folder(environ) / _FOLDER


def create_home(home: Path) -> Path:
    """Make the folder, for its owner only, if it does not exist; give it.

    Raises:
        LookupFailed: CAT010, it cannot be made or used.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise _unusable(home, "is not a folder") from error
    except OSError as error:
        raise _unusable(home, f"cannot be created ({error.strerror})") from error
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        raise _unusable(home, "may not be read and written by you")
    return home


def _unusable(home: Path, why: str) -> LookupFailed:
    return LookupFailed(
        "CAT010",
        f"the home `{home}` {why}",
        hint="choose another folder with --home DIR or MOLTLER_HOME",
    )


def _expand(path: Path, environ: Mapping[str, str]) -> Path:
    if path.parts[:1] == ("~",):
        return _user_folder(environ).joinpath(*path.parts[1:])
    return path


def _user_folder(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()
