"""What goes wrong around a destination: told as SNC006, nothing lost, and the next run recovers."""

from __future__ import annotations

import os
import pwd
import resource
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import psycopg
import pyarrow as pa
import pytest

from moltler.errors import MoltlerError
from moltler.flow.sync import Presence
from moltler.sync.destinations.duckdb.destination import open_duckdb
from support.clock import HandClock
from support.postgres import PostgresServer
from sync.destinations.conftest import Place
from sync.destinations.making import Run, rows_of

PHYSICAL = "SELECT table_name FROM information_schema.tables WHERE table_name LIKE '%moltler_rows%'"


@contextmanager
def refused(*said: str, code: str = "SNC006") -> Generator[None]:
    """Expect an error of a code whose message holds some words."""
    with pytest.raises(MoltlerError) as caught:
        yield
    assert caught.value.code == code, caught.value
    for words in said:
        assert words in f"{caught.value.message} {caught.value.hint}"


def physical(place: Place) -> str:
    ((name,),) = place.sql(PHYSICAL)
    return str(name)


# ── by somebody else ─────────────────────────────────────────────────────────────────────────


def test_rows_that_somebody_dropped_are_loaded_anew(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    _do(place, f"DROP TABLE {physical(place)} CASCADE")
    with refused("dropped by somebody else", "loads the table anew"):
        run.merge(("b", "Bob", 2))
    lease = run.claim()
    assert (lease.state, lease.target.generation) == (None, 0)
    run.load(("a", "Ann", 1), ("b", "Bob", 2))
    assert place.rows() == [("a", "Ann", 1), ("b", "Bob", 2)]


def test_a_view_that_somebody_dropped_is_made_again(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    _do(place, "DROP VIEW items")
    run.claim()
    assert place.rows() == [("a", "Ann", 1)]


def test_a_table_that_somebody_changed_is_told_and_a_full_load_recovers(
    run: Run, place: Place
) -> None:
    run.load(("a", "Ann", 1))
    _do(place, f"ALTER TABLE {physical(place)} RENAME COLUMN name TO title")
    with refused("changed by somebody else", "FULL"):
        run.merge(("a", "Bea", 2))
    run.load(("b", "Bob", 2))
    assert place.rows() == [("b", "Bob", 2)]


def test_a_table_of_somebody_else_is_not_touched(run: Run, place: Place) -> None:
    Run(place.destination, run.scope.__class__("shop", "other", "other")).load(("x", "x", 1))
    _do(place, "CREATE TABLE items (mine INTEGER)")
    with refused("has a table `items` that no sync made"):
        run.claim()
    assert place.sql("SELECT count(*) FROM items") == [(0,)]


def test_state_that_somebody_garbled_stops_the_sync(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    _do(place, "UPDATE _moltler_scope SET state = '{\"version\": 99}'")
    with refused("cannot be understood", code="SNC007"):
        run.claim()
    assert place.rows() == [("a", "Ann", 1)]


# ── DuckDB ───────────────────────────────────────────────────────────────────────────────────


def _child(script: str, *arguments: str) -> str:
    """Run a program that has our tests and gives one line."""
    folder = str(Path(__file__).parents[2])
    head = f"import sys; sys.path.insert(0, {folder!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", head + script, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).strip()


_WRITE = """
from sync.destinations.dying import open_kind, run_on
from moltler.errors import MoltlerError
{before}
try:
    run = run_on(open_kind("duckdb", sys.argv[1], ""), "items", "owner")
    run.claim()
    run.merge(*((f"key {{n}}", "x" * 500, n) for n in range(20_000)))
    print("done")
except MoltlerError as error:
    print(error.code, error.message)
"""


def test_a_full_disk_is_told_and_nothing_is_lost(duck: Place, duck_path: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    run = Run(duck.destination)
    run.load(("a", "Ann", 1))
    run.release()
    duck.destination.close()
    limit = duck_path.stat().st_size + 100_000
    before = (
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    )
    assert _child(_WRITE.format(before=before), str(duck_path)).startswith("SNC006")
    assert duck.rows() == [("a", "Ann", 1)]
    assert _child(_WRITE.format(before=""), str(duck_path)) == "done"
    assert duck.sql("SELECT count(*) FROM items") == [(20_001,)]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_that_may_only_be_read_is_read_and_not_written(
    duck: Place, duck_path: Path, tmp_path: Path
) -> None:
    run = Run(duck.destination)
    run.load(("a", "Ann", 1))
    run.release()
    duck.destination.close()
    nobody = pwd.getpwnam("nobody").pw_uid
    open_way = tmp_path
    while open_way.stat().st_mode & 0o005 != 0o005:
        open_way.chmod(0o755)
        open_way = open_way.parent
    read = "print(len(open_kind('duckdb', sys.argv[1], '').tables()))"
    script = (
        "from sync.destinations.dying import open_kind, run_on\n"
        "from moltler.errors import MoltlerError\n"
        f"import os; os.setuid({nobody})\n{read}\n"
        "try: run_on(open_kind('duckdb', sys.argv[1], ''), 'items').claim()\n"
        "except MoltlerError as error: print(error.code)"
    )
    assert _child(script, str(duck_path)).split() == ["1", "SNC006"]


def test_a_file_that_is_no_database_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "letter.duckdb"
    path.write_text("Dear database, " * 500)
    destination = open_duckdb(path, "goods", HandClock())
    with refused("letter.duckdb"):
        Run(destination).claim()
    assert path.read_text().startswith("Dear")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with refused("nowhere"):
        Run(open_duckdb(tmp_path / "nowhere" / "goods.duckdb", "goods", HandClock())).claim()


@pytest.mark.parametrize(("is_home", "code"), [(True, "CAT009"), (False, "SNC006")])
def test_a_file_that_another_program_has_open_is_waited_for_and_then_named(
    tmp_path: Path, *, is_home: bool, code: str
) -> None:
    path = tmp_path / "data.duckdb"
    script = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    destination = open_duckdb(path, "goods", HandClock(), is_home=is_home, wait_s=0.3)
    try:
        with refused(f"process {holder.pid}", code=code):
            Run(destination).claim()
    finally:
        holder.communicate("\n")
    Run(destination).claim()
    destination.close()


def test_a_file_that_is_kept_open_is_given_to_whoever_waits(duck_path: Path) -> None:
    first = open_duckdb(duck_path, "goods", HandClock(), keep_s=600)
    second = open_duckdb(duck_path, "goods", HandClock(), keep_s=600, wait_s=20)
    for name in "abc":
        run = Run(first if name != "b" else second, owner=name)
        run.load((name, name, 1))
        run.release()
    first.close()
    second.close()
    with duckdb.connect(str(duck_path)) as file:
        assert file.execute("SELECT id FROM items").fetchall() == [("c",)]


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────


def test_a_server_that_restarts_between_batches_is_found_again(
    postgres: Place, postgres_server: PostgresServer
) -> None:
    run = Run(postgres.destination)
    run.load(("a", "Ann", 1))
    postgres_server.crash()
    batch = run.batch(rows_of([("b", "Bob", 2)]))
    try:
        with refused("cannot be reached"):
            run.writer.commit(batch, run.held, ttl_s=60)
    finally:
        postgres_server.start()
    assert not run.writer.commit(batch, run.held, ttl_s=60).is_repeat
    assert postgres.rows() == [("a", "Ann", 1), ("b", "Bob", 2)]


def test_a_server_that_goes_down_in_a_transaction_keeps_nothing_of_it(
    postgres: Place, postgres_server: PostgresServer
) -> None:
    run = Run(postgres.destination)
    run.load(("a", "Ann", 1))
    state = run.claim().state

    def keys_of_a_dying_server() -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_arrays([pa.array(["a", "b"])], names=["id"])
        postgres_server.crash()

    dying = Presence(keys_of_a_dying_server(), allows_shrinking=False)
    batch = run.batch(rows_of([("b", "Bob", 2)]), presence=dying)
    try:
        with refused("cannot be reached"):
            run.writer.commit(batch, run.held, ttl_s=60)
    finally:
        postgres_server.start()
    assert postgres.rows() == [("a", "Ann", 1)]
    assert run.claim().state == state
    run.merge(("b", "Bob", 2))
    assert postgres.rows() == [("a", "Ann", 1), ("b", "Bob", 2)]


def test_an_account_that_may_not_create_tables_is_told(postgres_server: PostgresServer) -> None:
    from moltler.sync.destinations.postgres.destination import open_postgres
    from moltler.sync.destinations.postgres.store import PostgresAddress

    with postgres_server.database() as url, psycopg.connect(url, autocommit=True) as owner:
        owner.execute("CREATE ROLE visitor LOGIN PASSWORD 'let me in'")
        owner.execute("CREATE SCHEMA closed")
        address = PostgresAddress(
            {"conninfo": url, "user": "visitor", "password": "let me in"}, "closed"
        )
        destination = open_postgres(address, "goods")
        try:
            with refused("permission denied", "must own"):
                Run(destination).claim()
        finally:
            destination.close()
            owner.execute("DROP ROLE visitor")


def test_a_table_name_that_is_too_long_is_refused_not_cut(postgres: Place) -> None:
    run = Run(postgres.destination)
    run.scope = run.scope.__class__("shop", "items", "x" * 59)
    with refused("so long a name", "58 bytes"):
        run.claim()
    run.scope = run.scope.__class__("shop", "items", "é" * 29)
    run.claim()


def test_views_of_others_over_a_table_survive_a_new_generation(postgres: Place) -> None:
    run = Run(postgres.destination)
    run.load(("a", "Ann", 1))
    _do(postgres, "CREATE VIEW mine AS SELECT id FROM items")
    run.load(("b", "Bob", 1))
    assert postgres.sql("SELECT * FROM mine") == [("b",)]


def _do(place: Place, statement: str) -> None:
    """Do something to the database behind the sync's back."""
    if place.kind == "duckdb":
        statement = statement.replace(" CASCADE", "")
    place.sql(statement)
