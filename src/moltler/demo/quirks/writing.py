"""Oddities of writes."""

from __future__ import annotations

from moltler.demo.api import DEFAULTS, WRITABLE, PlainApi
from moltler.demo.goods import Row
from moltler.demo.messages import Answer, Refusal, Request
from moltler.demo.quirks.quirk import Ask, Quirk
from moltler.demo.shop import Collection


def _collection(request: Request) -> Collection:
    return "orders" if request.path.strip("/").startswith("orders") else "items"


def _writes(request: Request) -> bool:
    return request.method in {"POST", "PATCH", "PUT"} and not request.path.endswith("/search")


def _answer_without_body(request: Request, ask: Ask, api: PlainApi) -> Answer:
    answer = ask(request)
    return Answer(204, None, answer.headers) if _writes(request) else answer


def _tell_put_apart(request: Request, ask: Ask, api: PlainApi) -> Answer:
    answer = ask(request)
    return Answer(204) if request.method == "PUT" and answer.status == 200 else answer


def _ignore_impossible(request: Request, ask: Ask, api: PlainApi) -> Answer:
    try:
        return ask(request)
    except Refusal as refusal:
        if request.method not in {"PATCH", "DELETE"} or refusal.answer.status != 409:
            raise
        return Answer(204)


def _ignore_unknown_fields(request: Request, ask: Ask, api: PlainApi) -> Answer:
    if not _writes(request):
        return ask(request)
    known = WRITABLE[_collection(request)]
    return ask(request.sending({k: v for k, v in request.document().items() if k in known}))


def _wipe_fields_not_sent(request: Request, ask: Ask, api: PlainApi) -> Answer:
    if request.method != "PUT":
        return ask(request)
    empty: Row = {"name": "", **DEFAULTS["items"]}
    return ask(request.sending({**empty, **request.document()}))


def _cascade(request: Request, ask: Ask, api: PlainApi) -> Answer:
    collection, _, key = request.path.strip("/").partition("/")
    if request.method == "DELETE" and collection == "items" and api.knows(request):
        for order in api.shop.orders_of(key):
            api.shop.delete("orders", order)
    return ask(request)


def _delete_nothing(request: Request, ask: Ask, api: PlainApi) -> Answer:
    try:
        return ask(request)
    except Refusal as refusal:
        if request.method != "DELETE" or refusal.answer.status != 404:
            raise
        return Answer(204)


def _demand_version(request: Request, ask: Ask, api: PlainApi) -> Answer:
    if request.method == "PATCH" and "if-match" not in request.headers and api.knows(request):
        raise Refusal(428, "send the row's `version` in the header If-Match")
    return ask(request)


def _forget_idempotency_key(request: Request, ask: Ask, api: PlainApi) -> Answer:
    return ask(request.saying(**{"idempotency-key": None}))


WRITING = (
    Quirk("writes-answer-204", "Writes are answered 204 without a body.", _answer_without_body),
    Quirk(
        "put-is-201-or-204",
        "The same PUT is answered 201 the first time and 204 later.",
        _tell_put_apart,
    ),
    Quirk(
        "impossible-change-is-204",
        "A change that is not possible is answered 204 and ignored.",
        _ignore_impossible,
    ),
    Quirk(
        "unknown-fields-ignored", "Unknown fields in a write are ignored.", _ignore_unknown_fields
    ),
    Quirk("put-wipes", "PUT empties the fields that are not sent.", _wipe_fields_not_sent),
    Quirk("delete-cascades", "Deleting an item deletes its orders as well.", _cascade),
    Quirk(
        "deleting-nothing-is-204", "Deleting what does not exist is answered 204.", _delete_nothing
    ),
    Quirk(
        "stale-version-is-412",
        "PATCH demands the version in If-Match (428), and a stale one is answered 412.",
        _demand_version,
    ),
    Quirk(
        "no-idempotency-key",
        "The header Idempotency-Key is ignored: a repeated POST creates twice.",
        _forget_idempotency_key,
    ),
)
"""Writes."""
