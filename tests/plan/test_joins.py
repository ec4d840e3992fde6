"""Which scans feed which: dependent joins as planned (LANGUAGE §6.6)."""

from __future__ import annotations

from typing import Any

import pytest

from moltler.errors import MoltlerError
from moltler.flow.scan import Feed, QueryPlan
from support.handlers import entity
from support.planning import plan

CONNECTORS = {
    "t": [
        entity("issues", "id integer key, repo string, author integer, status string, day date, "
               "score number, doc document", [], claims={"status": ["="], "author": ["="]}),
        entity("users", "id integer key, name string, country string, born timestamp, rate number, "
               "at timestamp", [],
               claims={"id": ["in", "="], "name": ["="], "rate": ["in"], "at": ["in"],
                       "country": ["="]}),
        entity("teams", "id integer key, lead integer, name string", [],
               claims={"lead": ["="], "name": ["in"]}),
        entity("files", "owner string, repo string, path string", [],
               claims={"owner": ["="], "repo": ["="]}, required=["owner", "repo"]),
        entity("repos", "id integer key, owner string, name string", []),
        entity("plain", "id integer key, name string", []),
        entity("terms", "id integer key, q string only", [], claims={"q": ["="]}, required=["q"]),
    ]
}  # fmt: skip


def shown(feed: Feed) -> str:
    mark = "!" if feed.is_required else ""
    if feed.driver is None:
        return f"{feed.field}{mark} {feed.operator} {feed.values}"
    return f"{feed.field}{mark} {feed.operator} {feed.driver}.{feed.column}"


def fed(text: str) -> dict[str, list[str]]:
    planned = plan(text, CONNECTORS)
    return {s.scan: [shown(f) for f in s.feeds] for s in planned.scans if s.feeds}


OPEN = "i.status = 'open'"
USERS = {"scan_1": ["id in scan_0.author"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # the filtered side drives, wherever it stands
        (f"SELECT 1 FROM t.issues i JOIN t.users u ON u.id = i.author WHERE {OPEN}", USERS),
        (f"SELECT 1 FROM t.issues i JOIN t.users u ON (i.author = u.id) WHERE {OPEN}", USERS),
        (f"SELECT 1 FROM t.issues i, t.users u WHERE u.id = i.author AND {OPEN}", USERS),
        (f"SELECT 1 FROM t.users u JOIN t.issues i ON u.id = i.author AND {OPEN}",
         {"scan_0": ["id in scan_1.author"]}),
        ("SELECT 1 FROM t.issues i JOIN t.users u ON u.id = i.author WHERE u.name = 'a'",
         {"scan_0": ["author = scan_1.id"]}),
        ("SELECT 1 FROM t.issues i JOIN t.users u ON u.id = i.author", {}),
        # an unclaimed hint restricts nothing
        ("SELECT 1 FROM t.issues i JOIN t.plain p ON p.id = i.author WHERE i.status = 'a'", {}),
        # both are filtered: lists help, a call for each key does not
        (f"SELECT 1 FROM t.issues i JOIN t.users u ON u.id = i.author AND u.name = 'a' "
         f"WHERE {OPEN}", USERS),
        ("SELECT 1 FROM t.users u JOIN t.issues i ON i.author = u.id AND i.status = 'a' "
         "WHERE u.name = 'a'", {}),
        # LEFT and RIGHT: the preserved side drives
        (f"SELECT 1 FROM t.issues i LEFT JOIN t.users u ON u.id = i.author WHERE {OPEN}", USERS),
        (f"SELECT 1 FROM t.users u RIGHT JOIN t.issues i ON u.id = i.author WHERE {OPEN}",
         {"scan_0": ["id in scan_1.author"]}),
        (f"SELECT 1 FROM t.users u LEFT JOIN t.issues i ON u.id = i.author AND {OPEN}", {}),
        (f"SELECT 1 FROM t.issues i RIGHT JOIN t.users u ON u.id = i.author AND {OPEN}", {}),
        (f"SELECT 1 FROM t.issues i FULL JOIN t.users u ON u.id = i.author WHERE {OPEN}", {}),
        # ... but WHERE rejects rows without a partner
        (f"SELECT 1 FROM t.users u LEFT JOIN t.issues i ON TRUE WHERE u.id = i.author AND {OPEN}",
         {"scan_0": ["id in scan_1.author"]}),
        # SEMI, EXISTS, IN: either way; ANTI and negations: none
        (f"SELECT 1 FROM t.issues i SEMI JOIN t.users u ON u.id = i.author WHERE {OPEN}", USERS),
        (f"SELECT 1 FROM t.users u SEMI JOIN t.issues i ON u.id = i.author AND {OPEN}",
         {"scan_0": ["id in scan_1.author"]}),
        ("SELECT 1 FROM t.users u WHERE u.id IN (SELECT author FROM t.issues WHERE status = 'a')",
         {"scan_0": ["id in scan_1.author"]}),
        ("SELECT 1 FROM t.issues i WHERE i.status = 'a' AND i.author IN (SELECT id FROM t.users)",
         USERS),
        ("SELECT 1 FROM t.users u WHERE EXISTS (SELECT 1 FROM t.issues i WHERE i.author = u.id "
         f"AND {OPEN})", {"scan_0": ["id in scan_1.author"]}),
        ("SELECT 1 FROM t.issues i WHERE i.status = 'a' AND EXISTS (SELECT * FROM t.users u "
         "WHERE u.id = i.author)", USERS),
        ("SELECT 1 FROM t.users u WHERE EXISTS (SELECT count(*) FROM t.issues i WHERE "
         f"i.author = u.id AND {OPEN})", {}),
        ("SELECT 1 FROM t.users u WHERE NOT EXISTS (SELECT 1 FROM t.issues i WHERE "
         f"i.author = u.id AND {OPEN})", {}),
        ("SELECT 1 FROM t.users u WHERE id NOT IN (SELECT author FROM t.issues WHERE status = 'a')",
         {}),
        (f"SELECT 1 FROM t.users u ANTI JOIN t.issues i ON u.id = i.author AND {OPEN}", {}),
        ("SELECT 1 FROM t.users u WHERE u.id IN (SELECT author FROM t.issues WHERE status = 'a') "
         "OR u.name = 'b'", {}),
        # USING
        ("SELECT 1 FROM t.users u JOIN t.plain p USING (id) WHERE p.name = 'a'",
         {"scan_0": ["id in scan_1.id"]}),
        ("SELECT 1 FROM t.users u FULL JOIN t.plain p USING (id) WHERE p.name = 'a'", {}),
        # a chain; a scan that is fed may feed
        (f"SELECT 1 FROM t.teams m JOIN t.users u ON m.lead = u.id JOIN t.issues i "
         f"ON u.id = i.author WHERE {OPEN}",
         {"scan_0": ["lead = scan_1.id"], "scan_1": ["id in scan_2.author"]}),
        # derived tables and CTEs: what push-down may pass, keys may pass
        (f"SELECT 1 FROM t.issues i JOIN (SELECT id, name FROM t.users) u ON u.id = i.author "
         f"WHERE {OPEN}", USERS),
        (f"SELECT 1 FROM t.issues i JOIN (SELECT id FROM t.users LIMIT 3) u ON u.id = i.author "
         f"WHERE {OPEN}", {}),
        ("SELECT 1 FROM (SELECT DISTINCT author FROM t.issues WHERE status = 'a' LIMIT 5) i "
         "JOIN t.users u ON u.id = i.author", USERS),
        ("SELECT 1 FROM (SELECT max(author) AS m FROM t.issues WHERE status = 'a') i "
         "JOIN t.users u ON u.id = i.m", {}),
        ("WITH c AS (SELECT * FROM t.users) SELECT 1 FROM t.issues i JOIN c ON c.id = i.author "
         "JOIN c AS d ON TRUE WHERE i.status = 'a'", {}),
        # self-joins read two scans
        ("SELECT 1 FROM t.users a JOIN t.users b ON b.id = a.id WHERE a.name = 'x'",
         {"scan_1": ["id in scan_0.id"]}),
        # only plain equality of comparable columns
        (f"SELECT 1 FROM t.issues i JOIN t.users u ON u.id = i.author + 1 WHERE {OPEN}", {}),
        (f"SELECT 1 FROM t.issues i JOIN t.users u ON u.id >= i.author WHERE {OPEN}", {}),
        (f"SELECT 1 FROM t.issues i JOIN t.users u ON u.id IS NOT DISTINCT FROM i.author "
         f"WHERE {OPEN}", {}),
        (f"SELECT 1 FROM t.issues i JOIN t.users u ON u.id = i.doc.owner WHERE {OPEN}", {}),
        (f"SELECT 1 FROM t.issues i JOIN t.users u ON u.id = i.author OR u.id = i.id "
         f"WHERE {OPEN}", {}),
        (f"SELECT 1 FROM t.issues i JOIN t.users u ON u.rate = i.author WHERE {OPEN}",
         {"scan_1": ["rate in scan_0.author"]}),
        (f"SELECT 1 FROM t.issues i JOIN t.users u ON u.at = i.day WHERE {OPEN}",
         {"scan_1": ["at in scan_0.day"]}),
        (f"SELECT 1 FROM t.issues i JOIN t.users u ON CAST(u.at AS VARCHAR) = i.repo "
         f"WHERE {OPEN}", {}),
        # conditions that handlers cannot be told choose rows too, unless chance is in them
        ("SELECT 1 FROM t.issues i JOIN t.users u ON u.id = i.author WHERE lower(i.repo) = 'x'",
         USERS),
        ("SELECT 1 FROM t.issues i JOIN t.users u ON u.id = i.author WHERE i.score < random()", {}),
        # a field that the text ties already is not fed
        (f"SELECT 1 FROM t.issues i JOIN t.users u ON u.id = i.author AND u.id = 3 WHERE {OPEN}",
         {}),
        # what cannot be followed
        ("SELECT 1 FROM t.issues i TABLESAMPLE 50% JOIN t.users u ON u.id = i.author "
         f"WHERE {OPEN}", {}),
    ],
)  # fmt: skip
def test_the_filtered_side_of_a_join_feeds_the_other(text: str, expected: Any) -> None:
    assert fed(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1 FROM t.files WHERE owner = 'a' AND repo IN ('x', 'y', 'x')",
         {"scan_0": ["repo! = ('x', 'y')"]}),
        ("SELECT 1 FROM t.files WHERE owner IN ('a', 'b') AND repo IN ('x', 'y')",
         {"scan_0": ["owner! = ('a', 'b')", "repo! = ('x', 'y')"]}),
        ("SELECT 1 FROM t.repos r JOIN t.files f ON f.owner = r.owner AND f.repo = r.name",
         {"scan_1": ["owner! = scan_0.owner", "repo! = scan_0.name"]}),
        ("SELECT 1 FROM t.files f JOIN t.repos r ON f.repo = r.name WHERE f.owner = 'a'",
         {"scan_0": ["repo! = scan_1.name"]}),
        ("SELECT 1 FROM t.repos r LEFT JOIN t.files f ON f.owner = 'a' AND f.repo = r.name",
         {"scan_1": ["repo! = scan_0.name"]}),
        ("SELECT 1 FROM t.repos r WHERE r.name IN (SELECT repo FROM t.files WHERE owner = r.owner)"
         " AND r.id = 1", None),
        ("SELECT 1 FROM t.repos r WHERE EXISTS (SELECT 1 FROM t.files f WHERE f.owner = r.owner "
         "AND f.repo = r.name)", {"scan_1": ["owner! = scan_0.owner", "repo! = scan_0.name"]}),
        ("SELECT 1 FROM t.files f LEFT JOIN t.repos r ON f.owner = r.owner AND f.repo = r.name",
         None),
        ("SELECT 1 FROM t.files f FULL JOIN t.repos r ON f.owner = r.owner AND f.repo = r.name",
         None),
        ("SELECT 1 FROM t.repos r ANTI JOIN t.files f ON f.owner = r.owner AND f.repo = r.name",
         None),
        ("SELECT 1 FROM t.files f JOIN t.files g ON f.owner = g.owner AND f.repo = g.repo", None),
        ("SELECT 1 FROM t.files f WHERE repo > 'a' AND owner = 'b'", None),
    ],
)  # fmt: skip
def test_a_required_filter_may_come_from_a_join(text: str, expected: Any) -> None:
    if expected is None:
        with pytest.raises(MoltlerError) as caught:
            plan(text, CONNECTORS)
        assert caught.value.code == "PLN001"
    else:
        assert fed(text) == expected


def test_keys_of_the_same_rows_stay_together_and_others_do_not() -> None:
    def groups(text: str) -> list[int]:
        return [f.group for s in plan(text, CONNECTORS).scans for f in s.feeds]

    both = "SELECT 1 FROM t.repos r JOIN t.files f ON f.owner = r.owner AND f.repo = r.name"
    assert groups(both) == [0, 0]
    apart = (
        "WITH c AS (SELECT * FROM t.repos) SELECT 1 FROM c AS x, c AS y, t.files f "
        "WHERE f.owner = x.owner AND f.repo = y.name"
    )
    assert groups(apart) == [0, 1]


def test_a_list_for_a_search_term_is_refused() -> None:
    with pytest.raises(MoltlerError) as caught:
        plan("SELECT 1 FROM t.terms WHERE q IN ('a', 'b')", CONNECTORS)
    assert caught.value.code == "PLN011"


def test_a_list_of_too_many_values_is_refused() -> None:
    values = ", ".join(f"'{i}'" for i in range(1001))
    with pytest.raises(MoltlerError) as caught:
        plan(f"SELECT 1 FROM t.files WHERE owner = 'a' AND repo IN ({values})", CONNECTORS)
    assert caught.value.code == "PLN010"


def test_a_scan_that_takes_several_calls_gets_no_limit() -> None:
    planned = plan(
        "SELECT 1 FROM t.files WHERE owner = 'a' AND repo IN ('x', 'y') LIMIT 3", CONNECTORS
    )
    assert (planned.scans[0].limit, planned.scans[0].limit_rule) == (None, "L5")


def keys_of(planned: QueryPlan) -> list[str | None]:
    return [s.keys_sql for s in planned.scans]


def test_only_rows_that_pass_the_drivers_own_conditions_give_keys() -> None:
    planned = plan(
        "SELECT 1 FROM t.issues i JOIN t.users u ON u.id = i.author "
        "WHERE (i.status = @v OR i.repo CONTAINS 'x') AND lower(i.repo) = 'y'",
        CONNECTORS,
        {"v": "open"},
    )
    assert keys_of(planned) == [
        'SELECT DISTINCT "author" FROM scan_0 AS "i" '
        'WHERE ("i"."status" = $v0 OR CONTAINS("i"."repo", \'x\')) '
        'AND NOT TRY(LOWER("i"."repo") = \'y\') IS FALSE',
        None,
    ]


def test_a_condition_that_is_replaced_as_a_whole_is_found_again() -> None:
    planned = plan(
        "SELECT 1 FROM t.issues i JOIN t.users u ON u.id = i.author WHERE i.repo CONTAINS 'x'",
        CONNECTORS,
    )
    assert keys_of(planned)[0] == (
        'SELECT DISTINCT "author" FROM scan_0 AS "i" WHERE CONTAINS("i"."repo", \'x\')'
    )


def test_scans_are_read_behind_those_that_feed_them() -> None:
    planned = plan(
        "SELECT 1 FROM t.teams m JOIN t.users u ON m.lead = u.id JOIN t.issues i "
        "ON u.id = i.author WHERE i.status = 'a'",
        CONNECTORS,
    )
    assert [s.scan for s in planned.in_order] == ["scan_2", "scan_1", "scan_0"]
    assert planned.drivers == {"scan_1", "scan_2"}
