"""Tells over HTTP how the keeper of the schedules is."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from types import TracebackType

from moltler.errors import ParseError
from moltler.net.listening import Listener

_MOST_CONNECTIONS = 16
_WAIT_S = 10.0


class HealthServer:
    """Answers ``GET /health``; a context manager that serves in threads.

    Args:
        port: 0 takes any free one.
        health: What is answered, as JSON.
        host: The address to listen at.

    Raises:
        ParseError: SYN900, the port is taken.
    """

    def __init__(
        self, port: int, health: Callable[[], Mapping[str, object]], *, host: str = "127.0.0.1"
    ) -> None:
        self.health = health
        try:
            self._http = _Http((host, port), self)
        except OSError as error:
            raise ParseError(
                "SYN900",
                f"cannot listen at {host}:{port} ({error.strerror})",
                hint="choose another port with --port",
            ) from error
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, name="moltler-health"
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> HealthServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.hang_up()
        self._http.server_close()
        self._thread.join()


class _Http(Listener):
    def __init__(self, address: tuple[str, int], owner: HealthServer) -> None:
        self.owner = owner
        super().__init__(address, _Connection, most=_MOST_CONNECTIONS)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _WAIT_S

    def do_GET(self) -> None:
        """Answer one request."""
        assert isinstance(self.server, _Http)  # noqa: S101 - it made this object
        if self.path.partition("?")[0] == "/health":
            status, answer = 200, dict(self.server.owner.health())
        else:
            status, answer = 404, {"error": "there is GET /health, and nothing else"}
        body = json.dumps(answer, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - names of the standard library

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - overrides
        """Print nothing: asking how it is, is no news."""
