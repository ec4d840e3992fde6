"""Recorded HTTP traffic of one test as a file that holds no secret (LANGUAGE §10.4)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias, cast

import msgspec

from moltler.errors import MoltlerError, error_class
from moltler.net.address import BadAddress, parse_address
from moltler.net.cassette_redaction import Redactor
from moltler.net.mock_reading import to_json
from moltler.schema import JsonValue

FORMAT_VERSION = 1
_AGAIN = "record it again with `moltler test --record`"
_SAFE_NAME = re.compile(r"\w[\w ,()+='-]{0,99}")
Pairs: TypeAlias = tuple[tuple[str, str], ...]


class Body(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A body: exactly one of the three, or none of them where there is no body."""

    json: object = msgspec.UNSET
    text: str | None = None
    base64: str | None = None

    def content(self) -> bytes:
        """Give the bytes."""
        if self.json is not msgspec.UNSET:
            return to_json(cast("JsonValue", self.json)).encode("utf-8", "surrogatepass")
        if self.base64 is not None:
            return base64.b64decode(self.base64, validate=True)
        return (self.text or "").encode("utf-8", "surrogatepass")


class RecordedRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request, without secrets."""

    method: str
    url: str
    headers: Pairs = ()
    body: Body = Body()


class RecordedFailure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What kept a response, or the rest of one, from arriving."""

    code: str
    message: str


class RecordedResponse(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A response, without secrets, its body decoded."""

    status: int
    status_text: str
    url: str
    headers: Pairs = ()
    redirected: bool = False
    body: Body = Body()
    broken: RecordedFailure | None = None
    """The body ended with this."""


class Exchange(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A request and what came of it; with neither, the handler gave it up."""

    connector: str
    request: RecordedRequest
    response: RecordedResponse | None = None
    failure: RecordedFailure | None = None


@dataclass(frozen=True, slots=True)
class Cassette:
    """The recorded traffic of one test."""

    type: str
    test: str
    started: datetime
    """The instant at which the test's clock starts."""
    seed: int
    """What its random numbers come from."""
    env: Mapping[str, str | None]
    """What ENV() gave; ``None`` for a variable that was not set."""
    exchanges: tuple[Exchange, ...]
    guard: Redactor = field(default_factory=lambda: Redactor(()), compare=False, repr=False)
    """Knows the values that may not be written."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format_version: int
    type: str
    test: str
    started: str
    seed: int
    env: dict[str, str | None]
    exchanges: tuple[Exchange, ...]


def body_of(content: bytes | None, redactor: Redactor) -> Body:
    """Give a body as a cassette holds it: JSON as JSON if nothing of it would change."""
    if not content:
        return Body()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return Body(base64=base64.b64encode(redactor.bytes(content)).decode())
    value = _faithful(text)
    if value is msgspec.UNSET:
        return Body(text=redactor.text(text))
    return Body(json=redactor.json(cast("JsonValue", value)))


def cassette_path(folder: Path, type_name: str, test: str) -> Path:
    """Give where the cassette of a test lies, from the folder of the test's file."""
    return folder / "cassettes" / _file_name(type_name) / f"{_file_name(test)}.json"


def write_cassette(path: Path, cassette: Cassette) -> None:
    """Write a cassette, whole or not at all.

    Raises:
        MoltlerError: TST005, it would hold a secret; nothing is written then.
        OSError: The file cannot be written.
    """
    started = cassette.started.astimezone(UTC).isoformat().replace("+00:00", "Z")
    file = _File(
        FORMAT_VERSION,
        cassette.type,
        cassette.test,
        started,
        cassette.seed,
        dict(cassette.env),
        cassette.exchanges,
    )
    # msgspec writes no integers beyond 64 bits, so the standard library does the last step.
    plain = _without_unset(msgspec.to_builtins(file))
    text = json.dumps(plain, ensure_ascii=False, indent=2) + "\n"
    if re.search("[\ud800-\udfff]", text):
        text = json.dumps(plain, indent=2) + "\n"  # half a pair has no UTF-8, only an escape
    if name := cassette.guard.leak(text):
        raise error_class("TST005")(
            "TST005",
            f"the cassette would hold the value of the secret `{name}`, so it is not written",
            hint="give the secret a value that is not part of ordinary text, and record again",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=".cassette-", delete=False
    ) as draft:
        try:
            draft.write(text)
            draft.close()
            Path(draft.name).chmod(0o644)
            Path(draft.name).replace(path)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise


def read_cassette(path: Path) -> Cassette:
    """Read a cassette.

    Raises:
        MoltlerError: TST005, the file is no cassette, or one of another version.
        OSError: The file cannot be read.
    """
    try:
        value = cast("object", json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, f"is not JSON: {error}") from error
    version = cast("dict[str, object]", value).get("format_version") if _is_dict(value) else None
    if isinstance(version, int) and version != FORMAT_VERSION:
        newer = version > FORMAT_VERSION
        raise error_class("TST005")(
            "TST005",
            f"the cassette `{path}` has format version {version}; this Moltler reads "
            f"{FORMAT_VERSION}",
            hint=f"update Moltler, or {_AGAIN}" if newer else _AGAIN,
        )
    try:
        file = msgspec.convert(value, _File)
        started = datetime.fromisoformat(file.started)
        # Beyond the years that there are in UTC it overflows.
        started = started.astimezone(UTC) if started.tzinfo else started.replace(tzinfo=UTC)
        for exchange in file.exchanges:
            _check(exchange)
    except (msgspec.ValidationError, ValueError, OverflowError, binascii.Error) as error:
        raise _unreadable(path, f"is no cassette: {error}") from error
    return Cassette(file.type, file.test, started, file.seed, file.env, file.exchanges)


def _unreadable(path: Path, why: str) -> MoltlerError:
    return error_class("TST005")("TST005", f"the cassette `{path}` {why}", hint=_AGAIN)


def _is_dict(value: object) -> bool:
    return isinstance(value, dict)


def _check(exchange: Exchange) -> None:
    exchange.request.body.content()
    try:
        parse_address(exchange.request.url)
    except BadAddress as error:
        raise ValueError(f"`{exchange.request.url}` is no address: {error}") from error
    if exchange.response is not None:
        exchange.response.body.content()
        if not 100 <= exchange.response.status <= 599:
            raise ValueError(f"{exchange.response.status} is no status")


def _without_unset(value: object) -> object:
    match value:
        case dict():
            pairs = cast("dict[str, object]", value).items()
            return {k: _without_unset(v) for k, v in pairs if v is not msgspec.UNSET}
        case list() | tuple():
            return [_without_unset(item) for item in cast("list[object]", value)]
        case _:
            return value


def _faithful(text: str) -> object:
    """Read JSON that comes back equal when it is written again, else ``UNSET``.

    Numbers such as 1e400, and documents with a key twice, do not.
    """

    def exact(source: str) -> object:
        return json.loads(source, parse_float=Decimal, object_pairs_hook=list)

    try:
        value = cast("JsonValue", json.loads(text, parse_constant=_refuse))
        return value if exact(to_json(value)) == exact(text) else msgspec.UNSET
    except (ValueError, RecursionError):
        return msgspec.UNSET


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def _file_name(name: str) -> str:
    if _SAFE_NAME.fullmatch(name):
        return name
    slug = re.sub(r"[^0-9A-Za-z_-]+", "-", name)[:80].strip("-") or "test"
    return f"{slug}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
