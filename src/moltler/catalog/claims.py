"""PUSHDOWN: what the author of an entity vouches for, checked against its fields."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from moltler.catalog.documents import kind_of
from moltler.errors import Problem, Span, near_match
from moltler.flow.predicate import OPERATORS
from moltler.lang import ast
from moltler.model import FilterClaim, PushDown
from moltler.schema import SCALARS, Property, Schema

_CLAUSE_KEYS = ("filters", "order_by", "limit")
_CLAIM_KEYS = ("operators", "required")
_SQL_SPELLINGS = {"==": "=", "<>": "!=", "is null": "is_null", "is not null": "is_not_null"}


def read_pushdown(
    document: ast.Document | None, fields: Schema, problems: list[Problem]
) -> PushDown:
    """Give the claims of an entity and add everything wrong with them to `problems`.

    Args:
        document: Literals only; ``None`` without the clause.
        fields: The entity's fields.
        problems: Grows by DEF004.
    """
    if document is None:
        return PushDown()
    reader = _Reader(fields, problems)
    reader.check_keys(document, _CLAUSE_KEYS, "PUSHDOWN")
    parts = {m.key: m.value for m in document.members}
    return PushDown(
        reader.filters(parts["filters"]) if "filters" in parts else {},
        reader.order_by(parts["order_by"]) if "order_by" in parts else frozenset(),
        reader.flag(parts["limit"], "limit") if "limit" in parts else False,
    )


@dataclass(slots=True)
class _Reader:
    fields: Schema
    problems: list[Problem]

    def check_keys(self, document: ast.Document, allowed: tuple[str, ...], where: str) -> None:
        for entry in document.members:
            if entry.key not in allowed:
                near = near_match(entry.key, allowed)
                self._refuse(
                    entry.key_span,
                    f"{where} has the unknown key `{entry.key}`",
                    f"did you mean `{near}`?" if near else "leave it out",
                    allowed,
                )

    def filters(self, node: ast.Expr) -> dict[str, FilterClaim]:
        if not isinstance(node, ast.Document):
            self._wrong_shape(node, "`filters`", "a document", 'write {"status": ["="]}')
            return {}
        claims: dict[str, FilterClaim] = {}
        for entry in node.members:
            declared = self._field(entry.key, entry.key_span)
            claim = self._claim(entry)
            if declared is None:
                continue
            if declared.name in claims:
                self._refuse(
                    entry.key_span, f"`filters` names `{declared.name}` twice", "leave one out"
                )
            claims[declared.name] = claim
        return claims

    def order_by(self, node: ast.Expr) -> frozenset[str]:
        if not isinstance(node, ast.Array):
            self._wrong_shape(node, "`order_by`", "an array of fields", 'write ["created_at"]')
            return frozenset()
        names: list[str] = []
        for item in node.items:
            name = self._text(item, "`order_by`", "fields")
            declared = None if name is None else self._field(name, item.span)
            if declared is None:
                continue
            if declared.filter_only or declared.type.name not in SCALARS:
                why = "only a filter" if declared.filter_only else f"of type {declared.type}"
                self._refuse(
                    item.span, f"`order_by` names `{declared.name}`, which is {why}", "leave it out"
                )
            names.append(declared.name)
        return frozenset(names)

    def flag(self, node: ast.Expr, name: str) -> bool:
        if isinstance(node, ast.Literal) and isinstance(node.value, bool):
            return node.value
        self._wrong_shape(node, f"`{name}`", "TRUE or FALSE", None)
        return False

    def _claim(self, entry: ast.DocumentMember) -> FilterClaim:
        where = f"the claim for `{entry.key}`"
        match entry.value:
            case ast.Array() as operators:
                return FilterClaim(self._operators(operators, where))
            case ast.Document() as document:
                self.check_keys(document, _CLAIM_KEYS, where)
                parts = {m.key: m.value for m in document.members}
                operators = frozenset[str]()
                if "operators" in parts:
                    operators = self._operators(parts["operators"], where)
                required = (
                    self.flag(parts["required"], "required") if "required" in parts else False
                )
                return FilterClaim(operators, required)
            case node:
                self._wrong_shape(
                    node,
                    where,
                    'an array of operators, or {"operators": […], "required": true}',
                    'write ["="]',
                )
                return FilterClaim(frozenset())

    def _operators(self, node: ast.Expr, where: str) -> frozenset[str]:
        if not isinstance(node, ast.Array):
            self._wrong_shape(node, f"`operators` in {where}", "an array", 'write ["="]')
            return frozenset()
        operators: list[str] = []
        for item in node.items:
            operator = self._text(item, where, "operators")
            if operator is None:
                continue
            if operator not in OPERATORS:
                near = _SQL_SPELLINGS.get(operator.lower()) or near_match(
                    operator.replace(" ", "_"), tuple(OPERATORS)
                )
                self._refuse(
                    item.span,
                    f"{where} names the unknown operator `{operator}`",
                    f"did you mean `{near}`?" if near else None,
                    OPERATORS,
                )
            operators.append(operator)
        return frozenset(operators)

    def _text(self, node: ast.Expr, where: str, what: str) -> str | None:
        if isinstance(node, ast.Literal) and isinstance(node.value, str):
            return node.value
        self._wrong_shape(node, where, f"an array of {what} in quotes", None)
        return None

    def _field(self, name: str, span: Span) -> Property | None:
        declared = self.fields.find(name)
        if declared is None:
            near = near_match(name, self.fields.names)
            self._refuse(
                span,
                f"PUSHDOWN names the unknown field `{name}`",
                f"did you mean `{near}`?" if near else "declare it in FIELDS",
                self.fields.names,
            )
        return declared

    def _wrong_shape(self, node: ast.Expr, what: str, wanted: str, hint: str | None) -> None:
        self._refuse(node.span, f"{what} must be {wanted}, found {kind_of(node)}", hint)

    def _refuse(
        self, span: Span, message: str, hint: str | None, allowed: Iterable[str] = ()
    ) -> None:
        self.problems.append(Problem("DEF004", message, hint, span, tuple(allowed)))
