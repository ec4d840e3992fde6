"""SYNC CONNECTOR in a session: real handlers, a real DuckDB file, statements and their rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import moltler

SHOP = """
CREATE CONNECTOR TYPE 'shop' OPTIONS_SCHEMA {"cut": {"type": "integer"}};
CREATE CONNECTOR ENTITY 'shop.items'
FIELDS {"id": {"type": "integer", "primary_key": true}, "name": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}}, "extra": {"type": "document"},
        "updated": {"type": "timestamp"}}
PUSHDOWN {"order_by": ["updated"]}
QUERY_HANDLER '''
let call = 0;
async function* query(config, filters, options) {
    call += 1;
    const rows = [];
    for (let id = 1; id <= 4 + call; id++) {
        rows.push({id, name: `v${call}`, tags: ['a', null], extra: {since: options.since ?? null},
                   updated: new Date(Date.UTC(2024, 0, id)).toISOString()});
    }
    yield rows.slice(0, 3);
    if (options.settings?.cut === call) {
        throw new ConnectorRateLimitError('slow', {retryAfter: 0.01});
    }
    yield rows.slice(3);
}
''';
CREATE CONNECTOR ENTITY 'shop.orders'
FIELDS {"id": {"type": "integer", "primary_key": true}, "price": {"type": "number"}}
QUERY_HANDLER '''
async function query() {
    return [{id: 1, price: 1.5}, {id: 2, price: 'n/a', more: [1, {a: 2n}]}, {id: 3, price: '7'}];
}
''';
REGISTER CONNECTOR TYPE 'shop';
CREATE CONNECTOR s TYPE 'shop';
"""


@pytest.fixture
def shop(home: Path) -> Iterator[moltler.Session]:
    """A session with a shop whose rows are renamed, and one more, at each call."""
    with moltler.connect(home) as session:
        session.execute(SHOP).close()
        yield session


def one(session: moltler.Session, text: str) -> dict[str, Any]:
    (row,) = session.execute(text).dicts()
    return row


def stored(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home / "data.duckdb"), read_only=True) as raw:
        raw.execute("SET TimeZone = 'UTC'")
        return raw.execute(sql).fetchall()


def test_an_entity_is_copied_and_then_kept_up_to_date(shop: moltler.Session, home: Path) -> None:
    text = "SYNC CONNECTOR s.items TO items INCREMENTAL ON updated LOOKBACK INTERVAL '1d'"
    first = one(shop, text)
    second = one(shop, text)
    shop.close()

    assert (first["status"], first["mode"], first["rows_written"]) == ("ok", "full", 5)
    assert (second["mode"], second["rows_read"], second["rows_written"]) == ("incremental", 6, 3)
    assert str(second["watermark"]).startswith("2024-01-06")
    assert stored(home, "SELECT id, name FROM items ORDER BY id") == [
        (1, "v1"), (2, "v1"), (3, "v1"), (4, "v2"), (5, "v2"), (6, "v2"),
    ]  # fmt: skip
    assert stored(home, "SELECT extra->>'since' FROM items WHERE id = 6") == [
        ("2024-01-04T00:00:00.000Z",)
    ]


def test_a_refused_page_is_asked_for_again_from_the_last_commit(shop: moltler.Session) -> None:
    shop.execute('ALTER CONNECTOR s SET OPTIONS {"cut": 1}').close()
    row = one(shop, "SYNC CONNECTOR s.items TO items INCREMENTAL ON updated")
    assert (row["status"], row["rows_read"]) == ("ok", 9)


def test_a_row_that_does_not_fit_goes_to_quarantine_with_its_own_text(
    shop: moltler.Session, home: Path
) -> None:
    row = one(shop, "SYNC CONNECTOR s.orders TO orders MAX ERRORS 1")
    shop.close()
    assert (row["rows_written"], row["quarantined"]) == (2, 1)
    assert stored(home, "SELECT raw, reason FROM _quarantine") == [
        ('{"id":2,"price":"n/a","more":[1,{"a":2}]}', 'field `price`: `"n/a"`, not a number')
    ]


def test_every_entity_gets_a_table_and_a_failing_one_does_not_stop_the_others(
    shop: moltler.Session, home: Path
) -> None:
    with pytest.raises(moltler.MoltlerError) as caught:
        shop.execute("SYNC CONNECTOR s TO 'all_*'")
    shop.close()
    assert caught.value.code == "SNC005"
    assert "1 of 2 syncs failed: s.orders" in caught.value.message
    assert stored(home, "SELECT count(*) FROM all_items") == [(5,)]


def test_a_sync_that_ran_is_listed_with_its_runs(shop: moltler.Session) -> None:
    shop.execute("SYNC CONNECTOR s.items TO items WHERE id > 2 SCHEDULE '@daily'").close()
    with pytest.raises(moltler.MoltlerError):
        shop.execute("SYNC CONNECTOR s.orders TO items")
    syncs = list(shop.execute("SHOW SYNCS").dicts())
    runs = list(shop.execute("SHOW CONNECTOR s SYNC HISTORY LIMIT 5").dicts())
    assert [(s["entity"], s["where"], s["schedule"], s["last_status"]) for s in syncs] == [
        ("items", "id > 2", "@daily", "ok")
    ]
    assert [(r["entity"], r["status"]) for r in runs] == [("orders", "failed"), ("items", "ok")]
    shop.execute("DROP SCHEDULE FOR CONNECTOR s.items").close()
    assert one(shop, "SHOW SYNCS")["schedule"] is None
    with pytest.raises(moltler.MoltlerError) as caught:
        shop.execute("DROP SCHEDULE FOR CONNECTOR s")
    assert caught.value.code == "CAT008"


def test_a_stored_sync_is_run_again_by_its_text(shop: moltler.Session) -> None:
    shop.execute(
        "SYNC CONNECTOR s.items TO 'i*' INCREMENTAL ON updated DELETES NONE MAX ERRORS 3"
    ).close()
    (again,) = shop.stored_syncs("s", "items")
    assert one(shop, again.text)["mode"] == "incremental"
    (full,) = shop.stored_syncs("s", full=True)
    assert one(shop, full.text)["mode"] == "full"
    assert len(list(shop.execute("SHOW SYNCS").dicts())) == 1


def test_a_condition_with_values_is_synced_and_not_stored(shop: moltler.Session) -> None:
    with shop.execute("SYNC CONNECTOR s.items TO t WHERE id > @least", {"least": 4}) as result:
        (row,) = result.dicts()
    assert row["rows_written"] == 1
    assert [w.code for w in result.warnings] == ["not_stored"]
    assert list(shop.execute("SHOW SYNCS").dicts()) == []
    with pytest.raises(moltler.MoltlerError) as caught:
        shop.execute(
            "SYNC CONNECTOR s.items TO u WHERE id > @least SCHEDULE '@daily'", {"least": 4}
        )
    assert caught.value.code == "PLN003"


def test_rollback_goes_back_and_forth(shop: moltler.Session, home: Path) -> None:
    for _ in range(2):
        shop.execute("SYNC CONNECTOR s.items TO items").close()
    assert one(shop, "ROLLBACK SYNC items")["rows"] == 5
    assert one(shop, "ROLLBACK SYNC items")["rows"] == 6
    with pytest.raises(moltler.MoltlerError) as caught:
        shop.execute("ROLLBACK SYNC nothing")
    assert caught.value.code == "CAT002"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SYNC CONNECTOR nope.items TO t", "CAT001"),
        ("SYNC CONNECTOR s.itms TO t", "CAT002"),
        ("SYNC CONNECTOR s.items TO nowhere.t", "CAT008"),
        ("SYNC CONNECTOR s TO t", "SNC009"),
        ("SYNC CONNECTOR s.items TO t INCREMENTAL ON updates", "PLN002"),
        ("SYNC CONNECTOR s.items TO t WHERE nam = 'x'", "PLN002"),
        ("SYNC CONNECTOR s.items TO t INCREMENTAL ON updated LOOKBACK INTERVAL '-1d'", "PLN007"),
        ("SYNC CONNECTOR s.items TO t INCREMENTAL ON updated FROM 'x' UNTIL 'y'", "PLN007"),
        ("SYNC CONNECTOR s.items TO _quarantine", "CAT003"),
        ("SYNC CONNECTOR s.items TO 't__all'", "CAT003"),
    ],
)
def test_what_cannot_be_synced_is_refused_in_place(
    shop: moltler.Session, text: str, code: str
) -> None:
    with pytest.raises(moltler.MoltlerError) as caught:
        shop.execute(text)
    assert caught.value.code == code
    assert caught.value.line == 1
    assert list(shop.execute("SHOW SYNCS").dicts()) == []


def test_a_session_that_only_reads_syncs_nothing(home: Path) -> None:
    from moltler.compose import open_session

    with moltler.connect(home) as session:
        session.execute(SHOP).close()
    with open_session(home=home, read_only=True) as session:
        for text in ("SYNC CONNECTOR s.items TO t", "ROLLBACK SYNC t"):
            with pytest.raises(moltler.PlanError) as caught:
                session.execute(text)
            assert caught.value.code == "PLN012"


def test_a_test_syncs_into_tables_of_its_own(shop: moltler.Session) -> None:
    shop.execute(
        """
        TEST CONNECTOR TYPE 'shop' NAME 'sync'
        BEGIN
            CREATE CONNECTOR mine TYPE 'shop';
            SYNC CONNECTOR mine.items TO items;
        END TEST
        """
    ).close()
    row = one(shop, "RUN TEST 'sync' FOR CONNECTOR TYPE 'shop'")
    assert row["status"] == "passed", row
    assert list(shop.execute("SHOW SYNCS").dicts()) == []
