"""Dependent joins at work: what handlers are called with, and what comes of it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from exec.conftest import Bench
from moltler.errors import MoltlerError
from moltler.exec.result import Result
from moltler.exec.run import run_select
from moltler.exec.sources import Spool
from moltler.flow.connector import CallLimits
from support.handlers import Block, PythonHandlers, Table, entity, paged
from support.planning import plan

Rows = list[dict[str, Any]]
ISSUES = "id integer key, author integer, status string"
USERS = "id integer key, name string"


def issues(rows: Callable[..., Any] | Rows, **changes: Any) -> Table:
    return entity("issues", ISSUES, rows, claims={"status": ["="]}, **changes)


def users(rows: Callable[..., Any] | Rows, *operators: str, **changes: Any) -> Table:
    return entity("users", USERS, rows, claims={"id": operators}, **changes)


def by_id(rows: Rows) -> Callable[..., Rows]:
    """Give a handler that keeps to the conditions on `id`."""

    def answer(_: object, _filters: object, options: Mapping[str, Any]) -> Rows:
        wanted = [n for n in options.get("where", ()) if n.get("field") == "id"]
        return [r for r in rows if all(_holds(n, r["id"]) for n in wanted)]

    return answer


def _holds(node: Mapping[str, Any], value: Any) -> bool:
    return value in node["value"] if node["op"] == "in" else value == node["value"]


def issue(number: int, author: int | None, status: str = "open") -> dict[str, Any]:
    return {"id": number, "author": author, "status": status}


def named(count: int) -> Rows:
    return [{"id": i, "name": f"u{i}"} for i in range(count)]


JOIN = "SELECT i.id, u.name FROM t.issues i JOIN t.users u ON u.id = i.author"
OPEN = " WHERE i.status = 'open'"


class Fed:
    """Runs statements over handlers in Python."""

    def __init__(self, bench: Bench, *tables: Table, **limits: Any) -> None:
        self.bench = bench
        self.tables = {"t": list(tables)}
        self.handlers = PythonHandlers(self.tables, limits=CallLimits(**limits))

    def start(self, sql: str) -> Result:
        return Result(
            run_select(
                plan(sql, self.tables),
                engine=self.bench.engine,
                handlers=self.handlers,
                resolve=self.handlers.resolve,
                clock=self.bench.clock,
                on_end=self.bench.ended.append,
            )
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.start(sql) as result:
            return sorted(result.rows(), key=repr)

    def told(self, name: str) -> list[Any]:
        """What each call of an entity was told in ``options.where``."""
        return [c.options.get("where") for c in self.handlers.calls if c.entity == name]

    def filters(self, name: str) -> list[dict[str, Any]]:
        return [c.filters for c in self.handlers.calls if c.entity == name]


def test_keys_go_as_lists_where_lists_are_claimed(bench: Bench) -> None:
    rows = [issue(i, i % 60) for i in range(120)]
    fed = Fed(bench, issues(rows), users(by_id(named(80)), "in", "="))
    assert len(fed.rows(JOIN + OPEN)) == 120
    assert fed.told("users") == [
        [{"field": "id", "op": "in", "value": list(range(50))}],
        [{"field": "id", "op": "in", "value": list(range(50, 60))}],
    ]
    assert fed.filters("users") == [{}, {}]


def test_one_key_is_an_equality(bench: Bench) -> None:
    fed = Fed(bench, issues([issue(1, 7), issue(2, 7)]), users(by_id(named(9)), "in"))
    assert fed.rows(JOIN + OPEN) == [(1, "u7"), (2, "u7")]
    assert fed.told("users") == [[{"field": "id", "op": "=", "value": 7}]]
    assert fed.filters("users") == [{"id": 7}]


def test_without_lists_there_is_a_call_for_each_key(bench: Bench) -> None:
    fed = Fed(bench, issues([issue(1, 3), issue(2, 5), issue(3, 3)]), users(by_id(named(9)), "="))
    assert fed.rows(JOIN + OPEN) == [(1, "u3"), (2, "u5"), (3, "u3")]
    assert fed.filters("users") == [{"id": 3}, {"id": 5}]


def test_dependent_join_null_keys(bench: Bench) -> None:
    rows = [issue(1, None), issue(2, 5), issue(3, None)]
    people = [*named(9), {"id": 99, "name": None}]
    fed = Fed(bench, issues(rows), users(by_id(people), "in"))
    assert fed.rows(JOIN.replace("JOIN", "LEFT JOIN") + OPEN) == [(1, None), (2, "u5"), (3, None)]
    assert fed.filters("users") == [{"id": 5}]


def test_a_driver_without_keys_calls_nobody(bench: Bench) -> None:
    fed = Fed(bench, issues([issue(1, None), issue(2, 3, "shut")]), users(named(9), "in"))
    assert fed.rows(JOIN + OPEN) == []
    assert fed.rows(JOIN.replace("JOIN", "LEFT JOIN") + OPEN) == [(1, None)]
    assert fed.told("users") == []


def test_rows_that_fail_the_drivers_conditions_give_no_keys(bench: Bench) -> None:
    rows = [issue(i, i, "open" if i == 4 else "shut") for i in range(2000)]
    fed = Fed(bench, issues(rows), users(by_id(named(9)), "in"))
    assert fed.rows(JOIN + OPEN) == [(4, "u4")]
    assert fed.filters("users") == [{"id": 4}]


def test_the_driver_is_read_once(bench: Bench) -> None:
    fed = Fed(bench, issues([issue(i, i) for i in range(5)]), users(by_id(named(9)), "in"))
    fed.rows(JOIN + OPEN)
    assert [c.entity for c in fed.handlers.calls] == ["issues", "users"]


def test_more_than_a_thousand_keys_are_not_handed_over(bench: Bench) -> None:
    rows = [issue(i, i) for i in range(5000)]
    fed = Fed(bench, issues(lambda *_: paged(rows, 100)), users(by_id(named(4000)), "in"))
    assert len(fed.rows(JOIN + OPEN)) == 4000
    assert fed.told("users") == [None]
    assert [(c.entity, c.pages) for c in fed.handlers.calls] == [("issues", 50), ("users", 1)]


def test_more_than_a_thousand_keys_of_a_required_field_are_an_error(bench: Bench) -> None:
    rows = [issue(i, i) for i in range(1001)]
    fed = Fed(bench, issues(rows), users(by_id(named(9)), "=", required=["id"]))
    with pytest.raises(MoltlerError) as caught:
        fed.rows(JOIN + OPEN)
    assert caught.value.code == "PLN010"
    assert "`t.users` needs `id` from a join" in str(caught.value)
    assert fed.told("users") == []


def test_what_belongs_to_another_call_is_left_out(bench: Bench) -> None:
    fed = Fed(bench, issues([issue(1, 3), issue(2, 5)]), users(named(9), "=", required=["id"]))
    assert fed.rows(JOIN) == [(1, "u3"), (2, "u5")]
    assert len(fed.filters("users")) == 2


def test_a_list_of_the_text_for_a_required_field_is_a_call_for_each_value(bench: Bench) -> None:
    fed = Fed(bench, users(named(9), "=", required=["id"]))
    sql = "SELECT id, name FROM t.users WHERE id IN (3, 5, 3) AND name <> 'u9' LIMIT 2"
    assert fed.rows(sql) == [(3, "u3"), (5, "u5")]
    assert fed.filters("users") == [{"id": 3}, {"id": 5}]
    assert fed.told("users") == [
        [{"field": "id", "op": "=", "value": key}, {"field": "name", "op": "!=", "value": "u9"}]
        for key in (3, 5)
    ]
    assert all("limit" not in c.options for c in fed.handlers.calls)


def test_required_filter_left_join(bench: Bench) -> None:
    rows = [issue(1, 3), issue(2, None), issue(3, 88)]
    fed = Fed(bench, issues(rows), users(by_id(named(9)), "=", required=["id"]))
    assert fed.rows(JOIN.replace("JOIN", "LEFT JOIN")) == [(1, "u3"), (2, None), (3, None)]
    assert fed.filters("users") == [{"id": 3}, {"id": 88}]


def test_two_required_fields_are_called_with_the_combinations_there_are(bench: Bench) -> None:
    pairs = [("a", "x"), ("a", "y"), ("b", "x"), (None, "x"), ("b", None)]
    repos = entity(
        "repos",
        "id integer key, owner string, name string",
        [{"id": i, "owner": o, "name": n} for i, (o, n) in enumerate(pairs)],
    )

    def answer(_: object, filters: Mapping[str, Any], _options: object) -> Rows:
        return [{**filters, "path": "f"}]

    files = entity("files", "owner string, repo string, path string", answer,
                   required=["owner", "repo"])  # fmt: skip
    fed = Fed(bench, repos, files)
    sql = (
        "SELECT f.owner, f.repo FROM t.repos r "
        "JOIN t.files f ON f.owner = r.owner AND f.repo = r.name"
    )
    assert fed.rows(sql) == [("a", "x"), ("a", "y"), ("b", "x")]
    assert fed.filters("files") == [{"owner": o, "repo": n} for o, n in pairs[:3]]


def test_each_column_of_a_composite_key_hands_over_its_own_set(bench: Bench) -> None:
    pairs = [{"id": i, "a": i % 70, "b": f"b{i % 3}", "status": "open"} for i in range(140)]
    left = entity("pairs", "id integer key, a integer, b string, status string", pairs,
                  claims={"status": ["="]})  # fmt: skip
    right = entity("wide", "a integer, b string",
                   [{"a": a, "b": f"b{b}"} for a in range(70) for b in range(3)],
                   claims={"a": ["in"], "b": ["in"]})  # fmt: skip
    fed = Fed(bench, left, right)
    sql = (
        "SELECT count(*) FROM t.pairs p JOIN t.wide w ON w.a = p.a AND w.b = p.b "
        "WHERE p.status = 'open'"
    )
    assert fed.rows(sql) == [(140,)]
    assert [[(n["field"], len(n["value"])) for n in told] for told in fed.told("wide")] == [
        [("b", 3), ("a", 50)],
        [("b", 3), ("a", 20)],
    ]


def test_a_chain_of_joins_feeds_step_by_step(bench: Bench) -> None:
    led = [{"id": i, "lead": i} for i in range(30)]
    teams = entity("teams", "id integer key, lead integer", led, claims={"lead": ["in"]})
    fed = Fed(bench, issues([issue(1, 3), issue(2, 5)]), users(by_id(named(9)), "in"), teams)
    sql = f"{JOIN} JOIN t.teams m ON m.lead = u.id{OPEN}"
    assert fed.rows(sql) == [(1, "u3"), (2, "u5")]
    assert [c.entity for c in fed.handlers.calls] == ["issues", "users", "teams"]
    assert fed.told("teams") == [[{"field": "lead", "op": "in", "value": [3, 5]}]]


@pytest.mark.parametrize(
    ("driver", "keys", "fed_type", "values", "told"),
    [
        ("integer", [1, 2], "number", [1.0, 2.0], [1.0, 2.0]),
        ("number", [1.0, -0.0], "integer", [1, 0], [0, 1]),
        ("number", [0.0, 1.0], "number", [-0.0, 1.0], [0.0, 1.0]),
        ("date", [date(2024, 1, 1), date(2024, 1, 2)], "timestamp",
         [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)],
         ["2024-01-01T00:00:00.000000Z", "2024-01-02T00:00:00.000000Z"]),
        ("timestamp", [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)], "date",
         [date(2024, 1, 1), date(2024, 1, 2)], ["2024-01-01", "2024-01-02"]),
        # what the other type cannot hold, or cannot tell apart, is not handed over
        ("number", [1.5, 2.0], "integer", [1, 2], None),
        ("number", [2.0**53, 2.0], "integer", [2**53 + 1, 2], None),
        ("integer", [2**53 + 1, 2], "number", [2.0**53, 2.0], None),
        ("timestamp", [datetime(2024, 1, 1, 5, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)],
         "date", [date(2024, 1, 1), date(2024, 1, 2)], None),
    ],
)  # fmt: skip
def test_keys_are_typed_to_the_fed_column_or_stay(
    bench: Bench, driver: str, keys: list[Any], fed_type: str, values: list[Any], told: Any
) -> None:
    rows = [{"id": i, "k": k, "s": "a"} for i, k in enumerate(keys)]
    left = entity("left", f"id integer key, k {driver}, s string", rows, claims={"s": ["="]})
    other = [{"id": i, "k": v} for i, v in enumerate(values)]
    asked = entity("right", f"id integer key, k {fed_type}", other, claims={"k": ["in"]})
    plain = entity("right", f"id integer key, k {fed_type}", other)
    sql = "SELECT l.id, r.id FROM t.left l JOIN t.right r ON r.k = l.k WHERE l.s = 'a'"
    fed = Fed(bench, left, asked)
    assert fed.rows(sql) == Fed(bench, left, plain).rows(sql)
    where = fed.told("right")
    assert where == ([None] if told is None else [[{"field": "k", "op": "in", "value": told}]])


# ── several calls ────────────────────────────────────────────────────────────────────────────────


def test_calls_run_at_once_as_far_as_the_instance_allows(bench: Bench) -> None:
    meeting = threading.Barrier(3, timeout=20)

    def answer(_: object, filters: Mapping[str, Any], _options: object) -> Rows:
        meeting.wait()  # passes only if three calls are here together
        return [{"id": filters["id"], "name": f"u{filters['id']}"}]

    rows = [issue(i, i) for i in range(6)]
    fed = Fed(bench, issues(rows), users(answer, "="), max_concurrency=3)
    assert len(fed.rows(JOIN + OPEN)) == 6
    assert sorted(f["id"] for f in fed.filters("users")) == list(range(6))


@pytest.mark.parametrize("width", [1, 4])
def test_a_failed_call_is_an_error_and_never_fewer_rows(bench: Bench, width: int) -> None:
    failure = MoltlerError("API003", "slow down")

    def answer(_: object, filters: Mapping[str, Any], _options: object) -> Rows:
        if filters["id"] == 5:
            raise failure
        return [{"id": filters["id"], "name": "u"}]

    rows = [issue(i, i) for i in range(9)]
    fed = Fed(bench, issues(rows), users(answer, "="), max_concurrency=width)
    with pytest.raises(MoltlerError) as caught:
        fed.rows("SELECT count(*) FROM (" + JOIN + OPEN + ")")
    assert caught.value is failure
    assert bench.ended == [failure]
    assert all(c.is_closed for c in fed.handlers.calls)
    assert not _key_threads()


def test_a_failed_driver_is_an_error(bench: Bench) -> None:
    failure = MoltlerError("API003", "slow down")

    def failing(*_: Any) -> Iterator[Any]:
        yield [issue(1, 1)]
        raise failure

    fed = Fed(bench, issues(failing), users(named(9), "in"))
    with pytest.raises(MoltlerError) as caught:
        fed.rows(JOIN + OPEN)
    assert caught.value is failure
    assert fed.told("users") == []


@pytest.mark.parametrize("width", [1, 4])
def test_closing_a_result_stops_the_calls(bench: Bench, width: int) -> None:
    def answer(_: object, filters: Mapping[str, Any], _options: object) -> Iterator[Any]:
        return iter([[{"id": filters["id"], "name": "u"}], Block()])

    rows = [issue(i, i) for i in range(9)]
    fed = Fed(bench, issues(rows), users(answer, "="), max_concurrency=width)
    result = fed.start("SELECT count(*) FROM (" + JOIN + OPEN + ")")
    reader = threading.Thread(target=_read, args=(result,))
    reader.start()
    while not any(c.entity == "users" for c in fed.handlers.calls):
        reader.join(0.01)
    assert fed.handlers.last_call.blocked.wait(20)
    result.close()
    reader.join(20)
    assert not reader.is_alive()
    assert all(c.is_closed for c in fed.handlers.calls)
    assert not _key_threads()


def test_ctrl_c_stops_a_query_whose_driver_is_being_read(bench: Bench) -> None:
    blocking = issues(lambda *_: iter([[issue(1, 1)], Block()]))
    fed = Fed(bench, blocking, users(named(9), "in"))

    def interrupt() -> None:
        while not fed.handlers.calls:
            waiting.wait(0.01)
        fed.handlers.last_call.blocked.wait(20)
        os.kill(os.getpid(), signal.SIGINT)

    waiting = threading.Event()
    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        fed.start(JOIN + OPEN)
    sender.join(20)
    assert [(c.entity, c.is_closed) for c in fed.handlers.calls] == [("issues", True)]
    assert isinstance(bench.ended[0], KeyboardInterrupt)


def _read(result: Result) -> None:
    try:
        list(result.rows())
    except MoltlerError:
        return


def _key_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "moltler-keys"]


def test_a_limit_of_the_sql_stops_calls_that_wait_to_be_read(bench: Bench) -> None:
    def answer(_: object, filters: Mapping[str, Any], _options: object) -> Iterator[Any]:
        return paged([{"id": filters["id"], "name": f"{i}"} for i in range(5000)], 10)

    rows = [issue(i, i) for i in range(40)]
    logs = entity("logs", "id integer, name string", answer, claims={"id": ["="]})
    fed = Fed(bench, issues(rows), logs, max_concurrency=4)
    assert len(fed.rows(JOIN.replace("t.users", "t.logs") + OPEN + " LIMIT 3")) == 3
    assert sum(c.entity == "logs" for c in fed.handlers.calls) < 40
    assert all(c.is_closed for c in fed.handlers.calls)
    assert not _key_threads()


def test_the_worst_of_all_calls_marks_the_result(bench: Bench) -> None:
    rows = [issue(1, 3), issue(2, 5)]
    cut = users(by_id(named(9)), "=", incomplete_reason="page_cap")
    with Fed(bench, issues(rows), cut).start(JOIN + OPEN) as result:
        assert len(list(result.rows())) == 2
        assert result.incomplete_reason == "page_cap"


def test_an_incomplete_driver_marks_the_result(bench: Bench) -> None:
    rows = [issue(1, 3), issue(2, 5)]
    fed = Fed(bench, issues(rows, incomplete_reason="page_cap"), users(by_id(named(9)), "in"))
    with fed.start(JOIN + OPEN) as result:
        assert len(list(result.rows())) == 2
        assert result.incomplete_reason == "page_cap"


def test_equal_rows_of_two_calls_draw_no_warning_and_no_error(bench: Bench) -> None:
    # Each call answers with everything: what is not its own is nobody's repetition.
    rows = [issue(i, i) for i in range(9)]
    with Fed(bench, issues(rows), users(named(9), "=")).start(JOIN + OPEN) as result:
        assert len(list(result.rows())) == 9
        assert result.warnings == ()


# ── spools ───────────────────────────────────────────────────────────────────────────────────────


def test_a_spool_goes_to_a_file_and_is_read_any_number_of_times() -> None:
    schema = pa.schema({"n": pa.int64()})
    spool = Spool(schema, most=1000)
    for start in range(0, 1000, 100):
        spool.append(pa.RecordBatch.from_pydict({"n": [*range(start, start + 100)]}, schema=schema))
    spool.seal()
    for _ in range(2):
        assert [n for page in spool.pages() for n in page.column(0).to_pylist()] == [*range(1000)]
    spool.close()
    spool.close()
