"""Random SELECTs, each printed twice: in the language, and in DuckDB's own spelling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from random import Random

from fuzz.world import VALUES, VARIABLES, EntityWorld, World


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
class Generated:
    """A query and how its result is to be compared."""

    sql: Both
    """Without the LIMIT and OFFSET of its outermost SELECT, which are `cut`."""
    cut: Both | None = None
    limit: int | None = None
    offset: int = 0
    sorted_by: tuple[int, ...] = ()
    """Columns of the result whose sequence ORDER BY settles."""

    @property
    def ours(self) -> str:
        """The whole query in the language."""
        return self.sql.ours + (self.cut.ours if self.cut else "")


SHAPES = ("page", "page", "join", "chain", "derived", "set", "any", "any")
"""What queries are about; each of the first four is dense in what one group of rules is for."""


@dataclass
class Generator:
    """Makes queries over one world."""

    world: World
    random: Random
    shape: str | None = None
    """One of `SHAPES`; ``None`` for any."""
    _aliases: int = 0
    _ctes: list[tuple[Both, str, list[Column]]] = field(
        default_factory=list[tuple[Both, str, list[Column]]]
    )

    # ── queries ──────────────────────────────────────────────────────────────────────────────

    def _shaped(self, shape: str) -> Generated:
        match shape:
            case "page":
                return self._page()
            case "join":
                return self._outer_join()
            case "chain":
                return self._chain()
            case "derived":
                return self._through_derived()
            case "set":
                return self._set_operation()
            case _:
                return self._select()

    def query(self) -> Generated:
        """Give one query."""
        self._aliases = 0
        self._ctes = []
        r = self.random
        if self.shape is None and r.random() < 0.3:
            self._ctes = [self._cte() for _ in range(r.choice([1, 1, 2]))]
        made = self._shaped(self.shape or r.choice(SHAPES))
        if self._ctes:
            head = put("WITH {} ", joined(", ", [c for c, _, _ in self._ctes]))
            made.sql = put("{}{}", head, made.sql)
        return made

    def _select(self) -> Generated:
        r = self.random
        text, scope = self._from(r.choice([1, 1, 1, 2, 2, 3]))
        where = self._where(scope)
        body = put("FROM {}{}", text, where)
        kind = r.random()
        if kind < 0.15:
            return self._aggregate(body, scope)
        if kind < 0.22:
            keys = self._scalars(scope, 2)
            made = put("SELECT DISTINCT {} {}", joined(", ", [k.sql for k in keys]), body)
            return self._limited(made, keys, list(range(len(keys))))
        if kind < 0.28:
            keys = self._scalars(scope, 2)
            window = put("count(*) OVER (PARTITION BY {})", keys[-1].sql)
            shown = joined(", ", [k.sql for k in keys])
            tail = put(" QUALIFY {} > 1", window) if r.random() < 0.5 else same("")
            made = put("SELECT {}, {} {}{}", shown, window, body, tail)
            return self._limited(made, keys, list(range(len(keys))))
        if kind < 0.33 and (arrays := [c for c in scope if c.type.startswith("array")]):
            key = self._scalars(scope, 1)
            made = put("SELECT {}, unnest({}) {}", key[0].sql, r.choice(arrays).sql, body)
            return self._limited(made, key, [0])
        keys = self._scalars(scope, r.randint(1, 4))
        items = [k.sql for k in keys]
        if r.random() < 0.35:
            items += [self._value(scope) for _ in range(r.randint(1, 2))]
        if r.random() < 0.15:
            items = [*items, same(f"{r.choice(scope).alias}.*")]
        return self._limited(
            put("SELECT {} {}", joined(", ", items), body), keys, list(range(len(keys)))
        )

    def _page(self) -> Generated:
        """Give the first rows of one entity: what limits are about."""
        r = self.random
        entity, alias = self._entity(), self._alias()
        scope = self._columns(entity, alias)
        where = same("")
        if r.random() < 0.8:
            make = self._simple if r.random() < 0.7 else self._leaf
            leaves = [make(scope) for _ in range(r.choice([1, 1, 2]))]
            where = put(" WHERE {}", joined(" AND ", leaves))
        keys = self._scalars(scope, r.randint(1, 3))
        shown = joined(", ", [k.sql for k in keys])
        body = put("FROM {}{}", self._table(entity, alias), where)
        arrays = [c for c in scope if c.type.startswith("array")]
        made = put("SELECT {} {}", shown, body)
        kind = r.random()
        if kind < 0.1:
            made = put("SELECT DISTINCT {} {}", keys[0].sql, body)
            return self._cut(made)
        if kind < 0.2:
            return self._cut(put("SELECT {}, count(*) {} GROUP BY 1", keys[0].sql, body))
        if kind < 0.25:
            return self._cut(put("SELECT count(*), max({}) {}", keys[0].sql, body))
        if kind < 0.3:
            return self._cut(put("SELECT {}, count(*) OVER () {}", keys[0].sql, body))
        if kind < 0.35 and arrays:
            return self._cut(put("SELECT unnest({}) {}", r.choice(arrays).sql, body))
        sorted_by: tuple[int, ...] = ()
        if r.random() < 0.35:
            marks = [r.choice(["", "", " DESC", " NULLS FIRST"]) for _ in keys]
            order = [put("{}" + m, k.sql) for k, m in zip(keys, marks, strict=True)]
            if r.random() < 0.2 and keys[0].type == "integer":
                order[0] = put("-{}", keys[0].sql)
            made = put("{} ORDER BY {}", made, joined(", ", order))
            sorted_by = tuple(range(len(keys)))
        return self._cut(made, sorted_by)

    def _cut(self, made: Both, sorted_by: tuple[int, ...] = ()) -> Generated:
        r = self.random
        limit = r.choice([0, 1, 1, 2, 2, 4, 5, 9, 40])
        spelled = r.choice(["@v_int", "v_int"]) if limit == 1 and r.random() < 0.3 else str(limit)
        cut, offset = f" LIMIT {spelled}", 0
        if r.random() < 0.35:
            offset = r.choice([1, 1, 2, 3])
            spelled = r.choice(["@v_int", "v_int"]) if offset == 1 else f"1 + {offset - 1}"
            cut = f"{cut} OFFSET {spelled}"
        return Generated(made, same(cut), limit, offset, sorted_by)

    def _outer_join(self) -> Generated:
        """Join whole entities and ask little: what the rules for joins are about."""
        r = self.random
        first, alias = self._entity(), self._alias()
        scope = self._columns(first, alias)
        text = self._table(first, alias)
        for _ in range(r.choice([1, 1, 2])):
            entity, alias = self._entity(), self._alias()
            columns = self._columns(entity, alias)
            kind = r.choice(["INNER", "LEFT", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI"])
            condition = same(f"{r.choice(scope).alias}.k = {alias}.k")
            for side in (scope, columns):
                if r.random() < 0.45:
                    condition = put("{} AND {}", condition, self._simple(side))
            joined_ = self._table(entity, alias)
            text = put("{} " + kind + " JOIN {} ON {}", text, joined_, condition)
            if kind not in {"SEMI", "ANTI"}:
                scope = [*scope, *columns]
        where = put(" WHERE {}", self._simple(scope)) if r.random() < 0.6 else same("")
        shown = joined(", ", [c.sql for c in scope if c.name in {"id", "k"}])
        made = put("SELECT {} FROM {}{}", shown, text, where)
        return self._cut(made) if r.random() < 0.2 else Generated(made)

    def _chain(self) -> Generated:
        """Ask in a later ON about a table that an earlier join may have filled with NULLs."""
        r = self.random
        aliases = [self._alias() for _ in range(3)]
        entities = [self._entity() for _ in range(3)]
        tables = [self._table(e, a) for e, a in zip(entities, aliases, strict=True)]
        first, second, third = aliases
        text = put("{} " + r.choice(["LEFT", "FULL", "RIGHT"]) + " JOIN {}", *tables[:2])
        text = put("{} ON " + f"{first}.k = {second}.k", text)
        asked = r.choice([0, 1])
        condition = self._simple(self._columns(entities[asked], aliases[asked]))
        kind = r.choice(["INNER", "INNER", "RIGHT", "SEMI", "LEFT", "ANTI"])
        text = put("{} " + kind + " JOIN {} ON {}", text, tables[2], condition)
        if r.random() < 0.5:
            text = put("{} AND " + f"{third}.k = {r.choice([first, second])}.k", text)
        seen = aliases[:2] if kind in {"SEMI", "ANTI"} else aliases
        return Generated(put("SELECT " + ", ".join(f"{a}.id" for a in seen) + " FROM {}", text))

    def _through_derived(self) -> Generated:
        """Filter a derived table or CTE: what the barriers are about."""
        r = self.random
        alias = self._alias()
        query, columns = self._derived_query(alias, is_plain=True)
        condition = self._simple([c for c in columns if c.is_scalar])
        shown = joined(", ", [c.sql for c in columns if c.is_scalar])
        if r.random() < 0.3:
            head = put("WITH " + alias + " AS ({}) ", query)
            made = put("{}SELECT {} FROM " + alias + " WHERE {}", head, shown, condition)
        else:
            made = put("SELECT {} FROM ({}) AS " + alias + " WHERE {}", shown, query, condition)
        return Generated(made)

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

    def _aggregate(self, body: Both, scope: list[Column]) -> Generated:
        r = self.random
        keys = self._scalars(scope, r.choice([0, 1, 2]))
        numbers = [c for c in scope if c.type in {"integer", "string", "timestamp"}]
        measure = put("{}({})", same(r.choice(["min", "max", "count"])), r.choice(numbers).sql)
        items = [*(k.sql for k in keys), same("count(*)"), measure]
        made = put("SELECT {} {}", joined(", ", items), body)
        if keys:
            by = same("ALL") if r.random() < 0.3 else joined(", ", [k.sql for k in keys])
            made = put("{} GROUP BY {}", made, by)
            if r.random() < 0.3:
                made = put("{} HAVING count(*) > 1", made)
        return self._limited(made, keys, list(range(len(keys))))

    def _limited(self, made: Both, keys: list[Column], positions: list[int]) -> Generated:
        r = self.random
        sorted_by: tuple[int, ...] = ()
        if keys and r.random() < 0.4:
            count = r.randint(1, len(keys))
            marks = [r.choice(["", " DESC", " ASC", " NULLS FIRST"]) for _ in range(count)]
            order = joined(", ", [put("{}" + m, k.sql) for k, m in zip(keys, marks, strict=False)])
            made = put("{} ORDER BY {}", made, order)
            sorted_by = tuple(positions[:count])
        return (
            self._cut(made, sorted_by)
            if r.random() < 0.45
            else Generated(made, None, None, 0, sorted_by)
        )

    def _set_operation(self) -> Generated:
        r = self.random
        left, right = self._entity(), self._entity()
        shared = [n for n in left.columns if n in right.columns and n not in {"doc"}]
        names = r.sample(shared, min(len(shared), r.randint(1, 3)))
        sides: list[Both] = []
        for entity in (left, right):
            alias = self._alias()
            scope = self._columns(entity, alias)
            shown = ", ".join(f"{alias}.{n}" for n in names)
            where = self._where(scope)
            sides.append(put("SELECT " + shown + " FROM {}{}", self._table(entity, alias), where))
        word = r.choice(["UNION ALL", "UNION", "EXCEPT", "INTERSECT", "UNION ALL"])
        made = put("{} " + word + " {}", *sides)
        return self._cut(made) if r.random() < 0.3 else Generated(made)

    def _cte(self) -> tuple[Both, str, list[Column]]:
        name = f"c{len(self._ctes)}_{self._alias()}"
        query, columns = self._derived_query(name)
        kind = self.random.choice(["", "", "MATERIALIZED ", "NOT MATERIALIZED "])
        return put(name + " AS " + kind + "({})", query), name, columns

    # ── FROM ─────────────────────────────────────────────────────────────────────────────────

    def _from(self, count: int) -> tuple[Both, list[Column]]:
        r = self.random
        text, scope = self._source()
        for _ in range(count - 1):
            other, columns = self._source()
            if r.random() < 0.12:
                text = put("{}, {}", text, other)
                scope = [*scope, *columns]
                continue
            kind = r.choice(["", "INNER ", "LEFT ", "LEFT ", "RIGHT ", "FULL ", "SEMI ", "ANTI "])
            condition = self._on(scope, columns)
            text = put("{} " + kind + "JOIN {} ON {}", text, other, condition)
            if kind not in {"SEMI ", "ANTI "}:
                scope = [*scope, *columns]
        return text, scope

    def _on(self, left: list[Column], right: list[Column]) -> Both:
        r = self.random
        pairs = [(a, b) for a in left for b in right if a.type == b.type and a.is_scalar]
        keys = [(a, b) for a, b in pairs if a.name == b.name == "k"]
        a, b = r.choice(keys if keys and r.random() < 0.7 else pairs)
        parts = [put("{} = {}", a.sql, b.sql)]
        while r.random() < 0.5 and len(parts) < 3:
            side = r.choice([left, right, right])
            parts.append(self._predicate(side, 1, can_nest=False))
        if r.random() < 0.1:
            parts = parts[1:] or parts
        return joined(" AND ", parts)

    def _source(self) -> tuple[Both, list[Column]]:
        r = self.random
        alias = self._alias()
        choice = r.random()
        if self._ctes and choice < 0.4:
            _, name, columns = r.choice(self._ctes)
            return same(f"{name} AS {alias}"), [
                Column(alias, c.name, c.type, c.label) for c in columns
            ]
        if choice < 0.25:
            query, columns = self._derived_query(alias)
            return put("({}) AS " + alias, query), columns
        entity = self._entity()
        return self._table(entity, alias), self._columns(entity, alias)

    def _derived_query(self, alias: str, *, is_plain: bool = False) -> tuple[Both, list[Column]]:
        """Give a query that may stand in FROM and whose rows are settled.

        Args:
            alias: Of the result's columns.
            is_plain: Over one whole entity.
        """
        r = self.random
        entity = self._entity()
        inner = self._alias()
        scope = self._columns(entity, inner)
        if r.random() < 0.3 and not is_plain:
            text, scope = self._from(2)
        else:
            text = self._table(entity, inner)
        where = self._where(scope) if not is_plain else same("")
        kept = r.sample(scope, min(len(scope), r.randint(2, 5)))
        if not any(c.name == "k" for c in kept):
            kept.append(next(c for c in scope if c.name == "k"))
        columns, items = self._renamed(alias, kept)
        body = put("FROM {}{}", text, where)
        shape = r.random()
        if shape < 0.15 and all(c.is_scalar for c in kept):
            keys = joined(", ", [c.sql for c in kept])
            made = put("SELECT {}, count(*) AS cnt {} GROUP BY {}", items, body, keys)
            return made, [*columns, Column(alias, "n", "integer", "cnt")]
        if shape < 0.2 and is_plain:
            kept = [c for c in kept if c.is_scalar][:2]
            columns, items = self._renamed(alias, kept)
            keys = joined(", ", [c.sql for c in kept])
            made = put("SELECT {}, count(*) AS cnt {} GROUP BY ROLLUP ({})", items, body, keys)
            return made, [*columns, Column(alias, "n", "integer", "cnt")]
        if shape < 0.25:
            other = r.choice([c for c in kept if c.is_scalar])
            made = put("SELECT {} {} QUALIFY count(*) OVER (PARTITION BY {}) > 1", items, body,
                       other.sql)  # fmt: skip
            return made, columns
        if shape < 0.35 and text.ours.startswith("shop."):
            key = next(c for c in scope if c.name == "id").sql
            return put("SELECT {} {} ORDER BY {} LIMIT 3", items, body, key), columns
        if shape < 0.42 and text.ours.startswith("shop."):
            chosen = r.choice([c for c in kept if c.is_scalar])
            keys = put("{}, {}", chosen.sql, next(c for c in scope if c.name == "id").sql)
            made = put("SELECT DISTINCT ON ({}) {} {}", chosen.sql, items, body)
            return put("{} ORDER BY {}", made, keys), columns
        if shape < 0.6:
            return self._union(alias, kept, items, body, columns)
        if shape < 0.7:
            return put("SELECT DISTINCT {} {}", items, body), columns
        return put("SELECT {} {}", items, body), columns

    def _union(
        self, alias: str, kept: list[Column], items: Both, body: Both, columns: list[Column]
    ) -> tuple[Both, list[Column]]:
        r = self.random
        entity, inner = self._entity(), self._alias()
        scope = self._columns(entity, inner)
        used: list[Both] = []
        shown: list[Column] = []
        texts = [c for c in scope if c.name == "code"]
        for column, visible in zip(kept, columns, strict=True):
            alike = [c for c in scope if c.type == column.type]
            if column.type == "integer" and texts and r.random() < 0.4:
                # DuckDB makes text of both: conditions are about the text then.
                used.append(texts[0].sql)
                visible = Column(alias, "code", "string", visible.label)
            else:
                # Often another column than the one of that name: UNION goes by position.
                used.append(r.choice(alike).sql if alike else same("NULL"))
            shown.append(visible)
        second = put("SELECT {} FROM {}{}", joined(", ", used), self._table(entity, inner),
                     self._where(scope))  # fmt: skip
        word = r.choice(["UNION ALL", "UNION ALL", "UNION", "EXCEPT", "INTERSECT"])
        made = put("SELECT {} {} " + word + " {}", items, body, second)
        if r.random() < 0.2:
            made = put("{} ORDER BY ALL LIMIT 4", made)
        return made, shown

    def _renamed(self, alias: str, kept: list[Column]) -> tuple[list[Column], Both]:
        columns: list[Column] = []
        items: list[Both] = []
        taken: set[str] = set()
        for column in kept:
            label = column.label or column.name
            if label in taken or self.random.random() < 0.3:
                label = f"x{len(columns)}"
                items.append(put("{} AS " + label, column.sql))
            else:
                items.append(column.sql)
            taken.add(label)
            columns.append(Column(alias, column.name, column.type, label))
        return columns, joined(", ", items)

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
        self._aliases += 1
        return f"a{self._aliases}"

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


assert VARIABLES["v_int"] == 1
