"""The recording of a test's live requests."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import FetchFailure, HttpRequest, HttpResponse
from moltler.net.address import BadAddress
from moltler.net.call import Headers
from moltler.net.cassette import (
    Cassette,
    Exchange,
    RecordedFailure,
    RecordedRequest,
    RecordedResponse,
    body_of,
)
from moltler.net.cassette_redaction import (
    CREDENTIAL_HEADERS,
    Redactor,
    credentials,
    placeholder,
    says_secret,
    tokens,
)
from moltler.net.seals import opened_request
from moltler.ports import Transport, Waits
from moltler.secret import Secret

_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection"})


@dataclass
class _Take:
    """One exchange as it happens; secrets are still in it."""

    connector: str
    request: HttpRequest
    response: HttpResponse | None = None
    content: bytearray = field(default_factory=bytearray, repr=False)
    failure: FetchFailure | None = None


class Recorder:
    """Records what live transports send and receive; `transport` is for ``MockWorld(live=…)``.

    Args:
        live: Opens the real transport of an instance.
        secrets: Values to keep out besides those of the instances.
    """

    def __init__(
        self, live: Callable[[ResolvedConnector], Transport], secrets: Iterable[Secret] = ()
    ) -> None:
        self._live = live
        self._lock = threading.Lock()
        self._secrets: dict[Secret, None] = dict.fromkeys(secrets)
        self._takes: list[_Take] = []

    def transport(self, target: ResolvedConnector) -> Transport:
        """Open the recorded transport of an instance."""
        with self._lock:
            self._secrets.update(dict.fromkeys(target.secrets))
        return _RecordingTransport(self, target, self._live(target))

    def begin(self, target: ResolvedConnector, request: HttpRequest) -> _Take:
        """Note a request, with its seals opened, in its order."""
        with self._lock:
            self._secrets.update(dict.fromkeys(target.secrets))
            self._takes.append(take := _Take(target.name, request))
        return take

    def cassette(
        self,
        *,
        type_name: str,
        test: str,
        started: datetime,
        seed: int,
        env: Mapping[str, str | None],
        secret_env: Collection[str] = (),
    ) -> Cassette:
        """Give what was recorded so far, without secrets.

        Args:
            type_name: The connector type of the test.
            test: Its name.
            started: The instant its clock started at.
            seed: What its random numbers came from.
            env: What ENV() gave.
            secret_env: Variables whose values are secret, wherever they went; those whose
                names say so need not be among them.

        Raises:
            MoltlerError: TST005, a body holds a secret that cannot be taken out.
        """
        with self._lock:
            takes = list(self._takes)
            secrets = dict(self._secrets)
        for name in secret_env:
            if value := env.get(name):
                secrets[Secret(name, value)] = None
        # A secret of an instance keeps its own name, wherever its value came from.
        named = {s.reveal() for s in secrets}
        for name, value in env.items():
            if value and value not in named and says_secret(name, value):
                secrets[Secret(name, value)] = None
        for take in takes:
            secrets.update(dict.fromkeys(credentials(_by_name(take.request.headers))))
            secrets.update(dict.fromkeys(tokens(bytes(take.content))))
            if take.response is not None:
                secrets.update(dict.fromkeys(credentials(_by_name(take.response.headers))))
        redactor = Redactor(secrets)
        clean = {n: None if v is None else redactor.setting(v) for n, v in env.items()}
        exchanges = tuple(_exchange(take, redactor) for take in takes)
        return Cassette(type_name, test, started, seed, clean, exchanges, redactor)


class _RecordingTransport:
    """A transport of one instance that notes what passes (`ports.Transport`)."""

    def __init__(self, recorder: Recorder, target: ResolvedConnector, live: Transport) -> None:
        self._recorder = recorder
        self._target = target
        self._live = live

    @property
    def waits(self) -> Waits:
        return self._live.waits

    async def send(
        self, request: HttpRequest, *, before_write: Callable[[], None] | None = None
    ) -> HttpResponse:
        try:
            opened = opened_request(request, self._target)
        except BadAddress:
            # The live transport refuses it, and nothing leaves.
            return await self._live.send(request, before_write=before_write)
        take = self._recorder.begin(self._target, opened)
        try:
            response = await self._live.send(request, before_write=before_write)
        except FetchFailure as failure:
            take.failure = failure
            raise
        take.response = response
        return HttpResponse(
            response.status,
            response.status_text,
            response.headers,
            response.url,
            response.redirected,
            _RecordedBody(take, response.body),
        )

    async def close(self) -> None:
        await self._live.close()


class _RecordedBody(AsyncIterator[bytes]):
    """A body whose pieces are kept as the handler reads them."""

    def __init__(self, take: _Take, body: AsyncIterator[bytes]) -> None:
        self._take = take
        self._body = body

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._body)
        except FetchFailure as failure:
            self._take.failure = failure
            raise
        self._take.content += piece
        return piece

    async def aclose(self) -> None:
        """Release the connection."""
        close = getattr(self._body, "aclose", None)
        if close is not None:
            await close()


def _exchange(take: _Take, redactor: Redactor) -> Exchange:
    request = RecordedRequest(
        take.request.method,
        redactor.text(take.request.url),
        _headers(take.request.headers, redactor),
        body_of(take.request.body, redactor),
    )
    failure = None
    if take.failure is not None:
        failure = RecordedFailure(take.failure.code, redactor.text(str(take.failure)))
    if take.response is None:
        return Exchange(take.connector, request, None, failure)
    response = RecordedResponse(
        take.response.status,
        redactor.text(take.response.status_text),
        # Of the request as it was opened: a seal means nothing on another machine.
        redactor.text(take.response.url if take.response.redirected else take.request.url),
        _headers(take.response.headers, redactor),
        take.response.redirected,
        body_of(bytes(take.content), redactor),
        failure,
    )
    return Exchange(take.connector, request, response)


def _headers(headers: Headers, redactor: Redactor) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, placeholder(name) if name.lower() in CREDENTIAL_HEADERS else redactor.text(value))
        for name, value in headers
        if name.lower() not in _OF_THE_WIRE
    )


def _by_name(headers: Headers) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found
