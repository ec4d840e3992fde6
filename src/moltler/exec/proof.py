"""The claims of PUSHDOWN compared with what handlers answer (LANGUAGE §11.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from moltler.errors import MoltlerError
from moltler.exec.budget import Budget
from moltler.exec.duck import Connection, Engine
from moltler.exec.questions import Question, is_claimed, questions
from moltler.exec.scan import ScanSource
from moltler.exec.sources import Kept
from moltler.exec.tables import quoted
from moltler.flow.connector import ResolvedConnector
from moltler.flow.predicate import Condition, Scalar
from moltler.flow.scan import ScanRequest
from moltler.model import Entity
from moltler.ports import Clock, Handlers

Key = tuple[str, ...]
_UNANSWERED = frozenset({"TST002", "TST003", "TST007"})
_NUMBER = "__row"


@dataclass(frozen=True, slots=True)
class Difference:
    """A query whose answer is not what the condition says."""

    question: Question
    what: str
    expected: tuple[str, ...]
    """Rows that the condition holds for, as text."""
    answered: tuple[str, ...]
    """Rows of the handler."""


@dataclass(slots=True)
class EntityProof:
    """What is known of the claims of one entity."""

    entity: Entity
    queries: int = 0
    unanswered: int = 0
    """Queries whose requests no mock answers."""
    proven: set[str] = field(default_factory=set[str])
    difference: Difference | None = None
    example: str | None = None
    """The first difference as a TEST to paste."""
    notes: list[str] = field(default_factory=list[str])
    """Tests that could not put the claims to the test, and why."""

    @property
    def claims(self) -> tuple[str, ...]:
        """Every claim, in words."""
        pushdown = self.entity.pushdown
        search = {p.name for p in self.entity.fields if p.filter_only}
        filters = (
            f"{name} {operator}"
            # By name: a packed definition lists them so, and its proof must read the same.
            for name, claim in sorted(pushdown.filters.items())
            if name not in search  # what a search term finds, only the API knows
            for operator in sorted(claim.operators)
        )
        orders = (f"order by {name}" for name in sorted(pushdown.order_by))
        return (*filters, *orders, *(("limit",) if pushdown.limit else ()))

    @property
    def unproven(self) -> tuple[str, ...]:
        """Claims that no query could put to the test."""
        return tuple(c for c in self.claims if c not in self.proven)


class Proving:
    """Asks the handler of one entity in one world.

    Args:
        target: The instance.
        handlers: Run it.
        engine: Evaluates conditions over the rows.
        clock: Of the world.
    """

    def __init__(
        self,
        target: ResolvedConnector,
        handlers: Handlers,
        engine: Engine,
        clock: Clock,
    ) -> None:
        self._target = target
        self._handlers = handlers
        self._engine = engine
        self._clock = clock

    def rows(self, entity: Entity, question: Question) -> pa.Table:
        """Give the handler's own answer, in declared types.

        Raises:
            MoltlerError: It failed.
        """
        columns = tuple(p.name for p in entity.fields if not p.filter_only)
        filters: dict[str, Scalar] = {}
        for condition in question.conditions:
            if condition.operator == "=" and not isinstance(condition.value, tuple | None):
                filters[condition.field] = condition.value
        request = ScanRequest(
            "scan_0",
            self._target.name,
            entity,
            columns,
            filters={p.name: filters[p.name] for p in entity.fields if p.name in filters},
            where=question.conditions,
            order_by=() if question.order is None else (question.order,),
            limit=question.limit,
        )
        budget = Budget(self._clock)
        scan = ScanSource(request, self._target, self._handlers, budget)
        try:
            return pa.Table.from_batches(list(scan.pages(limit=question.limit)), scan.schema)
        finally:
            scan.close()
            budget.close()

    def prove(self, proof: EntityProof, fixed: Sequence[Condition], all_rows: pa.Table) -> None:
        """Ask every question about some rows, until the first difference.

        Args:
            proof: Takes the counts.
            fixed: What every query says.
            all_rows: What the handler gives for that alone.
        """
        entity = proof.entity
        with self._engine.open() as connection:
            truth = _Truth(connection, entity, all_rows)
            known = [c for c in fixed if c.field in all_rows.schema.names]
            if len(truth.matching(known)) < all_rows.num_rows:
                proof.difference = Difference(
                    Question(tuple(fixed)), "rows that do not match come back", (), ()
                )
                return
            if all_rows.num_rows:
                proof.proven.update(f"{c.field} {c.operator}" for c in known)
            for question in questions(entity, all_rows.to_pylist(), fixed):
                asked = tuple(c for c in question.conditions if c not in fixed)
                try:
                    answer = self.rows(entity, question)
                except MoltlerError as error:
                    if error.code in _UNANSWERED:
                        proof.unanswered += 1
                        continue
                    failed = f"the handler fails: {error.message}"
                    proof.difference = Difference(question, failed, (), ())
                    return
                proof.queries += 1
                found = _compare(question, asked, truth, answer)
                if found is not None:
                    proof.difference = found
                    return
                proof.proven.update(_exercised(entity, question, asked, truth))


class _Truth:
    """Conditions evaluated over rows at hand."""

    def __init__(self, connection: Connection, entity: Entity, rows: pa.Table) -> None:
        self.entity = entity
        self._connection = connection
        self.keys = _keys(rows)
        numbered = rows.append_column(_NUMBER, pa.array(range(rows.num_rows), pa.int64()))
        source = Kept(numbered.schema, numbered.combine_chunks().to_batches())
        connection.register("answer_rows", source, {})

    def matching(self, conditions: Sequence[Condition], order: str = "") -> list[int]:
        """Give the rows that conditions hold for, by their numbers."""
        parameters: dict[str, object] = {}
        parts = [_sql(c, parameters) for c in conditions]
        where = f" WHERE {' AND '.join(parts)}" if parts else ""
        sql = f"SELECT {quoted(_NUMBER)} FROM answer_rows{where}{order}"  # noqa: S608 - names are quoted
        batches = self._connection.query(sql, parameters).batches()
        return [int(str(n)) for b in batches for n in b.column(0).to_pylist()]


def _compare(
    question: Question, asked: Sequence[Condition], truth: _Truth, answer: pa.Table
) -> Difference | None:
    entity = truth.entity
    keys = _keys(answer)
    numbers = truth.matching(asked)
    expected = [truth.keys[n] for n in numbers]
    claimed = [c for c in asked if is_claimed(entity, c)]
    allowed = [truth.keys[n] for n in truth.matching(claimed)]
    lost = Counter(expected) - Counter(keys)
    extra = Counter(keys) - Counter(allowed)

    def differs(what: str) -> Difference:
        return Difference(question, what, _shown(expected), _shown(keys))

    if extra and (claimed or not asked):
        return differs("rows that do not match come back")
    if question.limit is None:
        if lost:
            return differs("rows that match are left out")
    elif len(keys) - sum(extra.values()) < min(question.limit, len(expected)):
        return differs(f"fewer than the first {question.limit} rows come back")
    order = question.order
    if order is None or order.field not in entity.pushdown.order_by:
        return None
    direction = " DESC" if order.descending else ""
    by = f" ORDER BY {quoted(order.field)}{direction} NULLS LAST"
    position = [p.name for p in entity.fields if not p.filter_only].index(order.field)
    wanted = [truth.keys[n][position] for n in truth.matching(asked, by)]
    given = [k[position] for k in keys]
    if given != wanted[: len(given)]:
        return differs("the rows come in another order, or they are not the first ones")
    return None


def _exercised(
    entity: Entity, question: Question, asked: Sequence[Condition], truth: _Truth
) -> Iterator[str]:
    """Give the claims that a query has put to the test: it could have gone wrong."""
    count = len(truth.keys)
    if len(asked) == 1 and question.order is None and question.limit is None:
        condition = asked[0]
        matching = len(truth.matching(asked))
        can_fail = 0 < matching < count or condition.operator in {"is_null", "is_not_null"}
        if can_fail and is_claimed(entity, condition):
            yield f"{condition.field} {condition.operator}"
    if question.order is not None and question.order.descending and count > 1:
        yield f"order by {question.order.field}"
    if question.limit is not None and question.limit < count:
        yield "limit"


def _sql(condition: Condition, parameters: dict[str, object]) -> str:
    """Give a condition in DuckDB's spelling, its values as parameters."""

    def bound(value: object) -> str:
        name = f"p{len(parameters)}"
        parameters[name] = value
        return f"${name}"

    column, value = quoted(condition.field), condition.value
    match condition.operator:
        case "is_null":
            return f"{column} IS NULL"
        case "is_not_null":
            return f"{column} IS NOT NULL"
        case "in" | "not_in" if isinstance(value, tuple):
            word = "IN" if condition.operator == "in" else "NOT IN"
            return f"{column} {word} ({', '.join(map(bound, value))})"
        case "between" if isinstance(value, tuple):
            return f"{column} BETWEEN {bound(value[0])} AND {bound(value[1])}"
        case "like":
            return f"{column} LIKE {bound(value)}"
        case "not_like":
            return f"{column} NOT LIKE {bound(value)}"
        case "contains":
            return f"contains({column}, {bound(value)})"
        case "matches":
            return f"regexp_matches({column}, {bound(value)})"
        case operator:
            return f"{column} {operator} {bound(value)}"


def _keys(rows: pa.Table) -> list[Key]:
    columns = [[repr(v) for v in column.to_pylist()] for column in rows.columns]
    return list(zip(*columns, strict=True)) if columns else []


def _shown(keys: Sequence[Key]) -> tuple[str, ...]:
    return tuple(", ".join(key) for key in keys)


def fixed_conditions(
    entity: Entity, literals: Mapping[str, Sequence[Scalar]]
) -> list[tuple[Condition, ...]] | None:
    """Give what queries must say because the API needs it: one set for each value tests use.

    Args:
        entity: To be asked.
        literals: Values that tests compare fields with.

    Returns:
        ``None`` if the tests show no value for a field that is required.
    """
    sets: list[tuple[Condition, ...]] = [()]
    for name, claim in sorted(entity.pushdown.filters.items()):
        if claim.required:
            values = literals.get(name.lower(), ())
            sets = [(*s, Condition(name, "=", v)) for s in sets for v in values]
    return sets[:8] or None
