"""The line editor of the shell."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from moltler.errors import MoltlerError, ParseError, Source

if TYPE_CHECKING:
    from moltler.session.session import Session

STATEMENTS = (
    "SELECT", "SHOW CONNECTORS", "SHOW CONNECTOR", "SHOW CONNECTOR TYPES", "SHOW CONNECTOR TYPE",
    "DESCRIBE", "CONNECTOR_EXEC", "QUERY", "CREATE CONNECTOR", "CREATE CONNECTOR TYPE",
    "CREATE CONNECTOR ENTITY", "CREATE CONNECTOR ACTION", "REGISTER CONNECTOR TYPE",
    "ALTER CONNECTOR", "ENABLE CONNECTOR", "DISABLE CONNECTOR", "DROP CONNECTOR",
    "TEST CONNECTOR", "WITH", "DECLARE", "SET", "PRINT", "FROM", "WHERE", "GROUP BY", "ORDER BY",
    "LIMIT", "JOIN", "LEFT JOIN", "ON", "AND", "OR", "NOT", "IS NULL", "COUNT(*)", "help", "exit",
    "history", "clear",
)  # fmt: skip
_WORD = re.compile(r"[A-Za-z_][\w]*(?:\.[\w]*)*$|\.$")


class CatalogCompleter(Completer):
    """Completes statements, connectors, their entities and actions, and fields."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Give what may follow the text before the cursor."""
        found = _WORD.search(document.text_before_cursor)
        typed = found.group(0) if found else ""
        for candidate in self.candidates(document.text, typed):
            if candidate.lower().startswith(typed.lower()) and candidate != typed:
                yield Completion(candidate, start_position=-len(typed))

    def candidates(self, text: str, typed: str) -> list[str]:
        """Give every word that could stand here, best first."""
        names = self._names()
        read = {path: fields for path, fields in names.items() if _mentions(text, path)}
        if "." in typed:
            called = [
                f"{alias}.{field}"
                for path, fields in read.items()
                for alias in _aliases(text, path)
                for field in fields
            ]
            return [*called, *(path for path in names if "." in path)]
        # Before FROM is typed the fields of every entity may be meant.
        fields = dict.fromkeys(f for fields in (read or names).values() for f in fields)
        connectors = dict.fromkeys(path.split(".")[0] for path in names)
        return [*fields, *connectors, *STATEMENTS]

    def _names(self) -> dict[str, tuple[str, ...]]:
        # Path of a connector, entity or action to the field names below it.
        try:
            return self._session.names()
        except MoltlerError:
            # A home that cannot be read is reported by the next statement, not while typing.
            return {}


def _mentions(text: str, path: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(path)}(?![\w.])", text, re.IGNORECASE) is not None


def _aliases(text: str, path: str) -> list[str]:
    found = re.findall(rf"(?<![\w.]){re.escape(path)}\s+(?:AS\s+)?(\w+)", text, re.IGNORECASE)
    return [path.split(".")[1], *found]


def open_prompt(session: Session) -> PromptSession[str]:
    """Give a line editor whose Enter sends once the text ends a statement."""
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:  # pyright: ignore[reportUnusedFunction] # bound by the decorator
        buffer = event.current_buffer
        if is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    session.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return PromptSession(
        history=FileHistory(str(session.home / "history")),
        completer=CatalogCompleter(session),
        lexer=PygmentsLexer(SqlLexer),
        multiline=True,
        key_bindings=keys,
        complete_while_typing=False,
        prompt_continuation="    ...> ",
    )


def is_complete(text: str) -> bool:
    """Tell whether Enter should send: a word of the shell, or text that ends with its ``;``."""
    stripped = text.strip()
    if not stripped or stripped.lower() in {"help", "exit", "quit", "clear", "history"}:
        return True
    if not stripped.endswith(";"):
        return False
    from moltler.lang.parser import parse

    try:
        parse(Source("<shell>", text))
    except ParseError as error:
        # An open string, raw block or comment swallowed the semicolon: the text goes on.
        return error.code != "SYN002"
    return True
