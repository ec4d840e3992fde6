"""The clause AUTH: a scheme, and the config properties that feed it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from moltler.catalog.documents import kind_of, literal_value, member
from moltler.errors import Problem, Span, near_match
from moltler.lang import ast
from moltler.model import AUTH_SCHEMES, AuthKeys
from moltler.schema import SCALARS, JsonValue, Property, Schema

_COMMON = ("scheme", "hosts")
CheckHost = Callable[[str, Span], Iterable[Problem]]


def read_auth(
    document: ast.Document | None,
    config: Schema,
    problems: list[Problem],
    *,
    check_host: CheckHost,
) -> dict[str, JsonValue] | None:
    """Give the clause as the catalog keeps it and add everything wrong with it to `problems`.

    Args:
        document: Literals only; ``None`` without the clause.
        config: What its keys may name.
        problems: Grows by DEF001, DEF006 and what `check_host` finds.
        check_host: Tells what is wrong with a pattern in ``hosts``.
    """
    if document is None:
        return None
    reader = _Reader(config, problems)
    scheme = reader.scheme(document)
    if scheme is not None:
        name, keys = scheme
        reader.check_keys(document, name, keys)
    hosts = member(document, "hosts")
    if hosts is not None:
        reader.hosts(hosts.value, check_host)
    return {m.key: literal_value(m.value) for m in document.members}


@dataclass(slots=True)
class _Reader:
    config: Schema
    problems: list[Problem]

    def scheme(self, document: ast.Document) -> tuple[str, AuthKeys] | None:
        found = member(document, "scheme")
        name = None if found is None else _text(found.value)
        if name is not None and name in AUTH_SCHEMES:
            return name, AUTH_SCHEMES[name]
        names = tuple(AUTH_SCHEMES)
        if found is None:
            hint = 'write {"scheme": "bearer", "token": "api_key"}'
            self._refuse(document.span, "AUTH names no scheme", hint, names)
        elif name is None:
            what = f"`scheme` in AUTH must be text, found {kind_of(found.value)}"
            self._refuse(found.value.span, what, None, names)
        else:
            near = near_match(name, names)
            hint = f"did you mean `{near}`?" if near else "choose one of them"
            self._refuse(found.value.span, f"AUTH names the unknown scheme `{name}`", hint, names)
        return None

    def check_keys(self, document: ast.Document, scheme: str, keys: AuthKeys) -> None:
        allowed = (*_COMMON, *keys.all)
        for entry in document.members:
            if entry.key in keys.all:
                self._value(entry, is_literal=entry.key in keys.literal)
            elif entry.key not in _COMMON:
                near = near_match(entry.key, allowed)
                self._refuse(
                    entry.key_span,
                    f"AUTH of the scheme `{scheme}` has the unknown key `{entry.key}`",
                    f"did you mean `{near}`?" if near else "leave it out",
                    allowed,
                )
        for key in keys.required:
            if member(document, key) is None:
                what = f"AUTH of the scheme `{scheme}` needs the key `{key}`"
                hint = f'add "{key}": and the name of a property of CONFIG_SCHEMA'
                if key in keys.literal:
                    hint = f'add "{key}": and a name, such as "X-Api-Key"'
                self._refuse(document.span, what, hint, allowed)

    def hosts(self, node: ast.Expr, check_host: CheckHost) -> None:
        if not isinstance(node, ast.Array):
            what = f"`hosts` in AUTH must be an array of hosts, found {kind_of(node)}"
            self._refuse(node.span, what, "write ['api.example.com']")
            return
        for item in node.items:
            text = _text(item)
            if text is None:
                what = f"`hosts` in AUTH holds hosts in quotes, found {kind_of(item)}"
                self._refuse(item.span, what, "write 'api.example.com'")
            else:
                self.problems += check_host(text, item.span)

    def _value(self, entry: ast.DocumentMember, *, is_literal: bool) -> None:
        node = entry.value
        if isinstance(node, ast.Document):
            inner = member(node, "value")
            if len(node.members) != 1 or inner is None or _text(inner.value) is None:
                what = f"the value of `{entry.key}` in AUTH is not written as one"
                self._refuse(node.span, what, 'write {"value": "…"}')
            return
        name = _text(node)
        if name is None:
            what = (
                f"`{entry.key}` in AUTH must name a config property, or be a value written as"
                f' {{"value": "…"}}; found {kind_of(node)}'
            )
            self._refuse(node.span, what, None)
        elif not is_literal:
            self._config_key(entry.key, name, node.span)
        elif not name.strip():
            self._refuse(node.span, f"`{entry.key}` in AUTH is empty", "write a name")

    def _config_key(self, key: str, name: str, span: Span) -> None:
        declared = _find(self.config, name)
        if declared is None:
            near = near_match(name, self.config.names)
            self._refuse(
                span,
                f"`{key}` in AUTH names `{name}`, which is not in CONFIG_SCHEMA",
                f"did you mean `{near}`?"
                if near
                else f'declare it, or write {{"value": "{name}"}}',
                self.config.names,
            )
        elif declared.type.name not in SCALARS:
            self.problems.append(
                Problem(
                    "DEF006",
                    f"`{key}` in AUTH names `{name}`, which is of type {declared.type}",
                    "name a property that holds text",
                    span,
                )
            )

    def _refuse(
        self, span: Span, message: str, hint: str | None, allowed: Iterable[str] = ()
    ) -> None:
        self.problems.append(Problem("DEF001", message, hint, span, tuple(allowed)))


def _find(schema: Schema, path: str) -> Property | None:
    """Give the property at a path of names joined by dots."""
    first, _, rest = path.partition(".")
    found = next((p for p in schema if p.name == first), None)
    if found is None or not rest:
        return found
    return _find(Schema(found.type.properties or ()), rest)


def _text(node: ast.Expr) -> str | None:
    if isinstance(node, ast.Literal) and isinstance(node.value, str):
        return node.value
    return None
