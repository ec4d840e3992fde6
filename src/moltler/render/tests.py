"""What became of tests, as lines for people and as records for programs (LANGUAGE §10.2, §10.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from moltler.errors import MoltlerError, Problem, ScriptPosition, Source, Span
from moltler.exec.assertion import AssertFailed
from moltler.render.printable import printable
from moltler.testing.report import TestFailure, TestReport

Look = Literal["good", "bad", "skipped", "dim", "strong"]
Paint = Callable[[str, Look], str]
"""Gives a text in the colours that it should have."""
_INDENT = "    "
_WIDEST = 160
_ALLOWED_SHOWN = 12
_SECONDS_FROM_MS = 10_000


def plain(text: str, look: Look) -> str:
    """Give the text as it is."""
    return text


def duration_text(ms: int) -> str:
    """Give a duration as people read it.

    >>> duration_text(80), duration_text(12_345)
    ('80 ms', '12.3 s')
    """
    return f"{ms} ms" if ms < _SECONDS_FROM_MS else f"{ms / 1000:.1f} s"


def report_lines(
    report: TestReport, *, sources: Mapping[str, Source] | None = None, paint: Paint = plain
) -> Iterator[str]:
    """Give the lines of one test.

    Args:
        report: What became of it.
        sources: Scripts by name, for the text of lines that only a JavaScript stack names.
        paint: Colours them.
    """
    name = printable(report.name).replace("\n", "\\n")
    took = paint(f"({duration_text(report.duration_ms)})", "dim")
    match report.status:
        case "passed":
            yield f"{paint('✓', 'good')} {name} {took}"
        case "skipped":
            reason = printable(report.reason or "")
            yield f"{paint('○', 'skipped')} {name} — skipped: {reason}"
        case "failed":
            yield f"{paint('✗', 'bad')} {paint(name, 'strong')} {took}"
    for line in failure_lines(report, sources=sources or {}):
        yield (_INDENT + line).rstrip()
    for note in report.notes:
        yield _INDENT + paint(f"note: {printable(note)}", "dim")


def summary_line(reports: Sequence[TestReport], duration_ms: int, *, paint: Paint = plain) -> str:
    """Give the last line of a run: how many tests passed, failed and were skipped."""
    looks: tuple[tuple[str, Look], ...] = (
        ("passed", "good"), ("failed", "bad"), ("skipped", "skipped"),
    )  # fmt: skip
    parts: list[str] = []
    for status, look in looks:
        count = sum(r.status == status for r in reports)
        parts.append(paint(f"{count} {status}", look) if count else f"0 {status}")
    return f"{', '.join(parts)} in {duration_text(duration_ms)}"


# ── failures ─────────────────────────────────────────────────────────────────────────────────


def failure_lines(
    report: TestReport, *, sources: Mapping[str, Source] | None = None
) -> Iterator[str]:
    """Give place, text and reason of a failure; nothing if the test did not fail."""
    if report.failure is None:
        return
    error = report.failure.error
    if isinstance(error, AssertFailed):
        yield from _assertion_lines(error, report)
    else:
        for problem in error.problems:
            yield from _problem_lines(problem, report, sources or {})
        yield from _context_lines(error)
    for note in getattr(error, "__notes__", ()):
        yield f"= note: {printable(note)}"
    if error.file is not None and error.file != report.file:
        yield f"= the test stands at {report.file}:{report.line}"


def _assertion_lines(error: AssertFailed, report: TestReport) -> Iterator[str]:
    span = error.problems[0].span
    file, line = error.file or report.file, error.line or report.line
    yield f"{file}:{line}: {_one_line(span.text) if isinstance(span, Span) else 'ASSERT'}"
    found = error.report
    if found.note:
        yield from _labelled("Message: ", (found.note,))
    yield from _labelled("Expected:", (found.expected,))
    yield from _labelled("Actual:  ", found.actual)


def _labelled(label: str, sentences: Sequence[str]) -> Iterator[str]:
    for number, sentence in enumerate(sentences):
        head = label if number == 0 else " " * len(label)
        yield f"{head} {_one_line(sentence)}"


def _problem_lines(
    problem: Problem, report: TestReport, sources: Mapping[str, Source]
) -> Iterator[str]:
    yield _place(problem.span, report, sources)
    first, *others = printable(problem.message).split("\n")
    yield f"error[{problem.code}]: {first}"
    yield from (f"  {line}" for line in others)
    if problem.allowed:
        more = len(problem.allowed) - _ALLOWED_SHOWN
        shown = ", ".join(problem.allowed[:_ALLOWED_SHOWN])
        yield f"= allowed: {printable(shown)}" + (f", and {more} more" if more > 0 else "")
    if problem.hint:
        yield f"hint: {printable(problem.hint)}"


def _place(
    span: Span | ScriptPosition | None, report: TestReport, sources: Mapping[str, Source]
) -> str:
    match span:
        case None:
            return f"{report.file}:{report.line}:"
        case Span():
            source: Source | None = span.source
            place = f"{span.source.name}:{span.line}:"
        case ScriptPosition():
            source = sources.get(span.file)
            place = f"{span.file}:{span.line}:"
    text = _one_line(source.line_text(span.line)) if source is not None else ""
    return f"{place} {text}".rstrip()


def _context_lines(error: MoltlerError) -> Iterator[str]:
    context = error.context
    frames = [f.strip() for f in (context.stack or "").splitlines() if f.lstrip().startswith("at ")]
    if len(frames) > 1:
        # A single frame is the place that stands above already.
        yield from (f"  {printable(frame)}" for frame in frames)
    if context.status is not None and str(context.status) not in error.message:
        yield f"= the last response had status {context.status}"
    if context.cause and context.cause not in error.message:
        yield f"= cause: {_one_line(context.cause)}"
    if error.retry_after is not None:
        yield f"= retry after: {error.retry_after:g} s"


def _one_line(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= _WIDEST else line[: _WIDEST - 1] + "…"


# ── records ──────────────────────────────────────────────────────────────────────────────────


def report_record(report: TestReport) -> dict[str, object]:
    """Give a report as programs read it; `reason` and `notes` only where there are some."""
    record: dict[str, object] = {
        "type": report.type_name,
        "name": report.name,
        "tags": list(report.tags),
        "status": report.status,
        "duration_ms": report.duration_ms,
        "failure": None if report.failure is None else _failure_record(report.failure, report),
        "calls": report.calls,
    }
    if report.reason is not None:
        record["reason"] = report.reason
    if report.notes:
        record["notes"] = list(report.notes)
    return record


def _failure_record(failure: TestFailure, report: TestReport) -> dict[str, object]:
    error = failure.error
    return {
        "file": error.file or report.file,
        "line": error.line if error.file else report.line,
        "expression": failure.expression,
        "expected": failure.expected,
        "actual": "; ".join(failure.actual) or None,
        "message": failure.message,
        "code": failure.code,
    }
