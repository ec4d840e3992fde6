"""Statements read and built without a runtime: every handler counts as compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from moltler.catalog.build import build_action, build_entity, build_type
from moltler.catalog.catalog import Catalog
from moltler.catalog.documents import literal_value
from moltler.errors import MoltlerError, Problem, Source, Span
from moltler.lang import ast
from moltler.lang.parser import parse
from moltler.model import Action, ConnectorType, Entity, Handler

QUERY = "QUERY_HANDLER 'function query() {}'"
EXECUTE = "HANDLER 'function execute() {}'"


def read(text: str) -> Any:
    """Give the one statement of a text."""
    (statement,) = parse(Source("shop.moltler", text)).statements
    return statement


def compiles(_handler: Handler, _entry: str) -> tuple[Problem, ...]:
    return ()


def no_files(path: str, span: Span) -> str:
    raise MoltlerError("DEF005", f"cannot read `{path}`", span=span)


class Define:
    """Builds definitions from text."""

    def __init__(self) -> None:
        self.read_file: Callable[[str, Span], str] = no_files
        self.check: Callable[[Handler, str], tuple[Problem, ...]] = compiles

    def type(self, clauses: str = "", name: str = "shop") -> ConnectorType:
        statement = read(f"CREATE CONNECTOR TYPE '{name}' {clauses}")
        return build_type(statement, read_file=self.read_file, check=self.check)

    def entity(self, clauses: str, name: str = "shop.items") -> Entity:
        if "QUERY_HANDLER" not in clauses:
            clauses += f" {QUERY}"
        statement = read(f"CREATE CONNECTOR ENTITY '{name}' {clauses}")
        return build_entity(statement, read_file=self.read_file, check=self.check)

    def action(self, clauses: str = "", name: str = "shop.items.create") -> Action:
        if "HANDLER" not in clauses:
            clauses += f" {EXECUTE}"
        statement = read(f"CREATE CONNECTOR ACTION '{name}' {clauses}")
        return build_action(statement, read_file=self.read_file, check=self.check)

    def catalog(self, *, registered: bool = True) -> Catalog:
        """A catalog with the type `shop`, its `items` and their action `create`."""
        catalog = (
            Catalog()
            .define_type(self.type('CONFIG_SCHEMA {"api_key": {"type": "string"}}'))
            .define_entity("shop", self.entity('FIELDS {"id": {"type": "integer"}}'))
            .define_action("shop", self.action('PARAMETERS {"name": {"type": "string"}}'))
        )
        return catalog.register("shop") if registered else catalog


class Evaluator:
    """Evaluates literals and ENV, which is all that these statements hold."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ = dict(environ or {})

    def __call__(self, node: ast.Expr) -> object:
        match node:
            case ast.Call(name="ENV", arguments=(ast.Literal(value=str() as name), *default)):
                unset = literal_value(default[0]) if default else ""
                return self.environ.get(name, unset)
            case ast.Document():
                return {m.key: self(m.value) for m in node.members}
            case ast.Array():
                return [self(item) for item in node.items]
            case _:
                return literal_value(node)
