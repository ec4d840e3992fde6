"""Words, literals and symbols of a text, scanned where the parser asks for them.

What a character means depends on the place: a raw block is read only where a handler may stand,
and SELECT text follows SQL's rules. So nothing is scanned ahead of the parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from moltler.errors import ParseError, Source, Span

TokenKind = Literal["word", "string", "number", "symbol", "end"]

_SKIP = re.compile(r"(?:[\s\ufeff]+|--[^\n]*|/\*.*?\*/)*", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
      | (?P<symbol>:=|=>|==|<>|!=|<=|>=|\|\||\?\?|\?\.(?!\d)|\.\.|[=<>+\-*/%?.,:;()\[\]{}@!])
    """,
    re.VERBOSE | re.DOTALL,
)
_SQL = re.compile(
    r"""(?P<blank>[\s\ufeff]+|--[^\n]*|/\*.*?\*/)
      | (?P<string>'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?P<tag>[A-Za-z_]*)\$.*?\$(?P=tag)\$)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<open>[(\[{]) | (?P<close>[)\]}]) | (?P<end>;)
      | (?P<other>[^\s'"A-Za-z_()\[\]{};$/-]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_PATTERN = re.compile(r"[A-Za-z0-9_.*-]+")
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_SELECT = re.compile(r"\(*(?:SELECT|WITH|VALUES)\b", re.IGNORECASE)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_DOUBLE_ONLY = {"b": "\b", "f": "\f", "/": "/"}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)|(''|\"\")", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `text` is what was written, `folded` is its upper-case form for words."""

    kind: TokenKind
    text: str
    folded: str
    start: int
    end: int

    def __str__(self) -> str:
        return "the end of the text" if self.kind == "end" else f"`{_shortened(self.text)}`"


@dataclass(frozen=True, slots=True)
class SqlSlice:
    """SELECT text: where it starts and ends, and the variable of a trailing INTO."""

    start: int
    end: int
    into: str | None
    resume: int
    """Where scanning goes on."""


class Scanner:
    """Reads one source, one token at a time."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text

    def skip(self, position: int) -> int:
        """Give the position of the first character that is neither blank nor comment."""
        found = _SKIP.match(self.text, position)
        end = found.end() if found else position
        if self.text.startswith("/*", end):
            self._fail("SYN002", "this comment is never closed", end, end + 2, "close it with */")
        return end

    def token(self, position: int) -> Token:
        """Give the token at or after a position.

        Raises:
            ParseError: SYN002 for an unterminated string, SYN001 for a stray character.
        """
        start = self.skip(position)
        found = _TOKEN.match(self.text, start)
        if found is None:
            return self._stray(start)
        kind: TokenKind = found.lastgroup  # type: ignore[assignment] # the groups are the kinds
        text = found.group()
        if kind == "number":
            self._check_number(found.end(), start)
        return Token(kind, text, text.upper() if kind == "word" else text, start, found.end())

    def _check_number(self, end: int, start: int) -> None:
        following = self.text[end : end + 1]
        if following.isalnum() or following == "_":
            word = re.match(r"\w+", self.text[end:])
            stop = end + (word.end() if word else 1)
            self._fail("SYN006", f"`{self.text[start:stop]}` is not a number", start, stop)

    def _stray(self, start: int) -> Token:
        if start >= len(self.text):
            return Token("end", "", "", len(self.text), len(self.text))
        character = self.text[start]
        if character in "'\"":
            self._fail(
                "SYN002", "this string is never closed", start, start + 1, f"add a {character}"
            )
        shown = character if character.isprintable() else f"U+{ord(character):04X}"
        return self._fail("SYN001", f"unexpected character `{shown}`", start, start + 1)

    def string_value(self, token: Token) -> str:
        """Give the value of a string token: escapes resolved, unknown ones kept as written."""
        quote, body = token.text[0], token.text[1:-1]
        if "\\" not in body and quote not in body:
            return body
        known = _ESCAPES if quote == "'" else _ESCAPES | _DOUBLE_ONLY

        def value(found: re.Match[str]) -> str:
            escape, doubled = found.groups()
            if doubled:
                return quote if doubled[0] == quote else doubled
            if len(escape) == 5:
                return chr(int(escape[1:], 16))
            return known.get(escape, "\\" + escape)

        decoded = _ESCAPE.sub(value, body)
        # Two \u escapes may spell one character beyond the basic plane; a lone half cannot stay.
        joined = decoded.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if "\ufffd" in joined and "\ufffd" not in decoded:
            self._fail("SYN006", "`\\u` names half a character", token.start, token.end)
        return joined

    def raw_block(self, position: int) -> tuple[int, int, int] | None:
        """Give start and end of a raw block's text and where it resumes, or ``None``.

        Raises:
            ParseError: SYN002 if the block is never closed.
        """
        start = self.skip(position)
        if not self.text.startswith("'''", start):
            return None
        close = self.text.find("'''", start + 3)
        if close < 0:
            self._fail(
                "SYN002", "this ''' block is never closed", start, start + 3, "close it with '''"
            )
        first = start + 3
        if self.text.startswith("\r\n", first):
            first += 2
        elif self.text.startswith("\n", first):
            first += 1
        return min(first, close), close, close + 3

    def starts_select(self, position: int) -> bool:
        """Tell whether SELECT text starts here."""
        return _SELECT.match(self._without_blanks(position)) is not None

    def _without_blanks(self, position: int) -> str:
        # Only opening parentheses may stand before the first word.
        opened = ""
        start = self.skip(position)
        while self.text.startswith("(", start):
            opened += "("
            start = self.skip(start + 1)
        return opened + self.text[start : start + 8]

    def sql(self, position: int) -> SqlSlice:
        """Give the SELECT text that starts here.

        It ends before a ``;`` or a closing bracket that it did not open, and before a trailing
        ``INTO name``.
        """
        start = end = self.skip(position)
        depth = 0
        last: list[tuple[str, int, int]] = []
        at = start
        while at < len(self.text):
            found = _SQL.match(self.text, at)
            assert found is not None  # noqa: S101 - the last alternative takes any character
            kind = found.lastgroup if found.lastgroup != "tag" else "string"
            if kind == "end" or (kind == "close" and depth == 0):
                break
            if kind == "other":
                self._check_open(found)
            depth += (kind == "open") - (kind == "close")
            at = found.end()
            if kind != "blank":
                last = [*last[-1:], (kind or "", found.start(), at)]
                last_depth_is_zero = depth == 0
                end = at
                if not last_depth_is_zero:
                    last = []
        resume = at
        if len(last) == 2 and all(kind == "word" for kind, _, _ in last):
            (_, into_start, into_end), (_, name_start, name_end) = last
            if self.text[into_start:into_end].upper() == "INTO":
                end = start + len(self.text[start:into_start].rstrip())
                return SqlSlice(start, end, self.text[name_start:name_end], resume)
        return SqlSlice(start, end, None, resume)

    def _check_open(self, found: re.Match[str]) -> None:
        start, text = found.start(), found.group()
        if text in {"'", '"'}:
            self._fail("SYN002", "this string is never closed", start, start + 1, f"add a {text}")
        if text == "/" and self.text.startswith("/*", start):
            self._fail("SYN002", "this comment is never closed", start, start + 2)

    def matching_close(self, position: int) -> int | None:
        """Give the position after the bracket that closes the one at `position`, by SQL's rules."""
        depth, at = 0, self.skip(position)
        while at < len(self.text):
            found = _SQL.match(self.text, at)
            assert found is not None  # noqa: S101 - the last alternative takes any character
            depth += (found.lastgroup == "open") - (found.lastgroup == "close")
            at = found.end()
            if depth == 0:
                return at
        return None

    def pattern(self, position: int) -> Token | None:
        """Give the bare target of a SYNC, or ``None``."""
        start = self.skip(position)
        found = _PATTERN.match(self.text, start)
        if found is None:
            return None
        text = found.group()
        # `--` starts a comment even where a pattern may hold single dashes.
        text = text.split("--", 1)[0]
        return Token("word", text, text.upper(), start, start + len(text)) if text else None

    def recover(self, position: int) -> int:
        """Give the position of the ``;`` that ends the statement around a mistake."""
        at = position
        while at < len(self.text):
            if self.text.startswith("'''", at):
                close = self.text.find("'''", at + 3)
                at = len(self.text) if close < 0 else close + 3
                continue
            skipped = _SKIP.match(self.text, at)
            at = skipped.end() if skipped else at
            found = _TOKEN.match(self.text, at)
            if found is None:
                at += 1
            elif found.group() == ";":
                return at
            elif found.group() in {"''", '""'} and self.text.startswith("'''", at):
                continue
            else:
                at = found.end()
        return len(self.text)

    def comments(self, start: int, end: int) -> list[tuple[int, int]]:
        """Give where comments stand in a range that holds only blanks and comments."""
        return [found.span() for found in _COMMENT.finditer(self.text, start, end)]

    def span(self, start: int, end: int) -> Span:
        """Give a span of this source."""
        return Span(self.source, start, end)

    def _fail(
        self, code: str, message: str, start: int, end: int, hint: str | None = None
    ) -> NoReturn:
        raise ParseError(code, message, hint=hint, span=self.span(start, end))


def _shortened(text: str) -> str:
    line = text.split("\n", 1)[0]
    return line if len(line) <= 40 and line == text else line[:40] + "…"
