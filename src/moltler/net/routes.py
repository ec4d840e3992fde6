"""MOCK_API read into routes, and the choice among them (LANGUAGE §10.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from moltler.errors import MoltlerError, Span, error_class, near_match
from moltler.lang import ast
from moltler.net.address import WebAddress
from moltler.net.mock_reading import Evaluate, Problems, locate
from moltler.net.routes_answers import Answer, Received, read_answer
from moltler.net.routes_keys import BadKey, RouteKey, read_key


@dataclass(frozen=True, slots=True)
class Route:
    """A key with the responses it has."""

    key: RouteKey
    answers: tuple[Answer, ...]
    is_sequence: bool
    span: Span = field(compare=False, repr=False)

    def count_of(self, index: int) -> int | None:
        """Give how often a response is given; ``None``: without end."""
        times = self.answers[index].times
        return times if times is not None else 1 if self.is_sequence else None

    @property
    def total(self) -> int | None:
        """How many responses there are in all; ``None``: without end."""
        counts = [self.count_of(index) for index in range(len(self.answers))]
        return None if None in counts else sum(c for c in counts if c is not None)


@dataclass(frozen=True, slots=True)
class Choice:
    """The route that answers a request."""

    order: int
    """Its place in MOCK_API, from 0."""
    route: Route
    index: int | None
    """Which of its responses; ``None``: all that fit have been given."""


@dataclass(frozen=True, slots=True)
class MockApi:
    """All routes of a test, in the order they were written."""

    routes: tuple[Route, ...] = ()

    def choose(
        self,
        method: str,
        address: WebAddress,
        request: Received,
        served: Iterable[tuple[int, ...]],
    ) -> Choice | None:
        """Give the most specific route that a request fits, or ``None``.

        Host, path (from the left: literal, parameter, ``*``, ``**``) and method decide, then the
        number of demands on query and `when`, then the order in MOCK_API. Within an array the
        first response that is left and whose `when` fits is taken.

        Args:
            method: Upper-case.
            address: Where the request goes.
            request: What it holds.
            served: For each route, how often each of its responses was given.
        """
        fitting: list[tuple[tuple[object, ...], Choice]] = []
        for order, (route, given) in enumerate(zip(self.routes, served, strict=True)):
            if not route.key.matches(method, address):
                continue
            fits = [i for i, a in enumerate(route.answers) if a.when.mismatch(request) is None]
            if not fits:
                continue
            index = next((i for i in fits if _is_left(route, i, given)), None)
            demands = route.answers[fits[0] if index is None else index].when.count
            rank = (*route.key.rank, -len(route.key.query) - demands, order)
            fitting.append((rank, Choice(order, route, index)))
        return min(fitting, key=lambda found: found[0])[1] if fitting else None

    def nearest(self, method: str, address: WebAddress) -> tuple[Route, ...]:
        """Give all routes, the one that a request may have meant first."""
        return tuple(sorted(self.routes, key=lambda r: r.key.distance(method, address)))

    def find(self, text: str, span: Span | None) -> tuple[Route, ...]:
        """Give the routes of a key as MOCK_CALLS and the like spell it.

        Raises:
            MoltlerError: TST005, there is none.
        """
        key = key_of(text, span)
        found = tuple(route for route in self.routes if route.key == key)
        if found:
            return found
        known = tuple(route.key.text for route in self.routes)
        close = near_match(text, known)
        raise error_class("TST005")(
            "TST005",
            f"MOCK_API has no key `{text}`",
            hint=f"did you mean `{close}`?" if close else None,
            span=span,
            allowed=known,
        )


def read_mock_api(document: ast.Document, evaluate: Evaluate) -> MockApi:
    """Read the clause MOCK_API of a test.

    Args:
        document: The clause.
        evaluate: Gives the value of an expression; called once for each.

    Raises:
        MoltlerError: TST005 with everything that is wrong, and where; or what `evaluate` raises.
    """
    problems, routes = Problems(), list[Route]()
    for member in document.members:
        located = locate(member.value, evaluate)
        try:
            key = read_key(member.key)
        except BadKey as error:
            problems.add(member.key_span, str(error), hint=error.hint)
            key = None
        parts = (located,) if located.items is None else located.items
        if not parts:
            problems.add(
                located.span,
                f"`{member.key}` has an empty array of responses",
                hint="give at least one response, or remove the route",
            )
        answers = tuple(read_answer(part, problems) for part in parts)
        if key is not None:
            routes.append(Route(key, answers, located.items is not None, member.key_span))
    problems.settle()
    return MockApi(tuple(routes))


def key_of(text: str, span: Span | None) -> RouteKey:
    """Read a key that a function was given.

    Raises:
        MoltlerError: TST005, it is none.
    """
    try:
        return read_key(text)
    except BadKey as error:
        raise error_class("TST005")("TST005", str(error), hint=error.hint, span=span) from error


def unanswered(api: MockApi, method: str, address: WebAddress, request: Received) -> MoltlerError:
    """Give TST002 for a request that no route answers."""
    wanted = f"{method} {address.target}"
    if not api.routes:
        message = f"no route answers `{wanted}`: MOCK_API has none"
        return error_class("TST002")("TST002", message, hint=_addition(method, address))
    near = api.nearest(method, address)
    names = [f"`{route.key.text}`" for route in near]
    known = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    why = near[0].key.mismatch(method, address) or next(
        (m for answer in near[0].answers if (m := answer.when.mismatch(request))), None
    )
    return error_class("TST002")(
        "TST002",
        f"no route answers `{wanted}`; the nearest, {names[0]}, {why}; known routes, nearest "
        f"first: {known}",
        hint=_addition(method, address),
    )


def exhausted(route: Route, wanted: str) -> MoltlerError:
    """Give TST003 for a route that has no more responses."""
    total = route.total
    return error_class("TST003")(
        "TST003",
        f"`{route.key.text}` has {total} {'answer' if total == 1 else 'answers'}, "
        f"and `{wanted}` asks for one more",
        hint="add a response to its array, or see why the handler asks again",
    )


def _addition(method: str, address: WebAddress) -> str:
    if address.scheme == "mock" and address.host and address.path == "/":
        return f"put a slash before the path: `{address.host}` is the host of `{address}`"
    return f'add "{method} {address.path}" to MOCK_API, or see why the handler asks for it'


def _is_left(route: Route, index: int, given: tuple[int, ...]) -> bool:
    count = route.count_of(index)
    return count is None or given[index] < count
