"""Scripts on disk and on standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from moltler.errors import ParseError, Source

SUFFIXES = frozenset({".moltler", ".sql"})


def read_script(name: str) -> Source:
    """Read a script; ``-`` is standard input.

    Raises:
        ParseError: SYN900 if the file cannot be read, SYN001 if it is not UTF-8.
    """
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise ParseError(
            "SYN900", f"cannot read `{name}`: {error.strerror}", hint="check the path"
        ) from error
    shown = "<stdin>" if name == "-" else name
    try:
        return Source(shown, raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ParseError(
            "SYN001",
            f"`{shown}` is not UTF-8 text (line {line}, byte {error.start})",
            hint="save the file as UTF-8",
        ) from error


def scripts_in(paths: Iterable[str]) -> list[Path]:
    """Give the script files named, and those below the folders named, sorted.

    Raises:
        ParseError: SYN900 if a path does not exist.
    """
    found: dict[Path, None] = {}
    for name in paths:
        path = Path(name)
        if path.is_dir():
            inside = (p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
            # Hidden folders hold environments, caches and homes, not scripts of the user.
            visible = (p for p in inside if not _is_hidden(p.relative_to(path)))
            found.update(dict.fromkeys(sorted(visible)))
        elif path.exists():
            found[path] = None
        else:
            raise ParseError("SYN900", f"there is no file `{name}`", hint="check the path")
    return list(found)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
