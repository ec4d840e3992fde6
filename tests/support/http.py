"""A scripted HTTP/1.1 server on loopback, that answers as told and can misbehave.

Start one with the fixture ``http_server``, or ``with HttpServer() as server``:

    server.route("GET", "/items", {"items": [{"id": 1}]})           # JSON, status 200
    server.route("GET", "/gone", 404)                               # a status
    server.route("POST", "/items", lambda r: Response(201, r.json()))
    server.route("GET", "/pages/*", lambda r: [int(r.query["page"])])   # path prefix
    server.route("*", "/search", sequence(429, {"rows": []}))       # in turn, the last one repeats
    server.url            # http://127.0.0.1:PORT
    server.requests       # all requests so far, in order: method, path, query, headers, body
    server.paths          # ["GET /items?page=1", ...]

A route's answer is a function of the request, or: a dict or list (JSON), a str (text), bytes, an
int (a status with an empty JSON object), a `Response`, or one of the ways to misbehave:

    CLOSE, RESET                    end the connection without an answer (FIN, RST)
    Raw(b"...")                     these bytes and nothing else, then close
    html("<p>sorry</p>", 502)       HTML where JSON is expected
    redirect("/there", 302)         redirect("/loop") on "/loop" is a loop
    truncated(body)                 Content-Length larger than the body that is sent
    truncated_chunked(body)         a chunked body without its last chunk
    compressed(body, "gzip")        also "deflate", "br", "zstd"
    bad_gzip()                      says gzip, is not
    big_body(51_000_000)            streamed, of a known length or chunked=True
    big_headers(100_000)            headers of about that many bytes
    Response(..., head_gate=event)  the head waits for a threading.Event
    Response(..., body_gate=event)  the head and half of the body leave, the rest waits
    Response(..., then="close")     closes the connection after the answer, unannounced; or "reset"

No sleeps: `wait_requests(n)` waits until n requests have come, `wait_closed(n)` until n
connections are over, `gone` is set once a client has
left while a gate held its answer. `connections` counts accepted connections and every request
says on which one it came, so keep-alive can be counted; `drop_idle()` closes all connections.

``HttpServer(tls="good")`` speaks TLS for localhost and 127.0.0.1, signed by the CA in
``server.ca_file``; ``tls="unknown_ca"`` is signed by another one; ``tls="wrong_host"`` is for
another name. As a proxy it records absolute targets in `Request.target` and routes by their path;
``HttpServer(tunnel=(host, port))`` answers CONNECT, whatever its target, with a tunnel to there.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import select
import socket
import ssl
import struct
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl, urlsplit

_REASONS = {200: "OK", 201: "Created", 204: "No Content", 301: "Moved Permanently", 302: "Found",
            303: "See Other", 304: "Not Modified", 307: "Temporary Redirect",
            308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
            404: "Not Found", 409: "Conflict", 422: "Unprocessable Entity",
            429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
            503: "Service Unavailable"}  # fmt: skip
_POLL_S = 0.02


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    method: str
    target: str
    """The request line's target, untouched: ``/items?page=1``."""
    headers: dict[str, str]
    """Names in lower case; repeated ones joined with a comma."""
    body: bytes
    connection: int
    """1 for the first connection that the server accepted."""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path if self.method != "CONNECT" else self.target

    @property
    def query(self) -> dict[str, str]:
        """The decoded query; of a repeated key the last value."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    """An answer; the body may be a JSON value, text, bytes or pieces of bytes."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    reason: str | None = None
    chunked: bool = False
    length: int | None = None
    """A Content-Length other than the body's."""
    unfinished: bool = False
    """A chunked body ends without its last chunk, then the connection closes."""
    head_gate: threading.Event | None = None
    body_gate: threading.Event | None = None
    then: Literal["keep", "close", "reset"] = "keep"


@dataclass(frozen=True)
class Raw:
    """Bytes for the wire, after which the connection closes."""

    data: bytes


CLOSE = Raw(b"")
RESET = Response(then="reset", status=0)

Answer: TypeAlias = Any
Route: TypeAlias = Callable[[Request], Answer] | Answer


def sequence(*answers: Route) -> Callable[[Request], Answer]:
    """Answer with each in turn; the last one repeats."""
    left = list(answers)
    lock = threading.Lock()

    def answer(request: Request) -> Answer:
        with lock:
            route = left.pop(0) if len(left) > 1 else left[0]
        return route(request) if callable(route) else route

    return answer


def html(text: str, status: int = 200) -> Response:
    return Response(status, text.encode(), {"Content-Type": "text/html; charset=utf-8"})


def redirect(location: str, status: int = 302) -> Response:
    return Response(status, b"", {"Location": location})


def truncated(body: Any, missing: int = 10) -> Response:
    encoded = _encode(body)[0]
    return Response(200, encoded, length=len(encoded) + missing, then="close")


def truncated_chunked(body: Any) -> Response:
    return Response(200, _encode(body)[0], chunked=True, unfinished=True)


def compressed(body: Any, encoding: str) -> Response:
    import brotli
    import zstandard

    encoded, content_type = _encode(body)
    packed = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstandard.ZstdCompressor().compress,
    }[encoding](encoded)
    return Response(200, packed, {"Content-Encoding": encoding, "Content-Type": content_type})


def bad_gzip() -> Response:
    return Response(200, b"this is not gzip at all", {"Content-Encoding": "gzip"})


def big_body(size: int, *, chunked: bool = False) -> Response:
    piece = b"x" * 65536
    whole, rest = divmod(size, len(piece))
    pieces = _Pieces(lambda: (piece if i < whole else piece[:rest] for i in range(whole + 1)))
    return Response(200, pieces, chunked=chunked, length=None if chunked else size)


def big_headers(size: int) -> Response:
    return Response(200, {}, {f"X-Filler-{i}": "y" * 1000 for i in range(size // 1000 + 1)})


class HttpServer:
    """The server; see the module's text for how to script it."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        tls: Literal["good", "unknown_ca", "wrong_host"] | None = None,
        tunnel: tuple[str, int] | None = None,
    ) -> None:
        self.host = host
        self.tls = tls
        self.tunnel = tunnel
        self.requests: list[Request] = []
        self.connections = 0
        self.gone = threading.Event()
        self.ca_file: Path | None = None
        self._routes: list[tuple[str, str, Route]] = []
        self._arrived = threading.Condition()
        self._over = 0
        self._closing = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._context: ssl.SSLContext | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> HttpServer:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, 0), family=family, backlog=256)
        self.port: int = self._listener.getsockname()[1]
        if self.tls:
            self._make_certificates()
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_idle()
        for thread in self._threads:
            thread.join(10)
        if self._directory:
            self._directory.cleanup()

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def paths(self) -> list[str]:
        """Method and target of every request so far."""
        return [f"{r.method} {r.target}" for r in self.requests]

    def route(self, method: str, path: str, answer: Route) -> None:
        """Answer a method (or ``*``) and path (or ``/prefix/*``); later routes win."""
        self._routes.insert(0, (method, path, answer))

    def wait_requests(self, count: int, timeout: float = 20) -> None:
        """Wait until that many requests have arrived in all."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= count, timeout):
                raise TimeoutError(f"{len(self.requests)} of {count} requests came: {self.paths}")

    def wait_closed(self, count: int, timeout: float = 20) -> None:
        """Wait until that many connections in all are over."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._over >= count, timeout):
                raise TimeoutError(f"{self._over} of {count} connections are over")

    def drop_idle(self) -> None:
        """Close every open connection from the server's side."""
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _make_certificates(self) -> None:
        import trustme  # loads all of cryptography, which few tests need

        authority, other = trustme.CA(), trustme.CA()
        names = (
            ("other.example",) if self.tls == "wrong_host" else ("localhost", "127.0.0.1", "::1")
        )
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(self._context)
        self._directory = tempfile.TemporaryDirectory()
        self.ca_file = Path(self._directory.name) / "ca.pem"
        known = other if self.tls == "unknown_ca" else authority
        known.cert_pem.write_to_path(str(self.ca_file))

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._serve, sock, self.connections)

    def _serve(self, sock: socket.socket, number: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets.add(sock)
        try:
            if self._context:
                self._sockets.discard(sock)
                sock = self._context.wrap_socket(sock, server_side=True)
                self._sockets.add(sock)
            with sock.makefile("rb", buffering=65536) as reader:
                while not self._closing.is_set() and self._exchange(sock, reader, number):
                    pass
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            self._sockets.discard(sock)
            sock.close()
            with self._arrived:
                self._over += 1
                self._arrived.notify_all()

    def _exchange(self, sock: socket.socket, reader: Any, number: int) -> bool:
        if reader.peek(1)[:1] == b"\x16":  # a TLS greeting
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return False
        request = _read_request(reader, number)
        if request is None:
            return False
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        if request.method == "CONNECT" and self.tunnel:
            self._pump(sock)
            return False
        return self._send(sock, request, self._answer(request))

    def _answer(self, request: Request) -> Response | Raw:
        for method, path, answer in self._routes:
            same = request.path == path or (
                path.endswith("*") and request.path.startswith(path[:-1])
            )
            if same and method in {"*", request.method}:
                found = answer(request) if callable(answer) else answer
                break
        else:
            found = Response(404, {"error": f"no route for {request.method} {request.path}"})
        if isinstance(found, bool) or not isinstance(found, (Response, Raw, int)):
            return Response(200, found)
        return Response(found, {}) if isinstance(found, int) else found

    def _send(self, sock: socket.socket, request: Request, answer: Response | Raw) -> bool:
        if isinstance(answer, Raw):
            sock.sendall(answer.data)
            return False
        if not self._wait(answer.head_gate, sock):
            return False
        if answer.status:
            self._send_response(sock, request, answer)
        if answer.then == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        closing = request.headers.get("connection", "").lower() == "close"
        return answer.then == "keep" and not answer.unfinished and not closing

    def _send_response(self, sock: socket.socket, request: Request, answer: Response) -> None:
        streamed = isinstance(answer.body, _Pieces)
        body, content_type = (b"", "text/plain") if streamed else _encode(answer.body)
        headers = {"content-type": ("Content-Type", content_type)}
        headers |= {k.lower(): (k, v) for k, v in answer.headers.items()}
        if answer.chunked:
            headers["transfer-encoding"] = ("Transfer-Encoding", "chunked")
        elif answer.status not in {204, 304}:
            size = len(body) if answer.length is None else answer.length
            headers.setdefault("content-length", ("Content-Length", str(size)))
        reason = answer.reason if answer.reason is not None else _REASONS.get(answer.status, "")
        lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{k}: {v}" for k, v in headers.values())]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        if request.method == "HEAD" or answer.status in {204, 304}:
            sock.sendall(head)
            return
        if not streamed and answer.body_gate is None and not answer.chunked:
            sock.sendall(head + body)
            return
        sock.sendall(head)
        half = len(body) // 2
        pieces: Iterable[bytes] = answer.body if streamed else (body[:half], body[half:])
        for index, piece in enumerate(pieces):
            if index == 1 and not self._wait(answer.body_gate, sock):
                raise ConnectionError("the client left")
            if piece:
                sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.chunked else piece)
        if answer.chunked and not answer.unfinished:
            sock.sendall(b"0\r\n\r\n")

    def _wait(self, gate: threading.Event | None, sock: socket.socket) -> bool:
        """Wait for a gate; tell whether the client is still there."""
        while gate is not None and not gate.wait(_POLL_S):
            if self._closing.is_set():
                return False
            readable = select.select([sock], [], [], 0)[0]
            if readable and self._is_closed(sock):
                self.gone.set()
                return False
        return True

    def _is_closed(self, sock: socket.socket) -> bool:
        if isinstance(sock, ssl.SSLSocket):
            return False  # cannot peek into TLS
        try:
            return sock.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def _pump(self, client: socket.socket) -> None:
        assert self.tunnel
        with socket.create_connection(self.tunnel) as target:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            pair = {client: target, target: client}
            while not self._closing.is_set():
                for source in select.select(list(pair), [], [], _POLL_S)[0]:
                    piece = source.recv(65536)
                    if not piece:
                        return
                    pair[source].sendall(piece)


@dataclass(frozen=True)
class _Pieces:
    make: Callable[[], Iterable[bytes]]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.make())


def _encode(body: Any) -> tuple[bytes, str]:
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    if isinstance(body, str):
        return body.encode(), "text/plain; charset=utf-8"
    return json.dumps(body).encode(), "application/json"


def _read_request(reader: Any, number: int) -> Request | None:
    line = reader.readline(65536)
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := reader.readline(1 << 20)) not in {b"\r\n", b"\n", b""}:
        name, _, value = line.decode("latin-1").partition(":")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    request = Request(method, target, headers, b"", number)
    if "chunked" in headers.get("transfer-encoding", ""):
        return replace(request, body=_read_chunked(reader))
    return replace(request, body=reader.read(int(headers.get("content-length", "0"))))


def _read_chunked(reader: Any) -> bytes:
    body = b""
    while size := int(reader.readline().split(b";")[0], 16):
        body += reader.read(size)
        reader.readline()
    while reader.readline() not in {b"\r\n", b"\n", b""}:
        pass
    return body
