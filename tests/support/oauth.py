"""An OAuth 2 authorisation server and the API behind it, on one loopback port.

The protocol is oauthlib's, not ours: which requests are well formed, which client is who it says,
what errors look like. Here is only what such a server must know of its tokens: it rotates refresh
tokens and takes each only once; a second use of one revokes them all, as RFC 9700 §4.14.2 asks of
servers. Access tokens expire when told to.

    with OAuthServer() as server:
        server.url, server.token_url
        server.grants      # the grant_type of each request for tokens that was granted
        server.expire()    # every access token is refused from now on
"""

from __future__ import annotations

import base64
import itertools
import json
import threading
from types import SimpleNamespace, TracebackType
from typing import Any, Literal
from urllib.parse import parse_qs, unquote

from oauthlib.oauth2 import RequestValidator, Server

from support.http import HttpServer, Request, Response

CLIENT, SECRET, REFRESH = "client-1", "client/secret+1", "refresh-token-0"


class OAuthServer:
    """The server; `style` says where it wants to see the client's secret."""

    def __init__(
        self,
        *,
        style: Literal["body", "header"] = "body",
        lifetime_s: int | None = 3600,
        scope: str | None = None,
    ) -> None:
        self.lifetime_s = lifetime_s
        self.needs_scope = scope
        self.grants: list[str] = []
        self.refused: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.gate: threading.Event | None = None
        """What an answer of the token endpoint waits for."""
        self.api_gate: threading.Event | None = None
        """What an answer of the API waits for."""
        self._mutex = threading.Lock()
        self._tokens = _Tokens(style)
        numbers = itertools.count(1)
        self._server = Server(
            self._tokens,
            token_generator=lambda _: f"access-token-{next(numbers)}",
            refresh_token_generator=lambda _: f"refresh-token-{len(self.grants) + 1}",
        )
        self._http = HttpServer()
        self._http.route("*", "/*", self._api)
        self._http.route("POST", "/token", self._token)

    def __enter__(self) -> OAuthServer:
        self._http.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        return self._http.url

    @property
    def token_url(self) -> str:
        return f"{self._http.url}/token"

    @property
    def is_revoked(self) -> bool:
        """Whether somebody used a refresh token twice, so that none is good any more."""
        return self._tokens.is_revoked

    @property
    def refresh_token(self) -> str:
        return self._tokens.refresh

    @property
    def api_requests(self) -> list[Request]:
        return [r for r in self._http.requests if r.path != "/token"]

    @property
    def rotates(self) -> bool:
        """Whether a refresh token is good for one use only."""
        return self._tokens.rotates

    @rotates.setter
    def rotates(self, value: bool) -> None:
        self._tokens.rotates = value

    def authorise(self, refresh_token: str) -> None:
        """Begin anew, as if a user had been asked again: all that was given out is no good."""
        self.expire()
        self._tokens.spent.clear()
        self._tokens.is_revoked = False
        self._tokens.refresh = refresh_token

    def revoke(self) -> None:
        """Take back the refresh token."""
        self._tokens.is_revoked = True

    def wait_requests(self, count: int) -> None:
        self._http.wait_requests(count)

    def expire(self) -> None:
        """Refuse every access token that was given out."""
        with self._mutex:
            self._tokens.valid.clear()

    def _token(self, request: Request) -> Response:
        form = {k: v[0] for k, v in parse_qs(request.body.decode()).items()}
        with self._mutex:
            self.forms.append(form)
            headers, body, status = self._server.create_token_response(
                self.token_url, "POST", request.body.decode(), dict(request.headers)
            )
            answer: dict[str, Any] = json.loads(body)
            if status == 200:
                self.grants.append(form["grant_type"])
                answer["expires_in"] = self.lifetime_s
            else:
                self.refused.append(answer["error"])
                # Servers say all sorts of things.
                answer["error_description"] = f"no {form.get('client_secret')}"
            gate = self.gate
        kept = {k: v for k, v in headers.items() if k != "Content-Type"}
        return Response(status, answer, kept, head_gate=gate)

    def _api(self, request: Request) -> Any:
        scopes = [self.needs_scope] if self.needs_scope is not None else []
        with self._mutex:
            is_good, _ = self._server.verify_request(
                request.target, "GET", None, dict(request.headers), scopes
            )
        if not is_good:
            return Response(401, {"error": "refused"})
        token = request.headers["authorization"].removeprefix("Bearer ")
        return Response(200, {"items": [{"id": 1, "seen": token}]}, head_gate=self.api_gate)


class _Tokens(RequestValidator):
    """What the server knows; called by oauthlib."""

    def __init__(self, style: Literal["body", "header"]) -> None:
        super().__init__()
        self._style = style
        self.is_revoked = False
        self.rotates = True
        self.refresh = REFRESH
        self.spent: set[str] = set()
        self.valid: dict[str, set[str]] = {}

    def authenticate_client(self, request: Any, *_: Any, **__: Any) -> bool:
        shown = (request.client_id or "", request.client_secret or "")
        if self._style == "header":
            scheme, _space, coded = request.headers.get("Authorization", "").partition(" ")
            login, _colon, secret = base64.b64decode(coded).decode().partition(":")
            shown = (unquote(login), unquote(secret)) if scheme == "Basic" else ("", "")
        request.client = SimpleNamespace(client_id=shown[0])
        return shown == (CLIENT, SECRET)

    def validate_grant_type(self, client_id: Any, grant_type: str, *_: Any, **__: Any) -> bool:
        return grant_type in {"client_credentials", "refresh_token"}

    def get_default_scopes(self, client_id: Any, request: Any, *_: Any, **__: Any) -> list[str]:
        return []

    def validate_scopes(self, client_id: Any, scopes: Any, *_: Any, **__: Any) -> bool:
        return True

    def validate_refresh_token(self, refresh_token: str, *_: Any, **__: Any) -> bool:
        if refresh_token in self.spent:
            self.is_revoked = True
        return refresh_token == self.refresh and not self.is_revoked

    def get_original_scopes(self, refresh_token: str, *_: Any, **__: Any) -> list[str]:
        return []

    def is_within_original_scope(self, request_scopes: Any, *_: Any, **__: Any) -> bool:
        return True

    def rotate_refresh_token(self, request: Any) -> bool:
        return self.rotates

    def save_bearer_token(self, token: dict[str, Any], request: Any, *_: Any, **__: Any) -> None:
        self.valid[token["access_token"]] = set(token.get("scope", "").split())
        fresh = token.get("refresh_token", self.refresh)
        if fresh != self.refresh:
            self.spent.add(self.refresh)
        self.refresh = fresh

    def validate_bearer_token(self, token: str | None, scopes: list[str], request: Any) -> bool:
        return token in self.valid and set(scopes) <= self.valid[token]
