"""`moltler sync`: stored syncs listed and run again, and their runs."""

from __future__ import annotations

import json

from cli.conftest import Cli

SYNC = "SYNC CONNECTOR my_shop.items TO items INCREMENTAL ON created_at"


def test_a_sync_is_listed_run_again_and_remembered(shop: Cli) -> None:
    assert shop("query", SYNC).status == 0
    listed = json.loads(shop("--json", "sync", "list").stdout)
    ran = json.loads(shop("--json", "sync", "run", "my_shop.items").stdout)
    full = json.loads(shop("--json", "sync", "run", "--full").stdout)
    history = json.loads(shop("--json", "sync", "history", "my_shop", "--limit", "2").stdout)

    assert [row[:3] for row in listed["rows"]] == [["my_shop", "items", "items"]]
    mode = [c["name"] for c in ran["columns"]].index("mode")
    assert [ran["rows"][0][mode], full["rows"][0][mode]] == ["incremental", "full"]
    assert [row[mode] for row in history["rows"]] == ["full", "incremental"]


def test_nothing_to_run_is_said_and_is_no_failure(shop: Cli) -> None:
    ran = shop("sync", "run")
    assert (ran.status, ran.stdout) == (0, "")
    assert "SYNC CONNECTOR makes one" in ran.stderr


def test_an_unknown_sync_or_connector_is_an_error(shop: Cli) -> None:
    assert "CAT008" in shop("sync", "run", "my_shop.items").stderr
    assert "CAT001" in shop("sync", "run", "nobody").stderr
    assert "CAT001" in shop("sync", "history", "nobody").stderr
    assert shop("sync", "run", "a.b.c").status == 2


def test_a_failing_sync_is_recorded_and_is_the_exit_status(shop: Cli) -> None:
    assert shop("query", SYNC).status == 0
    gone = "ALTER CONNECTOR my_shop SET CONFIG {'api_url': 'http://127.0.0.1:1'}"
    assert shop("query", gone.replace("'", '"')).status == 0
    ran = shop("sync", "run")
    history = json.loads(shop("--json", "sync", "history").stdout)
    assert (ran.status, ran.stdout) == (3, "")
    assert "API001" in ran.stderr
    assert [row[0] for row in history["rows"]] == ["failed", "ok"]
