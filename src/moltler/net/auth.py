"""The clause AUTH: which requests are authenticated, and how (LANGUAGE §4.4)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, cast
from urllib.parse import quote, unquote_plus

from moltler.errors import ErrorContext, MoltlerError
from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import HttpResponse
from moltler.model import AUTH_SCHEMES
from moltler.net.address import WebAddress
from moltler.net.call import NOT_IN_HEADERS, TOKEN, Call, failure
from moltler.net.oauth import Ask, Client, Grant, TokenKeeper, basic
from moltler.net.policy import HostPattern, HostPolicy, host_pattern
from moltler.net.resealing import resealed
from moltler.net.sigv4 import AwsKeys, sign
from moltler.net.spellings import cores, spellings
from moltler.ports import TokenStore
from moltler.schema import JsonValue
from moltler.secret import redact
from moltler.vault.seal import seal_of

Values = Mapping[str, str]
"""The values of a scheme's keys in one instance."""


class Scheme(Protocol):
    """One way to authenticate requests."""

    def leaves_alone(self, call: Call) -> bool:
        """Tell whether the handler has authenticated the call itself."""
        ...

    async def authenticate(self, call: Call) -> Call:
        """Give the call with credentials."""
        ...

    async def renew(self, refused: Call) -> bool:
        """Get other credentials than those of a call that drew a 401; tell whether there are."""
        ...

    @property
    def tokens(self) -> tuple[str, ...]:
        """Credentials that came from elsewhere than the config."""
        ...

    async def close(self) -> None:
        """Finish what is under way."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a scheme may use."""

    store: TokenStore
    ask: Ask
    hide: Callable[[str], str]


class _Still:
    """What schemes without tokens have in common."""

    tokens: tuple[str, ...] = ()

    async def renew(self, refused: Call) -> bool:
        return False

    async def close(self) -> None:
        return


class HeaderScheme(_Still):
    """A header with a fixed value."""

    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value

    def leaves_alone(self, call: Call) -> bool:
        """Tell whether the handler has set the header."""
        return _has_header(call, self._name)

    async def authenticate(self, call: Call) -> Call:
        """Give the call with the header."""
        return replace(call, headers=(*call.headers, (self._name, self._value)))


class QueryScheme(_Still):
    """A parameter of the address."""

    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value

    def leaves_alone(self, call: Call) -> bool:
        """Tell whether the handler has set the parameter."""
        parts = (call.address.query or "").split("&")
        return any(unquote_plus(part.partition("=")[0]) == self._name for part in parts)

    async def authenticate(self, call: Call) -> Call:
        """Give the call with the parameter at the end."""
        value = quote(self._value.encode("utf-8", "surrogatepass"), safe="")
        pair = f"{quote(self._name, safe='')}={value}"
        query = f"{call.address.query}&{pair}" if call.address.query else pair
        return replace(call, address=replace(call.address, query=query))


class AwsScheme(_Still):
    """AWS Signature Version 4."""

    def __init__(self, values: Values, store: TokenStore) -> None:
        self._keys = AwsKeys(
            values["access_key"],
            values["secret_key"],
            values["region"],
            values["service"],
            values.get("session_token"),
        )
        self._store = store

    def leaves_alone(self, call: Call) -> bool:
        """Tell whether the handler has signed itself."""
        return _has_header(call, "authorization")

    async def authenticate(self, call: Call) -> Call:
        """Give the call with its signature."""
        return sign(call, self._keys, self._store.now())


class OAuthScheme:
    """An access token of OAuth 2 as a bearer token."""

    def __init__(self, grant: Grant, values: Values, surroundings: Surroundings) -> None:
        client = Client(
            grant,
            values["token_url"],
            values["client_id"],
            values["client_secret"],
            values.get("refresh_token"),
            values.get("scope"),
            values.get("audience"),
        )
        self._keeper = TokenKeeper(client, surroundings.store, surroundings.ask, surroundings.hide)

    @property
    def tokens(self) -> tuple[str, ...]:
        """Every token so far."""
        return tuple(self._keeper.seen)

    def leaves_alone(self, call: Call) -> bool:
        """Tell whether the handler has set the header Authorization."""
        return _has_header(call, "authorization")

    async def authenticate(self, call: Call) -> Call:
        """Give the call with a token that is good by the clock."""
        token = await self._keeper.access_token()
        return replace(call, headers=(*call.headers, ("Authorization", f"Bearer {token}")))

    async def renew(self, refused: Call) -> bool:
        """Get another token."""
        value = next(v for n, v in refused.headers if n.lower() == "authorization")
        return await self._keeper.replace(value.removeprefix("Bearer "))

    async def close(self) -> None:
        """Let a renewal come to its end."""
        await self._keeper.close()


SCHEMES: Mapping[str, Callable[[Values, Surroundings], Scheme]] = {
    "bearer": lambda v, _: HeaderScheme("Authorization", f"Bearer {v['token']}"),
    "header": lambda v, _: HeaderScheme(v["name"], v["value"]),
    "query": lambda v, _: QueryScheme(v["name"], v["value"]),
    "basic": lambda v, _: HeaderScheme(
        "Authorization", "Basic " + basic(f"{v['username']}:{v['password']}")
    ),
    "oauth2_client_credentials": lambda v, s: OAuthScheme("client_credentials", v, s),
    "oauth2_refresh_token": lambda v, s: OAuthScheme("refresh_token", v, s),
    "aws_sigv4": lambda v, s: AwsScheme(v, s.store),
}


class Authenticator:
    """Authenticates the requests of one instance; on the loop thread only.

    Args:
        target: The instance; without AUTH, or without what the scheme requires, its requests
            leave as the handler wrote them.
        policy: Where it may send secrets.
        store: Where tokens are kept.
        ask: Reaches a token endpoint, past egress and without authentication.
    """

    def __init__(
        self, target: ResolvedConnector, policy: HostPolicy, store: TokenStore, ask: Ask
    ) -> None:
        self._target = target
        self._policy = policy
        self._scheme: Scheme | None = None
        self._patterns: tuple[HostPattern, ...] = ()
        self._seal_key = os.urandom(32)
        auth = target.type.auth
        if auth is None:
            return
        hosts = auth.get("hosts")
        texts = cast("list[str]", hosts) if isinstance(hosts, list) else []
        self._patterns = tuple(p for p in map(host_pattern, texts) if p is not None)
        name = str(auth["scheme"])
        values = _values(auth, target.config)
        if all(key in values for key in AUTH_SCHEMES[name].required):
            around = Surroundings(store, ask, lambda text: redact(text, target.secrets))
            self._scheme = SCHEMES[name](values, around)

    async def authenticated(self, call: Call) -> Call:
        """Give a call, its seals opened, with the credentials of AUTH where they belong.

        Raises:
            FetchFailure: They would travel unencrypted, or a token endpoint cannot be reached.
            MoltlerError: A token endpoint refuses (API002).
        """
        scheme = self._scheme
        if scheme is None or not self._applies(call.address) or scheme.leaves_alone(call):
            return call
        if not self._policy.allows_secret(call.address):
            raise failure(
                call,
                self._target.secrets,
                "SECRET_OVER_HTTP",
                "the credentials of AUTH may not travel over plain http to "
                f"`{call.address.authority}`",
                hint="use https, or name the host with http:// in the instance's CONFIG",
            )
        with self._named():
            signed = await scheme.authenticate(call)
        for name, value in signed.headers:
            if not TOKEN.fullmatch(name) or NOT_IN_HEADERS.search(value):
                raise failure(
                    call,
                    self._target.secrets,
                    "EGRESS_BLOCKED",
                    f"what AUTH gives for the header `{name[:80]!a}` holds a line break or another"
                    " character that headers may not have",
                    hint="set the secret anew, without it",
                )
        return replace(signed, sealed=call.written)

    async def renewed(self, plain: Call, sent: Call) -> Call | None:
        """Give the call to send once more after a 401, or ``None`` if that is pointless.

        Args:
            plain: The call without the credentials of AUTH.
            sent: As it was refused.

        Raises:
            FetchFailure: As `authenticated`.
            MoltlerError: As `authenticated`.
        """
        scheme = self._scheme
        if scheme is None or sent is plain:
            return None
        with self._named():
            is_worth_it = await scheme.renew(sent)
        return await self.authenticated(plain) if is_worth_it else None

    def hidden(self, response: HttpResponse) -> HttpResponse:
        """Give a response without the tokens that AUTH has sent."""
        tokens = self._scheme.tokens if self._scheme is not None else ()
        if not tokens:
            return response
        seals = {token: seal_of(self._seal_key, self._target.name, token) for token in tokens}
        found = [s for token, seal in seals.items() for s in spellings(token, seal)]
        broken = [(c, s.encode()) for token, s in seals.items() for c in cores(token.encode())]
        return resealed(response, found, broken)

    async def close(self) -> None:
        """Finish what is under way."""
        if self._scheme is not None:
            await self._scheme.close()

    @contextmanager
    def _named(self) -> Generator[None]:
        """Let an error of a token endpoint say whose request it was for."""
        try:
            yield
        except MoltlerError as error:
            raise error.within(ErrorContext(connector=self._target.name)) from error.__cause__

    def _applies(self, address: WebAddress) -> bool:
        if address.scheme == "mock" or any(p.matches(address) for p in self._patterns):
            return True
        named = self._policy.named
        return any(n.host == address.host and address.port in {n.port, 443} for n in named)


async def content_of(body: AsyncIterator[bytes], largest: int) -> bytes:
    """Read a body to its end, or to the piece that exceeds the limit, and close it."""
    content = bytearray()
    try:
        async for piece in body:
            content += piece
            if len(content) > largest:
                break
    finally:
        close = getattr(body, "aclose", None)
        if close is not None:
            await close()
    return bytes(content)


def _values(auth: Mapping[str, JsonValue], config: Mapping[str, JsonValue]) -> dict[str, str]:
    """Give the value of each key that has one in an instance."""
    keys = AUTH_SCHEMES[str(auth["scheme"])]
    found: dict[str, str] = {}
    for key in keys.all:
        given = auth.get(key)
        if isinstance(given, dict):
            value = given.get("value")
        elif key in keys.literal or given is None:
            value = given
        else:
            value = _at(config, str(given))
        if isinstance(value, bool):
            value = "true" if value else "false"
        if value is not None and value != "":
            found[key] = str(value)
    # An empty password is one: many APIs take the key as the name of a user without any.
    if "username" in found:
        found.setdefault("password", "")
    return found


def _at(config: Mapping[str, JsonValue], path: str) -> JsonValue:
    first, _, rest = path.partition(".")
    value = config.get(first)
    if rest and isinstance(value, dict):
        return _at(value, rest)
    return None if rest else value


def _has_header(call: Call, name: str) -> bool:
    return any(n.lower() == name.lower() for n, _ in call.headers)
