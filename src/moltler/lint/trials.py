"""What tests cover, read from their texts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from moltler.lang import ast
from moltler.lint.credentials import find_credential
from moltler.lint.finding import Finding, place_of
from moltler.lint.subject import Subject

_FAILURE_STATUS = re.compile(r"""['"]status['"]\s*:\s*[45][0-9]{2}\b""")
_FAILURE_ERROR = re.compile(
    r"""['"]error['"]\s*:\s*['"](connection_refused|timeout|dns|reset|tls)"""
)
_EXPECTED = re.compile(r"\b(ASSERT\s+RAISES|EXPECT\s+ERROR|CATCH)\b", re.IGNORECASE)


def untested(subject: Subject) -> Iterator[Finding]:
    """LNT040: what no test ever calls."""
    type_ = subject.type
    if not subject.is_whole:
        return
    if not subject.tests:
        yield Finding(
            "LNT040",
            f"connector type `{type_.name}` has no tests",
            f"write a TEST CONNECTOR TYPE '{type_.name}' with MOCK_API",
            subject.place("type"),
        )
        return
    texts = [test.span.text for test in subject.tests]
    for entity in type_.entities:
        if not any(_names(text, entity.name) for text in texts):
            yield _untested("entity", subject.entity_name(entity), subject, entity.name)
    for action in type_.actions:
        if not any(_names(text, action.name) for text in texts):
            yield _untested("action", subject.action_name(action), subject, action.path)


def unfailing(subject: Subject) -> Iterator[Finding]:
    """LNT041: tests in which everything goes well."""
    if not subject.tests or not subject.is_whole:
        return
    if any(_lets_fail(test) for test in subject.tests):
        return
    yield Finding(
        "LNT041",
        f"no test of `{subject.type.name}` lets the API fail",
        'add FAULTS, such as {"on": 1, "fault": "status", "status": 429}, and ASSERT RAISES',
        subject.place("type"),
    )


def credentials(subject: Subject) -> Iterator[Finding]:
    """LNT001 in tests: they are published with the type."""
    for test in subject.tests:
        shown = find_credential(test.span.text)
        if shown is not None:
            yield Finding(
                "LNT001",
                f"test '{test.name}' holds a credential ({shown})",
                "write a text that looks like none, such as 'test'",
                place_of(test.span),
            )


def _untested(kind: str, name: str, subject: Subject, path: str) -> Finding:
    return Finding(
        "LNT040",
        f"no test uses the {kind} `{name}`",
        "select from it in a test with MOCK_API"
        if kind == "entity"
        else "run it in a test with MOCK_API, and look at what it sent",
        subject.place(kind, path),
    )


def _names(text: str, name: str) -> bool:
    pattern = rf"""\b\w+\s*\.\s*["]?{re.escape(name)}["]?(?![\w])"""
    return re.search(pattern, text, re.IGNORECASE) is not None


def _lets_fail(test: ast.TestDefinition) -> bool:
    if test.faults is not None or test.expect_error is not None:
        return True
    text = test.span.text
    fails = _FAILURE_STATUS.search(text) or _FAILURE_ERROR.search(text)
    return fails is not None and _EXPECTED.search(text) is not None
