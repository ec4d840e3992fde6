"""The table of error codes: a code names a cause and is never reused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Blame = Literal["user", "connector", "remote", "internal"]


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the error table."""

    code: str
    type: str
    also: tuple[str, ...]
    """Further names a CATCH may use; ``error`` is implied."""
    exit: int
    """Exit status of the command line."""
    blame: Blame
    summary: str


_DATA = ("connector_error", "type_error")
_HANDLER = ("connector_error", "function_error")
_REACH = ("connector_error", "connection_error", "http_error")
_CHECK = ("validation_error",)

_ROWS: tuple[Code, ...] = (
    Code("SYN001", "syntax_error", (), 2, "user", "unexpected token or unknown statement"),
    Code("SYN002", "syntax_error", (), 2, "user", "unterminated string, raw block or comment"),
    Code(
        "SYN003",
        "syntax_error",
        (),
        2,
        "user",
        "bad document: duplicate key, or not a literal where literals are required",
    ),
    Code("SYN004", "syntax_error", (), 2, "user", "clause repeated, missing or unknown"),
    Code(
        "SYN005",
        "syntax_error",
        (),
        2,
        "user",
        "quoted name of the wrong shape, or a forbidden name",
    ),
    Code(
        "SYN006",
        "syntax_error",
        (),
        2,
        "user",
        "bad literal: number, duration, cron, time zone or version",
    ),
    Code("SYN007", "syntax_error", (), 2, "user", "statement not allowed here"),
    Code("SYN900", "usage_error", (), 2, "user", "wrong use of the command line"),
    Code("DEF001", "definition_error", _CHECK, 1, "user", "unknown type or property key"),
    Code(
        "DEF002",
        "definition_error",
        _CHECK,
        1,
        "user",
        "field names that differ only by case, or are taken",
    ),
    Code("DEF003", "definition_error", _CHECK, 1, "user", "handler does not bind its entry point"),
    Code(
        "DEF004",
        "definition_error",
        _CHECK,
        1,
        "user",
        "PUSHDOWN names an unknown field or operator, or has the wrong shape",
    ),
    Code("DEF005", "definition_error", _CHECK, 1, "user", "handler does not compile"),
    Code("DEF006", "definition_error", _CHECK, 1, "user", "contradicting properties"),
    Code(
        "DEF007",
        "definition_error",
        _CHECK,
        1,
        "user",
        "draft without entity and action, or inconsistent; ALLOWED_HOSTS malformed",
    ),
    Code(
        "DEF008",
        "definition_error",
        _CHECK,
        1,
        "user",
        "existing instances do not fit the new schema",
    ),
    Code("CAT001", "not_found_error", (), 1, "user", "no such connector"),
    Code("CAT002", "not_found_error", (), 1, "user", "no such entity, action or table"),
    Code(
        "CAT008",
        "not_found_error",
        (),
        1,
        "user",
        "no such type, destination, test, schedule or version",
    ),
    Code("CAT003", "already_exists", (), 1, "user", "the name is taken"),
    Code("CAT004", "config_error", _CHECK, 1, "user", "CONFIG or OPTIONS do not fit"),
    Code("CAT005", "secret_not_found", _CHECK, 1, "user", "a referenced secret is missing"),
    Code("CAT006", "connector_disabled", (), 1, "user", "the instance is disabled"),
    Code("CAT007", "type_not_registered", (), 1, "user", "the type is only a draft"),
    Code("CAT009", "home_busy", (), 1, "user", "another process holds the home for too long"),
    Code(
        "CAT010", "home_error", (), 1, "user", "home unreadable, or its master key missing or wrong"
    ),
    Code("CAT011", "in_use_error", (), 1, "user", "others depend on what should be dropped"),
    Code("PLN001", "required_filter_error", _CHECK, 1, "user", "a required filter is not supplied"),
    Code("PLN002", "name_error", (), 1, "user", "no such column"),
    Code("PLN003", "name_error", (), 1, "user", "no such variable or function"),
    Code("PLN008", "name_error", (), 1, "user", "ambiguous name"),
    Code("PLN004", "type_error", (), 1, "user", "operands or access of the wrong kind"),
    Code(
        "PLN005",
        "parameter_error",
        _CHECK,
        1,
        "user",
        "arguments of an action, or bound parameters, do not fit",
    ),
    Code("PLN006", "query_error", (), 1, "user", "SQL that is refused"),
    Code(
        "PLN009",
        "query_error",
        (),
        1,
        "user",
        "filter_only field outside a top-level AND condition",
    ),
    Code(
        "PLN007",
        "value_error",
        (),
        1,
        "user",
        "bad value at run time: LIMIT, overflow, CAST, typed DECLARE",
    ),
    Code(
        "PLN010", "limit_error", (), 1, "user", "max_results, or the key limit of a join, exceeded"
    ),
    Code("PLN011", "not_supported", (), 1, "user", "a feature of a later stage"),
    Code(
        "PLN012",
        "read_only_error",
        ("permission_error",),
        1,
        "user",
        "an action or sync in a read-only session",
    ),
    Code("PLN900", "user_error", (), 1, "user", "THROW"),
    Code(
        "JSR001",
        "connector_error",
        (),
        3,
        "connector",
        "handler threw a plain Error or something else",
    ),
    Code("API004", "connector_error", (), 3, "remote", "handler threw ConnectorError"),
    Code(
        "JSR002",
        "connector_timeout_error",
        ("connector_error", "timeout_error"),
        3,
        "connector",
        "time limit reached, or ConnectorTimeoutError",
    ),
    Code(
        "JSR003",
        "connector_memory_error",
        ("connector_error",),
        3,
        "connector",
        "memory limit reached, or the runtime process died",
    ),
    Code("JSR004", "connector_data_error", _DATA, 3, "connector", "handler result is not rows"),
    Code("JSR005", "connector_data_error", _DATA, 3, "connector", "value does not fit its field"),
    Code("JSR008", "connector_data_error", _DATA, 3, "connector", "pagination makes no progress"),
    Code("API006", "connector_data_error", _DATA, 3, "remote", "response too large"),
    Code("API007", "connector_data_error", _DATA, 3, "remote", "response is not JSON"),
    Code(
        "JSR006",
        "handler_error",
        _HANDLER,
        3,
        "connector",
        "uncaught ReferenceError, TypeError, RangeError or SyntaxError",
    ),
    Code("JSR007", "handler_error", _HANDLER, 3, "connector", "promise can never settle"),
    Code("API001", "connector_connection_error", _REACH, 3, "remote", "the API cannot be reached"),
    Code(
        "API002",
        "connector_auth_error",
        ("connector_error", "permission_error"),
        3,
        "remote",
        "the API refuses the credentials",
    ),
    Code(
        "API003",
        "connector_rate_limit_error",
        ("connector_error",),
        3,
        "remote",
        "the API asks to slow down",
    ),
    Code(
        "API005",
        "egress_blocked_error",
        ("connector_connection_error", "connector_error", "connection_error", "http_error"),
        3,
        "connector",
        "the handler may not reach that host, or not with a secret",
    ),
    Code(
        "API008",
        "connector_unknown_outcome_error",
        ("connector_error",),
        3,
        "remote",
        "an action's outcome is unknown",
    ),
    Code(
        "SNC001",
        "sync_error",
        (),
        1,
        "user",
        "cursor missing or not orderable, primary key or INCREMENTAL missing",
    ),
    Code("SNC002", "sync_error", (), 1, "user", "stored state and field type disagree"),
    Code("SNC004", "sync_error", (), 1, "user", "lease lost"),
    Code("SNC005", "sync_error", (), 1, "user", "more than MAX ERRORS unfit rows"),
    Code("SNC007", "sync_error", (), 1, "user", "sync state unreadable"),
    Code("SNC008", "sync_error", (), 1, "user", "incomplete scan cannot replace a generation"),
    Code(
        "SNC009",
        "sync_error",
        (),
        1,
        "user",
        "target belongs to another scope, or a key changed: needs FULL",
    ),
    Code(
        "SNC003",
        "shrink_guard_error",
        ("sync_error",),
        1,
        "user",
        "the new generation has too few rows",
    ),
    Code(
        "SNC006",
        "destination_error",
        ("sync_error",),
        3,
        "remote",
        "the destination refuses or cannot be reached",
    ),
    Code("TST001", "assertion_error", (), 1, "user", "ASSERT failed"),
    Code("TST004", "assertion_error", (), 1, "user", "expected error missing or different"),
    Code("TST002", "mock_unmatched_error", (), 1, "user", "request that no route answers"),
    Code("TST007", "mock_unmatched_error", (), 1, "user", "request differs from the cassette"),
    Code("TST003", "mock_exhausted_error", (), 1, "user", "a sequence has no more answers"),
    Code("TST005", "test_definition_error", (), 1, "user", "MOCK_API or FAULTS malformed"),
    Code("TST006", "no_tests_selected", (), 5, "user", "nothing matched the selection"),
    Code("TST008", "timeout_error", (), 1, "user", "the test's TIMEOUT"),
    Code("PKG001", "package_error", _CHECK, 1, "user", "version exists with other content"),
    Code("PKG003", "package_error", _CHECK, 1, "user", "not fit to be packaged or published"),
    Code("PKG004", "package_error", _CHECK, 1, "user", "push-down claim disproved or unproven"),
    Code("PKG005", "package_error", _CHECK, 1, "user", "version bump too small"),
    Code("PKG008", "package_error", _CHECK, 1, "user", "no version fits"),
    Code("PKG002", "integrity_error", ("package_error",), 1, "user", "digest or signature differs"),
    Code("PKG010", "integrity_error", ("package_error",), 1, "user", "unsafe archive"),
    Code("PKG006", "registry_error", ("package_error",), 1, "user", "registry not configured"),
    Code(
        "PKG007",
        "registry_error",
        ("package_error",),
        3,
        "remote",
        "registry unreachable, or it refuses",
    ),
    Code(
        "PKG009",
        "consent_error",
        ("package_error", "permission_error"),
        1,
        "user",
        "more permissions without consent",
    ),
    Code("INT001", "internal_error", (), 70, "internal", "a fault of Moltler itself"),
)

CODES: Mapping[str, Code] = {row.code: row for row in _ROWS}
"""Every error code; the single source of types, exit codes and the generated pages."""
