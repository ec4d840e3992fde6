"""An instance made ready for a call: its config in plain and sealed, limits and settings."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from moltler.catalog.config import fits
from moltler.catalog.options import call_limits, own_settings
from moltler.catalog.references import Reference, split_references
from moltler.catalog.values import Path, path_text, with_defaults
from moltler.errors import MoltlerError, Problem
from moltler.flow.connector import ResolvedConnector
from moltler.model import Connector, ConnectorType, EnvReference
from moltler.schema import JsonValue, Property
from moltler.secret import Secret
from moltler.vault.seal import seal_of

_VERSION_KEY = os.urandom(32)
# Credential versions end up in cache keys and logs; under a key of this process nobody can try
# out values against them. They are only ever compared within the process.
_SEAL_KEY = os.urandom(32)


def resolve(
    connector: Connector,
    type_: ConnectorType,
    revision: int,
    *,
    lookup: Callable[[str], str | None],
    environ: Mapping[str, str],
    seal_key: Callable[[], bytes] = lambda: _SEAL_KEY,
) -> ResolvedConnector:
    """Give an instance as one call needs it.

    Args:
        connector: As the catalog has it.
        type_: Its registered revision (in tests: the draft).
        revision: The number of that revision.
        lookup: Gives a secret by name, or ``None``; see `moltler.vault.lookup.lookup_secret`.
        environ: For secret properties that ENV(…) gives.
        seal_key: Gives the key of the seals, asked for if there is something to seal; without it
            seals are the same within this process only.

    Returns:
        Its `config` holds plain secrets, its `sealed_config` seals; its `secrets` name the config
        key each belongs to: the whole value of a ``secret`` property, and each referenced secret
        inside longer text. Its
        `credential_version` is stable within this process, and only there.

    Raises:
        MoltlerError: CAT004, the config does not fit this revision (it was registered with
            FORCE); CAT005, secrets or variables that it refers to are missing. All at once.
    """
    unfit = fits(connector, type_)
    if unfit:
        raise MoltlerError.of(tuple(_as_config_error(p, type_) for p in unfit))
    resolving = _Resolving(connector, lookup, environ, seal_key)
    given = with_defaults(_with_env(connector), type_.config_schema)
    config, sealed = resolving.document(given, type_.config_schema, ())
    if resolving.problems:
        raise MoltlerError.of(tuple(resolving.problems))
    secrets = tuple(dict.fromkeys(resolving.secrets))
    return ResolvedConnector(
        connector,
        type_,
        revision,
        config,
        secrets,
        _version_of(secrets),
        call_limits(connector.options, type_),
        own_settings(connector.options, type_),
        sealed,
    )


def _as_config_error(problem: Problem, type_: ConnectorType) -> Problem:
    hint = (
        problem.hint or f"it was made for another revision of `{type_.name}`; use ALTER CONNECTOR"
    )
    return replace(problem, code="CAT004", hint=hint)


def _version_of(secrets: Iterable[Secret]) -> str:
    digest = hmac.new(_VERSION_KEY, digestmod="sha256")
    for secret in secrets:
        for part in (secret.name, secret.reveal()):
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()[:32]


def _with_env(connector: Connector) -> dict[str, JsonValue]:
    """Give the config with an empty text where ENV(…) stands, so that every key has its place."""
    values = dict(connector.config)
    for key in connector.env:
        values = _placed(values, key.split("."), "")
    return values


def _placed(values: Mapping[str, JsonValue], keys: list[str], value: str) -> dict[str, JsonValue]:
    first, *rest = keys
    inner = values.get(first)
    nested = inner if isinstance(inner, dict) else {}
    return {**values, first: _placed(nested, rest, value) if rest else value}


@dataclass(slots=True)
class _Resolving:
    """Gives each part of a config twice: in plain, and as JavaScript sees it."""

    connector: Connector
    lookup: Callable[[str], str | None]
    environ: Mapping[str, str]
    seal_key: Callable[[], bytes]
    secrets: list[Secret] = field(default_factory=list[Secret])
    problems: list[Problem] = field(default_factory=list[Problem])

    def document(
        self, values: Mapping[str, JsonValue], properties: Iterable[Property], path: Path
    ) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
        declared = {p.name: p for p in properties}
        both = {k: self._value(v, declared.get(k), (*path, k)) for k, v in values.items()}
        return {k: plain for k, (plain, _) in both.items()}, {k: s for k, (_, s) in both.items()}

    def _value(
        self, value: JsonValue, declared: Property | None, path: Path
    ) -> tuple[JsonValue, JsonValue]:
        is_exposed = declared is not None and declared.expose
        variable = self.connector.env.get(".".join(map(str, path)))
        if variable is not None:
            plain = self._variable(variable, path)
            return plain, self._noted(plain, path, is_exposed=is_exposed)
        match value:
            case str() if declared is not None and declared.secret:
                plain, _ = self._text(value, path, is_exposed=is_exposed)
                return plain, self._noted(plain, path, is_exposed=is_exposed)
            case str():
                return self._text(value, path, is_exposed=False)
            case list():
                both = [self._value(v, None, (*path, i)) for i, v in enumerate(value)]
                return [plain for plain, _ in both], [sealed for _, sealed in both]
            case dict():
                nested = declared.type.properties if declared is not None else None
                return self.document(value, nested or (), path)
            case _:
                return value, value

    def _text(self, text: str, path: Path, *, is_exposed: bool) -> tuple[str, str]:
        plain: list[str] = []
        sealed: list[str] = []
        for part in split_references(text):
            value = part if isinstance(part, str) else self._secret(part, path)
            plain.append(value)
            is_secret = not isinstance(part, str)
            sealed.append(self._noted(value, path, is_exposed=is_exposed) if is_secret else value)
        return "".join(plain), "".join(sealed)

    def _noted(self, value: str, path: Path, *, is_exposed: bool) -> str:
        """Note a secret and give what JavaScript sees of it; an empty text is none."""
        if not value:
            return value
        seal = None if is_exposed else seal_of(self.seal_key(), self.connector.name, value)
        self.secrets.append(Secret(path_text(path), value, seal))
        return value if seal is None else seal

    def _secret(self, reference: Reference, path: Path) -> str:
        value = self.lookup(reference.name)
        if value is None:
            self._missing(
                f"the secret `{reference.name}` is missing",
                path,
                f"moltler secrets set {reference.name}",
            )
        return value or ""

    def _variable(self, reference: EnvReference, path: Path) -> str:
        value = self.environ.get(reference.name, reference.default)
        if value is None:
            self._missing(
                f"the environment variable `{reference.name}` is not set",
                path,
                f"export {reference.name}=…",
            )
        return value or ""

    def _missing(self, what: str, path: Path, command: str) -> None:
        self.problems.append(
            Problem(
                "CAT005",
                f"{what}; connector `{self.connector.name}` needs it for"
                f" `{path_text(('config', *path))}`",
                f"run `{command}`",
            )
        )
