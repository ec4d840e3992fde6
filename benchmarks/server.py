"""A loopback API with pre-rendered pages, so that it is never the bottleneck."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from urllib.parse import parse_qs, urlsplit

ORDERS, CUSTOMERS = 20_000, 1_000
_DELAY = re.compile(r"[?&]delay=(\d+)")
STATUSES = ("active", "pending", "closed", "archived")


def row(number: int) -> dict[str, object]:
    """Give one row of ten mixed columns, about 250 bytes as JSON."""
    return {
        "id": f"item-{number:08d}",
        "name": f"A thing with the number {number}",
        "status": STATUSES[number % 4],
        "quantity": number * 7 % 1000,
        "price": round(number * 1.37 % 500, 2),
        "in_stock": number % 3 == 0,
        "created_at": f"2024-{number % 12 + 1:02d}-{number % 28 + 1:02d}T10:{number % 60:02d}:00Z",
        "updated_at": f"2025-{number % 12 + 1:02d}-{number % 28 + 1:02d}T11:{number % 60:02d}:30Z",
        "extra": {"region": f"r{number % 10}", "weight": number % 90},
        "labels": [f"l{number % 5}", f"m{number % 7}"],
    }


def order(number: int) -> dict[str, object]:
    """Give one order; those of the first page have a customer each."""
    status = STATUSES[0] if number < CUSTOMERS else STATUSES[1 + number % 3]
    return {
        "id": number,
        "customer": number * 7 % CUSTOMERS,
        "status": status,
        "amount": number % 500 / 4,
    }


def customer(number: int) -> dict[str, object]:
    """Give one customer."""
    return {"id": number, "name": f"customer {number}", "country": f"c{number % 20}"}


def _response(body: bytes) -> bytes:
    kind, length = "Content-Type: application/json", f"Content-Length: {len(body)}"
    return "\r\n".join(("HTTP/1.1 200 OK", kind, length, "", "")).encode() + body


class Pages:
    """Rendered answers by page size; one block of 100 pages repeats with other ids."""

    def __init__(self) -> None:
        self._bodies: dict[int, list[bytes]] = {}
        self._orders: dict[int, bytes] = {}
        self.requests = 0

    def prepare(self, size: int) -> None:
        count = max(1, min(100, 100_000 // size))
        self._bodies[size] = [
            json.dumps([row(p * size + i) for i in range(size)], separators=(",", ":")).encode()
            for p in range(count)
        ]

    def order_rows(self, target: str) -> bytes | None:
        """Answer for the two sides of joins: 20,000 orders of 1,000 customers."""
        parts = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path == "/customers":
            self.requests += 1
            chosen = [int(query["id"])] if "id" in query else range(CUSTOMERS)
            return _response(json.dumps({"items": [customer(n) for n in chosen]}).encode())
        if parts.path == "/orders":
            self.requests += 1
            page = int(query.get("cursor") or 0)
            if page not in self._orders:
                numbers = range(page * 1000, (page + 1) * 1000)
                following = None if (page + 1) * 1000 >= ORDERS else page + 1
                body = {"items": [order(n) for n in numbers], "next_cursor": following}
                self._orders[page] = _response(json.dumps(body).encode())
            return self._orders[page]
        return None

    def answer(self, target: str) -> bytes:
        joined = self.order_rows(target)
        if joined is not None:
            return joined
        parts = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path == "/stats":
            count, self.requests = self.requests, 0
            return _response(json.dumps({"requests": count}).encode())
        self.requests += 1
        size, total = int(query.get("size", "1000")), int(query.get("total", "100000"))
        if "status" in query:
            size = min(size, int(query.get("limit", size)))
            rows = [r for r in map(row, range(size * 4)) if r["status"] == query["status"]]
            return _response(json.dumps({"items": rows[:size], "next_cursor": None}).encode())
        page = int(query.get("cursor") or 0)
        if size not in self._bodies:
            self.prepare(size)
        bodies = self._bodies[size]
        following = b"null" if (page + 1) * size >= total else str(page + 1).encode()
        block, place = divmod(page, len(bodies))
        # Ids differ from block to block: a page that comes twice would end the scan.
        items = (
            bodies[place].replace(b'"id":"item', b'"id":"b%03d' % block) if block else bodies[place]
        )
        body = b'{"items":' + items + b',"next_cursor":' + following + b"}"
        return _response(body)


class Connection(asyncio.Protocol):
    """Enough of HTTP/1.1 for GET with keep-alive."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
            target = head.split(b" ", 2)[1].decode()
            answer = self._pages.answer(target)
            slow = _DELAY.search(target)
            if slow:
                loop = asyncio.get_running_loop()
                loop.call_later(int(slow[1]) / 1000, self._write, answer)
            else:
                self._write(answer)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def serve() -> None:
    """Serve until standard input closes; prints the port first."""
    pages = Pages()
    for size in (100, 1000):
        pages.prepare(size)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(pages), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
