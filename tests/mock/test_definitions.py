"""What is wrong with MOCK_API and FAULTS is said at once, with its place."""

from __future__ import annotations

import pytest

from support.mocking import faults, mock_api, problems_of


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ('{"GET /x": {"status": 42}}', "`status` is 42", "42"),
        ('{"GET /x": {"status": "ok"}}', '`status` is "ok"', '"ok"'),
        ('{"GET /x": {"stauts": 200}}', "a response has no key `stauts`", '"stauts"'),
        ('{"GTE /x": {}}', "`GTE` is not a method of HTTP", '"GTE /x"'),
        ('{"/x": {}}', "the key `/x` is not a method and a path", '"/x"'),
        ('{"GET x": {}}', "the path of `GET x` does not start with a slash", '"GET x"'),
        ('{"GET /**/x": {}}', "`**` in `GET /**/x` is not at the end", '"GET /**/x"'),
        ('{"GET /a*": {}}', "`a*` in `GET /a*` mixes text with a placeholder", '"GET /a*"'),
        ('{"GET ftp://h/x": {}}', "the key `GET ftp://h/x` has the scheme `ftp`", '"GET ftp://h/x"'),
        ('{"GET /x": []}', "`GET /x` has an empty array of responses", "[]"),
        ('{"GET /x": "hi"}', 'a response must be a document, not "hi"', '"hi"'),
        ('{"GET /x": {"rows": [], "body": 1}}', "a response has either `rows` or `body`", '"body"'),
        ('{"GET /x": {"error": "dns", "status": 200}}', "a response has either `error` or `status`",
         '"status"'),
        ('{"GET /x": {"error": "rest"}}', '`error` is "rest"', '"rest"'),
        ('{"GET /x": {"rows": [1]}}', "a row must be a document, not 1", "1"),
        ('{"GET /x": {"limit": "n"}}', "`limit` is of a data route, and there are no `rows`",
         '"limit"'),
        ('{"GET /x": {"rows": [], "next": "n"}}',
         "`next` needs `in`: a body that is an array has no place for a cursor", '"next"'),
        ('{"GET /x": {"rows": [], "page_size": 0}}',
         "`page_size` must be a whole number from 1 on, not 0", "0"),
        ('{"GET /x": {"rows": [], "filters": {"a": {"field": "a", "op": "=="}}}}',
         "the filter `a` has the `op` `==`, which is none", '"=="'),
        ('{"GET /x": {"headers": {"a b": "c"}}}', "`a b` cannot be the name of a header", '"a b"'),
        ('{"GET /x": {"headers": {"a": "ü€"}}}',
         "the header `a` holds a character that headers may not have", '"ü€"'),
        ('{"GET /x": {"delay_ms": -1}}',
         "`delay_ms` must be milliseconds, 0 or more, not -1", "-1"),
        ('{"GET /x": {"times": 0}}', "`times` must be a whole number from 1 on, not 0", "0"),
        ('{"GET /x": {"when": {"cookies": {}}}}', "`when` has no key `cookies`", '"cookies"'),
    ],
)  # fmt: skip
def test_problem_of_mock_api_points_at_its_place(text: str, message: str, place: str) -> None:
    assert problems_of(mock_api, text)[0] == (message, place)


def test_all_problems_are_said_at_once() -> None:
    text = '{"GTE /x": {"status": 42, "boddy": 1}, "GET /y": [{"times": 0}, 7]}'
    assert [place for _, place in problems_of(mock_api, text)] == [
        '"GTE /x"', '"boddy"', "42", "0", "7",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"fault": "reset"}]', "a fault has no `on`"),
        ('[{"on": 1}]', "a fault has no `fault`"),
        ('[{"on": 0, "fault": "reset"}]', "`on` is 0"),
        ('[{"on": 1, "fault": "rest"}]', '`fault` is "rest"'),
        ('[{"on": 1, "fault": "status"}]', "the fault `status` has no `status`"),
        ('[{"on": 1, "fault": "status", "status": 42}]', "`status` is 42"),
        ('[{"on": 1, "fault": "delay"}]', "the fault `delay` has no `delay_ms`"),
        ('[{"on": 1, "fault": "reset", "status": 500}]', "the fault `reset` has no `status`"),
        ('[{"on": 1, "fault": "reset", "match": "items"}]',
         "the key `items` is not a method and a path"),
        ('[{"on": 1, "fault": "reset", "whn": 1}]', "a fault has no key `whn`"),
        ("[7]", "a fault must be a document, not 7"),
    ],
)  # fmt: skip
def test_problem_of_faults_is_said(text: str, message: str) -> None:
    assert problems_of(faults, text)[0][0] == message
