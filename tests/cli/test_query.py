"""`moltler query` and `moltler run`: formats, receipts, options, and where what is written."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.conftest import Cli
from support.http import HttpServer

SELECT = "SELECT id, name, price, created_at, meta, NULL AS gone FROM my_shop.items LIMIT 2"


def test_table_ends_with_the_number_of_rows(shop: Cli) -> None:
    ran = shop("query", "SELECT id, name, price FROM my_shop.items WHERE id < 3")
    assert (ran.status, ran.stderr) == (0, "")
    lines = [line.rstrip() for line in ran.stdout.splitlines()]
    assert lines[0].split() == ["id", "name", "price"]
    assert lines[2:] == [" 1   Item 1     1.5", " 2   Item 2     3.0", "2 row(s)"]


def test_table_without_rows_still_names_its_columns(shop: Cli) -> None:
    ran = shop("query", "SELECT id, name FROM my_shop.items WHERE id > 3")
    assert ran.stdout.splitlines()[0].split() == ["id", "name"]
    assert ran.stdout.endswith("0 row(s)\n")


def test_json_is_one_object_with_columns_rows_and_completeness(shop: Cli) -> None:
    ran = shop("--json", "query", SELECT)
    assert ran.stderr == ""
    assert json.loads(ran.stdout) == {
        "columns": [
            {"name": "id", "type": "integer"},
            {"name": "name", "type": "string"},
            {"name": "price", "type": "number"},
            {"name": "created_at", "type": "timestamp"},
            {"name": "meta", "type": "document"},
            {"name": "gone", "type": "string"},
        ],
        "rows": [
            [1, "Item 1", 1.5, "2024-05-01T10:00:00.000Z", {"a": 1}, None],
            [2, "Item 2", 3.0, "2024-05-01T10:00:00.000Z", {"a": 2}, None],
        ],
        "row_count": 2,
        "complete": True,
        "warnings": [],
    }
    assert ran.stdout.count("\n") == 1


def test_row_formats_write_the_same_cells(shop: Cli) -> None:
    ndjson = shop("query", "-f", "ndjson", SELECT).stdout.splitlines()
    assert json.loads(ndjson[1]) == {
        "id": 2,
        "name": "Item 2",
        "price": 3.0,
        "created_at": "2024-05-01T10:00:00.000Z",
        "meta": {"a": 2},
        "gone": None,
    }
    assert list(csv.reader(shop("query", "-f", "csv", SELECT).stdout.splitlines())) == [
        ["id", "name", "price", "created_at", "meta", "gone"],
        ["1", "Item 1", "1.5", "2024-05-01T10:00:00.000Z", '{"a":1}', ""],
        ["2", "Item 2", "3.0", "2024-05-01T10:00:00.000Z", '{"a":2}', ""],
    ]
    assert shop("query", "-f", "markdown", SELECT).stdout.splitlines()[2] == (
        '| 1 | Item 1 | 1.5 | 2024-05-01T10:00:00.000Z | {"a":1} |  |'
    )


def test_binary_formats_are_read_back_by_arrow(shop: Cli, tmp_path: Path) -> None:
    for name in ("parquet", "arrow"):
        ran = shop("query", "--format", name, "-o", f"items.{name}", SELECT)
        assert (ran.status, ran.stdout, ran.stderr) == (0, "", "")
    parquet = pq.read_table(tmp_path / "items.parquet")
    arrow = pa.ipc.open_stream((tmp_path / "items.arrow").read_bytes()).read_all()
    assert parquet.to_pylist() == arrow.to_pylist()
    assert parquet.column("id").to_pylist() == [1, 2]
    assert parquet.schema.field("created_at").type == pa.timestamp("us", "UTC")
    assert [json.loads(row["meta"]) for row in parquet.to_pylist()] == [{"a": 1}, {"a": 2}]


def test_failed_query_leaves_the_old_file_and_no_half_one(shop: Cli, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("precious")
    ran = shop("query", "-f", "csv", "-o", "out.csv", "SELECT CAST(name AS INT) FROM my_shop.items")
    assert ran.status == 1
    assert (tmp_path / "out.csv").read_text() == "precious"
    assert [p.name for p in tmp_path.glob("out*")] == ["out.csv"]


def test_statement_without_rows_prints_a_receipt(cli: Cli) -> None:
    define = "CREATE CONNECTOR TYPE 'shop'"
    assert cli("query", define).stdout == "✓ CREATE CONNECTOR TYPE shop\n"
    again = cli("--json", "query", f"{define} IF NOT EXISTS")
    assert json.loads(again.stdout)["columns"][0] == {"name": "statement", "type": "string"}
    assert again.rows == [["CREATE CONNECTOR TYPE", "shop", "it exists already"]]
    replaced = cli("query", "CREATE OR REPLACE CONNECTOR TYPE 'shop'")
    assert replaced.stdout == "✓ CREATE CONNECTOR TYPE shop (nothing had changed)\n"


def test_action_prints_what_it_returned(shop: Cli, api: HttpServer) -> None:
    ran = shop("query", "--json", "CONNECTOR_EXEC my_shop.items.create(name => 'O''Brien')")
    assert ran.rows == [[{"id": 9, "name": "O'Brien"}]]
    assert api.requests[-1].json() == {"name": "O'Brien"}


def test_read_only_refuses_actions_and_still_reads(shop: Cli, api: HttpServer) -> None:
    exec_ = "CONNECTOR_EXEC my_shop.items.create(name => 'x')"
    ran = shop("query", exec_, "--read-only")
    assert (ran.status, ran.stdout) == (1, "")
    assert "error[PLN012]" in ran.stderr
    assert api.requests == []
    assert shop("--read-only", "query", "SELECT count(*) FROM my_shop.items").status == 0


@pytest.mark.parametrize("where", ["before", "after"])
def test_global_options_stand_before_or_after_the_command(
    cli: Cli, tmp_path: Path, where: str
) -> None:
    other = ["--home", str(tmp_path / "other"), "--json"]
    command = ["query", "CREATE CONNECTOR TYPE 'there'"]
    arguments = {"before": [*other, *command], "after": [*command, *other]}[where]
    assert cli(*arguments).rows == [["CREATE CONNECTOR TYPE", "there", None]]
    assert (tmp_path / "other/catalog.db").exists()
    assert cli("--json", "query", "SHOW CONNECTOR TYPES").rows == []


def test_print_goes_to_stdout_but_never_between_json(cli: Cli) -> None:
    text = cli("run", "-", stdin="PRINT 'hello'; SELECT 1 AS a;")
    assert text.stdout.startswith("hello\n")
    as_json = cli("run", "-", "--json", stdin="PRINT 'hello'; SELECT 1 AS a;")
    assert (json.loads(as_json.stdout)["rows"], as_json.stderr) == ([[1]], "hello\n")
    assert cli("query", "-f", "ndjson", "PRINT 'hello'").stderr == "hello\n"
    assert cli("query", "-f", "csv", "PRINT 'hello'").stdout == "hello\n"


def test_handler_logs_appear_only_with_v_and_on_stderr(shop: Cli) -> None:
    count = "SELECT count(*) AS n FROM my_shop.items"
    assert shop("query", count).stderr == ""
    ran = shop("query", "-v", count)
    assert "asking the API" in ran.stderr
    assert "my_shop" in ran.stderr
    assert "asking the API" not in ran.stdout


def test_run_prints_each_result_and_stops_at_the_first_error(shop: Cli) -> None:
    script = "SELECT 1 AS a;\nCREATE CONNECTOR TYPE 't';\nSELECT nope;\nSELECT 2 AS b;"
    ran = shop("run", "-", stdin=script)
    assert ran.status == 1
    assert ran.stdout.endswith("1 row(s)\n✓ CREATE CONNECTOR TYPE t\n")
    assert "--> <stdin>:3:8" in ran.stderr
    assert "note: took effect before: CREATE CONNECTOR TYPE t" in ran.stderr


def test_run_json_is_one_object_a_statement_and_none_for_control(cli: Cli) -> None:
    ran = cli(
        "run", "--json", "-", stdin="DECLARE a = 2; SELECT @a AS a; SET a = 3; SELECT @a AS a;"
    )
    assert [json.loads(line)["rows"] for line in ran.stdout.splitlines()] == [[[2]], [[3]]]


def test_files_are_parsed_before_anything_runs_and_share_variables(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "a.moltler").write_text("DECLARE a = 2; CREATE CONNECTOR TYPE 't';")
    (tmp_path / "b.sql").write_text("SELECT @a AS a")
    (tmp_path / "bad.sql").write_text("SELEC 1")
    refused = cli("run", "a.moltler", "bad.sql")
    assert (refused.status, refused.stdout) == (2, "")
    assert "✓ CREATE CONNECTOR TYPE t\na\n" in cli("run", "a.moltler", "b.sql").stdout


def test_dry_run_lists_the_statements_and_changes_nothing(
    cli: Cli, script: Path, api: HttpServer
) -> None:
    script.write_text(script.read_text() + "SELECT id FROM my_shop.items;")
    ran = cli("run", "--dry-run", "--json", str(script))
    assert [(row[1], row[3]) for row in ran.rows][-3:] == [
        ("REGISTER CONNECTOR TYPE", "change the catalog"),
        ("CREATE CONNECTOR", "change the catalog"),
        ("SELECT", "read my_shop.items"),
    ]
    assert api.requests == []
    assert cli("--json", "query", "SHOW CONNECTOR TYPES").rows == []
    script.write_text(script.read_text().replace("SELECT id", "SELECT idd"))
    assert "did you mean `id`?" in cli("run", "--dry-run", str(script)).stderr


def test_warnings_are_on_stderr_as_text_and_inside_json(shop: Cli) -> None:
    create = 'CREATE CONNECTOR s TYPE \'shop\' CONFIG {"api_url": "{{secrets.nope}}"}'
    ran = shop("query", create)
    assert ran.stdout == "✓ CREATE CONNECTOR s\n"
    assert ran.stderr.startswith("warning[secret_missing]: the secret `nope` does not exist yet")
    again = shop("--json", "query", create.replace("s TYPE", "t TYPE"))
    assert again.stderr == ""
    assert json.loads(again.stdout)["warnings"][0]["code"] == "secret_missing"


def test_incomplete_result_says_so_in_every_format(shop: Cli) -> None:
    shop("query", 'ALTER CONNECTOR my_shop OPTIONS {"max_pages": 2}')
    count = "SELECT count(*) AS n FROM my_shop.pages"
    assert shop("query", count).stdout.endswith("1 row(s)\nincomplete: page_cap\n")
    as_json = json.loads(shop("query", count, "--json").stdout)
    assert (as_json["complete"], as_json["incomplete_reason"]) == (False, "page_cap")
    as_csv = shop("query", "-f", "csv", count)
    assert (as_csv.stdout, as_csv.stderr) == ("n\r\n200\r\n", "incomplete: page_cap\n")
