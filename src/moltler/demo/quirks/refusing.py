"""Oddities of credentials and errors."""

from __future__ import annotations

import re

from moltler.demo.api import PlainApi
from moltler.demo.messages import Answer, Refusal, Request
from moltler.demo.quirks.quirk import Ask, Quirk, asks_for_list

_RETRY_AFTER_S = 1
_MILLISECONDS = re.compile(r"T\d\d:\d\d:\d\d\.\d")


def _show_public_rows(request: Request, ask: Ask, api: PlainApi) -> Answer:
    if api.knows(request) or request.method != "GET" or not request.path.startswith("/items"):
        return ask(request)
    return ask(request.saying(authorization=f"Bearer {api.key}").asking(status="active"))


def _miss_scope(request: Request, ask: Ask, api: PlainApi) -> Answer:
    if api.knows(request) and request.path.startswith("/orders"):
        challenge = 'Bearer error="insufficient_scope", scope="orders:read"'
        raise Refusal(401, "the key is valid but lacks the scope `orders:read`",
                      headers={"WWW-Authenticate": challenge})  # fmt: skip
    return ask(request)


def _forbid_what_is_missing(request: Request, ask: Ask, api: PlainApi) -> Answer:
    try:
        return ask(request)
    except Refusal as refusal:
        if refusal.answer.status != 404:
            raise
        raise Refusal(403, "forbidden") from refusal


def _answer_errors_with_200(request: Request, ask: Ask, api: PlainApi) -> Answer:
    try:
        return ask(request)
    except Refusal as refusal:
        sent = refusal.answer
        error = {"status": sent.status, "message": sent.document["error"]}
        return Answer(200, {"ok": False, "error": error}, sent.headers)


def _limit_rate(request: Request, ask: Ask, api: PlainApi) -> Answer:
    if api.shop.count("rate-limit") % 2:
        headers = {"Retry-After": str(_RETRY_AFTER_S)}
        raise Refusal(429, f"too many requests; retry after {_RETRY_AFTER_S} s", headers=headers)
    return ask(request)


def _limit_rate_silently(request: Request, ask: Ask, api: PlainApi) -> Answer:
    if api.shop.count("rate-limit-without-retry-after") % 2:
        raise Refusal(429, "too many requests")
    return ask(request)


def _reject_milliseconds(request: Request, ask: Ask, api: PlainApi) -> Answer:
    for name, value in request.query.items():
        if _MILLISECONDS.search(value):
            raise Refusal(422, f"`{name}` must be a time in whole seconds, not `{value}`")
    return ask(request)


def _reject_unescaped(request: Request, ask: Ask, api: PlainApi) -> Answer:
    if ">" in request.target or "<" in request.target:
        raise Refusal(400, "`<` and `>` must be percent-encoded")
    return ask(request)


def _refuse_page_after_last(request: Request, ask: Ask, api: PlainApi) -> Answer:
    answer = ask(request)
    if asks_for_list(request) and request.query.get("page"):
        pages = answer.document.get("pages")
        if isinstance(pages, int) and int(request.query["page"]) > pages:
            raise Refusal(400, f"there is no page {request.query['page']}; the last is {pages}")
    return answer


def _fail_on_method(request: Request, ask: Ask, api: PlainApi) -> Answer:
    try:
        return ask(request)
    except Refusal as refusal:
        if refusal.answer.status != 405:
            raise
        raise Refusal(500, "internal server error") from refusal


REFUSING = (
    Quirk(
        "public-rows-for-a-wrong-key",
        "A wrong key is answered 200 with the public subset of items: the active ones.",
        _show_public_rows,
    ),
    Quirk(
        "missing-scope-is-401",
        "A valid key without the scope for orders is answered 401, as a wrong one would be.",
        _miss_scope,
    ),
    Quirk(
        "missing-is-403",
        "What does not exist is answered 403 instead of 404.",
        _forbid_what_is_missing,
    ),
    Quirk(
        "errors-with-200",
        "Every error, rate limiting included, is answered 200 with an error object.",
        _answer_errors_with_200,
    ),
    Quirk(
        "rate-limit",
        "The first and every other request is answered 429 with `Retry-After: 1`.",
        _limit_rate,
    ),
    Quirk(
        "rate-limit-without-retry-after",
        "The first and every other request is answered 429 without Retry-After.",
        _limit_rate_silently,
    ),
    Quirk(
        "milliseconds-are-422",
        "A time with milliseconds in the query is answered 422.",
        _reject_milliseconds,
    ),
    Quirk(
        "unescaped-is-400",
        "An unescaped `<` or `>` in the query is answered 400.",
        _reject_unescaped,
    ),
    Quirk(
        "page-after-the-last-is-400",
        "The page after the last is answered 400 instead of empty.",
        _refuse_page_after_last,
    ),
    Quirk(
        "wrong-method-is-500", "A method that is not supported is answered 500.", _fail_on_method
    ),
)
"""Credentials and errors."""
