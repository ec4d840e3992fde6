"""Which characters of the text an error points at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import moltler
from moltler.errors import MoltlerError, Span

DEFINITION = """
CREATE CONNECTOR TYPE 'p' CONFIG_SCHEMA {};
CREATE CONNECTOR ENTITY 'p.rows' FIELDS {"id": {"type": "integer"}, "name": {"type": "string"},
                                         "made": {"type": "timestamp"}}
QUERY_HANDLER 'function query() { return [{id: 1, name: "a", made: 0}]; }';
CREATE CONNECTOR ACTION 'p.rows.do' HANDLER 'function execute() {}';
REGISTER CONNECTOR TYPE 'p'; CREATE CONNECTOR p TYPE 'p'
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[moltler.Session]:
    with moltler.connect(tmp_path_factory.mktemp("home")) as opened:
        opened.execute(DEFINITION)
        yield opened


def failure(session: moltler.Session, text: str) -> MoltlerError:
    with pytest.raises(MoltlerError) as caught:
        list(session.execute(text).rows())
    return caught.value


@pytest.mark.parametrize(
    ("text", "code", "pointed"),
    [
        ("SELECT 1,\n  lowr(name) FROM p.rows", "PLN003", "lowr"),
        ("SELECT 'nofun', nofun(id) FROM p.rows", "PLN003", "nofun"),
        ("DECLARE x = (SELECT nofun(1))", "PLN003", "nofun"),
        ("EXPLAIN ANALYZE SELECT nofun(1)", "PLN003", "nofun"),
        ("SELECT id, getenv('HOME') FROM p.rows", "PLN006", "getenv"),
        ("SELECT getenv()", "PLN006", "getenv"),
        ("SELECT version()", "PLN006", "version"),
        ("SELECT * FROM read_csv('a')", "PLN006", "read_csv"),
        ("SELECT id FROM p.rows WHERE id > CAST('abc' AS INTEGER)", "PLN007", "'abc'"),
        ("SELECT id FROM p.rows WHERE made > '2024-13-45'", "PLN007", "'2024-13-45'"),
        ("SELECT 'abc' AS t, CAST('2024-1' AS DATE)", "PLN007", "'2024-1'"),
        ("SELECT upper(id) FROM p.rows", "PLN004", "upper"),
        ("SELECT id FROM p.rows WHERE count(*) > 1", "PLN004", "WHERE"),
        ("CONNECTOR_EXEC p.rows.nope(1)", "CAT002", "p.rows.nope"),
        ("PRINT 1; EXEC  q . rows.do()", "CAT001", "q . rows.do"),
        ("PRINT EXEC p.nope()", "CAT002", "p.nope"),
        ("EXPLAIN EXEC p.rows.nope()", "CAT002", "p.rows.nope"),
        ("DESC p.nope", "CAT002", "p.nope"),
        ("DESCRIBE p.rows.nope", "CAT002", "p.rows.nope"),
        ("SELECT * FROM local.\"x\"", "CAT002", 'local."x"'),
        ("SELECT 1 \0", "SYN001", "\0"),
        ("SELECT * FROM p.rows MAX AGE INTERVAL '10m'", "PLN011", "MAX AGE"),
    ],
)  # fmt: skip
def test_errors_point_at_the_word_they_are_about(
    rows: moltler.Session, text: str, code: str, pointed: str
) -> None:
    error = failure(rows, text)
    span = error.problems[0].span
    assert isinstance(span, Span)
    assert (error.code, span.text) == (code, pointed)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("SELECT (1", "this SELECT ends too early, after `1`", "close the `(` with `)`"),
        ("SELECT id FROM p.rows WHERE", "this SELECT ends too early, after `WHERE`", None),
        ("SELECT [1, 2", "this SELECT ends too early, after `2`", "close the `[` with `]`"),
        ("SELECT id FROM p.rows ORDER id", "`id` is not expected here", None),
    ],
)
def test_text_that_ends_too_early_says_so(
    rows: moltler.Session, text: str, message: str, hint: str | None
) -> None:
    error = failure(rows, text)
    assert (error.code, error.message, error.hint) == ("SYN001", message, hint)


@pytest.mark.parametrize(
    ("handler", "code", "column"),
    [
        ("'function qery() {}'", "DEF003", 81),
        ("'function query() {'", "DEF005", 99),
        ("'function query() { return +; }'", "DEF005", 108),
    ],
)
def test_handlers_of_one_line_are_pointed_at_by_column(
    rows: moltler.Session, handler: str, code: str, column: int
) -> None:
    text = "CREATE OR REPLACE CONNECTOR ENTITY 'p.x' FIELDS {'id': {'type': 'any'}} HANDLER "
    error = failure(rows, text.replace("HANDLER", "QUERY_HANDLER") + handler)
    assert (error.code, error.line, error.column) == (code, 1, column + 7)


def test_a_table_of_the_local_destination_is_no_connector(rows: moltler.Session) -> None:
    message = failure(rows, 'SELECT * FROM local."x"').message
    assert message == "there is no table `x` in destination `local`"
