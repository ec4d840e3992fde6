"""Documents that a SELECT only passes on stay text; whatever looks into them makes VARIANTs."""

from __future__ import annotations

import pytest

from support.handlers import entity
from support.planning import plan

CONNECTORS = {
    "shop": [
        entity("items", "id integer key, name string, doc document, list array", []),
        entity("orders", "id integer key, doc document", []),
    ]
}


@pytest.mark.parametrize(
    ("sql", "fields", "columns"),
    [
        ("SELECT * FROM shop.items", {"doc", "list"}, {2: "document", 3: "array"}),
        ("SELECT doc AS d, doc, id FROM shop.items", {"doc"}, {0: "document", 1: "document"}),
        ("SELECT i.doc FROM shop.items i WHERE id = 1 ORDER BY id", {"doc"}, {0: "document"}),
        ("SELECT doc, doc.a FROM shop.items", set[str](), {}),
        ("SELECT *, list[0] FROM shop.items", {"doc"}, {2: "document"}),
        ("SELECT doc FROM shop.items WHERE doc IS NOT NULL", set[str](), {}),
        ("SELECT doc FROM shop.items ORDER BY doc", set[str](), {}),
        ("SELECT doc AS d FROM shop.items ORDER BY d", set[str](), {}),
        ("SELECT doc FROM shop.items ORDER BY 1", set[str](), {}),
        ("SELECT doc FROM shop.items ORDER BY ALL", set[str](), {}),
        ("SELECT DISTINCT doc FROM shop.items", set[str](), {}),
        ("SELECT doc, count(*) FROM shop.items GROUP BY doc", set[str](), {}),
        ("SELECT doc FROM shop.items UNION SELECT doc FROM shop.items", set[str](), {}),
        ("SELECT doc FROM (SELECT doc FROM shop.items)", set[str](), {}),
        ("SELECT (SELECT max(doc) FROM shop.items)", set[str](), {}),
        ("SELECT upper(doc) FROM shop.items", set[str](), {}),
        ("SELECT i.doc FROM shop.items i JOIN shop.orders o ON o.doc = i.doc", set[str](), {}),
        ("SELECT i.doc FROM shop.items i JOIN shop.orders o USING (id)", set[str](), {}),
        ("SELECT i.doc FROM shop.items i JOIN shop.orders o ON o.id = i.id", {"doc"},
         {0: "document"}),
    ],
)  # fmt: skip
def test_only_documents_that_nothing_looks_into_stay_text(
    sql: str, fields: set[str], columns: dict[int, str]
) -> None:
    planned = plan(sql, CONNECTORS)
    assert planned.scans[0].through == fields
    assert planned.through.items() >= columns.items()


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT doc, doc.a, list FROM shop.items", {0: "document", 2: "array"}),
        ("SELECT doc AS d FROM shop.items WHERE doc IS NOT NULL ORDER BY d", {0: "document"}),
        ("SELECT doc, count(*) FROM shop.items GROUP BY doc", {0: "document"}),
        ("SELECT doc FROM shop.items UNION SELECT doc FROM shop.items", {0: "document"}),
        ("SELECT doc FROM (SELECT doc FROM shop.items)", {0: "document"}),
        ("SELECT max(doc), upper(doc), coalesce(doc, 1) FROM shop.items", {}),
    ],
)
def test_plain_fields_keep_their_declared_type(sql: str, columns: dict[int, str]) -> None:
    assert plan(sql, CONNECTORS).through == columns
