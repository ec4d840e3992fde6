"""Credentials: that none stands in a text, and that settings which hold one are sealed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tree_sitter import Node

from moltler.lint.finding import Finding
from moltler.lint.subject import Subject
from moltler.lint.syntax import Module, field_text, literal, text_of
from moltler.schema import JsonValue, Property

_SHAPES = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:
        gh[pousr]_[A-Za-z0-9]{36,} | github_pat_[A-Za-z0-9_]{50,} | glpat-[A-Za-z0-9_-]{20,}
      | xox[abeoprs]-[A-Za-z0-9-]{10,} | xapp-[0-9]-[A-Za-z0-9-]{20,}
      | (?:AKIA|ASIA)[0-9A-Z]{16} | AIza[0-9A-Za-z_-]{35}
      | [sr]k_(?:live|test)_[A-Za-z0-9]{16,} | sk-[A-Za-z0-9][A-Za-z0-9_-]{30,}
      | SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,} | ATATT3x[A-Za-z0-9_=-]{20,}
      | eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}
      | -----BEGIN\ (?:[A-Z]+\ )*PRIVATE\ KEY-----
    )""",
    re.VERBOSE,
)
_SCHEME = re.compile(r"(?:Bearer|Basic|Token|token)\s+(?P<value>\S+)")
_RANDOM = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_+/=.:-]{12,}")
_HOLDERS = re.compile(
    r"(?:^|_)(?:api_?key|access_?key|secret_?key|private_?key|auth_?key|app_?key|application_?key"
    r"|token|secret|password|passwd|passphrase|credentials?|authorization|pat)$"
)
_SECRET_AUTH_KEYS = frozenset(
    {"token", "value", "password", "client_secret", "refresh_token", "secret_key", "session_token"}
)


def find_credential(text: str) -> str | None:
    """Give the start of the first credential of a well-known shape, or ``None``.

    >>> find_credential("use AKIA" + "IOSFODNN7EXAMPLX")
    'AKIA…'
    >>> find_credential("use {{secrets.key}}") is None
    True
    """
    found = _SHAPES.search(text)
    return None if found is None else f"{found[0][:4]}…"


def holds_credential(name: str) -> bool:
    """Tell whether a setting of that name is meant for a credential.

    >>> holds_credential("apiKey"), holds_credential("token_url"), holds_credential("page_token")
    (True, False, True)
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
    return _HOLDERS.search(snake) is not None


def in_handler(module: Module) -> Iterator[Finding]:
    """LNT001 in JavaScript: of a well-known shape, or where a credential belongs."""
    for node in module.nodes:
        if node.type in {"string", "template_string", "comment"}:
            shown = find_credential(text_of(node))
            if shown is None and node.type != "comment" and _is_given_as_credential(node):
                shown = "a fixed text"
            if shown is not None:
                yield Finding(
                    "LNT001",
                    f"a credential stands in the handler ({shown})",
                    'declare a setting with "secret": true, and store the value with '
                    "`moltler secrets set`",
                    module.place(node),
                )


def in_definition(subject: Subject) -> Iterator[Finding]:
    """LNT001 to LNT003 in the settings of a type."""
    type_ = subject.type
    fed = {
        name.lower()
        for key, name in (type_.auth or {}).items()
        if key in _SECRET_AUTH_KEYS and isinstance(name, str)
    }
    for declared in type_.config_schema:
        place = subject.place("config", declared.name)
        default = declared.default
        if (declared.secret and default not in (None, "")) or _has_credential(default):
            yield Finding(
                "LNT001",
                f"`{declared.name}` has a credential as its default",
                'take "default" away; each connector names its own secret',
                place,
            )
        if declared.secret or not _can_hold_text(declared):
            continue
        if holds_credential(declared.name) or declared.name.lower() in fed:
            yield Finding(
                "LNT002",
                f"`{declared.name}` holds a credential and is not secret: handlers, logs and SHOW "
                "see it in plain",
                f'write "{declared.name}": {{"type": "string", "secret": true, …}}',
                place,
            )
    for declared in type_.config_schema:
        if declared.expose and not declared.expose_reason:
            yield Finding(
                "LNT003",
                f"the handler gets `{declared.name}` in plain, and nothing says why",
                'add "expose_reason", or take "expose" away: fetch opens sealed secrets itself',
                subject.place("config", declared.name),
            )


def _can_hold_text(declared: Property) -> bool:
    return declared.type.name in {"string", "any"} and declared.enum is None


def _has_credential(value: JsonValue) -> bool:
    match value:
        case str():
            return find_credential(value) is not None
        case list():
            return any(_has_credential(item) for item in value)
        case dict():
            return any(_has_credential(item) for item in value.values())
        case _:
            return False


def _is_given_as_credential(node: Node) -> bool:
    text, around = literal(node), node.parent
    if text is None or around is None:
        return False
    scheme = _SCHEME.fullmatch(text)
    if scheme is not None and _RANDOM.fullmatch(scheme["value"]):
        return True
    field = {
        "pair": "key",
        "assignment_expression": "left",
        "variable_declarator": "name",
    }.get(around.type)
    if field is None or around.child_by_field_name(field) == node:
        return False
    name = field_text(around, field).rpartition(".")[2].strip("'\"")
    return holds_credential(name) and _RANDOM.fullmatch(text) is not None
