"""Random conditions and values, each printed twice: in the language, and in DuckDB's spelling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from random import Random

from fuzz.world import VALUES, EntityWorld, World


@dataclass(frozen=True)
class Both:
    """The same text in the language and in DuckDB's spelling."""

    ours: str
    truth: str


def same(text: str) -> Both:
    """Give text that both spell alike."""
    return Both(text, text)


def put(template: str, *parts: Both) -> Both:
    """Fill ``{}`` in a template with parts."""
    return Both(
        template.format(*(p.ours for p in parts)), template.format(*(p.truth for p in parts))
    )


def joined(separator: str, parts: Sequence[Both]) -> Both:
    """Join parts."""
    return Both(separator.join(p.ours for p in parts), separator.join(p.truth for p in parts))


@dataclass(frozen=True)
class Column:
    """A column in scope; `name` is the field of `POOL` (or id) that it shows."""

    alias: str
    name: str
    type: str
    label: str | None = None
    """Its visible name, where that differs."""

    @property
    def sql(self) -> Both:
        """The column as written, with its table."""
        return same(f"{self.alias}.{self.label or self.name}")

    @property
    def is_scalar(self) -> bool:
        """Whether it can be compared."""
        return self.type != "document" and not self.type.startswith("array")


@dataclass
class Conditions:
    """Makes conditions over columns in scope."""

    world: World
    random: Random
    aliases: int = 0

    # ── conditions ───────────────────────────────────────────────────────────────────────────

    def _where(self, scope: list[Column]) -> Both:
        r = self.random
        if r.random() < 0.2:
            return same("")
        parts = [self._predicate(scope, 2) for _ in range(r.choice([1, 1, 1, 2]))]
        return put(" WHERE {}", joined(" AND ", parts))

    def _predicate(self, scope: list[Column], depth: int, *, can_nest: bool = True) -> Both:
        r = self.random
        choice = r.random()
        if depth and choice < 0.14:
            word = r.choice([" OR ", " OR ", " AND "])
            parts = [self._predicate(scope, depth - 1, can_nest=False) for _ in range(2)]
            return put("({})", joined(word, parts))
        if depth and choice < 0.22:
            return put("NOT ({})", self._predicate(scope, depth - 1, can_nest=False))
        if can_nest and choice < 0.3:
            return self._subquery(scope)
        if choice < 0.32:
            return same(r.choice(["TRUE", "1 = 1", "TRUE", "1 = 0", "NULL"]))
        return self._leaf(scope)

    def _subquery(self, scope: list[Column]) -> Both:
        r = self.random
        entity, alias = self._entity(), self._alias()
        inner = self._columns(entity, alias)
        outer = r.choice([c for c in scope if c.is_scalar])
        alike = [c for c in inner if c.type == outer.type]
        conditions: list[Both] = []
        if r.random() < 0.6:
            conditions.append(self._predicate(inner, 1, can_nest=False))
        word = r.choice(["EXISTS", "NOT EXISTS", "IN", "NOT IN"])
        if word in {"IN", "NOT IN"} and alike:
            where = put(" WHERE {}", conditions[0]) if conditions else same("")
            return put("{} " + word + " (SELECT {} FROM {}{})", outer.sql, r.choice(alike).sql,
                       self._table(entity, alias), where)  # fmt: skip
        word = word if "EXISTS" in word else "EXISTS"
        if alike:
            conditions.append(put("{} = {}", r.choice(alike).sql, outer.sql))
        where = put(" WHERE {}", joined(" AND ", conditions)) if conditions else same("")
        return put(word + " (SELECT 1 FROM {}{})", self._table(entity, alias), where)

    def _simple(self, scope: list[Column]) -> Both:
        """Give a condition that handlers are told, and that keeps about half of the rows."""
        r = self.random
        column = r.choice([c for c in scope if c.is_scalar])
        constant = self._constant(column)
        choice = r.random()
        if choice < 0.3:
            return put("{} IS NULL", column.sql)
        if choice < 0.4:
            return put("({} IS NULL OR {} = {})", column.sql, column.sql, constant)
        if choice < 0.5:
            return put("NOT ({} = {})", column.sql, constant)
        return put("{} " + r.choice(["=", "<>", "<=", ">="]) + " {}", column.sql, constant)

    def _leaf(self, scope: list[Column]) -> Both:
        r = self.random
        column = r.choice(scope)
        name = column.sql
        if r.random() < 0.2:
            return put("{} IS " + r.choice(["NULL", "NOT NULL"]), name)
        match column.type:
            case "document":
                return self._document_leaf(column)
            case "array<string>" | "array<integer>":
                return self._array_leaf(column, scope)
            case "boolean":
                shapes = [
                    "{}",
                    "NOT {}",
                    "{} = TRUE",
                    "{} IS NOT TRUE",
                    "{} <> FALSE",
                    "{} IS FALSE",
                ]
                return put(r.choice(shapes), name)
            case "string" if r.random() < 0.5:
                return self._text_leaf(column)
            case _:
                return self._scalar_leaf(column, scope)

    def _scalar_leaf(self, column: Column, scope: list[Column]) -> Both:
        r = self.random
        name = column.sql
        choice = r.random()
        if choice < 0.15:
            alike = [c for c in scope if c.type == column.type]
            return put("{} " + r.choice(["=", "<", "<>"]) + " {}", name, r.choice(alike).sql)
        if choice < 0.3:
            items = [self._constant(column) for _ in range(r.randint(1, 3))]
            if r.random() < 0.15:
                items.append(same("NULL"))
            word = r.choice(["IN", "IN", "NOT IN"])
            return put("{} " + word + " ({})", name, joined(", ", items))
        if choice < 0.4:
            low, high = self._constant(column), self._constant(column)
            word = r.choice(["BETWEEN", "BETWEEN", "NOT BETWEEN"])
            return put("{} " + word + " {} AND {}", name, low, high)
        if choice < 0.45:
            word = r.choice(["IS DISTINCT FROM", "IS NOT DISTINCT FROM"])
            return put("{} " + word + " {}", name, self._constant(column))
        if choice < 0.5:
            return put("({} = {}) IS NOT TRUE", name, self._constant(column))
        if choice < 0.55:
            return put("coalesce({}, {}) = {}", name, self._constant(column),
                       self._constant(column))  # fmt: skip
        if choice < 0.6 and column.type == "integer":
            return put("CAST({} AS VARCHAR) = '1'", name)
        if choice < 0.64:
            return put("{} = {}", name, r.choice([same("NULL"), Both("@v_null", "NULL")]))
        operator = r.choice(["=", "=", "<>", "!=", "<", "<=", ">", ">="])
        if r.random() < 0.2:
            return put("{} " + operator + " {}", self._constant(column), name)
        return put("{} " + operator + " {}", name, self._constant(column))

    def _text_leaf(self, column: Column) -> Both:
        r = self.random
        name = column.sql
        shapes = [
            put("{} LIKE " + r.choice(["'a%'", "'%b'", "'_'", "'%'", "'A'", "'é%'"]), name),
            put("{} NOT LIKE 'a%'", name),
            put("{} LIKE 'a!%b' ESCAPE '!'", name),
            put("{} ILIKE 'a%'", name),
            Both(f"{name.ours} CONTAINS 'a'", f"contains({name.truth}, 'a')"),
            Both(f"{name.ours} NOT CONTAINS 'b'", f"NOT contains({name.truth}, 'b')"),
            Both(f"{name.ours} MATCHES '^[a-z]+$'", f"regexp_matches({name.truth}, '^[a-z]+$')"),
            put("regexp_matches({}, 'b')", name),
            Both(f"{name.ours} = 5", f"{name.truth} = '5'"),
            Both(f"{name.ours} IN (1, 'x')", f"{name.truth} IN ('1', 'x')"),
            Both(f"{name.ours} <> TRUE", f"{name.truth} <> 'true'"),
            Both(f"{name.ours} = v_text", f"{name.truth} = 'a'"),
            Both(f"{name.ours} = @v_int", f"{name.truth} = '1'"),
            put("upper({}) = 'A'", name),
            put("length({}) > 1", name),
        ]
        return r.choice(shapes)

    def _array_leaf(self, column: Column, scope: list[Column]) -> Both:
        r = self.random
        name = column.sql
        item = "'a'" if column.type == "array<string>" else "1"
        if r.random() < 0.4:
            return Both(f"{name.ours} CONTAINS {item}", f"list_contains({name.truth}, {item})")
        return put("{} = " + item, self._element(column, scope))

    def _element(self, column: Column, scope: list[Column]) -> Both:
        r = self.random
        name = column.sql
        # Not the column of huge numbers: `big + 1` overflows for both, but not for each plan.
        numbers = [c for c in scope if c.type == "integer" and c.name != "big"]
        index = r.choice([same("0"), same("1"), same("-1"), same("9"), Both("@v_int", "1")])
        if numbers and r.random() < 0.5:
            index = put(r.choice(["{}", "{} - 1", "{} + 1"]), r.choice(numbers).sql)
        return Both(
            f"{name.ours}[{index.ours}]",
            f"(CASE WHEN ({index.truth}) >= 0 AND ({index.truth}) < 1000 "
            f"THEN {name.truth}[({index.truth}) + 1] END)",
        )

    def _document_leaf(self, column: Column) -> Both:
        r = self.random
        name = column.sql.ours
        list_ = f"list_extract(CAST({name}.l AS VARCHAR[]), 1)"
        shapes = [
            same(f"{name}.k = 1"),
            same(f"{name}.r = 'eu'"),
            same(f"{name}.k IS NULL"),
            same(f"{name}.m.x > 1"),
            same(f"{name}.r IN ('eu', 'a')"),
            Both(f"{name}.r CONTAINS 'u'", f"contains(CAST({name}.r AS VARCHAR), 'u')"),
            Both(f"{name}.l CONTAINS 'a'",
                 f"list_contains(CAST({name}.l AS VARCHAR[]), 'a')"),
            Both(f"{name}.l[0] = 'a'", f"{list_} = 'a'"),
            Both(f"{name}.k = v_doc.k", f"{name}.k = 2"),
            Both(f"NOT ({name}.k = @v_doc.list[1])", f"NOT ({name}.k = 1)"),
        ]  # fmt: skip
        return r.choice(shapes)

    def _constant(self, column: Column) -> Both:
        r = self.random
        if r.random() < 0.12:
            match column.type:
                case "integer":
                    return Both(r.choice(["v_int", "@v_int", "@V_INT"]), "1")
                case "string":
                    return Both("v_text", "'a'")
                case "boolean":
                    return Both("v_flag", "TRUE")
                case "timestamp":
                    return Both("@v_time", "TIMESTAMPTZ '2024-01-01 12:00:00+00'")
                case _:
                    pass
        value = r.choice(VALUES.get(column.name, [0, 1, 2, 3]))
        if column.type == "integer" and r.random() < 0.1:
            return same(f"'{value}'")
        if column.type == "integer" and column.name != "big" and r.random() < 0.1:
            return same(f"{value}.5")
        return same(literal(value))

    def _value(self, scope: list[Column]) -> Both:
        r = self.random
        arrays = [c for c in scope if c.type.startswith("array")]
        documents = [c for c in scope if c.type == "document"]
        if arrays and r.random() < 0.4:
            return self._element(r.choice(arrays), scope)
        if documents and r.random() < 0.5:
            return same(f"CAST({r.choice(documents).sql.ours}.r AS VARCHAR)")
        column = r.choice(self._scalars(scope, 1))
        shapes = [
            put("CAST({} AS VARCHAR)", column.sql),
            put("{} IS NULL", column.sql),
            Both("@v_int", "1"),
            put("coalesce({}, NULL)", column.sql),
            put("CASE WHEN {} THEN 1 ELSE 0 END", self._leaf(scope)),
        ]
        return r.choice(shapes)

    # ── small things ─────────────────────────────────────────────────────────────────────────

    def _scalars(self, scope: list[Column], count: int) -> list[Column]:
        scalars = [c for c in scope if c.is_scalar]
        return self.random.sample(scalars, min(count, len(scalars)))

    def _entity(self) -> EntityWorld:
        return self.random.choice(self.world.entities)

    def _alias(self) -> str:
        self.aliases += 1
        return f"a{self.aliases}"

    @staticmethod
    def _table(entity: EntityWorld, alias: str) -> Both:
        return Both(f"shop.{entity.name} AS {alias}", f"{entity.name} AS {alias}")

    @staticmethod
    def _columns(entity: EntityWorld, alias: str) -> list[Column]:
        return [Column(alias, n, t) for n, t in entity.columns.items()]


def literal(value: object) -> str:
    """Give a value as SQL."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case datetime():
            return f"TIMESTAMPTZ '{value.isoformat(sep=' ')}'"
        case date():
            return f"DATE '{value.isoformat()}'"
        case _:
            return str(value)
