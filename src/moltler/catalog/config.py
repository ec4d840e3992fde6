"""CONFIG and OPTIONS of instances: measured against the type, secrets kept as references."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, cast

from moltler.catalog.documents import problem_of
from moltler.catalog.options import fit_options
from moltler.catalog.references import (
    automatic_name,
    automatic_secrets,
    check_braces,
    references_in,
    split_references,
    strings_of,
)
from moltler.catalog.values import Misfit, Path, Rules, fit_document, path_text
from moltler.errors import MoltlerError, Problem
from moltler.flow.scan import Warning
from moltler.lang import ast
from moltler.model import Connector, ConnectorType, EnvReference
from moltler.schema import JsonValue, Property

Evaluate: TypeAlias = Callable[[ast.Expr], object]
"""Evaluates one expression now; documents become dicts, NULL becomes ``None``."""
ReadEnv: TypeAlias = Callable[[str], str | None]
"""Gives a variable of the environment, or ``None`` if it is unset."""

Mark: TypeAlias = Callable[[], str]

_RULES = Rules(references=True)
_STAND_IN = "{{secrets.ENV}}"
"""Measured in place of what ENV(…) will give: text, not empty, otherwise unknown."""

__all__ = [
    "NewConnector",
    "alter_config",
    "alter_options",
    "automatic_secrets",
    "build_connector",
    "fits",
    "missing_secrets",
]


def _random_mark() -> str:
    return os.urandom(4).hex()


@dataclass(frozen=True, slots=True)
class NewConnector:
    """A connector ready for the catalog, and what has to happen beside it."""

    connector: Connector
    plain_secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Values to put into the secret store, by their automatic names, before the connector."""
    warnings: tuple[Warning, ...] = ()
    """``plain_secret`` for each of them."""


def build_connector(
    statement: ast.CreateConnector,
    type_: ConnectorType,
    *,
    evaluate: Evaluate,
    read_env: ReadEnv,
    mark: Mark = _random_mark,
) -> NewConnector:
    """Give the instance that a statement creates.

    Args:
        statement: What was written.
        type_: Its registered type (in tests: the draft).
        evaluate: Evaluates the expressions of CONFIG and OPTIONS.
        read_env: For ENV(…) as a whole secret, and to name variables that are unset.
        mark: Gives a text that tells the literal secrets of this statement from earlier ones.

    Raises:
        MoltlerError: CAT004, everything in CONFIG and OPTIONS that does not fit; whatever
            `evaluate` raises.
    """
    draft = Connector(statement.name, type_.name, description=statement.description)
    config = _read_config(draft, statement.config, type_, evaluate, read_env)
    options, problems = _read_options(draft, statement.options, type_, evaluate)
    # What is missing altogether has no place but the statement.
    placed = (
        p if p.span else replace(p, span=statement.span) for p in (*config.problems, *problems)
    )
    _raise(tuple(placed))
    return config.finish(replace(draft, options=options), mark())


def alter_config(
    connector: Connector,
    document: ast.Document,
    type_: ConnectorType,
    *,
    evaluate: Evaluate,
    read_env: ReadEnv,
    mark: Mark = _random_mark,
) -> NewConnector:
    """Give an instance with top-level keys of its CONFIG replaced; NULL removes one.

    Raises:
        MoltlerError: CAT004, everything in the merged CONFIG that does not fit.
    """
    config = _read_config(connector, document, type_, evaluate, read_env)
    _raise(config.problems)
    return config.finish(connector, mark())


def alter_options(
    connector: Connector, document: ast.Document, type_: ConnectorType, *, evaluate: Evaluate
) -> NewConnector:
    """Give an instance with keys of its OPTIONS replaced; NULL removes one.

    Raises:
        MoltlerError: CAT004, everything in the merged OPTIONS that does not fit.
    """
    options, problems = _read_options(connector, document, type_, evaluate)
    _raise(problems)
    return NewConnector(replace(connector, options=options))


def missing_secrets(
    connector: Connector, lookup: Callable[[str], str | None]
) -> tuple[Warning, ...]:
    """Give a warning for each secret that is referred to and does not exist yet.

    Args:
        connector: As built; its automatic secrets are taken as stored.
        lookup: Environment and store, see `moltler.vault.lookup.lookup_secret`.
    """
    stored = automatic_secrets(connector)
    wanted = dict.fromkeys(n for _, n in references_in(connector.config) if n not in stored)
    return tuple(
        Warning(
            "secret_missing",
            f"the secret `{name}` does not exist yet; set it with `moltler secrets set {name}`",
            connector.name,
        )
        for name in wanted
        if lookup(name) is None
    )


def fits(connector: Connector, type_: ConnectorType) -> tuple[Problem, ...]:
    """Tell why an existing instance does not fit a type (DEF008); nothing if it does."""
    _, misfits = fit_document(_with_env(connector), type_.config_schema, ("config",), _RULES)
    _, unfit = fit_options(connector.options, type_)
    return tuple(
        Problem("DEF008", f"connector `{connector.name}`: {m.message}", m.hint, None, m.allowed)
        for m in (*misfits, *unfit)
    )


# ── CONFIG ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Config:
    """A CONFIG as read, before literal secrets are moved away."""

    values: Mapping[str, JsonValue]
    env: Mapping[str, EnvReference]
    type: ConnectorType
    problems: tuple[Problem, ...]

    def finish(self, connector: Connector, mark: str) -> NewConnector:
        """Give the connector with literal secrets replaced by references."""
        plain: dict[str, str] = {}
        moved: list[Warning] = []

        def move(path: Path, value: str) -> str:
            if value == "" or any(not isinstance(p, str) for p in split_references(value)):
                return value
            name = automatic_name(connector.name, path, mark)
            plain[name] = value
            moved.append(
                Warning(
                    "plain_secret",
                    f"the value of `{path_text(('config', *path))}` was moved to the secret store;"
                    " better set it there and write {{secrets.NAME}}",
                    connector.name,
                )
            )
            return f"{{{{secrets.{name}}}}}"

        values = _map_secrets(self.values, self.type.config_schema, (), move)
        return NewConnector(replace(connector, config=values, env=self.env), plain, tuple(moved))


@dataclass(slots=True)
class _Gathering:
    """Reads a CONFIG document expression by expression."""

    evaluate: Evaluate
    read_env: ReadEnv
    env: dict[str, EnvReference] = field(default_factory=dict[str, EnvReference])
    unset: dict[Path, str] = field(default_factory=dict[Path, str])
    """Variables that a value came from and that are not set."""
    misfits: list[Misfit] = field(default_factory=list[Misfit])

    def document(
        self, node: ast.Document, properties: Iterable[Property], path: Path
    ) -> dict[str, object]:
        declared = {p.name: p for p in properties}
        values: dict[str, object] = {}
        for entry in node.members:
            property_, here = declared.get(entry.key), (*path, entry.key)
            nested = None if property_ is None else property_.type.properties
            if property_ is not None and property_.secret and _is_env(entry.value):
                values[entry.key] = self._env_reference(cast("ast.Call", entry.value), here)
            elif nested is not None and isinstance(entry.value, ast.Document):
                values[entry.key] = self.document(entry.value, nested, here)
            else:
                values[entry.key] = self.evaluate(entry.value)
                self._note_unset(entry.value, here)
        return values

    def _env_reference(self, call: ast.Call, path: Path) -> object:
        name, *default = (self.evaluate(a) for a in call.arguments)
        if not isinstance(name, str):
            message = f"ENV in `{path_text(('config', *path))}` needs the name of a variable"
            self.misfits.append(Misfit(("config", *path), message, "write ENV('NAME')"))
            return _STAND_IN
        reference = EnvReference(name, str(default[0]) if default else None)
        self.env[".".join(map(str, path))] = reference
        value = self.read_env(reference.name)
        if value is None and reference.default is None:
            self.misfits.append(_unset(reference.name, ("config", *path)))
            # Counts as given: that the variable is unset is the whole problem.
            return reference
        return value if value is not None else reference.default

    def _note_unset(self, node: ast.Expr, path: Path) -> None:
        if _is_env(node) and isinstance(node, ast.Call) and len(node.arguments) == 1:
            name = str(self.evaluate(node.arguments[0]))
            if self.read_env(name) is None:
                self.unset[path] = name

    def explained(self, misfit: Misfit) -> Misfit:
        """Give a misfit with the unset variable that it came from."""
        name = self.unset.get(misfit.path[1:])
        return misfit if name is None else _unset(name, misfit.path)


def _unset(variable: str, path: Path) -> Misfit:
    return Misfit(
        path,
        f"`{path_text(path)}` comes from the environment variable `{variable}`, which is not set",
        f"set `{variable}`",
    )


def _is_env(node: ast.Expr) -> bool:
    return (
        isinstance(node, ast.Call) and node.name.upper() == "ENV" and len(node.arguments) in {1, 2}
    )


def _read_config(
    connector: Connector,
    document: ast.Document | None,
    type_: ConnectorType,
    evaluate: Evaluate,
    read_env: ReadEnv,
) -> _Config:
    gathering = _Gathering(evaluate, read_env)
    given: dict[str, object] = {}
    if document is not None:
        given = gathering.document(document, type_.config_schema, ())
    kept_env = {k: e for k, e in connector.env.items() if k.partition(".")[0] not in given}
    env = {**kept_env, **gathering.env}
    gathering.misfits += [
        _unset(e.name, ("config", *k.split(".")))
        for k, e in kept_env.items()
        if e.default is None and read_env(e.name) is None
    ]
    merged = _merge(_with_env(connector), given)
    fitted, misfits = fit_document(
        _without_references(merged), type_.config_schema, ("config",), _RULES
    )
    values = _remove_paths(fitted, env)
    misfits = (
        *gathering.misfits,
        *(gathering.explained(m) for m in misfits),
        *filter(None, (check_braces(t, ("config", *p)) for p, t in strings_of(values))),
    )
    problems = tuple(problem_of("CAT004", m, document, skip=1) for m in misfits)
    return _Config(values, env, type_, problems)


def _merge(before: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    # NULL removes a key; a key that stays keeps its place.
    return {k: v for k, v in {**before, **changes}.items() if v is not None}


def _with_env(connector: Connector) -> dict[str, object]:
    """Give a config with a reference where ENV(…) stands, as in what was written."""
    values: dict[str, object] = dict(connector.config)
    for key, reference in connector.env.items():
        _put(values, key.split("."), reference)
    return _without_references(values)


def _without_references(values: Mapping[str, object]) -> dict[str, object]:
    """Give values with a stand-in for each reference to the environment."""
    result: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, EnvReference):
            value = _STAND_IN
        elif isinstance(value, dict):
            value = _without_references(cast("dict[str, object]", value))
        result[key] = value
    return result


def _put(values: dict[str, object], keys: list[str], value: object) -> None:
    first, *rest = keys
    if not rest:
        values[first] = value
        return
    inner = values.get(first)
    copied: dict[str, object] = (
        dict(cast("dict[str, object]", inner)) if isinstance(inner, dict) else {}
    )
    _put(copied, rest, value)
    values[first] = copied


def _remove_paths(values: Mapping[str, JsonValue], paths: Iterable[str]) -> dict[str, JsonValue]:
    """Give values without what comes from the environment, which is not stored."""
    result = dict(values)
    for path in paths:
        first, _, rest = path.partition(".")
        if not rest:
            result.pop(first, None)
            continue
        inner = result.get(first)
        if isinstance(inner, dict):
            result[first] = _remove_paths(inner, (rest,))
    return result


def _map_secrets(
    values: Mapping[str, JsonValue],
    properties: Iterable[Property],
    path: Path,
    change: Callable[[Path, str], str],
) -> dict[str, JsonValue]:
    result = dict(values)
    for declared in properties:
        value = result.get(declared.name)
        here = (*path, declared.name)
        if declared.secret and isinstance(value, str):
            result[declared.name] = change(here, value)
        elif declared.type.properties is not None and isinstance(value, dict):
            result[declared.name] = _map_secrets(value, declared.type.properties, here, change)
    return result


# ── OPTIONS ──────────────────────────────────────────────────────────────────────────────────


def _read_options(
    connector: Connector, document: ast.Document | None, type_: ConnectorType, evaluate: Evaluate
) -> tuple[dict[str, JsonValue], tuple[Problem, ...]]:
    given: dict[str, object] = {}
    if document is not None:
        given = {m.key: evaluate(m.value) for m in document.members}
    fitted, misfits = fit_options(_merge(connector.options, given), type_)
    return fitted, tuple(problem_of("CAT004", m, document, skip=1) for m in misfits)


def _raise(problems: tuple[Problem, ...]) -> None:
    if problems:
        raise MoltlerError.of(problems)
