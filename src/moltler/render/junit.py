"""Test reports as JUnit XML, which build servers read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from xml.etree import ElementTree as ET

from moltler.render.tests import failure_lines
from moltler.testing.report import TestReport

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# XML 1.0 §2.2: no other characters, not even escaped.


def junit_text(reports: Iterable[TestReport], duration_ms: int) -> str:
    """Give an XML document: a suite for each file, a case for each test.

    Args:
        reports: Of one run, in any order.
        duration_ms: Of the whole run; tests that run side by side take longer together.
    """
    ordered = sorted(reports, key=lambda r: r.file)
    root = ET.Element(
        "testsuites", {"name": "moltler", **_counts(ordered), "time": _s(duration_ms)}
    )
    for file, members in groupby(ordered, key=lambda r: r.file):
        tests = list(members)
        counts = {**_counts(tests), "skipped": str(_number(tests, "skipped"))}
        took = _s(sum(r.duration_ms for r in tests))
        suite = ET.SubElement(root, "testsuite", {"name": _xml(file), **counts, "time": took})
        for report in tests:
            _add_case(suite, report)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add_case(suite: ET.Element, report: TestReport) -> None:
    names = {"name": _xml(report.name), "classname": _xml(report.type_name)}
    case = ET.SubElement(suite, "testcase", {**names, "time": _s(report.duration_ms)})
    if report.status == "skipped":
        ET.SubElement(case, "skipped", {"message": _xml(report.reason or "")})
    if report.failure is not None:
        about = {"message": _xml(report.failure.message), "type": report.failure.code}
        ET.SubElement(case, "failure", about).text = _xml("\n".join(failure_lines(report)))
    if report.notes:
        ET.SubElement(case, "system-out").text = _xml("\n".join(report.notes))


def _counts(reports: Sequence[TestReport]) -> dict[str, str]:
    # A test that cannot run is a failure like any other, so there are no errors.
    failures = str(_number(reports, "failed"))
    return {"tests": str(len(reports)), "failures": failures, "errors": "0"}


def _number(reports: Sequence[TestReport], status: str) -> int:
    return sum(r.status == status for r in reports)


def _s(ms: int) -> str:
    return f"{ms / 1000:.3f}"


def _xml(text: str) -> str:
    return _FORBIDDEN.sub(lambda m: m[0].encode("unicode_escape").decode("ascii"), text)
