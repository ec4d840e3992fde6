"""An instance made ready for a call: config with its secrets in plain, limits and settings."""

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

_VERSION_KEY = os.urandom(32)
# Credential versions end up in cache keys and logs; under a key of this process nobody can try
# out values against them. They are only ever compared within the process.


def resolve(
    connector: Connector,
    type_: ConnectorType,
    revision: int,
    *,
    lookup: Callable[[str], str | None],
    environ: Mapping[str, str],
) -> ResolvedConnector:
    """Give an instance as one call needs it.

    Args:
        connector: As the catalog has it.
        type_: Its registered revision (in tests: the draft).
        revision: The number of that revision.
        lookup: Gives a secret by name, or ``None``; see `moltler.vault.lookup.lookup_secret`.
        environ: For secret properties that ENV(…) gives.

    Returns:
        Its `config` holds plain secrets; its `secrets` name the config key each belongs to: the
        whole value of a ``secret`` property, and each referenced secret inside longer text. Its
        `credential_version` is stable within this process, and only there.

    Raises:
        MoltlerError: CAT004, the config does not fit this revision (it was registered with
            FORCE); CAT005, secrets or variables that it refers to are missing. All at once.
    """
    unfit = fits(connector, type_)
    if unfit:
        raise MoltlerError.of(tuple(_as_config_error(p, type_) for p in unfit))
    resolving = _Resolving(connector, lookup, environ)
    given = with_defaults(_with_env(connector), type_.config_schema)
    config = resolving.document(given, type_.config_schema, ())
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
    connector: Connector
    lookup: Callable[[str], str | None]
    environ: Mapping[str, str]
    secrets: list[Secret] = field(default_factory=list[Secret])
    problems: list[Problem] = field(default_factory=list[Problem])

    def document(
        self, values: Mapping[str, JsonValue], properties: Iterable[Property], path: Path
    ) -> dict[str, JsonValue]:
        declared = {p.name: p for p in properties}
        return {k: self._value(v, declared.get(k), (*path, k)) for k, v in values.items()}

    def _value(self, value: JsonValue, declared: Property | None, path: Path) -> JsonValue:
        variable = self.connector.env.get(".".join(map(str, path)))
        if variable is not None:
            return self._whole_secret(self._variable(variable, path), path)
        match value:
            case str() if declared is not None and declared.secret:
                return self._whole_secret(self._text(value, path), path)
            case str():
                return self._text(value, path)
            case list():
                return [self._value(v, None, (*path, i)) for i, v in enumerate(value)]
            case dict():
                nested = declared.type.properties if declared is not None else None
                return self.document(value, nested or (), path)
            case _:
                return value

    def _whole_secret(self, value: str, path: Path) -> str:
        if value:
            self.secrets.append(Secret(path_text(path), value))
        return value

    def _text(self, text: str, path: Path) -> str:
        parts: list[str] = []
        for part in split_references(text):
            if isinstance(part, str):
                parts.append(part)
                continue
            value = self._secret(part, path)
            if value:
                self.secrets.append(Secret(path_text(path), value))
            parts.append(value)
        return "".join(parts)

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
