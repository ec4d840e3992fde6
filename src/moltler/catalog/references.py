"""What strings of CONFIG refer to: secrets in double braces, and names given automatically."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from moltler.catalog.values import REFERENCE, Misfit, Path, path_text, shown
from moltler.errors import near_match
from moltler.model import Connector
from moltler.schema import JsonValue

_BRACES = re.compile(r"\{\{.*?(?:\}\}|\Z)", re.DOTALL)
_SECRETS_OPENED = re.compile(r"\{\{\s*secrets\b")
_AUTOMATIC = "_connector"


@dataclass(frozen=True, slots=True)
class Reference:
    """``{{secrets.NAME}}``."""

    name: str


def split_references(text: str) -> tuple[str | Reference, ...]:
    """Give a string as literal parts and references, in order, without empty parts.

    >>> split_references("Bearer {{ secrets.key }}")
    ('Bearer ', Reference(name='key'))
    """
    parts: list[str | Reference] = []
    end = 0
    for found in REFERENCE.finditer(text):
        parts += [text[end : found.start()], Reference(found[1])]
        end = found.end()
    parts.append(text[end:])
    return tuple(p for p in parts if p != "")


def strings_of(value: JsonValue, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Give every string inside a value with its path."""
    match value:
        case str():
            yield path, value
        case list():
            for index, item in enumerate(value):
                yield from strings_of(item, (*path, index))
        case dict():
            for key, item in value.items():
                yield from strings_of(item, (*path, key))
        case _:
            return


def references_in(config: Mapping[str, JsonValue]) -> tuple[tuple[Path, str], ...]:
    """Give the name of every secret that a config refers to, with the path of its string."""
    return tuple(
        (path, part.name)
        for path, text in strings_of(dict(config))
        for part in split_references(text)
        if isinstance(part, Reference)
    )


def check_braces(text: str, path: Path) -> Misfit | None:
    """Tell what is wrong with the double braces of a string, or ``None``."""
    for found in _BRACES.finditer(text):
        inside = found[0]
        if REFERENCE.fullmatch(inside):
            continue
        is_closed = inside.endswith("}}")
        if not is_closed and not _SECRETS_OPENED.match(inside):
            # A lone opening is text of the user's own.
            continue
        name = inside.strip("{} \n\t")
        near = near_match(name.partition(".")[0], ("secrets",))
        hint = "write {{secrets.NAME}}"
        if "." in name and near:
            fitting = re.sub(r"[^A-Za-z0-9_.-]+", "_", name.partition(".")[2].strip()).strip("_.")
            reference = f"{{{{secrets.{fitting}}}}}"
            hint = f"write {reference}" if REFERENCE.fullmatch(reference) else hint
        problem = "is not a reference to a secret" if is_closed else "is not closed by }}"
        return Misfit(path, f"{shown(inside)} in `{path_text(path)}` {problem}", hint)
    return None


def automatic_name(connector: str, path: Path, mark: str) -> str:
    """Give the name under which a literal secret of a connector is stored.

    Args:
        connector: The instance's name.
        path: Of the property in CONFIG.
        mark: Of the statement, so that a statement that fails has overwritten nothing.

    >>> automatic_name("Shop", ("api key",), "7f3a")
    '_connector.shop.api_20_key.7f3a'
    """
    key = "".join(
        c if re.match(r"[A-Za-z0-9-]", c) else _escaped(c) for c in ".".join(map(str, path))
    )
    return f"{_AUTOMATIC}.{connector.lower()}.{key}.{mark}"


def _escaped(character: str) -> str:
    # An underscore and a dot, which are frequent, stay readable; others become their number.
    return character if character in "._" else f"_{ord(character):x}_"


def automatic_secrets(connector: Connector) -> tuple[str, ...]:
    """Give the names of the secrets that were stored automatically for a connector."""
    own = f"{_AUTOMATIC}.{connector.name.lower()}."
    names = (name for _, name in references_in(connector.config))
    return tuple(dict.fromkeys(name for name in names if name.startswith(own)))
