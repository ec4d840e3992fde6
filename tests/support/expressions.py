"""Expressions without a session: a fixed time, some variables, rows and results at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from moltler.errors import MoltlerError, Source
from moltler.exec.evaluate import evaluate
from moltler.exec.scope import Scope
from moltler.flow.scan import Warning
from moltler.lang import ast
from moltler.lang.parser import parse_expression

NOW = datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


@dataclass
class FixedEnvironment:
    """An environment whose every answer is given beforehand."""

    scope: Scope = field(default_factory=Scope)
    now: datetime = NOW
    parameters: Sequence[object] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    rows: list[dict[str, object]] = field(default_factory=list)
    result: object = None
    warnings: list[Warning] = field(default_factory=list)
    executed: list[ast.Exec] = field(default_factory=list)
    seen: list[dict[str, object]] = field(default_factory=list)
    """The variables in sight of each SELECT and action."""

    @property
    def mocks(self) -> None:
        return None

    def positional(self, index: int) -> object:
        return self.parameters[index]

    def env(self, name: str, default: str | None) -> str:
        return self.variables.get(name, default or "")

    def select(self, sql: ast.SqlText) -> list[dict[str, object]]:
        del sql
        self.seen.append(self.scope.visible())
        return self.rows

    def execute(self, call: ast.Exec) -> object:
        self.executed.append(call)
        self.seen.append(self.scope.visible())
        return self.result

    def warn(self, warning: Warning) -> None:
        self.warnings.append(warning)


def value_of(text: str, environment: FixedEnvironment | None = None, /, **names: object) -> object:
    """Evaluate a text over variables."""
    environment = environment or FixedEnvironment()
    for name, value in names.items():
        environment.scope.declare(name, value)
    return evaluate(parse_expression(Source("<test>", text)), environment)


def error_of(
    text: str, environment: FixedEnvironment | None = None, /, **names: object
) -> MoltlerError:
    """Evaluate a text that fails, and give the error."""
    try:
        value = value_of(text, environment, **names)
    except MoltlerError as error:
        return error
    raise AssertionError(f"{text} gives {value!r}")
