from __future__ import annotations

import os
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from moltler.catalog.catalog import Catalog
from moltler.catalog.store import CatalogFile, create_database, open_database
from moltler.errors import LookupFailed
from moltler.model import Connector, EnvReference
from support.clock import HandClock
from support.definitions import Define

FULL_TYPE = """DESCRIPTION 'd' DOCUMENTATION 'doc' CONCURRENCY 3 ALLOWED_HOSTS ['a.example.com']
  TEST_HANDLER 'function test() {}'
  CONFIG_SCHEMA {
    "key": {"type": "string", "secret": true, "expose": true, "expose_reason": "r",
            "required": true, "pattern": "^a", "description": "k"},
    "n": {"type": "number", "default": 1.5, "minimum": 1, "maximum": 2.5, "enum": [1.5, 2]},
    "deep": {"type": "document", "properties": {"list": {"type": "array", "items": "date"}}}}
  OPTIONS_SCHEMA {"any": {"type": "any", "default": {"a": [1, null, "ü", true]}}}"""
FULL_ENTITY = """DESCRIPTION 'e' ROWS_PATH 'data.rows'
  FIELDS {"id": {"type": "integer", "primary_key": true}, "q": {"type": "string",
    "filter_only": true}, "s": {"type": "string", "collation": "binary", "nullable": false}}
  PUSHDOWN {"filters": {"id": {"operators": ["=", "in"], "required": true}, "s": ["<"]},
            "order_by": ["s"], "limit": true}"""
FULL_ACTION = """DESCRIPTION 'a' IDEMPOTENT PARAMETERS {"p": {"type": "string"}}
  RETURNS {"r": {"type": "integer", "nullable": false}}"""


def open_file(home: Path, busy_s: float = 5) -> CatalogFile:
    return CatalogFile(home, HandClock(), busy_s=busy_s)


def full_catalog(definer: Define) -> Catalog:
    return (
        Catalog()
        .define_type(definer.type(FULL_TYPE))
        .define_entity("shop", definer.entity(FULL_ENTITY))
        .define_action("shop", definer.action(FULL_ACTION))
        .define_action("shop", definer.action(name="shop.sweep"))
        .register("shop")
        .define_type(definer.type("DESCRIPTION 'changed'"), or_replace=True)
        .create_connector(
            Connector(
                "Prod",
                "shop",
                {"key": "{{secrets.k}}", "deep": {"list": ["2024-01-02", None]}},
                {"key": EnvReference("K", "d")},
                {"rate_limit": "30/m", "big": 2**62, "half": 0.5},
                "described",
                enabled=False,
            )
        )
    )


def test_what_was_saved_is_read_back_equal_by_another_opening(home: Path, definer: Define) -> None:
    wanted = full_catalog(definer)
    saved = open_file(home).update(lambda _: wanted)
    assert saved is wanted
    assert open_file(home).load() == wanted


def test_a_home_without_a_catalog_is_empty_and_reading_makes_nothing(home: Path) -> None:
    assert open_file(home).load() == Catalog()
    assert not open_file(home).changed()
    assert not home.exists()


def test_only_the_owner_may_read_the_file(home: Path) -> None:
    open_file(home).update(lambda c: c)
    assert stat.S_IMODE((home / "catalog.db").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_rows_that_are_gone_are_gone_from_the_file(home: Path, definer: Define) -> None:
    file = open_file(home)
    file.update(lambda _: full_catalog(definer))
    file.update(lambda c: c.drop_type("shop", cascade=True))
    assert open_file(home).load() == Catalog(serial=1)


def test_a_change_that_fails_changes_nothing(home: Path) -> None:
    file = open_file(home)
    before = file.update(lambda c: c.create_connector(Connector("a", "t")))

    def fail(catalog: Catalog) -> Catalog:
        return catalog.create_connector(Connector("b", "t")).create_connector(Connector("A", "t"))

    with pytest.raises(LookupFailed):
        file.update(fail)
    assert file.load() is before
    assert open_file(home).load() == before


def test_a_catalog_is_read_once_until_somebody_else_changes_it(home: Path) -> None:
    mine, other = open_file(home), open_file(home)
    mine.update(lambda c: c.create_connector(Connector("a", "t")))
    known = mine.load()
    assert mine.load() is known
    assert not mine.changed()
    changed = other.update(lambda c: c.create_connector(Connector("b", "t")))
    assert mine.changed()
    assert mine.load() == changed
    assert not mine.changed()
    assert mine.load() is mine.load()


def test_an_own_change_is_known_without_reading_again(home: Path) -> None:
    file = open_file(home)
    changed = file.update(lambda c: c.create_connector(Connector("a", "t")))
    assert file.load() is changed


def test_a_change_starts_from_what_others_have_written(home: Path) -> None:
    mine, other = open_file(home), open_file(home)
    mine.update(lambda c: c.create_connector(Connector("a", "t")))
    mine.load()
    other.update(lambda c: c.create_connector(Connector("b", "t")))
    after = mine.update(lambda c: c.create_connector(Connector("c", "t")))
    assert sorted(after.connectors) == ["a", "b", "c"]
    assert len({c.version for c in after.connectors.values()}) == 3


def test_a_file_that_was_moved_away_or_replaced_is_noticed(home: Path, tmp_path: Path) -> None:
    file = open_file(home)
    file.update(lambda c: c.create_connector(Connector("a", "t")))
    file.path.rename(tmp_path / "elsewhere.db")
    assert file.load() == Catalog()
    open_file(home).update(lambda c: c.create_connector(Connector("b", "t")))
    assert list(file.load().connectors) == ["b"]


def test_threads_may_share_a_file(home: Path) -> None:
    file = open_file(home)

    def work(prefix: str) -> None:
        for number in range(10):
            name = f"{prefix}{number}"
            file.update(lambda c, name=name: c.create_connector(Connector(name, "t")))
            assert name in file.load().connectors

    threads = [threading.Thread(target=work, args=(p,)) for p in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(open_file(home).load().connectors) == 30


# ── files that cannot be used ────────────────────────────────────────────────────────────────


def sql(path: Path, statement: str, *values: Any) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement, values)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def refusal(home: Path) -> LookupFailed:
    """The error of reading, which is that of writing too; the file stays as it is."""
    path = home / "catalog.db"
    before = path.read_bytes()
    with pytest.raises(LookupFailed) as reading:
        open_file(home).load()
    with pytest.raises(LookupFailed) as writing:
        open_file(home).update(lambda c: c.create_connector(Connector("z", "t")))
    assert str(writing.value) == str(reading.value)
    assert path.read_bytes() == before
    return reading.value


@pytest.fixture
def path(home: Path, definer: Define) -> Path:
    file = open_file(home)
    file.update(lambda _: full_catalog(definer))
    file.close()
    return file.path


def test_a_newer_file_is_refused_and_left_alone(home: Path, path: Path) -> None:
    sql(path, "PRAGMA user_version = 99")
    error = refusal(home)
    assert (error.code, error.type) == ("CAT010", "home_error")
    assert "was written by a newer Moltler (format 99" in error.message
    assert error.hint == "upgrade Moltler, or use another home; the file was not changed"


def overwrite(path: Path) -> None:
    path.write_bytes(b"not a database at all, but long enough to be looked at closely")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncate(path: Path) -> None:
    os.truncate(path, 4096)


def lose_a_table(path: Path) -> None:
    sql(path, "DROP TABLE connector")


def flip_a_bit_of_a_row(path: Path) -> None:
    sql(path, "UPDATE connector SET body = replace(body, 'shop', 'chop')")


def spoil_a_row(path: Path) -> None:
    sql(path, "UPDATE type SET body = ?, sum = ?", b"{}", 2745614147)


def spoil_a_name(path: Path) -> None:
    sql(path, "UPDATE type SET name = CAST(x'ff' AS TEXT)")


def lose_the_counter(path: Path) -> None:
    sql(path, "DELETE FROM counter")


@pytest.mark.parametrize(
    "damage",
    [
        overwrite,
        empty,
        truncate,
        lose_a_table,
        flip_a_bit_of_a_row,
        spoil_a_row,
        spoil_a_name,
        lose_the_counter,
    ],
)
def test_a_damaged_file_is_refused_with_a_way_on_and_left_alone(
    home: Path, path: Path, damage: Any
) -> None:
    damage(path)
    error = refusal(home)
    assert (error.code, error.message) == ("CAT010", f"`{path}` is damaged")
    assert f"mv {path} {path}.damaged" in (error.hint or "")


def test_a_file_that_is_a_folder_is_refused(home: Path) -> None:
    (home / "catalog.db").mkdir(parents=True)
    with pytest.raises(LookupFailed) as caught:
        open_file(home).load()
    assert caught.value.code == "CAT010"


def test_a_home_that_is_a_file_is_refused(home: Path) -> None:
    home.write_text("x")
    with pytest.raises(LookupFailed) as caught:
        open_file(home).update(lambda c: c)
    assert caught.value.code == "CAT010"


def test_a_busy_file_says_so_after_waiting(home: Path, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert len(open_file(home).load().connectors) == 1
        with pytest.raises(LookupFailed) as caught:
            open_file(home, busy_s=0.05).update(lambda c: c.create_connector(Connector("a", "t")))
    finally:
        other.close()
    assert (caught.value.code, caught.value.type) == ("CAT009", "home_busy")
    assert "busy" in caught.value.message


def test_an_older_file_is_brought_to_the_newest_version_once(home: Path) -> None:
    path, clock = home / "x.db", HandClock()
    first = ("CREATE TABLE a (n INTEGER)", "INSERT INTO a VALUES (1)")
    second = ("UPDATE a SET n = n + 1",)
    create_database(path, (first,), clock, busy_s=1)
    for _ in range(2):
        connection = open_database(path, (first, second), clock, busy_s=1)
        assert connection.execute("SELECT n FROM a").fetchall() == [(2,)]
        connection.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(home: Path) -> None:
    path, clock = home / "x.db", HandClock()
    first = ("CREATE TABLE a (n INTEGER)",)
    create_database(path, (first,), clock, busy_s=1)
    with pytest.raises(sqlite3.OperationalError):
        open_database(path, (first, ("DROP TABLE a", "not SQL")), clock, busy_s=1)
    open_database(path, (first,), clock, busy_s=1).close()


def test_a_database_that_exists_by_now_is_kept(home: Path) -> None:
    path, clock = home / "x.db", HandClock()
    create_database(path, (("CREATE TABLE a (n INTEGER)",),), clock, busy_s=1)
    create_database(path, (("CREATE TABLE b (n INTEGER)",),), clock, busy_s=1)
    open_database(path, (("CREATE TABLE a (n INTEGER)",),), clock, busy_s=1).close()


def test_a_half_made_file_of_a_killed_process_is_made_anew(home: Path) -> None:
    home.mkdir()
    (home / "catalog.db.new").write_bytes(b"half")
    (home / "catalog.db-wal").write_bytes(b"of a file that is gone")
    open_file(home).update(lambda c: c.create_connector(Connector("a", "t")))
    assert list(open_file(home).load().connectors) == ["a"]
    assert not (home / "catalog.db.new").exists()
