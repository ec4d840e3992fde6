"""Lines of a script in canonical form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from moltler.lang.pieces import (
    WIDTH,
    Body,
    ClauseStart,
    Comment,
    Element,
    Group,
    Piece,
    flatten,
    needs_blank,
)

_INDENT = 4
_SHORT_FORMS = frozenset({"QUERY", "SYNC", "INSTALL", "UPGRADE", "UPDATE"})
# Statements that stay on one line where they fit; the others have one clause a line.


class Layout:
    """Writes statements line by line."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._column = 0
        self._margin = 0
        """Where the current line begins."""
        self._indent = 0
        """Where the current statement begins."""
        self._last: Piece | Comment | None = None
        """What was written last on the current line."""
        self._begun: Piece | None = None
        """The token whose comments were written together with a line break."""

    def script(self, statements: Sequence[Sequence[Element]], end: Piece) -> str:
        """Give the text of a script and the comments after it."""
        self._statements(statements, 0)
        self._begin_line(end, 0, keep_blank=True)
        return "\n".join([*self._lines, "".join(self._line)])

    def _statements(self, statements: Sequence[Sequence[Element]], indent: int) -> None:
        for index, statement in enumerate(statements):
            self._begin_line(_first(statement), indent, keep_blank=index > 0)
            self._statement(statement, indent)

    def _statement(self, elements: Sequence[Element], indent: int) -> None:
        outer, self._indent = self._indent, indent
        is_short = _is_short(elements, WIDTH - indent)
        run: list[Element] = []
        for index, element in enumerate(elements):
            match element:
                case ClauseStart():
                    if not is_short:
                        self._sequence(run, indent)
                        run = []
                        self._begin_line(_first(elements[index + 1 :]), indent)
                case Body():
                    self._sequence(run, indent)
                    run = []
                    self._statements(element.statements, indent + _INDENT)
                    self._end_block(_first(elements[index + 1 :]), indent)
                case _:
                    run.append(element)
        self._sequence(run, indent)
        self._indent = outer

    def _sequence(self, elements: Sequence[Element], indent: int, width_after: int = 0) -> None:
        """Write tokens and groups one behind the other; `width_after` must fit behind them."""
        for index, element in enumerate(elements):
            if isinstance(element, Piece):
                self._piece(element)
            elif isinstance(element, Group):
                self._group(element, indent, _width(elements[index:], width_after))

    def _group(self, group: Group, indent: int, width_after: int) -> None:
        self._comments(group.opening)
        if group.flat is not None:
            width = self._column + self._blank(group.opening) + len(group.flat) + width_after
            if width <= WIDTH:
                self._write(group.flat, group.opening, group.closing)
                return
        self._write(group.opening.text, group.opening, group.opening)
        if _is_hugging(group):
            self._sequence((*group.items[0], group.closing), indent, width_after)
            return
        inner = indent + _INDENT
        for index, item in enumerate(group.items):
            self._begin_line(_first(item), inner, keep_blank=index > 0)
            self._sequence((*item, *group.commas[index : index + 1]), inner)
        self._end_block(group.closing, indent)
        self._piece(group.closing)

    # ── tokens, comments and line breaks ──

    def _piece(self, piece: Piece) -> None:
        self._comments(piece)
        self._write(piece.text, piece, piece)

    def _blank(self, piece: Piece) -> int:
        if isinstance(self._last, Piece):
            return int(needs_blank(self._last, piece))
        return 0 if self._last is None else 1

    def _comments(self, piece: Piece) -> None:
        """Write the comments before a token in the middle of a line."""
        if piece is self._begun:
            return
        self._begun = piece
        margin = self._indent + _INDENT
        for comment in piece.before:
            if comment.is_own_line:
                self._break(margin)
            self._comment(comment)
        if any(c.is_own_line or c.text.startswith("--") for c in piece.before):
            self._break(margin)

    def _begin_line(self, piece: Piece, margin: int, *, keep_blank: bool = False) -> None:
        """Begin a line with a token and the comments before it."""
        self._lines_of_comments(piece, margin, keep_blank=keep_blank)
        follows_blank = piece.follows_blank and piece.role != "end"
        self._break(margin, blank=follows_blank and (keep_blank or bool(piece.before)))
        self._begun = piece

    def _end_block(self, piece: Piece, margin: int) -> None:
        """Begin a line with a token that ends what is indented above it."""
        self._lines_of_comments(piece, margin + _INDENT, keep_blank=True)
        self._break(margin)
        self._begun = piece

    def _lines_of_comments(self, piece: Piece, margin: int, *, keep_blank: bool) -> None:
        for index, comment in enumerate(piece.before):
            if comment.is_own_line:
                self._break(margin, blank=comment.follows_blank and (keep_blank or index > 0))
            self._comment(comment)

    def _comment(self, comment: Comment) -> None:
        if self._last is not None:
            self._put("  " if comment.text.startswith("--") else " ")
        self._put(comment.text)
        self._last = comment

    def _write(self, text: str, first: Piece, last: Piece) -> None:
        self._put(" " * self._blank(first) + text)
        self._last = last

    def _put(self, text: str) -> None:
        if not self._line:
            self._line.append(" " * self._margin)
            self._column = self._margin
        self._line.append(text)
        newline = text.rfind("\n")
        self._column = self._column + len(text) if newline < 0 else len(text) - newline - 1

    def _break(self, margin: int, *, blank: bool = False) -> None:
        if self._line:
            self._lines.append("".join(self._line))
            self._line = []
        if blank and self._lines and self._lines[-1]:
            self._lines.append("")
        self._column = self._margin = margin
        self._last = None


def _first(elements: Sequence[Element]) -> Piece:
    element = elements[0]
    if isinstance(element, Group):
        return element.opening
    assert isinstance(element, Piece)  # noqa: S101 - no statement or clause begins with a marker
    return element


def _is_short(elements: Sequence[Element], width: int) -> bool:
    first = _first(elements)
    if first.text not in _SHORT_FORMS:
        return False
    flat = flatten([replace(first, before=()), *elements[1:]])
    return flat is not None and len(flat) <= width


def _is_hugging(group: Group) -> bool:
    """Tell whether brackets stay with their only item: ``f({`` … ``})``."""
    if len(group.items) != 1 or group.opening.text == "{":
        return False
    item = group.items[0]
    if group.opening.text == "(" or group.opening.role == "tight":
        return True
    return len(item) == 1 and not _first(item).before and not group.closing.before


def _width(elements: Sequence[Element], width_after: int) -> int:
    """Tell how much must stand on the line right behind the first of some elements."""
    total = 0
    last = elements[0]
    for element in elements[1:]:
        before = last.closing if isinstance(last, Group) else last
        after = element.opening if isinstance(element, Group) else element
        if not isinstance(before, Piece) or not isinstance(after, Piece):
            return total
        text, newline, _ = after.text.partition("\n")
        total += needs_blank(before, after) + len(text)
        if isinstance(element, Group) or newline:
            return total
        last = element
    return total + width_after
