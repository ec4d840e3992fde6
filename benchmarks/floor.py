"""The floor: what a good engineer writes by hand with aiohttp, orjson and pyarrow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pyarrow as pa
import pyarrow.compute as pc

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "name": pa.string(),
        "status": pa.string(),
        "quantity": pa.int64(),
        "price": pa.float64(),
        "in_stock": pa.bool_(),
        "created_at": pa.timestamp("us", "UTC"),
        "updated_at": pa.timestamp("us", "UTC"),
        "metadata": pa.string(),
        "labels": pa.list_(pa.string()),
    }
)


def to_batch(items: list[dict[str, object]]) -> pa.RecordBatch:
    """Map one page to an Arrow batch: rename `extra`, parse times, keep documents as JSON."""
    rows = [
        {
            "id": i["id"],
            "name": i["name"],
            "status": i["status"],
            "quantity": i["quantity"],
            "price": i["price"],
            "in_stock": i["in_stock"],
            "created_at": i["created_at"],
            "updated_at": i["updated_at"],
            "metadata": i["extra"],
            "labels": i["labels"],
        }
        for i in items
    ]
    columns = []
    for field in SCHEMA:
        cells = [r[field.name] for r in rows]
        if field.name == "metadata":
            columns.append(pa.array([orjson.dumps(c).decode() for c in cells], pa.string()))
        elif field.name.endswith("_at"):
            columns.append(pc.cast(pa.array(cells, pa.string()), field.type))
        else:
            columns.append(pa.array(cells, field.type))
    return pa.record_batch(columns, schema=SCHEMA)


async def pages(url: str, *, size: int, total: int) -> AsyncIterator[pa.RecordBatch]:
    """Follow the cursor, one request at a time, as the handler does."""
    connector = aiohttp.TCPConnector()
    async with aiohttp.ClientSession(connector=connector) as session:
        cursor: object = 0
        while cursor is not None:
            target = f"{url}/rows?size={size}&total={total}&cursor={cursor}"
            async with session.get(target) as response:
                page = orjson.loads(await response.read())
            yield to_batch(page["items"])
            cursor = page["next_cursor"]


async def scan(url: str, *, size: int, total: int) -> int:
    """Read every row; give their number."""
    count = 0
    async for batch in pages(url, size=size, total=total):
        count += batch.num_rows
    return count


async def joined(url: str) -> int:
    """Join 20,000 orders with 1,000 customers and add up by country; give the groups."""
    orders: list[dict[str, object]] = []
    async with aiohttp.ClientSession() as session:
        cursor: object = 0
        while cursor is not None:
            async with session.get(f"{url}/orders?cursor={cursor}") as response:
                page = orjson.loads(await response.read())
            orders += page["items"]
            cursor = page["next_cursor"]
        async with session.get(f"{url}/customers") as response:
            customers = orjson.loads(await response.read())["items"]
    left, right = pa.Table.from_pylist(orders), pa.Table.from_pylist(customers)
    both = left.join(right, keys="customer", right_keys="id", join_type="inner")
    return both.group_by("country").aggregate([("amount", "sum")]).num_rows


async def looked_up(url: str, width: int, delay: int) -> int:
    """Look up the customers of the active orders, some at once; give their number."""
    gate = asyncio.Semaphore(width)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/orders?cursor=0") as response:
            items = orjson.loads(await response.read())["items"]
        keys = {item["customer"] for item in items if item["status"] == "active"}

        async def one(key: int) -> list[dict[str, object]]:
            async with (
                gate,
                session.get(f"{url}/customers?id={key}&delay={delay}") as response,
            ):
                return orjson.loads(await response.read())["items"]

        found = await asyncio.gather(*(one(key) for key in keys))
    return pa.Table.from_pylist([row for rows in found for row in rows]).num_rows


async def filtered(url: str) -> int:
    """Ask for ten active rows, pushing filter and limit by hand."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/rows?status=active&limit=10") as response,
    ):
        page = orjson.loads(await response.read())
    return to_batch(page["items"]).num_rows


async def warm_pages(url: str, repeats: int) -> list[float]:
    """Time single pages of 100 rows on a warm connection, in seconds."""
    loop = asyncio.get_running_loop()
    times = []
    async with aiohttp.ClientSession() as session:
        for _ in range(repeats):
            started = loop.time()
            async with session.get(f"{url}/rows?size=100&total=100") as response:
                page = orjson.loads(await response.read())
            to_batch(page["items"])
            times.append(loop.time() - started)
    return times


async def warm_filtered(url: str, repeats: int) -> list[float]:
    """Time the filtered question on a warm connection, in seconds."""
    loop = asyncio.get_running_loop()
    times = []
    async with aiohttp.ClientSession() as session:
        for _ in range(repeats):
            started = loop.time()
            async with session.get(f"{url}/rows?status=active&limit=10") as response:
                page = orjson.loads(await response.read())
            to_batch(page["items"])
            times.append(loop.time() - started)
    return times


async def warm_round_trips(url: str, repeats: int) -> list[float]:
    """Time the bare round trip of the filtered question, in seconds."""
    loop = asyncio.get_running_loop()
    times = []
    async with aiohttp.ClientSession() as session:
        for _ in range(repeats):
            started = loop.time()
            async with session.get(f"{url}/rows?status=active&limit=10") as response:
                await response.read()
            times.append(loop.time() - started)
    return times
