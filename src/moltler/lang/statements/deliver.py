"""Statements that deliver: SYNC, packages and registries."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from moltler.lang import ast
from moltler.lang.cursor import Clause, Cursor
from moltler.lang.expr import condition, expression, interval
from moltler.lang.literals import literal_document, string_array

_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)
_MONTHS = (
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
)  # fmt: skip
_CRON_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")),
)
_CRON_NAMES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly")
_CRON_PART = re.compile(r"(\*|\w+(?:-\w+)?)(?:/([0-9]{1,4}))?", re.ASCII)


def sync(cursor: Cursor) -> ast.Sync:
    """Read SYNC CONNECTOR."""
    start = cursor.expect("SYNC").start
    cursor.expect("CONNECTOR")
    connector = cursor.instance()
    entity = cursor.name("an entity") if cursor.take_symbol(".") else None
    cursor.expect("TO")
    target = _target(cursor)
    found: dict[str, Any] = cursor.clauses(
        "SYNC CONNECTOR",
        Clause(("FULL",), lambda: True),
        Clause(("WHERE",), lambda: condition(cursor)),
        Clause(("INCREMENTAL", "ON"), lambda: _incremental(cursor)),
        Clause(("SCHEDULE",), lambda: _schedule(cursor)),
        Clause(("DELETES",), lambda: _deletes(cursor)),
        Clause(("MAX", "ERRORS"), lambda: cursor.integer("MAX ERRORS")),
        Clause(("ALLOW", "EMPTY"), lambda: True),
        Clause(("OVERLAP",), lambda: cursor.expect("SKIP", "QUEUE", "CANCEL").folded),
        Clause(("FROM",), lambda: _backfill(cursor)),
    )
    cursor_field, lookback = found.get("INCREMENTAL ON", (None, None))
    schedule, timezone = found.get("SCHEDULE", (None, None))
    deletes, deletes_field = found.get("DELETES", (None, None))
    backfill_from, backfill_until = found.get("FROM", (None, None))
    return ast.Sync(
        connector,
        entity,
        target,
        bool(found.get("FULL")),
        found.get("WHERE"),
        cursor_field,
        lookback,
        schedule,
        timezone,
        deletes,
        deletes_field,
        found.get("MAX ERRORS"),
        bool(found.get("ALLOW EMPTY")),
        found.get("OVERLAP"),
        backfill_from,
        backfill_until,
        span=cursor.span_from(start),
    )


def _target(cursor: Cursor) -> ast.Target:
    """Read a target: not made of tokens, so the cursor must not have looked at the next one."""
    start = cursor.scanner.skip(cursor.position)
    bare = cursor.scanner.pattern(start)
    if bare is None:
        table = cursor.string("a target")
        return ast.Target(None, table, span=cursor.span_from(start))
    text = bare.text
    if text.endswith(".") and cursor.source.text[bare.end : bare.end + 1] in {"'", '"'}:
        cursor.go_on(bare.end)
        quoted = cursor.token
        table = cursor.scanner.string_value(quoted)
        cursor.jump(start, quoted.end, "plain")
        return ast.Target(text[:-1], table, span=cursor.span_from(start))
    destination, dot, table = text.partition(".")
    if dot and not (destination and table):
        cursor.fail("SYN001", f"`{text}` is not a target", at=bare, hint="write destination.table")
    cursor.jump(start, bare.end, "plain")
    if not dot:
        return ast.Target(None, text, span=cursor.span_from(start))
    return ast.Target(destination, table, span=cursor.span_from(start))


def _incremental(cursor: Cursor) -> tuple[str, ast.Interval | None]:
    field = cursor.name("a field")
    return field, interval(cursor) if cursor.take("LOOKBACK") else None


def _schedule(cursor: Cursor) -> tuple[str, str | None]:
    token = cursor.token
    text = cursor.string("a schedule")
    problem = _cron_problem(text)
    if problem:
        cursor.fail(
            "SYN006",
            f"'{text[:80]}' is not a schedule: {problem}",
            at=token,
            allowed=("minute hour day month weekday", *_CRON_NAMES),
        )
    return text, _timezone(cursor) if cursor.take("TIMEZONE") else None


def _cron_problem(text: str) -> str | None:
    """Say what keeps a text from being a schedule, or give ``None``.

    Source: crontab(5): lists, ranges, steps and names in five fields.
    """
    if text.lower() in _CRON_NAMES:
        return None
    fields = text.split()
    if len(fields) != len(_CRON_FIELDS):
        return f"cron has {len(_CRON_FIELDS)} fields, this has {len(fields)}"
    for field, (name, low, high, names) in zip(fields, _CRON_FIELDS, strict=True):
        for part in field.split(","):
            found = _CRON_PART.fullmatch(part)
            if found is None or found[2] == "0":
                return f"`{part}` is no {name}"
            ends = [] if found[1] == "*" else found[1].upper().split("-")
            numbers = [_cron_number(end, low, names) for end in ends]
            known = [number for number in numbers if number is not None and low <= number <= high]
            if len(known) < len(numbers) or known != sorted(known):
                return f"`{part}` is no {name}: {low} to {high}"
    return None


def _cron_number(text: str, low: int, names: tuple[str, ...]) -> int | None:
    if text in names:
        return names.index(text) + low
    return int(text) if text.isdigit() and len(text) <= 2 else None


def _timezone(cursor: Cursor) -> str:
    token = cursor.token
    name = cursor.string("a time zone")
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        cursor.fail(
            "SYN006",
            f"'{name[:80]}' is not a time zone",
            at=token,
            hint="use a name such as 'Europe/Berlin'",
        )
    return name


def _deletes(cursor: Cursor) -> tuple[str, str | None]:
    kind = cursor.expect("NONE", "SWEEP", "FIELD").folded
    return kind, cursor.name("a field") if kind == "FIELD" else None


def _backfill(cursor: Cursor) -> tuple[ast.Expr, ast.Expr]:
    first = expression(cursor)
    cursor.expect("UNTIL")
    return first, expression(cursor)


def rollback(cursor: Cursor) -> ast.Statement:
    """Read ROLLBACK SYNC and ROLLBACK CONNECTOR TYPE."""
    start = cursor.expect("ROLLBACK").start
    if cursor.take("SYNC"):
        target = _target(cursor)
        return ast.RollbackSync(target, span=cursor.span_from(start))
    if not cursor.at("CONNECTOR"):
        cursor.unexpected("SYNC", "CONNECTOR")
    return _admin(cursor, start, "ROLLBACK")


def package(cursor: Cursor) -> ast.Package:
    """Read PACKAGE CONNECTOR TYPE."""
    start = cursor.expect("PACKAGE").start
    type_name = _type_name(cursor)
    found: dict[str, Any] = cursor.clauses(
        "PACKAGE CONNECTOR TYPE",
        Clause(("VERSION",), lambda: version(cursor)),
        Clause(("DESCRIPTION",), lambda: cursor.string("a description")),
        Clause(("AUTHOR",), lambda: cursor.string("an author")),
        Clause(("LICENSE",), lambda: cursor.string("a licence")),
        Clause(("HOMEPAGE",), lambda: cursor.string("an address")),
        Clause(("REPOSITORY",), lambda: cursor.string("an address")),
        Clause(("TAGS",), lambda: string_array(cursor)),
        Clause(("DOCUMENTATION",), lambda: cursor.raw_or_string("the documentation")),
        Clause(("CHANGELOG",), lambda: cursor.raw_or_string("the changelog")),
        Clause(("REQUIRES",), lambda: literal_document(cursor)),
        Clause(("TO",), lambda: cursor.string("a folder")),
        Clause(("WITH",), lambda: _settings(cursor)),
    )
    span = cursor.span_from(start)
    cursor.require(found, "PACKAGE CONNECTOR TYPE", type_name.span, "VERSION")
    return ast.Package(
        type_name,
        found["VERSION"],
        found.get("DESCRIPTION"),
        found.get("AUTHOR"),
        found.get("LICENSE"),
        found.get("HOMEPAGE"),
        found.get("REPOSITORY"),
        found.get("TAGS"),
        found.get("DOCUMENTATION"),
        found.get("CHANGELOG"),
        found.get("REQUIRES"),
        found.get("TO"),
        found.get("WITH", ()),
        span=span,
    )


def version(cursor: Cursor) -> str:
    """Take a version: strict SemVer, else SYN006."""
    token = cursor.token
    text = cursor.string("a version")
    if not _SEMVER.fullmatch(text):
        cursor.fail(
            "SYN006", f"'{text}' is not a version", at=token, hint="write three numbers: '1.0.0'"
        )
    return text


def _type_name(cursor: Cursor) -> ast.QuotedName:
    cursor.expect("CONNECTOR")
    cursor.expect("TYPE")
    return cursor.quoted_name("type")


def _settings(cursor: Cursor) -> tuple[ast.Setting, ...]:
    settings: list[ast.Setting] = []
    while True:
        start = cursor.token.start
        name = cursor.name("a setting")
        cursor.expect_symbol("=", "operator")
        settings.append(ast.Setting(name, expression(cursor), span=cursor.span_from(start)))
        if not cursor.take_symbol(","):
            return tuple(settings)


def publish(cursor: Cursor) -> ast.Publish:
    """Read PUBLISH CONNECTOR TYPE."""
    start = cursor.expect("PUBLISH").start
    type_name = _type_name(cursor)
    found: dict[str, Any] = cursor.clauses(
        "PUBLISH CONNECTOR TYPE",
        Clause(("VERSION",), lambda: version(cursor)),
        Clause(("TO",), lambda: cursor.string("a registry")),
        Clause(("WITH",), lambda: _settings(cursor)),
    )
    return ast.Publish(
        type_name,
        found.get("VERSION"),
        found.get("TO"),
        found.get("WITH", ()),
        span=cursor.span_from(start),
    )


def install(cursor: Cursor) -> ast.Install:
    """Read INSTALL CONNECTOR TYPE."""
    start = cursor.expect("INSTALL").start
    or_replace = cursor.take_phrase("OR", "REPLACE")
    type_name = _type_name(cursor)
    found: dict[str, Any] = cursor.clauses(
        "INSTALL CONNECTOR TYPE",
        Clause(("VERSION",), lambda: cursor.string("a version or range")),
        Clause(("FROM",), lambda: cursor.string("a registry, address or path")),
        Clause(("WITH",), lambda: _settings(cursor)),
    )
    span = cursor.span_from(start)
    cursor.require(found, "INSTALL CONNECTOR TYPE", type_name.span, "FROM")
    return ast.Install(
        type_name, or_replace, found.get("VERSION"), found["FROM"], found.get("WITH", ()), span=span
    )


def upgrade(cursor: Cursor) -> ast.Upgrade:
    """Read UPGRADE CONNECTOR TYPE."""
    start = cursor.expect("UPGRADE", "UPDATE").start
    type_name = _type_name(cursor)
    found: dict[str, Any] = cursor.clauses(
        "UPGRADE CONNECTOR TYPE",
        Clause(("TO", "VERSION"), lambda: cursor.string("a version or range")),
        Clause(("WITH",), lambda: _settings(cursor)),
    )
    return ast.Upgrade(
        type_name, found.get("TO VERSION"), found.get("WITH", ()), span=cursor.span_from(start)
    )


def admin(cursor: Cursor) -> ast.PackageAdmin:
    """Read UNINSTALL, VALIDATE, DEPRECATE and UNPUBLISH."""
    token = cursor.expect("UNINSTALL", "VALIDATE", "DEPRECATE", "UNPUBLISH")
    return _admin(cursor, token.start, token.folded)


def _admin(cursor: Cursor, start: int, verb: str) -> ast.PackageAdmin:
    type_name = _type_name(cursor)
    number = message = registry = None
    match verb:
        case "VALIDATE":
            cursor.expect("FOR")
            cursor.expect("PUBLISHING")
        case "DEPRECATE":
            cursor.expect("VERSION")
            number = version(cursor)
            cursor.expect("MESSAGE")
            message = cursor.string("a message")
        case "UNPUBLISH":
            cursor.expect("VERSION")
            number = version(cursor)
            cursor.expect("FROM")
            registry = cursor.string("a registry")
        case _:
            pass
    return ast.PackageAdmin(
        verb,  # type: ignore[arg-type] # one of the five verbs
        type_name,
        number,
        message,
        registry,
        span=cursor.span_from(start),
    )
