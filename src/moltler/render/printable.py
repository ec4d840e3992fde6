"""Text from outside, safe to show on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Give a text whose control characters, newlines apart, are spelled out.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    # Control characters from an API must not reach the terminal as commands.
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii")
        for c in text
    )
