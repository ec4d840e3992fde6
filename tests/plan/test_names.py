"""What names in a SELECT mean, and what is said about those that mean nothing."""

from __future__ import annotations

import pyarrow as pa
import pytest

from moltler.errors import MoltlerError
from moltler.exec.duck import Engine
from moltler.exec.sources import Kept
from moltler.flow.scan import QueryPlan
from support.handlers import entity
from support.planning import plan

_FIELDS = (
    "id integer key, name string, created timestamp, user string, doc document, "
    "tags array<string>, list array<integer>, Status string"
)
CONNECTORS = {
    "shop": [entity("items", _FIELDS, []), entity("orders", "id integer key, item_id integer", [])],
    "lone": [entity("things", "id integer key, label string", [])],
}
VARIABLES = {"created": {"id": 7, "list": [1, 2]}, "name": "n", "limit_": 5, "now": "mine"}


def _plan(text: str, **more: object) -> QueryPlan:
    return plan(text, CONNECTORS, VARIABLES, **more)  # type: ignore[arg-type] # test options


def _columns(text: str) -> tuple[str, ...]:
    return _plan(text).scans[0].columns


def _refused(text: str, **more: object) -> MoltlerError:
    with pytest.raises(MoltlerError) as caught:
        _plan(text, **more)
    return caught.value


# ── tables ───────────────────────────────────────────────────────────────────────────────────────


def test_the_only_entity_of_an_instance_needs_no_name() -> None:
    assert _plan("SELECT id FROM lone").scans[0].entity.name == "things"
    assert _plan("SELECT lone.id, things.label FROM lone").scans[0].columns == ("id", "label")


def test_names_of_tables_ignore_case_and_keep_the_spelling_of_the_catalog() -> None:
    scan = _plan("SELECT id FROM SHOP.Items").scans[0]
    assert (scan.connector, scan.entity.name) == ("shop", "items")


def test_a_cte_hides_an_instance_of_its_name() -> None:
    assert _plan("WITH lone AS (SELECT 1 AS id) SELECT id FROM lone").scans == ()


def test_a_cte_is_seen_by_later_ones_and_by_subqueries_only() -> None:
    planned = _plan("WITH a AS (SELECT id FROM lone), b AS (SELECT id FROM a) SELECT * FROM b")
    assert len(planned.scans) == 1
    assert _refused("SELECT (WITH c AS (SELECT 1) SELECT * FROM c) FROM c").code == "CAT002"


def test_every_reference_is_a_scan_of_its_own() -> None:
    planned = _plan("SELECT a.id FROM shop.items a JOIN shop.items b ON a.id = b.id")
    assert [s.scan for s in planned.scans] == ["scan_0", "scan_1"]


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ("SELECT * FROM shop.itemz", "CAT002", "did you mean `shop.items`?"),
        ("SELECT * FROM shpo", "CAT002", "did you mean an entity of `shop`?"),
        ("SELECT * FROM shop", "CAT002", "name one: `shop.items`"),
        ("SELECT nme FROM shop.items", "PLN002", "did you mean `name`?"),
        ("SELECT o.itemid FROM shop.orders o", "PLN002", "did you mean `item_id`?"),
        ("SELECT itms.id FROM shop.items", "PLN002", "did you mean `items.id`?"),
        ("SELECT id FROM shop.items i, shop.orders o", "PLN008", "write `i.id`"),
        ("SELECT @nme FROM shop.items", "PLN003", "did you mean `@name`?"),
        ("SELECT creation", "PLN003", "did you mean `created`?"),
        ("SELECT x.* FROM shop.items i", "PLN002", ""),
    ],
)
def test_unknown_names_come_with_the_nearest(text: str, code: str, part: str) -> None:
    error = _refused(text)
    assert error.code == code
    assert part in (error.hint or "")


def test_errors_point_at_the_name_in_the_script() -> None:
    error = _refused("SELECT id,\n  nme\nFROM shop.items", before="SET x = 1;\n")
    assert (error.line, error.column) == (3, 3)


# ── a.b ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_table_comes_before_a_variable() -> None:
    planned = _plan("SELECT created.id FROM lone AS created")
    assert planned.parameters == {}


def test_a_scalar_field_leaves_a_dotted_name_to_the_variable() -> None:
    planned = _plan("SELECT id FROM shop.items WHERE id = created.id")
    assert list(planned.parameters.values()) == [7]


def test_a_document_field_comes_before_a_variable() -> None:
    planned = plan("SELECT doc.id FROM shop.items", CONNECTORS, {"doc": {"id": 1}})
    assert planned.parameters == {}
    assert planned.scans[0].columns == ("doc",)


def test_an_at_sign_always_means_the_variable() -> None:
    planned = _plan("SELECT @name, name, @created.id FROM shop.items")
    assert list(planned.parameters.values()) == ["n", 7]


def test_question_marks_are_positional_parameters() -> None:
    planned = _plan("SELECT id FROM shop.items WHERE id = ? AND name = ?", positional=(3, "x"))
    assert dict(planned.scans[0].filters) == {"id": 3, "name": "x"}


def test_a_variable_named_like_a_function_keeps_its_value() -> None:
    planned = _plan("SELECT @now, now()")
    assert "mine" in planned.parameters.values()
    assert len(planned.parameters) == 2


def test_a_key_of_a_scalar_field_is_a_type_error() -> None:
    assert _refused("SELECT id.x FROM shop.items").code == "PLN004"


def test_an_alias_may_be_used_where_the_engine_allows_it() -> None:
    planned = _plan("SELECT id AS key, key + 1 AS next FROM shop.items WHERE next > 2 ORDER BY key")
    assert planned.scans[0].columns == ("id",)
    assert planned.scans[0].where == ()


def test_correlated_names_belong_to_the_outer_table() -> None:
    planned = _plan(
        "SELECT name FROM shop.items i "
        "WHERE EXISTS (SELECT 1 FROM shop.orders WHERE item_id = i.id)"
    )
    assert planned.scans[0].columns == ("id", "name")
    assert planned.scans[1].columns == ("item_id",)


# ── fields ───────────────────────────────────────────────────────────────────────────────────────


def test_only_fields_that_are_read_are_asked_for_in_declared_order() -> None:
    scan = _plan("SELECT doc.k, NAME FROM shop.items WHERE status = 'a' ORDER BY id").scans[0]
    assert scan.columns == ("id", "name", "doc", "Status")
    assert scan.fields == scan.columns


def test_a_star_asks_for_everything() -> None:
    scan = _plan("SELECT * FROM shop.items").scans[0]
    assert len(scan.columns) == 8
    assert scan.fields is None


def test_count_needs_one_field_to_count_rows() -> None:
    assert _columns("SELECT count(*) FROM shop.items") == ("id",)


def test_a_word_that_sql_reads_as_a_function_may_be_a_field() -> None:
    assert _columns("SELECT user FROM shop.items") == ("user",)
    assert _columns("SELECT items.list[0], list[1] FROM shop.items") == ("list",)


def test_a_method_call_reads_its_column() -> None:
    assert _columns("SELECT name.upper(), items.user.lower() FROM shop.items") == ("name", "user")


def test_lambdas_have_names_of_their_own() -> None:
    text = "SELECT list_transform(tags, lambda q: q || name) FROM shop.items"
    assert _columns(text) == ("name", "tags")


def test_the_same_time_is_bound_everywhere() -> None:
    planned = _plan("SELECT now(), CURRENT_TIMESTAMP, current_timestamp() FROM shop.items")
    assert len(planned.parameters) == 1


# ── several tables of one name ───────────────────────────────────────────────────────────────────

TWINS = {"l": CONNECTORS["lone"], "m": CONNECTORS["lone"]}


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("SELECT l.things.id, m.things.label FROM l.things JOIN m.things "
         "ON l.things.id = m.things.id",
         [("id",), ("id", "label")]),
        ("SELECT l.things.*, m.things.id FROM l.things, m.things", [("id", "label"), ("id",)]),
        ("SELECT l.things.id FROM l.things WHERE EXISTS "
         "(SELECT 1 FROM m.things WHERE m.things.label = l.things.label)",
         [("id", "label"), ("label",)]),
        ("SELECT l.things.id FROM l.things JOIN (SELECT 1 AS id) AS things ON l.id = 1", [("id",)]),
    ],
)  # fmt: skip
def test_entities_of_one_name_are_told_apart_by_their_instances(
    text: str, columns: list[tuple[str, ...]]
) -> None:
    planned = plan(text, TWINS)
    assert [s.columns for s in planned.scans] == columns
    with Engine().open() as connection:
        for scan in planned.scans:
            table = pa.table({"id": [1], "label": ["a"]}).select(list(scan.columns))
            source = Kept(table.schema, table.to_batches())
            connection.register(scan.scan, source, {})
        rows = [b.to_pylist() for b in connection.query(planned.sql, {}).batches()]
    assert rows[0][0]["id"] == 1


def test_entities_of_one_name_are_ambiguous_without_their_instances() -> None:
    with pytest.raises(MoltlerError) as caught:
        plan("SELECT things.id FROM l.things JOIN m.things ON l.id = m.id", TWINS)
    assert caught.value.code == "PLN008"
