"""A registry behind HTTP: static files of any web server, or `moltler registry serve`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

import msgspec

from moltler.errors import PackageError
from moltler.flow.connector import CallLimits, ResolvedConnector
from moltler.flow.http import FetchFailure, HttpRequest
from moltler.model import Connector, ConnectorType
from moltler.net.web import WebAnswer
from moltler.registry.book import Configured
from moltler.registry.folder import no_such_version
from moltler.registry.index import Mark, Receipt
from moltler.registry.package import Package
from moltler.registry.records import (
    INDEX_PATH,
    ConnectorRecord,
    Index,
    VersionRecord,
    Visibility,
    archive_path,
    decode,
    record_path,
)
from moltler.schema import DataType, Property, Schema
from moltler.secret import Secret

Ask = Callable[[HttpRequest], WebAnswer]
"""Sends a request with the registry's token and reads the answer; raises `FetchFailure`."""

_REFUSALS = {
    401: ("it wants a token", "add the registry with --token-secret NAME"),
    403: ("the token may not do that", "ask whoever runs the registry"),
    413: ("the package is too large for it", None),
    429: ("it asks to slow down", "try again later"),
}


class _Refusal(msgspec.Struct, frozen=True):
    """The body of an answer that refuses."""

    error: str
    code: Literal["PKG001", "PKG002", "PKG003", "PKG007", "PKG008"] = "PKG007"
    hint: str | None = None


def target_of(configured: Configured, token: str | None) -> ResolvedConnector:
    """Give a registry as the network knows instances.

    So its requests go where its address says and nowhere else, its token leaves over a safe
    connection only, and both are masked in messages.
    """
    config: dict[str, str] = {"url": configured.where}
    secrets: tuple[Secret, ...] = ()
    if token is not None:
        config["token"] = token
        secrets = (Secret("token", token),)
    text = DataType("string")
    return ResolvedConnector(
        Connector(f"registry {configured.name}", "registry", dict(config)),
        ConnectorType(
            "registry",
            Schema((Property("url", text), Property("token", text, secret=True))),
            auth=None if token is None else {"scheme": "bearer", "token": "token"},
        ),
        1,
        dict(config),
        secrets,
        "",
        CallLimits(),
    )


@dataclass(frozen=True, slots=True)
class Remote:
    """A registry behind HTTP (`index.Registry`).

    Args:
        where: Its address.
        ask: Sends requests.
    """

    where: str
    ask: Ask

    def index(self) -> Index:
        """Give what it lists."""
        return decode(self._get(INDEX_PATH), Index, self.where)

    def record(self, name: str) -> ConnectorRecord | None:
        """Give a connector with all its versions, or ``None``."""
        answer = self._send("GET", record_path(name))
        if answer.status == 404:
            self.index()  # a wrong address has no connectors either
            return None
        return decode(self._content(answer), ConnectorRecord, self.where)

    def archive(self, name: str, version: VersionRecord) -> bytes:
        """Give the bytes of an archive."""
        return self._get(archive_path(name, version.version))

    def publish(self, package: Package, visibility: Visibility) -> Receipt:
        """Send a package."""
        manifest = package.manifest
        answer = self._send(
            "PUT",
            f"v1/connectors/{manifest.name.lower()}/{quote(manifest.version)}"
            f"?visibility={visibility}",
            (
                ("Content-Type", "application/gzip"),
                ("X-Checksum-Sha256", package.sha256),
            ),
            package.content,
        )
        self._content(answer)
        return Receipt("published" if answer.status == 201 else "unchanged", package.sha256)

    def mark(self, name: str, version: str, mark: Mark, message: str | None = None) -> None:
        """Yank or deprecate a version, or take that back."""
        path = f"v1/connectors/{name.lower()}/{quote(version)}/{mark}"
        body = json.dumps({"message": message}).encode()
        answer = self._send("POST", path, (("Content-Type", "application/json"),), body)
        if answer.status == 404:
            raise no_such_version(name, version, self.record(name))
        self._content(answer)

    def _get(self, path: str) -> bytes:
        return self._content(self._send("GET", path))

    def _send(
        self,
        method: str,
        path: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes | None = None,
    ) -> WebAnswer:
        url = f"{self.where.rstrip('/')}/{quote(path, safe='/?=%')}"
        try:
            return self.ask(HttpRequest(method, url, headers, body))
        except FetchFailure as error:
            raise PackageError(
                "PKG007",
                f"the registry at `{self.where}` cannot be reached: {error}",
                hint=error.hint or "check the address and the network; nothing was changed",
            ) from error

    def _content(self, answer: WebAnswer) -> bytes:
        if answer.status in {200, 201}:
            return answer.body
        try:
            refusal = msgspec.json.decode(answer.body, type=_Refusal)
        except (msgspec.DecodeError, UnicodeDecodeError):
            what, hint = _REFUSALS.get(answer.status, (f"status {answer.status}", None))
            if answer.status == 404:
                what, hint = "it has no such file", "check its address"
            raise PackageError(
                "PKG007", f"the registry at `{self.where}` refuses: {what}", hint=hint
            ) from None
        raise PackageError(refusal.code, refusal.error, hint=refusal.hint)
