"""Text that looks like a credential, which no package may hold."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from moltler.errors import Problem, ScriptPosition
from moltler.model import ConnectorType
from moltler.registry.package import PackedTest
from moltler.schema import Property

_KNOWN: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (what, re.compile(pattern))
    for what, pattern in (
        ("an access key of AWS", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        ("a token of GitHub", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})"),
        ("a token of GitLab", r"\bglpat-[A-Za-z0-9_-]{20,}"),
        ("a token of Slack", r"\bxox[abposr]-[A-Za-z0-9-]{10,}"),
        ("a key of Stripe", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
        ("a key of Google", r"\bAIza[0-9A-Za-z_-]{35}\b"),
        ("an API key", r"\bsk-[A-Za-z0-9_-]{32,}"),
        ("a token of npm or PyPI", r"\b(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,})"),
        ("a private key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
        ("a JSON web token", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
        ("a password in an address", r"\bhttps?://[^\s/:@'\"`${}]+:[^\s/:@'\"`${}]{4,}@"),
    )
)
_NAMED = re.compile(
    r"""(?i)\b(?:api[_-]?key|secret|token|password|passwd|bearer|authorization|access[_-]?key)
    ["']?\s*(?:[:=]|=>)\s*(?:["'`](?:Bearer\s+|Basic\s+|Token\s+)?)([A-Za-z0-9+/=_.~-]{16,})["'`]""",
    re.VERBOSE,
)
_BEARER = re.compile(r"\b(?:Bearer|Basic)\s+([A-Za-z0-9+/=_.~-]{20,})")
_LEAST_BITS = 3.2
"""Bits a character: words and phrases have fewer, keys more."""


def credentials_in(text: str) -> Iterator[tuple[int, str]]:
    """Give the offset of each text that looks like a credential, and what it looks like.

    >>> [what for _, what in credentials_in("const t = 'AKIAIOSFODNN7EXAMPLE'")]
    ['an access key of AWS']
    """
    seen: set[int] = set()
    for what, pattern in _KNOWN:
        for found in pattern.finditer(text):
            seen.update(range(found.start(), found.end()))
            yield found.start(), what
    for pattern in (_NAMED, _BEARER):
        for found in pattern.finditer(text):
            value = found[1]
            if found.start(1) not in seen and _is_random(value):
                seen.update(range(found.start(1), found.end(1)))
                yield found.start(1), "a credential"


def _is_random(value: str) -> bool:
    kinds = sum(bool(re.search(p, value)) for p in ("[a-z]", "[A-Z]", "[0-9]"))
    counts = Counter(value)
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return kinds >= 2 and bool(re.search("[0-9]", value)) and bits >= _LEAST_BITS


def find_credentials(definition: ConnectorType, tests: Iterable[PackedTest]) -> list[Problem]:
    """Tell where a type or its tests hold what looks like a credential (PKG003)."""
    problems: list[Problem] = []
    for name, text, place in _texts(definition):
        for offset, what in credentials_in(text):
            problems.append(_problem(name, what, _at(place, text, offset)))
    for packed in tests:
        test = packed.test
        place = ScriptPosition(test.file, test.line, test.column)
        for offset, what in credentials_in(test.text):
            problems.append(_problem(f"test '{test.name}'", what, _at(place, test.text, offset)))
    problems += (
        Problem(
            "PKG003",
            f"the secret `{path}` has a default, which everybody could read",
            "leave the default out",
        )
        for path in _secret_defaults(definition.config_schema.properties, "")
    )
    return problems


def _problem(where: str, what: str, place: ScriptPosition | None) -> Problem:
    return Problem(
        "PKG003",
        f"{where} holds what looks like {what}",
        "make it a secret of CONFIG; if it was real, replace it at the API as well",
        place,
    )


def _texts(definition: ConnectorType) -> Iterator[tuple[str, str, ScriptPosition | None]]:
    handlers = [("TEST_HANDLER", definition.test_handler)]
    handlers += [(f"entity `{e.name}`", e.handler) for e in definition.entities]
    handlers += [(f"action `{a.path}`", a.handler) for a in definition.actions]
    for name, handler in handlers:
        if handler is not None:
            yield name, handler.text, ScriptPosition(handler.file, handler.line, handler.column)
    for text in (definition.description, definition.documentation):
        if text is not None:
            yield f"type `{definition.name}`", text, None
    for schema in (definition.config_schema, definition.options_schema):
        for p in schema:
            for value in (p.default, p.description):
                if isinstance(value, str):
                    yield f"property `{p.name}`", value, None


def _at(place: ScriptPosition | None, text: str, offset: int) -> ScriptPosition | None:
    if place is None:
        return None
    lines = text.count("\n", 0, offset)
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    if lines == 0 and place.column is not None:
        column += place.column - 1
    return ScriptPosition(place.file, place.line + lines, column)


def _secret_defaults(declared: Iterable[Property], prefix: str) -> Iterator[str]:
    for p in declared:
        if p.secret and p.has_default and p.default not in {None, ""}:
            yield prefix + p.name
        yield from _secret_defaults(p.type.properties or (), f"{prefix}{p.name}.")
