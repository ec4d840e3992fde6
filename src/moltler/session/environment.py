"""What the expressions and the SQL of one statement see: variables, parameters, time, tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from moltler.catalog.catalog import Catalog
from moltler.catalog.destinations import destination_names
from moltler.errors import PlanError
from moltler.exec.evaluate import MockCalls
from moltler.exec.scope import Scope
from moltler.flow.scan import Warning
from moltler.lang import ast
from moltler.model import ConnectorType


@dataclass(frozen=True, slots=True)
class BoundValues:
    """Parameters of one call of the Python API, and the environment."""

    named: Mapping[str, object]
    """By name as given; ``@name`` finds them ignoring case."""
    positional: Sequence[object]
    environ: Mapping[str, str]

    def at(self, index: int) -> object:
        """Give the positional parameter of that number, from 0.

        Raises:
            PlanError: PLN005, there is none.
        """
        if index < len(self.positional):
            return self.positional[index]
        raise PlanError(
            "PLN005",
            f"there is no value for parameter {index + 1}; {len(self.positional)} were given",
            hint="pass a sequence with one value for each `?`",
        )

    def check_count(self, wanted: int) -> None:
        """Refuse more positional parameters than a script has places for.

        Named ones may go unused: one mapping can serve several scripts.

        Raises:
            PlanError: PLN005.
        """
        given = len(self.positional)
        if given > wanted:
            raise PlanError(
                "PLN005",
                f"{given} values were given for {wanted} `?`",
                hint="pass a sequence with one value for each `?`",
            )

    def env(self, name: str, default: str | None) -> str:
        """Give an environment variable, its default, or the empty text."""
        if default is not None:
            return self.environ.get(name, default)
        return self.environ.get(name) or ""


@dataclass(frozen=True, slots=True)
class StatementEnvironment:
    """What expressions see (`exec.evaluate.Environment`)."""

    scope: Scope
    now: datetime
    values: BoundValues
    run_select: Callable[[ast.SqlText, Scope], list[dict[str, object]]]
    run_action: Callable[[ast.Exec, Scope], object]
    note: Callable[[Warning], None]
    mocks: MockCalls | None = None

    def positional(self, index: int) -> object:
        """Give the positional parameter of that number."""
        return self.values.at(index)

    def env(self, name: str, default: str | None) -> str:
        """Give an environment variable."""
        return self.values.env(name, default)

    def select(self, sql: ast.SqlText) -> list[dict[str, object]]:
        """Run a SELECT over the scope and give its rows."""
        return self.run_select(sql, self.scope)

    def execute(self, call: ast.Exec) -> object:
        """Run an action whose arguments are evaluated over the scope."""
        return self.run_action(call, self.scope)

    def warn(self, warning: Warning) -> None:
        """Note something the user should know."""
        self.note(warning)


@dataclass(frozen=True, slots=True)
class SqlVariables:
    """What SQL may name besides columns (`plan.bind.Variables`)."""

    scope: Scope
    values: BoundValues

    @property
    def names(self) -> tuple[str, ...]:
        """Variables and named parameters."""
        return self.scope.names

    def get(self, name: str) -> object:
        """Give the value of a variable."""
        return self.scope.get(name)

    def positional(self, index: int) -> object:
        """Give the positional parameter of that number."""
        return self.values.at(index)

    def env(self, name: str, default: str | None) -> str:
        """Give an environment variable."""
        return self.values.env(name, default)


@dataclass(frozen=True, slots=True)
class CatalogTables:
    """What may stand in FROM (`plan.bind.Tables`)."""

    catalog: Catalog
    synced: Callable[[str], ConnectorType] | None = None
    """Gives the synced tables of a destination; without it there are none."""

    @property
    def names(self) -> tuple[str, ...]:
        """The instances, as spelled."""
        return tuple(c.name for c in self.catalog.connectors.values())

    @property
    def destinations(self) -> tuple[str, ...]:
        """The destinations, as spelled."""
        return destination_names(self.catalog) if self.synced is not None else ()

    def stored(self, destination: str) -> ConnectorType:
        """Give the synced tables of a destination as if they were entities."""
        assert self.synced is not None  # noqa: S101 - there are destinations
        return self.synced(destination)

    def type_of(self, connector: str) -> ConnectorType:
        """Give the registered type of an instance that may be called."""
        return self.catalog.usable(connector)[1]


def bind_values(
    params: Mapping[str, object] | Sequence[object] | None, environ: Mapping[str, str]
) -> BoundValues:
    """Check the parameters of one call and give them.

    Raises:
        PlanError: PLN005, a value cannot be bound; all that cannot are named.
    """
    if params is None:
        return BoundValues({}, (), environ)
    if isinstance(params, str | bytes):
        raise PlanError(
            "PLN005",
            f"parameters are a mapping or a sequence, found {type(params).__name__}",
            hint="pass {'name': value} for @name, or [value] for ?",
        )
    if isinstance(params, Mapping):
        named = {str(k): _bindable(v, f"@{k}") for k, v in params.items()}
        return BoundValues(named, (), environ)
    return BoundValues({}, [_bindable(v, f"?{i + 1}") for i, v in enumerate(params)], environ)


def _bindable(value: object, name: str) -> object:
    match value:
        case datetime() if value.tzinfo is None:
            raise PlanError(
                "PLN005",
                f"the parameter {name} is a datetime without time zone",
                hint="make it aware: datetime(…, tzinfo=timezone.utc)",
            )
        case Mapping():
            return {str(k): _bindable(v, f"{name}.{k}") for k, v in value.items()}
        case list() | tuple():
            return [_bindable(v, f"{name}[{i}]") for i, v in enumerate(value)]
        case _ if type(value).__name__ in _BINDABLE or value is None:
            return value
        case _:
            raise PlanError(
                "PLN005",
                f"the parameter {name} has the type {type(value).__name__}, which has no SQL form",
                hint="pass text, numbers, booleans, aware datetimes, dates, lists or dicts",
            )


_BINDABLE = frozenset({"bool", "int", "float", "str", "Decimal", "datetime", "date", "timedelta"})


def action_of(catalog: Catalog, call: ast.Exec) -> str:
    """Give the path within its type of the action that a call names.

    Raises:
        LookupFailed: CAT001, CAT002, or the instance cannot be used.
        PlanError: PLN008, several entities have an action of that name.
    """
    connector, *rest = call.path
    _, definition, _ = catalog.usable(connector, call.path_span)
    if len(rest) > 1 or definition.action(rest[0]) is not None:
        return ".".join(rest)
    wanted = rest[0].lower()
    found = [a.path for a in definition.actions if a.name.lower() == wanted]
    if len(found) > 1:
        raise PlanError(
            "PLN008",
            f"`{connector}.{rest[0]}` may mean {' or '.join(f'`{p}`' for p in found)}",
            hint=f"write `{connector}.{found[0]}`",
            span=call.path_span,
            allowed=tuple(found),
        )
    if found:
        return found[0]
    return rest[0]
