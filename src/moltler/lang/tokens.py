"""Words, literals and symbols of a text, scanned where the parser asks for them.

What a character means depends on the place: a raw block is read only where a handler may stand,
and SELECT text follows SQL's rules. So nothing is scanned ahead of the parser.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal, NoReturn

from moltler.errors import ParseError, Source, Span

TokenKind = Literal["word", "name", "string", "number", "symbol", "end"]
"""`name` is a quoted identifier, which only stands where SQL's names are read."""

# Possessive quantifiers keep a text that never closes from being tried again and again.
_SKIP = re.compile(r"(?:[\s\ufeff]++|--[^\n]*+|/\*.*?\*/)*+", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<word>[A-Za-z_][A-Za-z0-9_]*+)
      | (?P<number>(?:[0-9]++(?:\.[0-9]++)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)
      | (?P<string>'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+'|"[^"\\]*+(?:(?:\\.|"")[^"\\]*+)*+")
      | (?P<symbol>:=|=>|==|<>|!=|<=|>=|\|\||\?\?|\?\.(?![0-9])|\.\.|[=<>+\-*/%?.,:;()\[\]{}@!])
    """,
    re.VERBOSE | re.DOTALL,
)
_SQL = re.compile(
    r"""(?P<blank>[\s\ufeff]++|--[^\n]*+|/\*.*?\*/)
      | (?P<string>'[^']*+(?:''[^']*+)*+'|"[^"]*+(?:""[^"]*+)*+"
          |\$(?P<tag>(?:[A-Za-z_][A-Za-z0-9_]*+)?)\$.*?\$(?P=tag)\$)
      | (?P<word>[A-Za-z_][A-Za-z0-9_$]*+)
      | (?P<open>[(\[{]) | (?P<close>[)\]}]) | (?P<end>;) | (?P<mark>\?)
      | (?P<other>[^\s'"A-Za-z_()\[\]{};$/?-]++|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_DOLLAR = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*+)?\$")
_SQL_NAME = re.compile(r'"[^"]*+(?:""[^"]*+)*+"')
_SQL_STRING = re.compile(r"'[^']*+(?:''[^']*+)*+'")
_PATTERN = re.compile(r"[A-Za-z0-9_.*-]+")
_COMMENT = re.compile(r"--[^\n]*+|/\*.*?\*/", re.DOTALL)
_OPENING = re.compile(
    r"(?:\(|[\s\ufeff]++|--[^\n]*+|/\*.*?\*/)*+(?P<word>(?:SELECT|WITH|VALUES)\b)?",
    re.IGNORECASE | re.DOTALL,
)
_WORD = re.compile(r"\w+")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_DOUBLE_ONLY = {"b": "\b", "f": "\f", "/": "/"}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)|(''|\"\")", re.DOTALL)
_NUMBER_LENGTH = 400
_OPEN_STRING = "this string is never closed"
_OPEN_COMMENT = "this comment is never closed"


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
    """SELECT text: where it starts and ends, its ``?``, and a trailing ``INTO name``."""

    start: int
    end: int
    positionals: int
    into: tuple[Token, Token] | None
    """The word INTO and the variable."""


class Scanner:
    """Reads one source, one token at a time."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.sql_names = False
        """Whether strings and quoted names follow SQL's rules, as in WHERE of QUERY and SYNC."""
        self._newlines: list[int] | None = None
        self._closes: dict[int, int | None] = {}
        self._selects: tuple[int, int, bool] = (0, -1, False)

    def position(self, offset: int) -> tuple[int, int]:
        """Give the 1-based line and column of an offset, at the cost of one look-up."""
        if self._newlines is None:
            self._newlines = [found.start() for found in re.finditer("\n", self.text)]
        line = bisect_right(self._newlines, offset - 1)
        first = self._newlines[line - 1] + 1 if line else 0
        return line + 1, offset - first + 1

    def skip(self, position: int) -> int:
        """Give the position of the first character that is neither blank nor comment."""
        found = _SKIP.match(self.text, position)
        end = found.end() if found else position
        if self.text.startswith("/*", end):
            self._fail("SYN002", _OPEN_COMMENT, end, end + 2, "close it with */")
        return end

    def token(self, position: int) -> Token:
        """Give the token at or after a position.

        Raises:
            ParseError: SYN002 for an unterminated string, SYN001 for a stray character, SYN006
                for a number that runs into a word.
        """
        start = self.skip(position)
        if self.sql_names and self.text[start : start + 1] in {"'", '"'}:
            return self._sql_quoted(start)
        found = _TOKEN.match(self.text, start)
        if found is None:
            return self._stray(start)
        kind: TokenKind = found.lastgroup  # type: ignore[assignment] # the groups are the kinds
        text = found.group()
        if kind == "word":
            return Token(kind, text, text.upper(), start, found.end())
        if kind == "number":
            self._check_number(start, found.end())
        return Token(kind, text, text, start, found.end())

    def _sql_quoted(self, start: int) -> Token:
        is_name = self.text[start] == '"'
        found = (_SQL_NAME if is_name else _SQL_STRING).match(self.text, start)
        if found is None:
            return self._stray(start)
        text = found.group()
        if is_name:
            return Token("name", text[1:-1].replace('""', '"'), "", start, found.end())
        return Token("string", text, text, start, found.end())

    def _check_number(self, start: int, end: int) -> None:
        following = self.text[end : end + 1]
        if following.isalnum() or following == "_":
            word = _WORD.match(self.text, end)
            stop = word.end() if word else end + 1
            shown = _shortened(self.text[start:stop])
            self._fail("SYN006", f"`{shown}` is not a number", start, stop)
        if end - start > _NUMBER_LENGTH:
            self._fail("SYN006", "this number has too many digits", start, end)

    def _stray(self, start: int) -> Token:
        if start >= len(self.text):
            return Token("end", "", "", len(self.text), len(self.text))
        character = self.text[start]
        if character in "'\"":
            self._fail("SYN002", _OPEN_STRING, start, start + 1, f"add a {character}")
        shown = character if character.isprintable() else f"U+{ord(character):04X}"
        return self._fail("SYN001", f"unexpected character `{shown}`", start, start + 1)

    def string_value(self, token: Token) -> str:
        """Give the value of a string token: escapes resolved, unknown ones kept as written."""
        quote, body = token.text[0], token.text[1:-1]
        if self.sql_names:
            return body.replace("''", "'")
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
        """Tell whether SELECT text starts here: its first word, or parentheses before it."""
        start, end, answer = self._selects
        if not start <= position < end:
            found = _OPENING.match(self.text, position)
            assert found is not None  # noqa: S101 - every part is optional
            # Between here and the word stand only parentheses and blanks: they share the answer.
            start, end, answer = position, found.end(), found["word"] is not None
            self._selects = (start, end, answer)
        return answer

    def sql(self, position: int) -> SqlSlice:
        """Give the SELECT text that starts here.

        It ends before a ``;`` or a closing bracket that it did not open, and before a trailing
        ``INTO name``.
        """
        start = at = end = self.skip(position)
        depth = positionals = 0
        # The last two words in a row outside brackets, each with where the text before it ended.
        last: tuple[tuple[Token, int], ...] = ()
        while at < len(self.text):
            found = _SQL.match(self.text, at)
            assert found is not None  # noqa: S101 - the last alternative takes any character
            kind = found.lastgroup
            if kind == "end" or (kind == "close" and depth == 0):
                break
            if kind == "other" and self._is_left_open(found):
                self._fail_left_open(found.start())
            at = found.end()
            if kind == "blank":
                continue
            if kind == "word" and depth == 0:
                text = found.group()
                last = (*last[-1:], (Token("word", text, text.upper(), found.start(), at), end))
            else:
                last = ()
                depth += (kind == "open") - (kind == "close")
                positionals += kind == "mark"
            end = at
        if len(last) == 2 and last[0][0].folded == "INTO":
            (into, before), (name, _) = last
            return SqlSlice(start, before, positionals, (into, name))
        return SqlSlice(start, end, positionals, None)

    def _is_left_open(self, found: re.Match[str]) -> bool:
        """Tell whether a character that matched nothing opens something that never closes."""
        match found.group():
            case "'" | '"':
                return True
            case "/":
                return self.text.startswith("/*", found.start())
            case "$":
                return _DOLLAR.match(self.text, found.start()) is not None
            case _:
                return False

    def _fail_left_open(self, start: int) -> NoReturn:
        dollar = _DOLLAR.match(self.text, start)
        if self.text[start] == "/":
            self._fail("SYN002", _OPEN_COMMENT, start, start + 2, "close it with */")
        quote = dollar.group() if dollar else self.text[start]
        self._fail("SYN002", _OPEN_STRING, start, start + len(quote), f"add a {quote}")

    def matching_close(self, position: int) -> int | None:
        """Give the position after the bracket that closes the one at `position`, by SQL's rules."""
        if position not in self._closes:
            self._match_brackets(position)
        return self._closes[position]

    def _match_brackets(self, position: int) -> None:
        # All brackets inside are remembered too, so that deep nesting costs one pass.
        opened: list[int] = []
        at = position
        while at < len(self.text):
            found = _SQL.match(self.text, at)
            assert found is not None  # noqa: S101 - the last alternative takes any character
            at = found.end()
            if found.lastgroup == "open":
                opened.append(found.start())
            elif found.lastgroup == "close":
                self._closes[opened.pop()] = at
                if not opened:
                    return
            elif found.lastgroup == "end" or self._is_left_open(found):
                break
        for start in opened:
            self._closes[start] = None

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

    def recover(self, position: int, *openers: str) -> tuple[int, bool]:
        """Find where reading may go on after a mistake.

        Args:
            position: Where the mistake is.
            openers: Words that open a body.

        Returns:
            The position of the next ``;`` and FALSE, or the position after an opener and TRUE.
        """
        at = position
        while True:
            skipped = _SKIP.match(self.text, at)
            at = skipped.end() if skipped else at
            if at >= len(self.text) or self.text.startswith("/*", at):
                return len(self.text), False
            if self.text.startswith("'''", at):
                close = self.text.find("'''", at + 3)
                if close >= 0:
                    at = close + 3
                    continue
            found = _TOKEN.match(self.text, at)
            if found is None:
                if self.text[at] in {"'", '"'}:
                    return len(self.text), False
                at += 1
            elif found.group() == ";":
                return at, False
            else:
                at = found.end()
                if openers and found.lastgroup == "word" and found.group().upper() in openers:
                    return at, True

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
