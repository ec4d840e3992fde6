"""All quirks by name, and the shop as seen through those that a path asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from moltler.demo.api import PlainApi
from moltler.demo.messages import Answer, Refusal, Request
from moltler.demo.quirks.paging import PAGING_QUIRKS
from moltler.demo.quirks.quirk import Ask, Quirk
from moltler.demo.quirks.reading import READING
from moltler.demo.quirks.refusing import REFUSING
from moltler.demo.quirks.writing import WRITING
from moltler.errors import near_match

QUIRKS: Mapping[str, Quirk] = {
    quirk.name: quirk for quirk in (*REFUSING, *READING, *PAGING_QUIRKS, *WRITING)
}
_PREFIX = "/quirks/"


def with_quirks(api: PlainApi, request: Request) -> Answer:
    """Answer a request through the quirks that its path names: ``/quirks/a,b/items``.

    The first named is the outermost: ``errors-with-200,rate-limit`` answers a 429 with 200.

    Raises:
        Refusal: An error status.
    """
    if not request.path.startswith(_PREFIX):
        return api(request)
    names, _, rest = request.path.removeprefix(_PREFIX).partition("/")
    ask: Ask = api
    for name in reversed(names.split(",")):
        ask = partial(_layered, _quirk(name), ask, api)
    return ask(replace(request, path=f"/{rest}", root=f"{request.root}{_PREFIX}{names}"))


def _layered(quirk: Quirk, below: Ask, api: PlainApi, request: Request) -> Answer:
    return quirk.layer(request, below, api)


def _quirk(name: str) -> Quirk:
    if name not in QUIRKS:
        close = near_match(name, list(QUIRKS))
        tail = f"did you mean `{close}`?" if close else "GET /quirks lists them"
        raise Refusal(404, f"there is no quirk `{name}`; {tail}")
    return QUIRKS[name]
