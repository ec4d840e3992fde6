"""JavaScript positions to positions in the script that holds the handler."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from moltler.errors import ScriptPosition
from moltler.model import Handler

_FRAME = re.compile(r"handler-(\d+):(\d+):(\d+)")
_STACK_LINE = re.compile(r"\s+at ")


@dataclass(frozen=True, slots=True)
class Module:
    """A handler that is loaded in a process; its id names it in stacks."""

    id: int
    handler: Handler
    typescript: bool = False


def place(module: Module, line: int, column: int | None) -> ScriptPosition:
    r"""Give the place in the script of a 1-based line and column of a module.

    The module is the handler's text with our export line after it, so line n is line n; only the
    first line may begin in the middle of a line of the script. Of TypeScript the types have been
    stripped, so that only lines are right.

    >>> place(Module(1, Handler("a\nb", "shop.moltler", 7, 12)), 1, 3)
    ScriptPosition(file='shop.moltler', line=7, column=14)
    """
    handler = module.handler
    last = handler.text.count("\n") + 1
    if line > last:
        # The end of the text, where something is missing.
        return ScriptPosition(handler.file, handler.line + last - 1)
    shown = None
    if column is not None and not module.typescript:
        shown = column + handler.column - 1 if line == 1 else column
    return ScriptPosition(handler.file, handler.line + line - 1, shown)


def end_of(handler: Handler) -> ScriptPosition:
    r"""Give the place directly after the last character of a handler.

    >>> end_of(Handler("f(", "shop.moltler", 7, 12)).column
    14
    """
    lines = handler.text.split("\n")
    while len(lines) > 1 and not lines[-1].strip():
        lines.pop()
    before = handler.column - 1 if len(lines) == 1 else 0
    return ScriptPosition(
        handler.file, handler.line + len(lines) - 1, before + len(lines[-1].rstrip()) + 1
    )


def first_place(stack: str, modules: Mapping[int, Module]) -> ScriptPosition | None:
    """Give the place of the innermost frame of a stack that lies in a handler."""
    for line in stack.split("\n"):
        if not _STACK_LINE.match(line):
            continue
        if (found := _FRAME.search(line)) and (module := modules.get(int(found[1]))):
            return place(module, int(found[2]), int(found[3]))
    return None


def in_script(stack: str, modules: Mapping[int, Module]) -> str:
    """Give a stack with places in the script, without the frames of the runner."""

    def shown(frame: re.Match[str]) -> str:
        module = modules.get(int(frame[1]))
        if module is None:
            return frame[0]
        where = place(module, int(frame[2]), int(frame[3]))
        column = "" if where.column is None else f":{where.column}"
        return f"{where.file}:{where.line}{column}"

    lines = [
        _FRAME.sub(shown, line)
        for line in stack.split("\n")
        if not _STACK_LINE.match(line) or _FRAME.search(line)
    ]
    return "\n".join(lines)
