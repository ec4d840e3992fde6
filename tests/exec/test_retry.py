"""Calls made again after failures that may pass (LANGUAGE §7.4)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from moltler.errors import MoltlerError, error_class
from moltler.exec.duck import Engine
from moltler.exec.result import Result
from moltler.exec.retry import RetryingHandlers, RetryPolicy, sleep
from moltler.exec.run import run_select
from moltler.flow.connector import CallLimits, ResolvedConnector
from moltler.flow.scan import QueryPlan
from moltler.model import Action, Handler
from moltler.ports import Handlers, WriteWatch
from moltler.schema import JsonValue, Schema
from support.clock import HandClock
from support.handlers import PythonHandlers, entity

FIELDS = "id integer key"
ROWS = [{"id": i} for i in range(6)]
ACTION = Action("create", "items", Schema(()), Handler("function execute() {}", "t.moltler", 1))


def unreachable() -> MoltlerError:
    return error_class("API001")("API001", "connection refused")


class Failing(PythonHandlers):
    """Handlers whose first calls fail."""

    def __init__(self, failures: list[MoltlerError], limits: CallLimits, late: int = 0) -> None:
        self.failures = failures
        self.late = late
        self.tries = 0
        super().__init__({"shop": [entity("items", FIELDS, self.rows)]}, limits=limits)

    def rows(self, *_: Any) -> Iterator[Any]:
        self.tries += 1
        if self.late:
            yield ROWS[: self.late]
        if self.failures:
            raise self.failures.pop(0)
        yield ROWS[self.late :]

    def execute(
        self,
        target: ResolvedConnector,
        action: Action,
        parameters: Any,
        *,
        watch: WriteWatch | None = None,
    ) -> JsonValue:
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


class Pauses:
    """Keeps the pauses instead of making them."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float, is_over: threading.Event) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


def run(engine: Engine, failing: Failing, handlers: Handlers) -> Result:
    plan = QueryPlan("SELECT count(*) FROM t", {}, (failing.request("t", "shop.items"),))
    return Result(
        run_select(
            plan, engine=engine, handlers=handlers, resolve=failing.resolve, clock=HandClock()
        )
    )


def test_a_call_that_cannot_connect_is_made_again_after_growing_pauses(engine: Engine) -> None:
    failing = Failing([unreachable(), unreachable(), unreachable()], CallLimits(retry_count=3))
    pauses = Pauses()
    handlers = RetryingHandlers(failing, RetryPolicy(HandClock(), pauses, lambda: 0.5))
    with run(engine, failing, handlers) as result:
        assert result.value == 6
    assert failing.tries == 4
    assert pauses.seconds == [0.25, 0.5, 1.0]


def test_a_rate_limit_is_waited_for_as_long_as_the_api_says(engine: Engine) -> None:
    slow = error_class("API003")("API003", "slow down", retry_after=7)
    failing, pauses = Failing([slow], CallLimits(retry_count=1)), Pauses()
    handlers = RetryingHandlers(failing, RetryPolicy(HandClock(), pauses, lambda: 0.5))
    target, request = failing.resolve("shop"), failing.request("t", "shop.items")
    stream = handlers.query(target, request)
    assert sum(page.num_rows for page in stream) == 6
    assert pauses.seconds == [7]
    assert stream.outcome.retries == 1


@pytest.mark.parametrize("code", ["API002", "API004", "API005", "JSR001", "JSR002", "JSR006"])
def test_other_failures_are_not_retried(engine: Engine, code: str) -> None:
    failing = Failing([error_class(code)(code, "no")], CallLimits(retry_count=3))
    handlers = RetryingHandlers(failing, RetryPolicy(HandClock(), Pauses()))
    with pytest.raises(MoltlerError, match="no"), run(engine, failing, handlers) as result:
        list(result.rows())
    assert failing.tries == 1


def test_the_last_failure_is_raised_when_the_attempts_are_used_up(engine: Engine) -> None:
    failing = Failing([unreachable() for _ in range(5)], CallLimits(retry_count=2))
    handlers = RetryingHandlers(failing, RetryPolicy(HandClock(), Pauses()))
    with pytest.raises(MoltlerError, match="refused"), run(engine, failing, handlers) as result:
        list(result.rows())
    assert failing.tries == 3


def test_no_retry_after_rows(engine: Engine) -> None:
    """The trap: rows that were delivered come a second time."""
    failing = Failing([unreachable()], CallLimits(retry_count=3), late=2)
    handlers = RetryingHandlers(failing, RetryPolicy(HandClock(), Pauses()))
    with pytest.raises(MoltlerError, match="refused"), run(engine, failing, handlers) as result:
        list(result.rows())
    assert failing.tries == 1


def test_a_pause_beyond_max_seconds_is_not_made(engine: Engine) -> None:
    slow = error_class("API003")("API003", "slow down", retry_after=70)
    failing = Failing([slow], CallLimits(retry_count=3, max_seconds=60))
    pauses = Pauses()
    handlers = RetryingHandlers(failing, RetryPolicy(HandClock(), pauses))
    with pytest.raises(MoltlerError, match="slow"), run(engine, failing, handlers) as result:
        list(result.rows())
    assert pauses.seconds == []


def test_a_pause_of_more_than_ten_minutes_is_left_to_the_caller(engine: Engine) -> None:
    slow = error_class("API003")("API003", "slow down", retry_after=601)
    failing, pauses = Failing([slow], CallLimits(retry_count=3)), Pauses()
    handlers = RetryingHandlers(failing, RetryPolicy(HandClock(), pauses))
    with pytest.raises(MoltlerError) as caught, run(engine, failing, handlers) as result:
        list(result.rows())
    assert caught.value.retry_after == 601
    assert pauses.seconds == []


def test_an_api_that_asks_for_no_pause_gets_a_random_one(engine: Engine) -> None:
    slow = error_class("API003")("API003", "slow down", retry_after=0)
    failing, pauses = Failing([slow], CallLimits(retry_count=1)), Pauses()
    handlers = RetryingHandlers(failing, RetryPolicy(HandClock(), pauses, lambda: 0.5))
    with run(engine, failing, handlers) as result:
        assert result.value == 6
    assert pauses.seconds == [0.25]


def test_closing_ends_a_pause(engine: Engine) -> None:
    slow = error_class("API003")("API003", "slow down", retry_after=600)
    failing, paused = Failing([slow], CallLimits(retry_count=1)), threading.Event()

    def pause(seconds: float, is_over: threading.Event) -> None:
        paused.set()
        sleep(seconds, is_over)

    handlers = RetryingHandlers(failing, RetryPolicy(HandClock(), pause))
    stream = handlers.query(failing.resolve("shop"), failing.request("t", "shop.items"))
    reading = threading.Thread(target=lambda: next(stream, None))
    reading.start()
    assert paused.wait(10)
    stream.close()
    reading.join(10)
    assert not reading.is_alive()
    assert failing.tries == 1


@pytest.mark.parametrize(("idempotent", "tries"), [(True, 3), (False, 1)])
def test_only_idempotent_actions_are_retried(idempotent: bool, tries: int) -> None:
    failing = Failing([unreachable(), unreachable()], CallLimits(retry_count=3))
    handlers = RetryingHandlers(failing, RetryPolicy(HandClock(), Pauses()))
    action = Action(
        ACTION.name, ACTION.entity, ACTION.parameters, ACTION.handler, idempotent=idempotent
    )
    if idempotent:
        assert handlers.execute(failing.resolve("shop"), action, {}) == "done"
    else:
        with pytest.raises(MoltlerError, match="refused"):
            handlers.execute(failing.resolve("shop"), action, {})
    assert failing.tries == tries
