"""The table of rules: a code names a practice and is never reused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table; its page is ``explanations/lint/<code>.md``."""

    code: str
    severity: Severity
    """An error keeps a type from being published."""
    summary: str


_ROWS: tuple[Rule, ...] = (
    Rule("LNT001", "error", "a credential stands in the text"),
    Rule("LNT002", "error", "a setting that holds a credential is not secret"),
    Rule("LNT003", "error", "a secret is exposed without a reason"),
    Rule("LNT004", "error", "a request goes to a host that is not declared"),
    Rule("LNT005", "warning", "a request goes over plain http"),
    Rule("LNT010", "error", "a loop cannot end"),
    Rule("LNT011", "warning", "only the first page is read"),
    Rule("LNT012", "warning", "pages are collected, however few rows are wanted"),
    Rule("LNT013", "error", "a failure is answered with fewer rows"),
    Rule("LNT014", "error", "a claim that the handler cannot keep"),
    Rule("LNT020", "warning", "the status of an answer is never looked at"),
    Rule("LNT021", "warning", "refusals of the API have no error class of their own"),
    Rule("LNT022", "warning", "a value goes into an address as it is"),
    Rule("LNT023", "warning", "a POST is called idempotent"),
    Rule("LNT024", "warning", "a cache never forgets"),
    Rule("LNT030", "warning", "a definition has no description"),
    Rule("LNT031", "warning", "settings, fields or parameters have no description"),
    Rule("LNT032", "warning", "an entity has no primary key"),
    Rule("LNT033", "warning", "a field has a name that SQL reserves"),
    Rule("LNT040", "warning", "an entity or action is not tested"),
    Rule("LNT041", "warning", "no test lets the API fail"),
    Rule("LNT090", "error", "a suppression without a rule or a reason"),
    Rule("LNT091", "warning", "a suppression that suppresses nothing"),
    Rule("LNT092", "warning", "a handler that could not be read"),
)

RULES: Mapping[str, Rule] = {row.code: row for row in _ROWS}
"""Every rule; the single source of severities and the generated page."""
