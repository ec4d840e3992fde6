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
CREATE CONNECTOR ENTITY 'bench.orders'
FIELDS {{"id": {{"type": "integer", "primary_key": true}}, "customer": {{"type": "integer"}},
        "status": {{"type": "string"}}, "amount": {{"type": "number"}}}}
QUERY_HANDLER '''
async function* query(config, filters, options) {{
    // The first page holds all active orders there are.
    let cursor = 0;
    do {{
        const page = await (await fetch(`${{config.api_url}}/orders?cursor=${{cursor}}`)).json();
        yield page.items;
        cursor = filters.status === 'active' ? null : page.next_cursor;
    }} while (cursor !== null);
}}
''';
CREATE CONNECTOR ENTITY 'bench.customers'
FIELDS {{"id": {{"type": "integer", "primary_key": true}}, "name": {{"type": "string"}},
        "country": {{"type": "string"}}}}
PUSHDOWN {{"filters": {{"id": ["="]}}}}
QUERY_HANDLER '''
async function query(config, filters, options) {{
    const one = filters.id === undefined ? '' : `?id=${{filters.id}}&delay=50`;
    return await (await fetch(`${{config.api_url}}/customers${{one}}`)).json();
}}
''';
REGISTER CONNECTOR TYPE 'bench';
CREATE CONNECTOR api TYPE 'bench' CONFIG {{"api_url": "{url}", "size": {size}, "total": {total}}}
OPTIONS {{"max_concurrency": {width}}};
"""
ALL = "SELECT * FROM api.rows"
JOINED = (
    "SELECT c.country, sum(o.amount) FROM api.orders o JOIN api.customers c ON c.id = o.customer "
    "GROUP BY c.country"
)
LOOKED_UP = (
    "SELECT o.id, c.name FROM api.orders o JOIN api.customers c ON c.id = o.customer "
    "WHERE o.status = 'active'"
)


def define(
    session: moltler.Session,
    url: str,
    *,
    size: int = 1000,
    total: int = 100_000,
    width: int = 1,
) -> None:
    """Define the connector against the benchmark's server."""
    session.execute(DEFINITION.format(url=url, size=size, total=total, width=width))


def scan(session: moltler.Session, sql: str) -> int:
    """Read every row as Arrow; give their number."""
    with session.execute(sql) as result:
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
