"""The same workloads through Moltler."""

from __future__ import annotations

import time

import moltler

DEFINITION = """
CREATE CONNECTOR TYPE 'bench' CONFIG_SCHEMA {{"api_url": {{"type": "string", "required": true}},
                                             "size": {{"type": "integer", "default": 1000}},
                                             "total": {{"type": "integer", "default": 100000}}}};
CREATE CONNECTOR ENTITY 'bench.rows'
FIELDS {{"id": {{"type": "string", "primary_key": true}}, "name": {{"type": "string"}},
        "status": {{"type": "string"}}, "quantity": {{"type": "integer"}},
        "price": {{"type": "number"}}, "in_stock": {{"type": "boolean"}},
        "created_at": {{"type": "timestamp"}}, "updated_at": {{"type": "timestamp"}},
        "metadata": {{"type": "document"}},
        "labels": {{"type": "array", "items": {{"type": "string"}}}}}}
PUSHDOWN {{"filters": {{"status": ["="]}}, "limit": true}}
QUERY_HANDLER '''
async function* query(config, filters, options) {{
    let cursor = 0;
    const only = filters.status ? '&status=' + filters.status + '&limit=' + options.limit : '';
    do {{
        const url = `${{config.api_url}}/rows?size=${{config.size}}&total=${{config.total}}`;
        const response = await fetch(`${{url}}&cursor=${{cursor}}${{only}}`);
        const page = await response.json();
        yield page.items.map(({{extra, ...rest}}) => ({{...rest, metadata: extra}}));
        cursor = page.next_cursor;
    }} while (cursor !== null);
}}
''';
REGISTER CONNECTOR TYPE 'bench';
CREATE CONNECTOR api TYPE 'bench' CONFIG {{"api_url": "{url}", "size": {size}, "total": {total}}};
"""


def define(session: moltler.Session, url: str, *, size: int = 1000, total: int = 100_000) -> None:
    """Define the connector against the benchmark's server."""
    session.execute(DEFINITION.format(url=url, size=size, total=total))


def scan(session: moltler.Session) -> int:
    """Read every row as Arrow; give their number."""
    with session.execute("SELECT * FROM api.rows") as result:
        return sum(batch.num_rows for batch in result.arrow())


def times(session: moltler.Session, sql: str, repeats: int) -> list[float]:
    """Time one query on a warm session, in seconds."""
    measured: list[float] = []
    for _ in range(repeats):
        started = time.perf_counter()
        with session.execute(sql) as result:
            list(result.arrow())
        measured.append(time.perf_counter() - started)
    return measured
