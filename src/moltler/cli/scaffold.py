"""The files of a new connector: a type, tests that pass, and a page about them."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from moltler.errors import ParseError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def connector_files(name: str) -> dict[str, str]:
    """Give the text of each file by its name.

    Args:
        name: Of the type.

    Raises:
        ParseError: SYN005, a type cannot have that name.
    """
    if not _NAME.fullmatch(name):
        raise ParseError(
            "SYN005",
            f"a connector type cannot be called `{name}`",
            hint="use a letter, then letters, digits, _ or -",
        )
    word = name.replace("-", "_")
    names = {"@NAME@": name, "@SECRET@": word.lower(), "@ENV@": word.upper()}
    return {
        f"{name}.moltler": _filled("connector.moltler.txt", names),
        "tests.moltler": _filled("tests.moltler.txt", names),
        "README.md": _filled("README.md.txt", names),
    }


def write_new(folder: Path, files: dict[str, str]) -> list[Path]:
    """Write files into a folder, which is made, and give their paths.

    Raises:
        ParseError: SYN900, one of the files exists already, or cannot be written.
    """
    paths = [folder / name for name in files]
    taken = next((path for path in paths if path.exists()), None)
    if taken is not None:
        raise ParseError(
            "SYN900",
            f"`{taken}` exists already, nothing was written",
            hint="choose another folder with --dir",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, files.values(), strict=True):
            # "x": what appeared since is not overwritten either.
            with path.open("x", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
    except OSError as error:
        raise ParseError(
            "SYN900",
            f"cannot write into `{folder}`: {error.strerror}",
            hint="choose another folder with --dir",
        ) from error
    return paths


def _filled(template: str, names: dict[str, str]) -> str:
    text = (resources.files("moltler.cli") / "templates" / template).read_text(encoding="utf-8")
    for mark, name in names.items():
        text = text.replace(mark, name)
    return text
