"""The rows of one entity that a sync wants, planned like a SELECT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlglot import exp

from moltler.errors import MoltlerError, Source, Span
from moltler.flow.scan import QueryPlan
from moltler.lang.ast import SqlText
from moltler.plan.bind import bind
from moltler.plan.bound import Tables, Variables
from moltler.plan.constant import Fold
from moltler.plan.planner import plan_select
from moltler.plan.text import DIALECT, read_select

_MOMENTS = {"now": exp.CurrentTimestamp, "current_date": exp.CurrentDate}


@dataclass(frozen=True, slots=True)
class PlannedEntity:
    """What is read, and under which name it is remembered."""

    plan: QueryPlan
    """Of one scan; its SQL gives all fields in declared order."""
    where: str | None
    """The condition in one spelling, with the values of its variables."""
    names_values: bool
    """Whether it named variables or parameters, which a stored sync would not find again."""


def plan_entity(
    connector: str,
    entity: str,
    where: Span | None,
    tables: Tables,
    variables: Variables,
    *,
    now: datetime,
    fold: Fold | None = None,
    first_positional: int = 0,
) -> PlannedEntity:
    """Plan the reading of an entity.

    Args:
        connector: The instance.
        entity: Its entity.
        where: The condition, as it stands in the script.
        tables: What may stand in FROM.
        variables: What the condition may name.
        now: The statement's time.
        fold: Evaluates SQL without columns.
        first_positional: The number of the first ``?`` in the condition.

    Raises:
        MoltlerError: SYN, CAT or PLN, with the place of the condition.
    """
    text = f'FROM "{connector}"."{entity}"'
    if where is None:
        source = Source("<sync>", text)
        sql = SqlText(text=text, span=Span(source, 0, len(text)))
        plan = plan_select(sql, tables, variables, now=now)
        return PlannedEntity(plan, None, names_values=False)
    text += f" WHERE ({where.text})"
    span = Span(replace(where.source, text=text), 0, len(text))
    sql = SqlText(text=text, first_positional=first_positional, span=span)
    try:
        plan = plan_select(sql, tables, variables, now=now, fold=fold)
        spelled, names_values = _spelled(sql, tables, variables, now)
    except MoltlerError as error:
        error.problems = tuple(
            replace(p, span=where) if isinstance(p.span, Span) else p for p in error.problems
        )
        raise
    return PlannedEntity(plan, spelled, names_values)


def _spelled(sql: SqlText, tables: Tables, variables: Variables, now: datetime) -> tuple[str, bool]:
    """Give a condition in the one spelling that all equal ones share."""
    bound = bind(read_select(sql), tables, variables, now=now)
    condition: exp.Expr = bound.text.tree.args["where"].this
    names_values = False
    for node in list(condition.find_all(exp.Placeholder)):
        moment = _MOMENTS.get(str(node.meta.get("shown")))
        if moment is not None:
            node.replace(moment())
            continue
        names_values = True
        node.replace(exp.convert(bound.parameters[node.name]))
    for column in list(condition.find_all(exp.Column)):
        ref = bound.ref(column)
        name = column.name if ref is None else ref.output.name
        column.replace(exp.column(exp.to_identifier(name.lower(), quoted=False)))
    return condition.unnest().sql(DIALECT, normalize_functions="upper"), names_values
