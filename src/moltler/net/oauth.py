"""Access tokens of OAuth 2: fetched when needed, renewed in time, never lost on the way.

Source: RFC 6749 §4.4 (client credentials), §5.1, §5.2, §6 (refresh token), §2.3.1 (how a client
shows its secret).
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Literal, cast
from urllib.parse import quote, urlencode

from moltler.errors import MoltlerError, error_class
from moltler.flow.http import FetchFailure, HttpRequest
from moltler.ports import TokenStore

Grant = Literal["client_credentials", "refresh_token"]
LARGEST_ANSWER = 1 << 20
_EARLY_S = 60.0
"""How long before its end a token is renewed, if it lives ten times as long."""
_LAST_WAIT_S = 5.0
"""For a renewal that is under way when the program ends."""
_OAUTH_ERRORS = frozenset(
    {"invalid_client", "invalid_grant", "invalid_request", "invalid_scope", "unauthorized_client",
     "unsupported_grant_type", "access_denied"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What a token endpoint said."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)


Ask = Callable[[HttpRequest], Awaitable[TokenAnswer]]
"""Sends a request to a token endpoint, past egress, and reads its answer."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks for tokens, and where."""

    grant: Grant
    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    scope: str | None = None
    audience: str | None = None

    @property
    def credential(self) -> str:
        """What tells it apart from others."""
        return json.dumps(asdict(self))

    @property
    def is_durable(self) -> bool:
        """Whether its tokens must outlive the process: a used refresh token is worth nothing."""
        return self.grant == "refresh_token"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What is known for a credential."""

    access_token: str = field(repr=False)
    renew_at: float | None = None
    """Seconds since the epoch; ``None`` while the API does not refuse it."""
    refresh_token: str | None = field(default=None, repr=False)
    after_refusal: bool = False
    """It was fetched because the API had refused the one before; refused as well, it stays."""


class TokenKeeper:
    """Gives the access token of one credential; on the loop thread only.

    Args:
        client: The credential.
        store: Where tokens are kept.
        ask: Reaches the token endpoint.
        hide: Takes secrets out of a text.
        patience_s: How long an endpoint may take to answer.
    """

    def __init__(
        self,
        client: Client,
        store: TokenStore,
        ask: Ask,
        hide: Callable[[str], str],
        *,
        patience_s: float = 30.0,
    ) -> None:
        self._client = client
        self._store = store
        self._ask = ask
        self._hide = hide
        self._patience_s = patience_s
        self._tokens: Tokens | None = None
        self._renewing: asyncio.Task[Tokens] | None = None
        self.seen: dict[str, None] = {}
        """Every token so far, to be kept from handlers."""

    async def access_token(self) -> str:
        """Give a token that is good by the clock.

        Raises:
            MoltlerError: The endpoint refuses (API002), is out of order (API001), wants us to
                wait (API003); the store fails (CAT009, CAT010).
            FetchFailure: It cannot be reached.
        """
        if self._tokens is None or not self._is_fresh(self._tokens):
            await self._renewed(None)
        tokens = cast("Tokens", self._tokens)
        return tokens.access_token

    async def replace(self, refused: str) -> bool:
        """Get another token for one that the API refused; tell whether it is worth trying.

        A token that was fetched for this very reason is not replaced: the API refuses what the
        credential may do, and would refuse every other token.

        Raises:
            MoltlerError: As `access_token`.
            FetchFailure: As `access_token`.
        """
        tokens = self._tokens
        if tokens is not None and tokens.access_token == refused:
            if tokens.after_refusal:
                return False
            await self._renewed(refused)
        return self._tokens is not None and self._tokens.access_token != refused

    async def close(self) -> None:
        """Let a renewal come to its end, for what it brings may be the only one that is good."""
        if self._renewing is not None:
            task = self._renewing
            await asyncio.wait({task}, timeout=min(_LAST_WAIT_S, self._patience_s))
            task.cancel()
            await asyncio.wait({task})

    def _is_fresh(self, tokens: Tokens) -> bool:
        return tokens.renew_at is None or self._store.now().timestamp() < tokens.renew_at

    async def _renewed(self, refused: str | None) -> None:
        if self._renewing is None:
            task = asyncio.get_running_loop().create_task(self._renew(refused))
            self._renewing = task
            task.add_done_callback(self._forget)
        # A request that is given up must not take the new refresh token with it.
        self._tokens = await asyncio.shield(self._renewing)

    def _forget(self, task: asyncio.Task[Tokens]) -> None:
        self._renewing = None
        if not task.cancelled() and task.exception() is None:
            self._tokens = task.result()

    async def _renew(self, refused: str | None) -> Tokens:
        client, store = self._client, self._store
        lock = store.lock(client.credential)
        await _enter(lock)
        try:
            known = await self._load()
            # Another process, or instance, may have been faster.
            if known is not None and self._is_fresh(known) and known.access_token != refused:
                return known
            refresh_token = (known and known.refresh_token) or client.refresh_token
            tokens = await self._fetch(refresh_token, after_refusal=refused is not None)
            state = json.dumps(asdict(tokens))
            await asyncio.to_thread(store.save, client.credential, state, durable=client.is_durable)
            return tokens
        finally:
            lock.__exit__(None, None, None)

    async def _load(self) -> Tokens | None:
        client = self._client
        state = await asyncio.to_thread(
            self._store.load, client.credential, durable=client.is_durable
        )
        if state is None:
            return None
        tokens = Tokens(**json.loads(state))
        self._note(tokens)
        return tokens

    def _note(self, tokens: Tokens) -> None:
        for token in (tokens.access_token, tokens.refresh_token):
            if token:
                self.seen[token] = None

    async def _fetch(self, refresh_token: str | None, *, after_refusal: bool) -> Tokens:
        client = self._client
        form = {"grant_type": client.grant}
        wanted = {
            "refresh_token": refresh_token if client.grant == "refresh_token" else None,
            "scope": client.scope,
            "audience": client.audience,
        }
        form |= {key: value for key, value in wanted.items() if value}
        answer = await self._answer(form, in_header=False)
        found = _document(answer.body)
        if found.get("error") == "invalid_client" or (answer.status == 401 and not found):
            # Every server takes the one or the other; the grant is not used up by a refusal.
            answer = await self._answer(form, in_header=True)
            found = _document(answer.body)
        token = found.get("access_token")
        if answer.status // 100 != 2 or not isinstance(token, str) or not token:
            raise self._refusal(answer, found)
        fresh = found.get("refresh_token")
        tokens = Tokens(
            token,
            self._renew_at(found.get("expires_in")),
            fresh if isinstance(fresh, str) and fresh else refresh_token,
            after_refusal,
        )
        self._note(tokens)
        return tokens

    async def _answer(self, form: Mapping[str, str], *, in_header: bool) -> TokenAnswer:
        request = self._request(form, in_header=in_header)
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._ask(request)
        except TimeoutError as error:
            what = f"{self._endpoint} did not answer within {self._patience_s:g} seconds"
            raise FetchFailure("ETIMEDOUT", what) from error

    @property
    def _endpoint(self) -> str:
        shown = self._client.token_url.partition("?")[0][:200]
        return f"the token endpoint `{self._hide(shown)}`"

    def _request(self, form: Mapping[str, str], *, in_header: bool) -> HttpRequest:
        client = self._client
        headers = [
            ("Accept", "application/json"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ]
        if in_header:
            login = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
            headers.append(("Authorization", f"Basic {basic(login)}"))
        else:
            form = {**form, "client_id": client.client_id, "client_secret": client.client_secret}
        body = urlencode(form).encode()
        return HttpRequest("POST", client.token_url, tuple(headers), body, redirect="manual")

    def _renew_at(self, expires_in: object) -> float | None:
        try:
            lifetime = float(cast("str", expires_in))
        except (TypeError, ValueError):
            return None
        if not 0 <= lifetime < 1e10:
            return None
        return self._store.now().timestamp() + lifetime - min(_EARLY_S, lifetime / 10)

    def _refusal(self, answer: TokenAnswer, found: Mapping[str, object]) -> MoltlerError:
        endpoint = self._endpoint
        error = found.get("error")
        if answer.status == 429:
            return error_class("API003")(
                "API003", f"{endpoint} wants fewer requests (status 429)",
                retry_after=_retry_after(answer.headers),
            )  # fmt: skip
        if answer.status >= 500 and error not in _OAUTH_ERRORS:
            return error_class("API001")(
                "API001",
                f"{endpoint} is out of order (status {answer.status})",
                hint="try again later",
            )
        said = f"status {answer.status}"
        if isinstance(error, str):
            said = error[:80]
            description = found.get("error_description")
            if isinstance(description, str):
                said += f" ({description[:200]})"
        elif answer.status // 100 == 2:
            said = "its answer has no access_token"
        hint = "check the client id and the client secret in CONFIG"
        if self._client.grant == "refresh_token" and error != "invalid_client":
            hint = "authorise again, and set the secret of the refresh token anew"
        return error_class("API002")(
            "API002", f"{endpoint} refuses the credentials: {self._hide(said)}", hint=hint
        )


async def _enter(lock: AbstractContextManager[None]) -> None:
    """Enter a lock without holding up the loop.

    It waits in a thread of its own: those of the loop are few, and who has the lock needs one.
    """
    loop = asyncio.get_running_loop()
    entered: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if entered.cancelled():
            if error is None:
                lock.__exit__(None, None, None)
        elif error is not None:
            entered.set_exception(error)
        else:
            entered.set_result(None)

    def wait() -> None:
        error: BaseException | None = None
        try:
            lock.__enter__()
        except Exception as failed:  # noqa: BLE001 - raised where the lock is wanted
            error = failed
        try:
            loop.call_soon_threadsafe(settle, error)
        except RuntimeError:  # the loop is closed
            if error is None:
                lock.__exit__(None, None, None)

    threading.Thread(target=wait, name="moltler-oauth-lock", daemon=True).start()
    await entered


def basic(login: str) -> str:
    """Give a login as Basic authentication sends it (RFC 7617)."""
    return base64.b64encode(login.encode("utf-8", "surrogatepass")).decode()


def _document(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _retry_after(headers: tuple[tuple[str, str], ...]) -> float | None:
    value = next((v for n, v in headers if n.lower() == "retry-after"), "")
    return float(value) if value.strip().isdigit() else None
