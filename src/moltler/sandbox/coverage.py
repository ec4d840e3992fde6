"""Which lines of a handler ran, from how often the engine says its parts did."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from moltler.model import Handler

_CODE = re.compile(r"\w")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_TEXT = re.compile(r"'(?:\\.|[^'\\n])*'|\"(?:\\.|[^\"\\n])*\"|`(?:\\.|[^`\\])*`", re.DOTALL)
_SKIPPED = re.compile(f"(?P<text>{_TEXT.pattern})|{_COMMENT.pattern}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of the script that holds a handler."""

    executable: frozenset[int]
    executed: frozenset[int]

    def __or__(self, other: Lines) -> Lines:
        """Give what either knows."""
        return Lines(self.executable | other.executable, self.executed | other.executed)


def lines_of(handler: Handler, ranges: Iterable[tuple[int, int, int]] = ()) -> Lines:
    r"""Give the lines with code, and those that ran.

    Args:
        handler: Without `ranges` none of its lines ran.
        ranges: Start and end in UTF-16 units, and how often that part ran.

    >>> handler = Handler("function f() {\n  // why\n}", "shop.moltler", 7)
    >>> lines_of(handler, [(0, 99, 1), (0, 26, 0)])
    Lines(executable=frozenset({7}), executed=frozenset())
    """
    code = _SKIPPED.sub(_blank, handler.text)
    # An inner part begins later or ends earlier than what is around it.
    nested = sorted(ranges, key=lambda part: (part[0], -part[1]))
    executable, executed = set[int](), set[int]()
    at = 0
    for number, line in enumerate(code.split("\n"), handler.line):
        if first := _CODE.search(line):
            executable.add(number)
            place = at + _units(line[: first.start()])
            count = 0
            for start, end, times in nested:
                if start <= place < end:
                    count = times
            if count:
                executed.add(number)
        at += _units(line) + 1
    return Lines(frozenset(executable), frozenset(executed))


def _blank(found: re.Match[str]) -> str:
    if found["text"] is not None:
        # Only its first line is code that runs; of the others nobody can say when they did.
        first, *rest = found[0].split("\n")
        return "\n".join([first, *(re.sub(r"[^\U00010000-\U0010ffff]", " ", r) for r in rest)])
    return re.sub(r"[^\n\U00010000-\U0010ffff]", " ", found[0])


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
