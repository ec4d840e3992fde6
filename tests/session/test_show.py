from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from moltler.catalog.catalog import Catalog
from moltler.catalog.journal import ActionRecord, LastCall
from moltler.errors import LookupFailed
from moltler.flow.budget import Standing
from moltler.flow.connector import CallLimits
from moltler.flow.contact import Contact
from moltler.flow.result import Table
from moltler.model import Connector, EnvReference
from moltler.session.show import (
    describe,
    show_actions,
    show_connector,
    show_connectors,
    show_destinations,
    show_entities,
    show_history,
    show_packages,
    show_tests,
    show_type,
    show_types,
)
from moltler.session.status import show_status
from support.definitions import Define

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def catalog() -> Catalog:
    definer = Define()
    config = """DESCRIPTION 'things' ALLOWED_HOSTS ['a.example.com', '*.b.example.com']
      CONFIG_SCHEMA {
        "url": {"type": "string"}, "key": {"type": "string", "secret": true},
        "sign": {"type": "string", "secret": true, "expose": true, "expose_reason": "HMAC"},
        "login": {"type": "document", "properties": {
            "user": {"type": "string"}, "password": {"type": "string", "secret": true}}},
        "page": {"type": "integer"}}"""
    items = """DESCRIPTION 'for sale'
      FIELDS {"id": {"type": "integer", "primary_key": true},
              "state": {"type": "string", "nullable": false, "description": "open or closed"},
              "tags": {"type": "array", "items": "string"},
              "q": {"type": "string", "filter_only": true}}
      PUSHDOWN {"filters": {"state": ["in", "="], "id": {"operators": [], "required": true}},
                "order_by": ["id"]}"""
    create = """DESCRIPTION 'adds one' IDEMPOTENT PARAMETERS {
        "name": {"type": "string", "required": true, "description": "label"},
        "state": {"type": "string", "default": "open"}}"""
    return (
        Catalog()
        .define_type(definer.type(config))
        .define_entity("shop", definer.entity(items))
        .define_action("shop", definer.action(create))
        .define_action("shop", definer.action(name="shop.sweep"))
        .register("shop")
    )


def with_prod(catalog: Catalog, config: dict[str, Any] | None = None, **more: Any) -> Catalog:
    return catalog.create_connector(Connector("Prod", "shop", config or {}, **more))


def names(table: Table) -> str:
    return " ".join(c.name for c in table.columns)


def types(table: Table) -> str:
    return " ".join(c.type for c in table.columns)


def properties(table: Table) -> dict[object, object]:
    assert names(table) == "property value"
    return {row[0]: row[1] for row in table.rows}


# ── connectors ───────────────────────────────────────────────────────────────────────────────


def test_connectors_come_by_name_with_status_and_last_call(catalog: Catalog) -> None:
    several = catalog
    for name in ("ok", "Failed", "fresh", "off"):
        several = several.create_connector(Connector(name, "shop"))
    several = several.set_enabled("off", enabled=False)
    calls = {"ok": LastCall(AT, None), "failed": LastCall(AT, "boom"), "off": LastCall(AT, "boom")}
    table = show_connectors(several, calls)
    assert names(table) == "name type status enabled last_call last_sync"
    assert types(table) == "string string string boolean timestamp timestamp"
    assert table.rows == (
        ("Failed", "shop", "error", True, AT, None),
        ("fresh", "shop", "created", True, None, None),
        ("off", "shop", "disabled", False, AT, None),
        ("ok", "shop", "connected", True, AT, None),
    )


def test_a_connector_shows_its_references_and_masks_the_rest(catalog: Catalog) -> None:
    prod = with_prod(
        catalog,
        {
            "page": 5,
            "url": "https://{{secrets.tenant}}.example.com",
            "key": "{{ secrets.shop_key }}",
            "sign": "{{secrets._connector.prod.sign}}",
            "login": {"user": "me"},
        },
        env={"login.password": EnvReference("PASSWORD", "hunter2")},
        options={"rate_limit": "30/m", "retry_count": 2},
        description="live",
    )
    assert properties(show_connector(prod, "prod", {"prod": LastCall(AT, None)})) == {
        "name": "Prod",
        "type": "shop",
        "revision": "1",
        "description": "live",
        "status": "connected",
        "enabled": "true",
        "last_call": "2026-01-02T03:04:05.000Z",
        "config.url": "https://{{secrets.tenant}}.example.com",
        "config.key": "{{secrets.shop_key}}",
        "config.sign": "********",
        "config.login": '{"user": "me", "password": "ENV(\'PASSWORD\', \'********\')"}',
        "config.page": "5",
        "options.rate_limit": "30/m",
        "options.retry_count": "2",
    }


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("hunter2", "********"),
        ("Bearer {{secrets.token}}", "********{{secrets.token}}"),
        ("{{secrets.a}}{{secrets.b}}", "{{secrets.a}}{{secrets.b}}"),
        ("{{secrets._connector.other.key}}", "{{secrets._connector.other.key}}"),
    ],
)
def test_the_text_of_a_secret_is_masked_around_its_references(
    catalog: Catalog, stored: str, shown: str
) -> None:
    rows = properties(show_connector(with_prod(catalog, {"key": stored}), "prod", {}))
    assert rows["config.key"] == shown


def test_a_variable_is_shown_in_the_place_of_its_key(catalog: Catalog) -> None:
    prod = with_prod(catalog, {"page": 1}, env={"key": EnvReference("KEY")})
    rows = properties(show_connector(prod, "prod", {}))
    assert [k for k in rows if str(k).startswith("config")] == ["config.key", "config.page"]
    assert rows["config.key"] == "ENV('KEY')"


def test_a_disabled_connector_is_still_shown(catalog: Catalog) -> None:
    off = with_prod(catalog).set_enabled("prod", enabled=False)
    assert properties(show_connector(off, "prod", {}))["status"] == "disabled"
    assert len(show_entities(off, "prod").rows) == 1
    assert len(describe(off, ("prod", "items")).rows) == 4


def test_status_tells_the_last_error_the_limits_and_the_hosts(catalog: Catalog) -> None:
    calls = {"prod": LastCall(AT, "API error: 500")}
    soon = AT.timestamp() + 60
    table = show_status(
        with_prod(catalog).connector("PROD"),
        calls,
        CallLimits(rate_per_s=0.5, rate_burst=3),
        {"a.test": Standing({"": soon, "/x": soon}, soon), "b.test": Standing({}, soon - 90)},
        (Contact("a.test", 12, 0, AT), Contact("c.test", 0, 2, AT), Contact("d.test", 1, 1, AT)),
        AT,
    )
    assert table.rows == (
        ("status", "error"),
        ("enabled", "true"),
        ("last_call", "2026-01-02T03:04:05.000Z"),
        ("last_error", "API error: 500"),
        ("rate_limit", "30 per minute and host, at once 3"),
        ("limit of a.test", "the API takes no requests before 2026-01-02T03:05:05.000Z"),
        ("limit of a.test", "the API takes no requests below /x before 2026-01-02T03:05:05.000Z"),
        ("limit of a.test", "the next request may leave at 2026-01-02T03:05:05.000Z"),
        ("schedules", "none"),
        ("runtime", None),
        ("host a.test", "12 request(s), last 2026-01-02T03:04:05.000Z"),
        ("host c.test", "2 blocked, last 2026-01-02T03:04:05.000Z"),
        ("host d.test", "1 request(s), 1 blocked, last 2026-01-02T03:04:05.000Z"),
    )


def test_a_connector_that_was_never_called_has_no_last_call(catalog: Catalog) -> None:
    prod = with_prod(catalog).connector("prod")
    rows = properties(show_status(prod, {}, CallLimits(), {}, (), AT))
    assert (rows["status"], rows["last_call"], rows["rate_limit"]) == ("created", None, "none")


def test_entities_and_actions_are_listed(catalog: Catalog) -> None:
    prod = with_prod(catalog)
    entities, actions = show_entities(prod, "prod"), show_actions(prod, "prod")
    assert names(entities) == "entity fields primary_key description"
    assert entities.rows == (("items", "id, state, tags, q", "id", "for sale"),)
    assert names(actions) == "action parameters idempotent description"
    assert actions.rows == (
        ("items.create", "name, [state]", True, "adds one"),
        ("sweep", None, False, None),
    )


def test_the_history_of_actions_is_listed() -> None:
    record = ActionRecord(7, AT, "Prod", "items.create", "{}", "FAILED", "boom")
    table = show_history((record,))
    assert names(table) == "id started connector action parameters status error"
    assert types(table).startswith("integer timestamp")
    assert table.rows == ((7, AT, "Prod", "items.create", "{}", "FAILED", "boom"),)


@pytest.mark.parametrize("show", [show_entities, show_actions])
def test_an_unknown_connector_has_nothing_to_show(catalog: Catalog, show: Any) -> None:
    with pytest.raises(LookupFailed) as caught:
        show(with_prod(catalog), "prd")
    assert (caught.value.code, caught.value.hint) == ("CAT001", "did you mean `Prod`?")


# ── definitions ──────────────────────────────────────────────────────────────────────────────


def test_types_tell_whether_their_draft_differs(catalog: Catalog) -> None:
    definer = Define()
    types_ = with_prod(catalog).define_type(definer.type(name="Draft"))
    edited = types_.define_type(definer.type("DESCRIPTION 'new'"), or_replace=True)
    table = show_types(types_)
    assert names(table) == "type revision draft version origin instances description"
    assert table.rows == (
        ("Draft", None, "not registered", None, "local", 0, None),
        ("shop", 1, "registered", None, "local", 1, "things"),
    )
    assert show_types(edited).rows[1] == ("shop", 1, "draft differs", None, "local", 1, "things")


def test_one_type_also_shows_what_it_reaches_and_offers(catalog: Catalog) -> None:
    table = show_type(catalog, "SHOP")
    assert names(table) == (
        "type revision draft version origin instances description"
        " hosts exposed_secrets entities actions"
    )
    (row,) = table.rows
    assert row[7:] == (
        "a.example.com, *.b.example.com",
        "sign (HMAC)",
        "items",
        "items.create, sweep",
    )


def test_an_entity_is_described_by_its_fields(catalog: Catalog) -> None:
    table = describe(with_prod(catalog), ("PROD", "Items"))
    assert names(table) == "field type primary_key nullable pushdown description"
    assert types(table) == "string string boolean boolean string string"
    assert table.rows == (
        ("id", "integer", True, False, "required, order by", None),
        ("state", "string", False, False, "= in", "open or closed"),
        ("tags", "array<string>", False, True, None, None),
        ("q", "string", False, True, "filter only", None),
    )


def test_an_action_is_described_by_its_parameters(catalog: Catalog) -> None:
    table = describe(with_prod(catalog), ("prod", "items", "create"))
    assert names(table) == "parameter type required default description"
    assert table.rows == (
        ("name", "string", True, None, "label"),
        ("state", "string", False, "'open'", None),
    )
    assert describe(with_prod(catalog), ("prod", "sweep")).rows == ()


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (("prod", "item"), "did you mean `Prod.items`?"),
        (("prod", "items", "creat"), "did you mean `Prod.items.create`?"),
    ],
)
def test_describing_what_is_not_there_names_the_nearest(
    catalog: Catalog, path: tuple[str, ...], hint: str
) -> None:
    with pytest.raises(LookupFailed) as caught:
        describe(with_prod(catalog), path)
    assert (caught.value.code, caught.value.hint) == ("CAT002", hint)


def test_a_connector_whose_type_lost_its_revision_says_so(catalog: Catalog) -> None:
    prod = with_prod(catalog)
    draft = replace(prod.type("shop"), registered=None, revision=0)
    with pytest.raises(LookupFailed) as caught:
        describe(replace(prod, types={"shop": draft}), ("prod", "items"))
    assert caught.value.code == "CAT007"


# ── the rest ─────────────────────────────────────────────────────────────────────────────────


def test_the_local_destination_is_always_there() -> None:
    table = show_destinations(Catalog(), "/home/me/.moltler/data.duckdb")
    assert names(table) == "name type config syncs"
    assert table.rows == (("local", "duckdb", {"path": "/home/me/.moltler/data.duckdb"}, 0),)


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (show_packages(Catalog()), "type version registry sha256"),
        (show_tests(Catalog()), "type name tags last_status"),
    ],
)
def test_what_nobody_made_is_an_empty_list_with_its_columns(table: Table, columns: str) -> None:
    assert (names(table), table.rows) == (columns, ())
