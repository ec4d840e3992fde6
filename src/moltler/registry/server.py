"""`moltler registry serve`: a folder behind HTTP, with tokens for those who publish."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from moltler.errors import MoltlerError, PackageError, ParseError
from moltler.net.listening import Listener
from moltler.registry.archive import LARGEST, digest
from moltler.registry.catalogue import POLICY
from moltler.registry.contract import check_contract
from moltler.registry.folder import Folder
from moltler.registry.index import Mark
from moltler.registry.package import open_package
from moltler.registry.records import (
    INDEX_PATH,
    ConnectorRecord,
    Index,
    Visibility,
    matching,
)
from moltler.registry.tokens import Tokens

_NAME = r"[a-z][a-z0-9_-]*"
_RECORD = re.compile(rf"v1/connectors/({_NAME})\.json", re.IGNORECASE)
_VERSION = re.compile(rf"v1/connectors/({_NAME})/([0-9A-Za-z.+-]+)", re.IGNORECASE)
_MARK = re.compile(
    rf"v1/connectors/({_NAME})/([0-9A-Za-z.+-]+)/(yank|unyank|deprecate)", re.IGNORECASE
)
_FILE = re.compile(rf"v1/files/({_NAME})/([A-Za-z0-9_.+-]+)", re.IGNORECASE)
_PAGE = re.compile(rf"(?:index\.html)?|connectors/{_NAME}\.html", re.IGNORECASE)
_STATUS = {"PKG001": 409, "PKG002": 409, "PKG005": 409, "PKG007": 503, "PKG008": 404}
_WAIT_S = 30.0
_MOST_CONNECTIONS = 64
_READS = (50.0, 200)
_WRITES = (1.0, 60)
"""Requests a second, and how many at once, of one address."""
_HTML = "text/html; charset=utf-8"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: int
    body: bytes = b""
    type: str = _JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Throttle:
    """Counts requests of each address; an address that waited has its whole burst again.

    Args:
        per_s: Requests a second that are allowed in the long run.
        burst: Requests at once.
    """

    per_s: float
    burst: int
    _buckets: OrderedDict[str, tuple[float, float]] = field(
        default_factory=OrderedDict[str, tuple[float, float]]
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait_s(self, address: str, now: float) -> float:
        """Take one request; give 0, or the seconds until there is room for it."""
        with self._lock:
            level, at = self._buckets.pop(address, (float(self.burst), now))
            level = min(self.burst, level + (now - at) * self.per_s)
            allowed = level >= 1
            self._buckets[address] = (level - 1 if allowed else level, now)
            while len(self._buckets) > 10_000:
                self._buckets.popitem(last=False)
            return 0.0 if allowed else (1 - level) / self.per_s


class RegistryServer:
    """Serves a folder; a context manager that serves in threads.

    Args:
        folder: The registry.
        host: The address to listen at; 127.0.0.1 is for this machine only.
        port: 0 takes any free one.
        on_request: Told what was asked and answered, a line each.
        reads: Requests a second and at once, of one address.
        writes: The same for publishing.

    Raises:
        ParseError: SYN900, the port is taken.
        PackageError: PKG007, the folder cannot be used.
    """

    def __init__(
        self,
        folder: Folder,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        on_request: Callable[[str], None] | None = None,
        reads: tuple[float, int] = _READS,
        writes: tuple[float, int] = _WRITES,
    ) -> None:
        folder.create()
        folder.rebuild()
        self.folder = folder
        self.tokens = Tokens(folder.root, folder.clock)
        self.reads, self.writes = Throttle(*reads), Throttle(*writes)
        self._on_request = on_request
        try:
            self._http = _Http((host, port), self)
        except OSError as error:
            raise ParseError(
                "SYN900",
                f"cannot listen at {host}:{port}: {error.strerror}",
                hint="choose another with --port; 0 takes any free one",
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._http.server_address[1]}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="registry"
        )

    def __enter__(self) -> RegistryServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.hang_up()
        self._http.server_close()

    def wait(self) -> None:
        """Serve until interrupted."""
        self._thread.join()

    def note(self, line: str) -> None:
        """Tell about a request."""
        if self._on_request is not None:
            self._on_request(line)

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def read(self, path: str, query: str, owner: str | None) -> Reply:
        """Answer GET."""
        if path == INDEX_PATH:
            return self._file(path, _JSON)
        if path == "v1/search":
            text = " ".join(parse_qs(query).get("q", ()))
            found = Index(connectors=matching(self.folder.index(), text))
            return Reply(200, msgspec.json.encode(found))
        if found := _RECORD.fullmatch(path):
            record = self._record(found[1], owner)
            return _missing(path) if record is None else Reply(200, msgspec.json.encode(record))
        if found := _FILE.fullmatch(path):
            return self._archive(found[1], found[2], owner)
        if _PAGE.fullmatch(path):
            return self._file(path.lower() or "index.html", _HTML)
        return _missing(path)

    def _record(self, name: str, owner: str | None) -> ConnectorRecord | None:
        record = self.folder.record(name)
        if record is None:
            return None
        seen = tuple(v for v in record.versions if v.visibility != "private" or owner is not None)
        return msgspec.structs.replace(record, versions=seen) if seen else None

    def _archive(self, name: str, file: str, owner: str | None) -> Reply:
        record = self._record(name, owner)
        wanted = f"v1/files/{name.lower()}/{file}"
        for version in () if record is None else record.versions:
            if version.url == wanted:
                cache = ("Cache-Control", _forever(version.visibility))
                return Reply(
                    200, (self.folder.root / wanted).read_bytes(), "application/gzip", (cache,)
                )
        return _missing(wanted)

    def _file(self, path: str, type_: str) -> Reply:
        try:
            return Reply(200, (self.folder.root / path).read_bytes(), type_)
        except FileNotFoundError:
            return _missing(path)

    # ── writing ──────────────────────────────────────────────────────────────────────────────

    def publish(
        self, name: str, version: str, visibility: Visibility, content: bytes, owner: str
    ) -> Reply:
        """Take a package in.

        Raises:
            MoltlerError: PKG001 to PKG010.
        """
        package = open_package(content, name=name)
        if package.manifest.version != version:
            raise PackageError(
                "PKG003",
                f"the archive has version {package.manifest.version}, the address {version}",
                hint="send it to the address of its own version",
            )
        definition = package.definition(lambda _handler, _entry: ())
        package.tests()
        record = self.folder.record(name)
        if record is not None and record.owner is not None and record.owner != owner:
            return _refusal(403, f"`{record.name}` belongs to another publisher", "PKG007")
        check_contract(package, definition, self.folder)
        receipt = self.folder.publish(package, visibility, owner=owner)
        done = {"name": name, "version": version, "sha256": receipt.sha256}
        return Reply(201 if receipt.status == "published" else 200, json.dumps(done).encode())

    def mark(self, name: str, version: str, mark: Mark, message: str | None, owner: str) -> Reply:
        """Yank or deprecate a version, or take that back.

        Raises:
            PackageError: PKG008, there is no such version.
        """
        record = self.folder.record(name)
        if record is not None and record.owner is not None and record.owner != owner:
            return _refusal(403, f"`{record.name}` belongs to another publisher", "PKG007")
        self.folder.mark(name, version, mark, message)
        return Reply(200, b"{}")


def _forever(visibility: Visibility) -> str:
    who = "private" if visibility == "private" else "public"
    return f"{who}, max-age=31536000, immutable"


def _missing(path: str) -> Reply:
    return _refusal(404, f"there is no `{path[:200]}` here", "PKG008")


def _refusal(status: int, error: str, code: str, hint: str | None = None) -> Reply:
    return Reply(status, json.dumps({"error": error, "code": code, "hint": hint}).encode())


class _Http(Listener):
    def __init__(self, address: tuple[str, int], registry: RegistryServer) -> None:
        self.registry = registry
        super().__init__(address, _Connection, most=_MOST_CONNECTIONS)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "moltler"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together
    timeout = _WAIT_S

    @property
    def _registry(self) -> RegistryServer:
        assert isinstance(self.server, _Http)  # noqa: S101 - it made this object
        return self.server.registry

    def handle_method(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path).lstrip("/")
        is_read = self.command in {"GET", "HEAD"}
        throttle = self._registry.reads if is_read else self._registry.writes
        wait_s = throttle.wait_s(self.client_address[0], time.monotonic())
        try:
            if wait_s:
                self.close_connection = True
                reply = _refusal(429, "this is more than the registry answers", "PKG007")
                after = ("Retry-After", str(int(wait_s) + 1))
                reply = Reply(429, reply.body, headers=(after,))
            elif is_read:
                reply = self._registry.read(path, parts.query, self._owner())
            else:
                reply = self._write_request(path, parts.query)
        except MoltlerError as error:
            self.close_connection = not is_read
            reply = _refusal(_STATUS.get(error.code, 422), error.message, error.code, error.hint)
        self._registry.note(f"{self.command} {self.path[:200]} -> {reply.status}")
        self._send(reply)

    do_GET = do_HEAD = do_PUT = do_POST = handle_method  # noqa: N815 - names of the standard library

    def _owner(self) -> str | None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        return self._registry.tokens.owner(token.strip())

    def _write_request(self, path: str, query: str) -> Reply:
        owner = self._owner()
        if owner is None:
            # The body stays unread, so the connection cannot be used again.
            self.close_connection = True
            hint = "add the registry with --token-secret, and set that secret"
            reply = _refusal(401, "the registry wants a token that it knows", "PKG007", hint)
            return Reply(401, reply.body, headers=(("WWW-Authenticate", "Bearer"),))
        version, mark = _VERSION.fullmatch(path), _MARK.fullmatch(path)
        is_known = version if self.command == "PUT" else mark
        if is_known is None:
            self.close_connection = True
            return _missing(path)
        body = self._body(LARGEST if self.command == "PUT" else 65_536)
        if isinstance(body, Reply):
            self.close_connection = True
            return body
        if self.command == "PUT" and version is not None:
            if digest(body) != self.headers.get("X-Checksum-Sha256", "").lower():
                return _refusal(
                    422, "the archive is not what X-Checksum-Sha256 says", "PKG002", "send it again"
                )
            chosen = parse_qs(query).get("visibility", ["public"])[-1]
            if chosen not in {"public", "unlisted", "private"}:
                return _refusal(422, "`visibility` is public, unlisted or private", "PKG003")
            visibility = cast("Visibility", chosen)
            return self._registry.publish(version[1], version[2], visibility, body, owner)
        assert mark is not None  # noqa: S101 - one of the two is known
        made = cast("Mark", mark[3].lower())
        return self._registry.mark(mark[1], mark[2], made, _message(body), owner)

    def _body(self, largest: int) -> bytes | Reply:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or "Transfer-Encoding" in self.headers:
            return _refusal(411, "the request needs a Content-Length", "PKG007")
        if len(length) > 12 or int(length) > largest:
            return _refusal(413, f"more than {largest:,} bytes", "PKG007", "make it smaller")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return _refusal(400, "the upload ended early", "PKG007", "send it again")
        return body

    def _send(self, reply: Reply) -> None:
        names = {name.lower() for name, _ in reply.headers}
        tag = f'"{hashlib.sha256(reply.body).hexdigest()[:32]}"'
        is_cacheable = reply.status == 200 and self.command in {"GET", "HEAD"}
        is_known = is_cacheable and tag in self.headers.get("If-None-Match", "")
        status = 304 if is_known else reply.status
        self.send_response(status)
        for name, value in reply.headers:
            self.send_header(name, value)
        if is_cacheable:
            self.send_header("ETag", tag)
            self.send_header("Vary", "Authorization")
            if "cache-control" not in names:
                self.send_header("Cache-Control", "no-cache")
        if status != 304:
            self.send_header("Content-Type", reply.type)
            self.send_header("Content-Length", str(len(reply.body)))
            self.send_header("X-Content-Type-Options", "nosniff")
        if reply.type == _HTML:
            self.send_header("Content-Security-Policy", POLICY)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and status != 304:
            self.wfile.write(reply.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - overrides
        """Print nothing; `RegistryServer.note` is the log."""


def _message(body: bytes) -> str | None:
    try:
        message = msgspec.json.decode(body, type=dict[str, str | None]).get("message")
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = None
    return None if message is None else message[:1000]
