"""Random SELECTs, each printed twice: in the language, and in DuckDB's own spelling."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from fuzz.conditions import Both, Column, Conditions, joined, put, same
from fuzz.world import EntityWorld


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


SHAPES = ("page", "page", "join", "chain", "derived", "set", "feed", "any", "any")
"""What queries are about; each but the last is dense in what one group of rules is for."""
_MIXED = ({"integer", "number"}, {"date", "timestamp"})


@dataclass
class Generator(Conditions):
    """Makes queries over one world."""

    shape: str | None = None
    """One of `SHAPES`; ``None`` for any."""
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
            case "feed":
                return self._feeding()
            case _:
                return self._select()

    def query(self) -> Generated:
        """Give one query."""
        self.aliases = 0
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

    def _feeding(self) -> Generated:
        """Join by equality with a filter on one side: what dependent joins are about."""
        r = self.random
        entities = [self._entity() for _ in range(r.choice([2, 2, 3]))]
        aliases = [self._alias() for _ in entities]
        columns = [self._columns(e, a) for e, a in zip(entities, aliases, strict=True)]
        filtered = r.randrange(len(entities))
        if r.random() < 0.45 and len(entities) == 2:
            return self._fed_subquery(entities, aliases, columns)
        text, scope = self._table(entities[0], aliases[0]), columns[0]
        for number in range(1, len(entities)):
            table = self._joinable(entities[number], aliases[number])
            kind = r.choice(["INNER", "INNER", "LEFT", "LEFT", "RIGHT", "SEMI", "FULL", "ANTI"])
            condition = self._key(scope, columns[number])
            while r.random() < 0.3:
                condition = put("{} AND {}", condition, self._key(scope, columns[number]))
            if number == filtered and r.random() < 0.4:
                condition = put("{} AND {}", condition, self._own(columns[number]))
                filtered = -1
            if r.random() < 0.15:
                text = put("{} " + kind + " JOIN {} USING (k)", text, table)
            else:
                text = put("{} " + kind + " JOIN {} ON {}", text, table, condition)
            if kind not in {"SEMI", "ANTI"}:
                scope = [*scope, *columns[number]]
        conditions: list[Both] = []
        if filtered >= 0 and columns[filtered][0] in scope:
            conditions.append(self._own(columns[filtered]))
        if r.random() < 0.2:
            conditions.append(self._key(scope, scope))
        where = put(" WHERE {}", joined(" AND ", conditions)) if conditions else same("")
        shown = joined(", ", [c.sql for c in scope if c.name == "id"])
        return Generated(put("SELECT {} FROM {}{}", shown, text, where))

    def _own(self, scope: list[Column]) -> Both:
        """Give a condition over one entity, sometimes one that handlers cannot be told."""
        return self._simple(scope) if self.random.random() < 0.7 else self._leaf(scope)

    def _joinable(self, entity: EntityWorld, alias: str) -> Both:
        """Give an entity as a table, sometimes from behind a derived one."""
        inner, table = self.random.random(), self._table(entity, alias)
        if inner < 0.7:
            return table
        tail = " LIMIT 3" if inner > 0.85 else ""
        order = " ORDER BY id" if tail else ""
        return put("(SELECT * FROM {}" + order + tail + ") AS " + alias, table)

    def _key(self, left: list[Column], right: list[Column]) -> Both:
        """Compare a column of one side with one of the other, mostly of the same type."""
        r = self.random
        pairs = [
            (a, b)
            for a in left
            for b in right
            if a.is_scalar and b.is_scalar
            and (a.type == b.type or any({a.type, b.type} <= mixed for mixed in _MIXED))
        ]  # fmt: skip
        keys = [(a, b) for a, b in pairs if a.name == b.name == "k"]
        a, b = r.choice(keys if keys and r.random() < 0.5 else pairs)
        return put("{} = {}", a.sql, b.sql) if r.random() < 0.5 else put("{} = {}", b.sql, a.sql)

    def _fed_subquery(
        self, entities: list[EntityWorld], aliases: list[str], columns: list[list[Column]]
    ) -> Generated:
        r = self.random
        outer, inner = columns
        tables = [self._table(e, a) for e, a in zip(entities, aliases, strict=True)]
        own = put(" AND {}", self._simple(outer)) if r.random() < 0.5 else same("")
        below = self._own(inner) if r.random() < 0.7 else same("TRUE")
        tail = same(r.choice(["", "", "", "", " LIMIT 1"]))
        if r.random() < 0.5:
            word = r.choice(["EXISTS", "EXISTS", "NOT EXISTS"])
            shown = r.choice(["1", "*", "count(*)", "max(k)", f"{aliases[1]}.id"])
            found = put(
                word + " (SELECT " + shown + " FROM {} WHERE {} AND {}{})",
                tables[1], self._key(outer, inner), below, tail,
            )  # fmt: skip
        else:
            key = r.choice([c for c in outer if c.is_scalar])
            other = r.choice([c for c in inner if c.type == key.type] or inner[:1])
            if other.type != key.type:
                key = outer[0]
            word = r.choice(["IN", "IN", "NOT IN"])
            group = put(" GROUP BY {}", other.sql) if r.random() < 0.2 else same("")
            found = put(
                "{} " + word + " (SELECT {} FROM {} WHERE {}{})",
                key.sql, other.sql, tables[1], below, group,
            )  # fmt: skip
        shown = joined(", ", [c.sql for c in outer if c.name in {"id", "k"}])
        return Generated(put("SELECT {} FROM {} WHERE {}{}", shown, tables[0], found, own))

    def _chain(self) -> Generated:
        """Ask in a later ON about a table that an earlier join may have filled with NULLs."""
        r = self.random
        aliases = [self._alias() for _ in range(3)]
        entities = [self._entity() for _ in range(3)]
        tables = [self._table(e, a) for e, a in zip(entities, aliases, strict=True)]
        first, second, third = aliases
        word = r.choice(["LEFT", "FULL", "RIGHT", ","])
        if word == ",":
            text = put("{}, {}", *tables[:2])
        else:
            text = put("{} " + word + " JOIN {} ON " + f"{first}.k = {second}.k", *tables[:2])
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

    def _aggregate(self, body: Both, scope: list[Column]) -> Generated:
        r = self.random
        keys = self._scalars(scope, r.choice([0, 1, 2]))
        numbers = [c for c in scope if c.type in {"integer", "string", "timestamp"}]
        words = ["min", "max", "count"] if numbers else ["count"]
        measure = put("{}({})", same(r.choice(words)), r.choice(numbers or scope).sql)
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
        if not pairs:
            return same("TRUE")
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
        is_joined = r.random() < 0.3 and not is_plain
        if is_joined:
            text, scope = self._from(2)
        else:
            text = self._table(entity, inner)
        where = self._where(scope) if not is_plain else same("")
        kept = r.sample(scope, min(len(scope), r.randint(2, 5)))
        if not any(c.name == "k" for c in kept):
            kept.extend([c for c in scope if c.name == "k"][:1])
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
        # A key settles the order of one entity's rows, but not of what a join makes of them.
        if shape < 0.35 and not is_joined:
            key = next(c for c in scope if c.name == "id").sql
            return put("SELECT {} {} ORDER BY {} LIMIT 3", items, body, key), columns
        if shape < 0.42 and not is_joined:
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
                visible = Column(alias, "code", "mixed", visible.label)
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
                label = next(n for n in (f"x{i}" for i in count(len(columns))) if n not in taken)
                items.append(put("{} AS " + label, column.sql))
            else:
                items.append(column.sql)
            taken.add(label)
            columns.append(Column(alias, column.name, column.type, label))
        return columns, joined(", ", items)
