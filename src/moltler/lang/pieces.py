"""What the formatter lays out: tokens with the comments before them, grouped by brackets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from moltler.lang.cursor import Lexeme
from moltler.lang.tokens import Scanner

WIDTH = 100
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_HUG_BEFORE = frozenset({")", "]", "}", ",", ";", ":", ".", "?.", ".."})
_HUG_AFTER = frozenset({"(", "[", "{", ".", "?.", ".."})


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment, and how it stood."""

    text: str
    is_own_line: bool
    """Whether a line break stands before it."""
    follows_blank: bool
    """Whether an empty line stands before it."""

    @property
    def is_inline(self) -> bool:
        """Whether it may stand within a line."""
        return not self.is_own_line and self.text.startswith("/*") and "\n" not in self.text


@dataclass(frozen=True, slots=True)
class Piece:
    """One token as it will be written."""

    role: str
    text: str
    before: tuple[Comment, ...] = ()
    follows_blank: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A pair of brackets and the items between them, each without its comma."""

    opening: Piece
    items: tuple[tuple[Element, ...], ...]
    commas: tuple[Piece, ...]
    closing: Piece
    flat: str | None = field(default=None)
    """How it reads on one line, or ``None`` if it cannot, or would be too long."""


@dataclass(frozen=True, slots=True)
class ClauseStart:
    """Where a clause of a statement begins."""


@dataclass(frozen=True, slots=True)
class Body:
    """The statements between two words of a construct."""

    statements: tuple[tuple[Element, ...], ...]


Element: TypeAlias = Piece | Group | ClauseStart | Body


def needs_blank(before: Piece, after: Piece) -> bool:
    """Tell whether a blank stands between two tokens of one line."""
    if before.role == "prefix":
        # Two minus signs in a row would begin a comment.
        return before.text == "-" and after.text.startswith("-")
    if before.text == "?" and before.role == "plain" and after.text in {".", "?."}:
        return True
    if after.role == "tight" or (after.role != "operator" and after.text in _HUG_BEFORE):
        return False
    if before.role != "operator" and before.text in _HUG_AFTER:
        return False
    if before.text == "CAST" and after.text == "(":
        return False
    if after.text == "(":
        return before.role != "plain" or not before.text[0].isidentifier()
    return True


def flatten(elements: Sequence[Element]) -> str | None:
    """Write elements on one line, or give ``None`` if they cannot stand on one."""
    parts: list[str] = []
    length = 0
    last: Piece | None = None
    for element in elements:
        if isinstance(element, ClauseStart):
            continue
        if isinstance(element, Body):
            return None
        first = element.opening if isinstance(element, Group) else element
        text = element.flat if isinstance(element, Group) else element.text
        if text is None or "\n" in text or not all(c.is_inline for c in first.before):
            return None
        words = [*(comment.text for comment in first.before), text]
        if parts and (first.before or (last is not None and needs_blank(last, first))):
            words.insert(0, "")
        joined = " ".join(words)
        parts.append(joined)
        length += len(joined)
        if length > WIDTH:
            return None
        last = element.closing if isinstance(element, Group) else element
    return "".join(parts)


def read_pieces(scanner: Scanner, trace: Sequence[Lexeme]) -> list[Piece]:
    """Turn what the parser traced into pieces; the last one is the end of the text."""
    text = scanner.text
    pieces: list[Piece] = []
    position = 0
    for role, start, end in [*trace, ("end", len(text), len(text))]:
        if start == end and role != "end":
            pieces.append(Piece(role, ""))
            continue
        comments, last = _comments(scanner, position, start)
        written = text[start:end].upper() if role == "keyword" else text[start:end]
        follows_blank = text.count("\n", last, start) > 1
        pieces.append(Piece(role, written, comments, follows_blank))
        position = end
    return _settle(pieces)


def _comments(scanner: Scanner, start: int, end: int) -> tuple[tuple[Comment, ...], int]:
    found: list[Comment] = []
    last = start
    for first, stop in scanner.comments(start, end):
        newlines = scanner.text.count("\n", last, first)
        is_own_line = newlines > 0 or first == 0 or (last == 0 and start == 0)
        text = scanner.text[first:stop].rstrip()
        found.append(Comment(text, is_own_line, newlines > 1))
        last = stop
    return tuple(found), last


def _settle(pieces: list[Piece]) -> list[Piece]:
    """Move comments behind a comma or semicolon, and leave out commas before a closing bracket."""
    settled: list[Piece] = []
    carried: tuple[Comment, ...] = ()
    for index, piece in enumerate(pieces):
        if not piece.text and piece.role != "end":
            settled.append(piece)
            continue
        here = replace(piece, before=_chained(carried, piece.before)) if carried else piece
        carried = ()
        if here.role == "plain" and here.text in {",", ";"}:
            carried = here.before
            here = replace(here, before=())
            if here.text == "," and pieces[index + 1].text in {")", "]", "}"}:
                continue
        settled.append(here)
    return settled


def _chained(first: tuple[Comment, ...], then: tuple[Comment, ...]) -> tuple[Comment, ...]:
    if then and first[-1].text.startswith("--"):
        # It stood behind the comma on the next line; here the line is taken.
        return (*first, replace(then[0], is_own_line=True), *then[1:])
    return first + then


class Grouper:
    """Builds statements out of pieces."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._at = 0

    def statements(self) -> tuple[tuple[Element, ...], ...]:
        """Give the statements up to the end of the text or of a body."""
        found: list[tuple[Element, ...]] = []
        while self._pieces[self._at].role == "statement":
            self._at += 1
            found.append(self._statement())
        return tuple(found)

    def end(self) -> Piece:
        """Give the piece after the last statement: it holds the last comments."""
        return self._pieces[self._at]

    def _statement(self) -> tuple[Element, ...]:
        elements: list[Element] = []
        while True:
            piece = self._pieces[self._at]
            match piece.role:
                case "end statement":
                    self._at += 1
                    following = self._pieces[self._at]
                    if following.text == ";":
                        self._at += 1
                        elements.append(following)
                    else:
                        elements.append(Piece("plain", ";"))
                    return tuple(elements)
                case "clause":
                    self._at += 1
                    elements.append(ClauseStart())
                case "body":
                    self._at += 1
                    elements.append(Body(self.statements()))
                    self._at += 1
                case _:
                    elements.append(self._element())

    def _element(self) -> Piece | Group:
        piece = self._pieces[self._at]
        self._at += 1
        closing = _CLOSERS.get(piece.text) if piece.role != "operator" else None
        return piece if closing is None else self._group(piece, closing)

    def _group(self, opening: Piece, closing: str) -> Group:
        items: list[tuple[Element, ...]] = []
        commas: list[Piece] = []
        item: list[Element] = []
        while True:
            piece = self._pieces[self._at]
            if piece.text == closing:
                self._at += 1
                if item:
                    items.append(tuple(item))
                group = Group(opening, tuple(items), tuple(commas), piece)
                return replace(group, flat=_flat_group(group))
            if piece.text == "," and piece.role == "plain":
                self._at += 1
                commas.append(piece)
                items.append(tuple(item))
                item = []
            else:
                item.append(self._element())


def _flat_group(group: Group) -> str | None:
    elements: list[Element] = [replace(group.opening, before=())]
    for index, item in enumerate(group.items):
        elements.extend(item)
        if index < len(group.commas):
            elements.append(group.commas[index])
    return flatten([*elements, group.closing])
