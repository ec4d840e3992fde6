"""What a changed file concerns: the types that it defines, and their tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from moltler.lang import ast


def handler_files(scripts: Sequence[ast.Script]) -> dict[Path, set[str]]:
    """Give the files that handlers are read from, with the types (in lower case) they serve."""
    found: dict[Path, set[str]] = {}
    for script in scripts:
        folder = Path(script.source.name).parent
        for statement in script.statements:
            handler = _handler(statement)
            type_name = _defines(statement)
            if isinstance(handler, ast.HandlerFile) and type_name is not None:
                found.setdefault(folder / handler.path, set()).add(type_name)
    return found


def concerned(
    tests: Sequence[ast.TestDefinition],
    scripts: Sequence[ast.Script],
    changed: Iterable[Path],
) -> list[ast.TestDefinition]:
    """Give the tests that stand in changed files, or whose types are defined there."""
    files = {path.resolve() for path in changed}
    types: set[str] = set()
    for script in scripts:
        if Path(script.source.name).resolve() in files:
            types.update(filter(None, map(_defines, script.statements)))
    for path, served in handler_files(scripts).items():
        if path.resolve() in files:
            types |= served
    return [
        test
        for test in tests
        if str(test.type_name).lower() in types or Path(test.span.source.name).resolve() in files
    ]


def defined_types(scripts: Sequence[ast.Script]) -> dict[str, None]:
    """Give the types that scripts define something of, in lower case, in order."""
    names = (_defines(statement) for script in scripts for statement in script.statements)
    return dict.fromkeys(name for name in names if name is not None)


def _defines(statement: ast.Statement) -> str | None:
    match statement:
        case ast.CreateType() | ast.CreateEntity() | ast.CreateAction() | ast.RegisterType():
            return statement.name.segments[0].lower()
        case _:
            return None


def _handler(statement: ast.Statement) -> ast.HandlerSource | None:
    match statement:
        case ast.CreateType():
            return statement.test_handler
        case ast.CreateEntity() | ast.CreateAction():
            return statement.handler
        case _:
            return None
