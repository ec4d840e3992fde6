"""CREATE, SHOW and DROP DESTINATION, and SELECT over synced tables, over the production path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import moltler
from support.postgres import PASSWORD, PostgresServer

DEFINITION = """
CREATE CONNECTOR TYPE 'shop';
CREATE CONNECTOR ENTITY 'shop.items' FIELDS {
    "id": {"type": "string", "primary_key": true}, "name": {"type": "string"},
    "rank": {"type": "integer"}, "made": {"type": "timestamp"}, "day": {"type": "date"},
    "tags": {"type": "array", "items": {"type": "string"}}, "doc": {"type": "document"}}
QUERY_HANDLER '''
async function query() { return [
    {id: "a", name: "Ann", rank: 3, made: "2024-01-01T00:00:00Z", day: "2024-01-01",
     tags: ["x", "y"], doc: {at: {n: 1}}},
    {id: "b", name: "bob", rank: 2, made: "2024-01-02T00:00:00Z", day: "2024-01-02",
     tags: [], doc: {at: {n: 2}}},
    {id: "c", name: "a%b", rank: 1},
    {id: "d"},
]; }
''';
CREATE CONNECTOR ENTITY 'shop.prices'
FIELDS {"item": {"type": "string", "primary_key": true}, "price": {"type": "number"}}
PUSHDOWN {"filters": {"item": {"operators": ["in"]}}}
QUERY_HANDLER '''
async function query(config, filters, options) {
    const asked = options.where?.find((c) => c.field === 'item')?.value ?? ['none asked for'];
    return asked.map((item) => ({item, price: 1.5}));
}
''';
REGISTER CONNECTOR TYPE 'shop';
CREATE CONNECTOR s TYPE 'shop' CONFIG {};
"""


def rows(session: moltler.Session, text: str) -> list[tuple[Any, ...]]:
    with session.execute(text) as result:
        return list(result.rows())


@pytest.fixture
def shop(session: moltler.Session) -> moltler.Session:
    session.execute(DEFINITION)
    return session


@pytest.fixture(params=["local", "duckdb", "postgres"])
def copy(request: pytest.FixtureRequest, shop: moltler.Session, tmp_path: Path) -> Iterator[str]:
    """The name of a synced copy of s.items in each kind of destination."""
    if request.param == "local":
        shop.execute("SYNC CONNECTOR s.items TO items")
        yield '"items"'
        return
    if request.param == "duckdb":
        config = f'{{"path": "{tmp_path / "copy.duckdb"}"}}'
        shop.execute(f"CREATE DESTINATION dest TYPE 'duckdb' CONFIG {config}")
        shop.execute("SYNC CONNECTOR s.items TO dest.items")
        yield "dest.items"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as url:
        shop.secrets.put("pg_url", url)
        shop.execute(
            "CREATE DESTINATION dest TYPE 'postgres'"
            """ CONFIG {"url": "{{secrets.pg_url}}", "schema": "copies"}"""
        )
        shop.execute("SYNC CONNECTOR s.items TO dest.items")
        yield "dest.items"
        shop.close()


# ── SELECT ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM {} ORDER BY id",
        "SELECT count(*), max(rank), min(made) FROM {}",
        "SELECT id FROM {} WHERE rank >= 2 AND name = 'Ann'",
        "SELECT id FROM {} WHERE rank BETWEEN 1 AND 2 ORDER BY id",
        "SELECT id FROM {} WHERE rank IN (1, 3) OR rank IS NULL ORDER BY id",
        "SELECT id FROM {} WHERE NOT (rank < 3) ORDER BY id",
        "SELECT id FROM {} WHERE rank <> 3 ORDER BY id",
        "SELECT id FROM {} WHERE name LIKE 'a%' ORDER BY id",
        "SELECT id FROM {} WHERE name LIKE 'a\\%%' ORDER BY id",
        "SELECT id FROM {} WHERE name NOT LIKE 'A%' ORDER BY id",
        "SELECT id FROM {} WHERE name > 'Zed' ORDER BY id",
        "SELECT id FROM {} WHERE made > TIMESTAMPTZ '2024-01-01 12:00:00Z'",
        "SELECT id FROM {} WHERE day = DATE '2024-01-02'",
        "SELECT id FROM {} WHERE array_contains(tags, 'y')",
        "SELECT id FROM {} WHERE doc.at.n = 2",
        "SELECT doc.at.n AS n, tags[0] AS tag FROM {} ORDER BY id",
        "SELECT name FROM {} ORDER BY name LIMIT 2",
        "SELECT name FROM {} ORDER BY name DESC LIMIT 3",
        "SELECT id FROM {} ORDER BY rank NULLS FIRST LIMIT 2",
        "SELECT id FROM {} WHERE name LIKE '%b' ORDER BY made LIMIT 1",
        "SELECT a.id FROM {} a JOIN {} b ON a.rank = b.rank + 1 ORDER BY a.id",
    ],
)
def test_a_copy_answers_as_the_live_entity_does(
    shop: moltler.Session, copy: str, query: str
) -> None:
    live = rows(shop, query.replace("{}", "s.items"))
    assert rows(shop, query.replace("{}", copy)) == live


def test_a_copy_joins_with_live_entities_and_feeds_them_its_keys(
    shop: moltler.Session, copy: str
) -> None:
    found = rows(
        shop,
        f"SELECT i.id, p.price FROM {copy} i JOIN s.prices p ON p.item = i.id"
        " WHERE i.rank > 1 ORDER BY i.id",
    )
    assert found == [("a", 1.5), ("b", 1.5)]


def test_the_other_view_shows_when_a_row_came(shop: moltler.Session, copy: str) -> None:
    name = copy.replace('"', "") + "__all"
    found = rows(shop, f"SELECT id, _synced_at < now() + INTERVAL 1 DAY, _deleted_at FROM {name}")
    assert len(found) == 4
    assert {row[1:] for row in found} == {(True, None)}


def test_quarantined_rows_can_be_read(shop: moltler.Session, copy: str) -> None:
    place = copy.rpartition(".")[0]
    name = f"{place}._quarantine" if place else "_quarantine"
    assert rows(shop, f"SELECT run_id, target, raw, reason FROM {name}") == []


def test_conditions_columns_and_limits_are_told_to_the_store(
    shop: moltler.Session, copy: str
) -> None:
    plan = rows(shop, f"EXPLAIN SELECT id FROM {copy} WHERE rank > 1 ORDER BY rank LIMIT 1")
    told = {item: value for _, item, value, _ in plan}
    assert told["where"] == [{"field": "rank", "op": ">", "value": 1}]
    assert (told["fields"], told["limit"]) == (["id", "rank"], 1)
    read = rows(shop, f"EXPLAIN ANALYZE SELECT id FROM {copy} WHERE rank > 1 ORDER BY rank LIMIT 1")
    assert next(value for _, item, value, _ in read if item == "rows_received") == 1


def test_an_unknown_table_names_those_that_are_there(shop: moltler.Session, copy: str) -> None:
    with pytest.raises(moltler.LookupFailed, match="there is no table `itemz`") as caught:
        rows(shop, f"SELECT * FROM {copy.replace('items', 'itemz')}")
    assert caught.value.code == "CAT002"
    assert "items" in str(caught.value.hint)


def test_a_local_table_comes_before_an_instance_of_the_same_name(shop: moltler.Session) -> None:
    shop.execute("SYNC CONNECTOR s.items TO s")
    assert len(rows(shop, "SELECT id FROM s")) == 4
    assert rows(shop, "WITH s AS (SELECT 1 AS id) SELECT id FROM s") == [(1,)]


def test_without_a_copy_the_message_says_what_is_there(shop: moltler.Session) -> None:
    with pytest.raises(moltler.LookupFailed, match="there is no table `itms`"):
        rows(shop, "SELECT * FROM itms")
    with pytest.raises(moltler.LookupFailed, match="no table `items` in destination `local`"):
        rows(shop, "SELECT * FROM local.items")


def test_a_result_that_is_being_read_keeps_no_sync_waiting(shop: moltler.Session) -> None:
    shop.execute("SYNC CONNECTOR s.items TO items")
    with shop.execute("SELECT * FROM items") as result:
        found = result.rows()
        next(found)
        shop.execute("SYNC CONNECTOR s.items TO items")
        assert len(list(found)) == 3


# ── definitions ──────────────────────────────────────────────────────────────────────────────


def test_show_destinations_masks_secrets_and_counts_syncs(shop: moltler.Session) -> None:
    shop.execute(
        "CREATE DESTINATION one TYPE 'postgres' CONFIG"
        ' {"host": "db", "database": "goods", "user": "me", "password": "hunter22"}'
    )
    shop.execute(
        'CREATE DESTINATION two TYPE \'postgres\' CONFIG {"url": "postgresql://me:hunter22@db/goods"}'
    )
    shop.execute(
        'CREATE DESTINATION three TYPE \'postgres\' CONFIG {"url": "postgresql://db/goods"}'
    )
    shop.execute("SYNC CONNECTOR s.items TO items")
    found = {row[0]: row[1:] for row in rows(shop, "SHOW DESTINATIONS")}
    assert found["one"] == (
        "postgres",
        {"host": "db", "database": "goods", "user": "me", "password": "********"},
        0,
    )
    assert found["two"] == ("postgres", {"url": "********"}, 0)
    assert found["three"] == ("postgres", {"url": "postgresql://db/goods"}, 0)
    assert found["local"][2] == 1
    catalog = (shop.home / "catalog.db").read_bytes()
    assert b"hunter22" not in catalog


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("CREATE DESTINATION d TYPE 'duckdb'", "CAT004"),
        ("CREATE DESTINATION d TYPE 'duckdb' CONFIG {\"path\": 1}", "CAT004"),
        ('CREATE DESTINATION d TYPE \'duckdb\' CONFIG {"file": "x"}', "CAT004"),
        ('CREATE DESTINATION d TYPE \'duckbd\' CONFIG {"path": "x"}', "CAT008"),
        ('CREATE DESTINATION d TYPE \'parquet\' CONFIG {"path": "x"}', "PLN011"),
        ('CREATE DESTINATION local TYPE \'duckdb\' CONFIG {"path": "x"}', "CAT003"),
        ('CREATE DESTINATION s TYPE \'duckdb\' CONFIG {"path": "x"}', "CAT003"),
        ("CREATE DESTINATION d TYPE 'postgres'", "CAT004"),
        ('CREATE DESTINATION d TYPE \'postgres\' CONFIG {"host": "db"}', "CAT004"),
        ('CREATE DESTINATION d TYPE \'postgres\' CONFIG {"url": "mysql://db/x"}', "CAT004"),
        (
            "CREATE DESTINATION d TYPE 'postgres' CONFIG"
            ' {"url": "postgresql://db/x", "host": "db", "database": "x"}',
            "CAT004",
        ),
        ("DROP DESTINATION nobody", "CAT008"),
        ("DROP DESTINATION local", "CAT011"),
        ("SYNC CONNECTOR s.items TO nobody.items", "CAT008"),
        ("SELECT * FROM nobody.items", "CAT001"),
    ],
)
def test_mistakes_about_destinations_are_told(shop: moltler.Session, text: str, code: str) -> None:
    with pytest.raises(moltler.MoltlerError) as caught:
        rows(shop, text)
    assert caught.value.code == code


def test_a_destination_is_created_once_replaced_and_dropped(
    shop: moltler.Session, tmp_path: Path
) -> None:
    create = 'DESTINATION d TYPE \'duckdb\' CONFIG {"path": "' + str(tmp_path / "d.duckdb") + '"}'
    shop.execute(f"CREATE {create}")
    with pytest.raises(moltler.LookupFailed) as caught:
        shop.execute(f"CREATE {create}")
    assert caught.value.code == "CAT003"
    again = create.replace("DESTINATION d ", "DESTINATION d IF NOT EXISTS ")
    (kept,) = shop.execute(f"CREATE {again}").dicts()
    assert kept["message"] == "it exists already"
    shop.execute(f"CREATE OR REPLACE {create}")
    with pytest.raises(moltler.LookupFailed) as caught:
        shop.execute("CREATE CONNECTOR d TYPE 'shop' CONFIG {}")
    assert caught.value.code == "CAT003"
    shop.execute("SYNC CONNECTOR s.items TO d.items")
    with pytest.raises(moltler.LookupFailed) as caught:
        shop.execute("DROP DESTINATION d")
    assert caught.value.code == "CAT011"
    shop.execute("DROP CONNECTOR s")
    shop.execute("DROP DESTINATION d")
    (gone,) = shop.execute("DROP DESTINATION d IF EXISTS").dicts()
    assert gone["message"] == "there was none"
    shop.close()
    with duckdb.connect(str(tmp_path / "d.duckdb"), read_only=True) as file:
        assert file.execute("SELECT count(*) FROM items").fetchone() == (4,)


def test_a_database_that_cannot_be_reached_is_named_without_its_password(
    shop: moltler.Session, postgres_server: PostgresServer
) -> None:
    wrong = postgres_server.url.replace(PASSWORD.replace(" ", "%20"), "hunter22")
    shop.execute(f'CREATE DESTINATION d TYPE \'postgres\' CONFIG {{"url": "{wrong}"}}')
    with pytest.raises(moltler.SyncError) as caught:
        rows(shop, "SELECT * FROM d.items")
    assert caught.value.code == "SNC006"
    assert "destination `d` cannot be reached" in caught.value.message
    assert "hunter22" not in str(caught.value)


def test_a_missing_secret_is_named_before_anything_is_opened(shop: moltler.Session) -> None:
    result = shop.execute(
        "CREATE DESTINATION d TYPE 'postgres' CONFIG"
        ' {"host": "127.0.0.1", "database": "x", "password": "{{secrets.nobody}}"}'
    )
    assert [w.code for w in result.warnings] == ["secret_missing"]
    with pytest.raises(moltler.LookupFailed, match="nobody") as caught:
        shop.execute("SYNC CONNECTOR s.items TO d.items")
    assert caught.value.code == "CAT005"


def test_relative_paths_are_those_of_the_folder_in_which_the_statement_ran(
    shop: moltler.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shop.execute('CREATE DESTINATION d TYPE \'duckdb\' CONFIG {"path": "here.duckdb"}')
    (row,) = (r for r in rows(shop, "SHOW DESTINATIONS") if r[0] == "d")
    assert row[2] == {"path": str(tmp_path / "here.duckdb")}
