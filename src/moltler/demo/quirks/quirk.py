"""What a quirk is: a layer around the shop that changes requests, answers, or both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from moltler.demo.api import PlainApi
from moltler.demo.messages import Answer, Request

Ask: TypeAlias = Callable[[Request], Answer]
"""The shop below the quirk; may raise a `Refusal`."""
Layer: TypeAlias = Callable[[Request, Ask, PlainApi], Answer]


@dataclass(frozen=True, slots=True)
class Quirk:
    """One oddity."""

    name: str
    """As in the path: ``/quirks/<name>/items``."""
    sentence: str
    layer: Layer


def plain(request: Request, ask: Ask, api: PlainApi) -> Answer:
    """Leave everything as it is: the shop has this oddity anyway."""
    del api
    return ask(request)


def asks_for_list(request: Request) -> bool:
    """Tell whether a request reads a list of rows."""
    return request.method == "GET" and request.path.strip("/") in {"items", "orders"}
