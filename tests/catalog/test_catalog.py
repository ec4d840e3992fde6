from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from moltler.catalog.catalog import Catalog
from moltler.errors import LookupFailed
from moltler.model import Connector
from support.definitions import Define


@pytest.fixture
def catalog(definer: Define) -> Catalog:
    return definer.catalog().create_connector(Connector("Shop_Prod", "shop"))


def failure(call: Callable[[], object]) -> LookupFailed:
    with pytest.raises(LookupFailed) as caught:
        call()
    return caught.value


# ── look-ups ─────────────────────────────────────────────────────────────────────────────────


def test_names_are_found_ignoring_case_and_keep_their_spelling(catalog: Catalog) -> None:
    assert catalog.connector("SHOP_PROD").name == "Shop_Prod"
    assert catalog.type("Shop").name == "shop"
    assert catalog.entity("shop_prod", "ITEMS").name == "items"
    assert catalog.action("shop_prod", "Items.Create").path == "items.create"


@pytest.mark.parametrize(
    ("look_up", "code", "message", "hint"),
    [
        (
            lambda c: c.connector("shop_prd"),
            "CAT001",
            "no connector `shop_prd`",
            "did you mean `Shop_Prod`?",
        ),
        (
            lambda c: c.connector("zzz"),
            "CAT001",
            "no connector `zzz`",
            "create it with CREATE CONNECTOR",
        ),
        (
            lambda c: c.drop_connector("Shop_Prod").connector("shop"),
            "CAT001",
            "no connector `shop`",
            "`shop` is a type; create an instance of it with CREATE CONNECTOR",
        ),
        (
            lambda c: c.entity("shop_prod", "item"),
            "CAT002",
            "connector `Shop_Prod` has no entity `shop.item`",
            "did you mean `Shop_Prod.items`?",
        ),
        (
            lambda c: c.action("shop_prod", "items.creat"),
            "CAT002",
            "connector `Shop_Prod` has no action `shop.items.creat`",
            "did you mean `Shop_Prod.items.create`?",
        ),
        (
            lambda c: c.action("shop_prod", "orders.remove"),
            "CAT002",
            "connector `Shop_Prod` has no action `shop.orders.remove`",
            "define it with CREATE CONNECTOR ACTION 'shop.orders.remove'",
        ),
        (
            lambda c: c.type("shp"),
            "CAT008",
            "no connector type `shp`",
            "did you mean 'shop'?",
        ),
        (
            lambda c: c.registered("zzz"),
            "CAT008",
            "no connector type `zzz`",
            "define it with CREATE CONNECTOR TYPE",
        ),
        (
            lambda c: c.set_enabled("shop_prod", enabled=False).usable("shop_prod"),
            "CAT006",
            "connector `Shop_Prod` is disabled",
            "run ENABLE CONNECTOR Shop_Prod",
        ),
        (
            lambda c: c.drop_entity("shop", "itms"),
            "CAT002",
            "no entity `shop.itms`",
            "did you mean 'shop.items'?",
        ),
        (
            lambda c: c.drop_action("shop", "items.creat"),
            "CAT002",
            "no action `shop.items.creat`",
            "did you mean 'shop.items.create'?",
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_an_error_with_a_way_on(
    catalog: Catalog,
    look_up: Callable[[Catalog], object],
    code: str,
    message: str,
    hint: str,
) -> None:
    error = failure(lambda: look_up(catalog))
    assert (error.code, error.message, error.hint) == (code, message, hint)


def test_a_type_that_is_only_a_draft_cannot_be_used(definer: Define) -> None:
    drafts = definer.catalog(registered=False)
    error = failure(lambda: drafts.registered("shop"))
    assert (error.code, error.hint) == ("CAT007", "run REGISTER CONNECTOR TYPE 'shop'")


# ── definitions ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "again",
    [
        lambda c, d: c.define_type(d.type()),
        lambda c, d: c.define_type(d.type(name="SHOP")),
        lambda c, d: c.define_entity("shop", d.entity('FIELDS {"a": {"type": "any"}}')),
        lambda c, d: c.define_action("shop", d.action()),
        lambda c, d: c.create_connector(Connector("SHOP_prod", "shop")),
        lambda c, d: c.create_connector(Connector("Type", "shop")),
        lambda c, d: c.create_connector(Connector("LOCAL", "shop")),
    ],
)
def test_a_name_that_is_taken_is_refused(
    catalog: Catalog, definer: Define, again: Callable[[Catalog, Define], object]
) -> None:
    error = failure(lambda: again(catalog, definer))
    assert (error.code, error.type) == ("CAT003", "already_exists")


def test_if_not_exists_has_no_effect_on_what_exists(catalog: Catalog, definer: Define) -> None:
    entity = definer.entity('FIELDS {"a": {"type": "any"}}')
    assert catalog.define_type(definer.type(), if_not_exists=True) is catalog
    assert catalog.define_entity("shop", entity, if_not_exists=True) is catalog
    assert catalog.define_action("shop", definer.action(), if_not_exists=True) is catalog
    other = Connector("shop_prod", "shop", {"a": 1})
    assert catalog.create_connector(other, if_not_exists=True) is catalog


def test_replacing_a_type_keeps_its_entities_and_actions(catalog: Catalog, definer: Define) -> None:
    replaced = catalog.define_type(definer.type("DESCRIPTION 'new'"), or_replace=True)
    draft = replaced.type("shop").draft
    assert draft.description == "new"
    assert [e.name for e in draft.entities] + [a.path for a in draft.actions] == [
        "items",
        "items.create",
    ]


def test_replacing_an_entity_keeps_its_place(catalog: Catalog, definer: Define) -> None:
    fields = 'FIELDS {"a": {"type": "any"}}'
    both = catalog.define_entity("shop", definer.entity(fields, name="shop.orders"))
    replaced = both.define_entity(
        "shop", definer.entity(fields, name="shop.ITEMS"), or_replace=True
    )
    assert [e.name for e in replaced.type("shop").draft.entities] == ["ITEMS", "orders"]


def test_replacing_an_action_keeps_its_place(catalog: Catalog, definer: Define) -> None:
    both = catalog.define_action("shop", definer.action(name="shop.sweep"))
    replaced = both.define_action("shop", definer.action("IDEMPOTENT"), or_replace=True)
    actions = replaced.type("shop").draft.actions
    assert [(a.path, a.idempotent) for a in actions] == [("items.create", True), ("sweep", False)]


def test_a_dropped_action_is_gone_from_the_draft(catalog: Catalog) -> None:
    assert catalog.drop_action("SHOP", "Items.Create").type("shop").draft.actions == ()


def test_a_definition_needs_its_type(definer: Define) -> None:
    entity = definer.entity('FIELDS {"a": {"type": "any"}}')
    assert failure(lambda: Catalog().define_entity("shop", entity)).code == "CAT008"
    assert failure(lambda: Catalog().define_action("shop", definer.action())).code == "CAT008"


def test_instances_keep_the_old_revision_until_the_type_is_registered_anew(
    catalog: Catalog, definer: Define
) -> None:
    changed = catalog.drop_entity("shop", "items")
    assert changed.entity("shop_prod", "items").name == "items"
    assert changed.type("shop").draft_differs
    again = changed.register("shop")
    assert failure(lambda: again.entity("shop_prod", "items")).code == "CAT002"
    assert again.registered("shop")[1] == 2


def test_registering_an_unchanged_draft_has_no_effect(catalog: Catalog) -> None:
    assert catalog.register("shop") is catalog


def test_an_entity_is_dropped_with_its_actions_only_by_cascade(catalog: Catalog) -> None:
    kept = catalog.drop_entity("shop", "items").type("shop").draft
    gone = catalog.drop_entity("shop", "ITEMS", cascade=True).type("shop").draft
    assert ([a.path for a in kept.actions], gone.actions) == (["items.create"], ())


def test_a_type_in_use_is_dropped_only_by_cascade(catalog: Catalog) -> None:
    error = failure(lambda: catalog.drop_type("shop"))
    assert (error.code, error.message) == (
        "CAT011",
        "connector type `shop` is in use by `Shop_Prod`",
    )
    gone = catalog.drop_type("shop", cascade=True)
    assert (gone.types, gone.connectors) == ({}, {})


def test_dropping_what_is_not_there_is_an_error_unless_if_exists(catalog: Catalog) -> None:
    assert failure(lambda: catalog.drop_type("x")).code == "CAT008"
    assert failure(lambda: catalog.drop_connector("x")).code == "CAT001"
    assert catalog.drop_type("x", if_exists=True) is catalog
    assert catalog.drop_entity("x", "y", if_exists=True) is catalog
    assert catalog.drop_entity("shop", "y", if_exists=True) is catalog
    assert catalog.drop_action("x", "y", if_exists=True) is catalog
    assert catalog.drop_action("shop", "y", if_exists=True) is catalog
    assert catalog.drop_connector("x", if_exists=True) is catalog


# ── connectors ───────────────────────────────────────────────────────────────────────────────


def test_every_change_of_a_connector_draws_a_new_version(catalog: Catalog) -> None:
    first = catalog.connector("shop_prod").version
    altered = catalog.alter_connector(replace(catalog.connector("shop_prod"), config={"a": 1}))
    disabled = altered.set_enabled("shop_prod", enabled=False)
    dropped = disabled.drop_connector("shop_prod")
    created = dropped.create_connector(Connector("shop_prod", "shop"))
    versions = [c.connector("shop_prod").version for c in (altered, disabled, created)]
    assert [first, *versions] == [first, first + 1, first + 2, first + 3]


def test_enabling_what_is_enabled_has_no_effect(catalog: Catalog) -> None:
    assert catalog.set_enabled("shop_prod", enabled=True) is catalog


def test_replacing_a_connector_keeps_the_spelling_of_its_name(catalog: Catalog) -> None:
    replaced = catalog.create_connector(Connector("shop_prod", "shop"), or_replace=True)
    assert [c.name for c in replaced.connectors.values()] == ["Shop_Prod"]


def test_instances_of_a_type_come_by_name(catalog: Catalog) -> None:
    more = catalog.create_connector(Connector("b", "SHOP")).create_connector(Connector("A", "shop"))
    assert [c.name for c in more.instances_of("Shop")] == ["A", "b", "Shop_Prod"]
