"""The shop on a real port of this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from urllib.parse import parse_qsl, unquote, urlsplit

from moltler.demo.api import PATHS, PlainApi
from moltler.demo.messages import Answer, Refusal, Request
from moltler.demo.quirks.table import QUIRKS, with_quirks
from moltler.demo.shop import Shop
from moltler.errors import ParseError
from moltler.net.listening import Listener
from moltler.schema import JsonValue

DEFAULT_KEY = "shop-demo-key"
LARGEST_BODY = 1 << 20
"""Bytes."""
_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that was answered."""

    method: str
    target: str
    """Path and query as sent."""
    status: int

    def __str__(self) -> str:
        return f"{self.method} {self.target} -> {self.status}"


class DemoServer:
    """The shop's HTTP server on 127.0.0.1; a context manager that serves in a thread.

    Args:
        port: 0 takes any free one.
        key: What ``Authorization: Bearer`` must carry.
        on_request: Called for each request once it is answered, in the thread that served it.

    Raises:
        ParseError: SYN900, the port is taken.
    """

    def __init__(
        self,
        port: int = 0,
        key: str = DEFAULT_KEY,
        on_request: Callable[[Seen], None] | None = None,
    ) -> None:
        self.key = key
        self.api = PlainApi(Shop(), key)
        self._on_request = on_request
        self._seen: list[Seen] = []
        self._lock = threading.Lock()
        try:
            self._http = _Http(("127.0.0.1", port), self)
        except OSError as error:
            raise ParseError(
                "SYN900",
                f"the shop cannot open port {port}: {error.strerror}",
                hint="choose another with `moltler demo --port P`; 0 takes any free one",
            ) from error
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="shop")

    def __enter__(self) -> DemoServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def wait(self) -> None:
        """Serve until interrupted."""
        self._thread.join()

    def close(self) -> None:
        """Stop, end every connection and every thread."""
        self._http.shutdown()
        self._thread.join()
        self._http.hang_up()
        self._http.server_close()

    def seen(self) -> list[Seen]:
        """Give the requests since the last call, oldest first."""
        with self._lock:
            taken, self._seen = self._seen, []
        return taken

    def answer(self, request: Request) -> Answer:
        """Answer one request, whatever its path."""
        try:
            if request.path == "/":
                return Answer(200, self._welcome(request))
            if request.path.rstrip("/") == "/quirks":
                return Answer(200, {q.name: q.sentence for q in QUIRKS.values()})
            return with_quirks(self.api, request)
        except Refusal as refusal:
            return refusal.answer

    def note(self, seen: Seen) -> None:
        """Keep a request for `seen`, and tell whoever wanted to know."""
        with self._lock:
            self._seen.append(seen)
            del self._seen[:-_KEPT]
        if self._on_request is not None:
            self._on_request(seen)

    def _welcome(self, request: Request) -> dict[str, JsonValue]:
        return {
            "shop": "the demo shop of Moltler",
            "authorization": "Bearer <key>",
            "paths": [*PATHS],
            "quirks": f"{request.root}/quirks lists oddities to ask for: /quirks/<name>/items",
        }


class _Http(Listener):
    def __init__(self, address: tuple[str, int], demo: DemoServer) -> None:
        self.demo = demo
        super().__init__(address, _Connection)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together

    @property
    def _demo(self) -> DemoServer:
        assert isinstance(self.server, _Http)  # noqa: S101 - it made this object
        return self.server.demo

    def handle_method(self) -> None:
        request = self._read()
        answer = Answer(413, {"error": "the body is too large"})
        if request is None:
            self.close_connection = True
        else:
            answer = self._demo.answer(request)
        # Noted first: whoever has the answer may ask for the log at once.
        self._demo.note(Seen(self.command, self.path, answer.status))
        self._write(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_method  # noqa: N815 - names of the standard library

    def _read(self) -> Request | None:
        length = self.headers.get("Content-Length", "0")
        if (
            not length.isdigit()
            or int(length) > LARGEST_BODY
            or "Transfer-Encoding" in self.headers
        ):
            return None
        body = self.rfile.read(int(length))
        parts = urlsplit(self.path)
        return Request(
            method=self.command,
            path=unquote(parts.path) or "/",
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            target=self.path,
            root=self._demo.url,
        )

    def _write(self, answer: Answer) -> None:
        has_body = answer.body is not None and answer.status != 204
        body = b""
        if has_body:
            body = json.dumps(answer.body, ensure_ascii=False, separators=(",", ":")).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if has_body:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        if answer.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - overrides
        """Print nothing; `DemoServer.note` is the log."""
