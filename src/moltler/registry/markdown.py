"""The part of Markdown that READMEs are made of, as HTML in which nothing of theirs can run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*$")
_ITEM = re.compile(r"\s{0,3}(?:[-*+]|\d{1,9}[.)])\s+(.*)")
_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_CODE = re.compile(r"(`+)(.+?)\1")
_LINK = re.compile(r"\[([^\[\]]+)\]\((https?://[^\s()<>\"*]+)\)")
_BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")


def to_html(text: str, *, lowest: int = 2) -> str:
    r"""Give Markdown as HTML: headings, paragraphs, lists, tables, code, links to the web.

    Everything is escaped first; HTML, images and other links stay text.

    Args:
        text: The Markdown.
        lowest: The level that the highest heading gets.

    >>> to_html("# A <b>\n\nsee `x`")
    '<h2>A &lt;b&gt;</h2>\n<p>see <code>x</code></p>'
    """
    return "\n".join(_blocks(text.splitlines(), lowest))


def _blocks(lines: list[str], lowest: int) -> Iterator[str]:
    position = 0
    while position < len(lines):
        line = lines[position]
        position += 1
        if not line.strip():
            continue
        if line.lstrip().startswith("```"):
            code, position = _until(lines, position, lambda s: s.lstrip().startswith("```"))
            yield f"<pre><code>{escape(chr(10).join(code))}</code></pre>"
            position += 1
        elif found := _HEADING.match(line):
            level = min(6, len(found[1]) + lowest - 1)
            yield f"<h{level}>{inline(found[2])}</h{level}>"
        elif "|" in line and position < len(lines) and _RULE.match(lines[position]):
            rows, position = _until(lines, position + 1, lambda s: "|" not in s)
            yield _table(line, rows)
        elif _ITEM.match(line):
            items, position = _until(lines, position - 1, lambda s: not s.strip())
            yield _list(items)
        elif line.startswith("    "):
            code, position = _until(lines, position - 1, lambda s: not s.startswith("    "))
            yield f"<pre><code>{escape(chr(10).join(s[4:] for s in code))}</code></pre>"
        else:
            more, position = _until(lines, position, lambda s: not s.strip() or _is_block(s))
            yield f"<p>{inline(' '.join([line, *more]))}</p>"


def _is_block(line: str) -> bool:
    starts = line.lstrip().startswith("```")
    return starts or _HEADING.match(line) is not None or _ITEM.match(line) is not None


def _until(lines: list[str], start: int, ends: Callable[[str], bool]) -> tuple[list[str], int]:
    end = next((i for i in range(start, len(lines)) if ends(lines[i])), len(lines))
    return lines[start:end], end


def _list(lines: list[str]) -> str:
    items: list[str] = []
    for line in lines:
        found = _ITEM.match(line)
        if found:
            items.append(found[1])
        elif items:
            items[-1] += " " + line.strip()
    inner = "".join(f"<li>{inline(item)}</li>" for item in items)
    return f"<ul>{inner}</ul>"


def _table(head: str, rows: list[str]) -> str:
    heads = "".join(f"<th>{inline(cell)}</th>" for cell in _cells(head))
    body = "".join(
        "<tr>" + "".join(f"<td>{inline(cell)}</td>" for cell in _cells(row)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _cells(row: str) -> list[str]:
    inner = row.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def inline(text: str) -> str:
    """Give the Markdown of one line as HTML.

    >>> inline("see `x` & **y**")
    'see <code>x</code> &amp; <strong>y</strong>'
    """
    parts: list[str] = []
    position = 0
    for found in _CODE.finditer(text):
        parts.append(_words(text[position : found.start()]))
        parts.append(f"<code>{escape(found[2].strip())}</code>")
        position = found.end()
    parts.append(_words(text[position:]))
    return "".join(parts)


def _words(text: str) -> str:
    parts: list[str] = []
    position = 0
    for found in _LINK.finditer(text):
        parts.append(escape(text[position : found.start()]))
        address = escape(found[2], quote=True)
        parts.append(f'<a href="{address}" rel="nofollow noopener">{escape(found[1])}</a>')
        position = found.end()
    parts.append(escape(text[position:]))
    return _BOLD.sub(r"<strong>\1</strong>", "".join(parts))
