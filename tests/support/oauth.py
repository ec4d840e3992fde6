"""An OAuth 2 authorisation server and the API behind it, on one loopback port.

It rotates refresh tokens and takes each only once: a second use of one revokes them all, as RFC
9700 §4.14.2 asks of servers. Access tokens expire when told to.

    with OAuthServer() as server:
        server.url, server.token_url
        server.grants      # the grant_type of each request for tokens that was granted
        server.expire()    # every access token is refused from now on
"""

from __future__ import annotations

import base64
import itertools
import threading
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qs, unquote

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
        self.style = style
        self.lifetime_s = lifetime_s
        self.needs_scope = scope
        self.grants: list[str] = []
        self.refused: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.is_revoked = False
        self.gate: threading.Event | None = None
        """What an answer of the token endpoint waits for."""
        self._refresh = REFRESH
        self._valid: dict[str, str | None] = {}
        self._numbers = itertools.count(1)
        self._mutex = threading.Lock()
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
    def refresh_token(self) -> str:
        return self._refresh

    @property
    def api_requests(self) -> list[Request]:
        return [r for r in self._http.requests if r.path != "/token"]

    def expire(self) -> None:
        """Refuse every access token that was given out."""
        with self._mutex:
            self._valid.clear()

    def _token(self, request: Request) -> Response:
        form = {k: v[0] for k, v in parse_qs(request.body.decode()).items()}
        with self._mutex:
            self.forms.append(form)
            if (found := self._client_error(request, form)) is not None:
                self.refused.append(found)
                status = 401 if found == "invalid_client" else 400
                body = {"error": found, "error_description": f"no {form.get('client_secret')}"}
                return Response(status, body)
            self.grants.append(form["grant_type"])
            number = next(self._numbers)
            token = f"access-token-{number}"
            self._valid[token] = form.get("scope")
            answer: dict[str, Any] = {"access_token": token, "token_type": "Bearer"}
            if self.lifetime_s is not None:
                answer["expires_in"] = self.lifetime_s
            if form["grant_type"] == "refresh_token":
                self._refresh = f"refresh-token-{number}"
                answer["refresh_token"] = self._refresh
            return Response(200, answer, head_gate=self.gate)

    def _client_error(self, request: Request, form: dict[str, str]) -> str | None:
        shown = (form.get("client_id", ""), form.get("client_secret", ""))
        if self.style == "header":
            coded = request.headers.get("authorization", "").removeprefix("Basic ")
            login, _, secret = base64.b64decode(coded).decode().partition(":")
            shown = unquote(login), unquote(secret)
        if shown != (CLIENT, SECRET):
            return "invalid_client"
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] != self._refresh:
                self.is_revoked = True
            if self.is_revoked:
                return "invalid_grant"
        return None

    def _api(self, request: Request) -> Any:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        with self._mutex:
            known = token in self._valid
            scope = self._valid.get(token)
        if not known or (self.needs_scope is not None and scope != self.needs_scope):
            return Response(401, {"error": "refused"})
        return {"items": [{"id": 1, "seen": token}]}
