"""``moltler serve``: run syncs when their schedules say so."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from moltler.cli.base import Command, examples
from moltler.cli.opening import open_session

if TYPE_CHECKING:
    from moltler.session.session import Session
    from moltler.sync.scheduler import Scheduler

_GRACE_S = 20.0


@click.command(
    cls=Command,
    epilog=examples(
        "moltler serve                    in the foreground; Ctrl-C or SIGTERM ends it",
        "moltler serve --port 8470        and answer GET /health there",
        "moltler serve 2>> serve.log      keep the log: one JSON object a line",
    ),
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Answer GET /health here; 0 takes any free port."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=_GRACE_S,
    show_default=True,
    metavar="SECONDS",
    help="How long running syncs may go on once it is told to end.",
)
@click.pass_context
def command(context: click.Context, *, port: int | None, host: str, grace: float) -> None:
    """Run the syncs of this home by their schedules until interrupted.

    One process does so for each home. Runs that were missed while none did are skipped. It is
    safe to kill: what a run has not committed is read again.
    """
    session = open_session(context)
    log = _Log()
    stop = threading.Event()
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda *_: stop.set())
    with session.schedules.keeping():
        scheduler = session.schedules.scheduler(log.write)
        _serve(scheduler, session, log, stop, None if port is None else (host, port))
        _end(scheduler, session, log, grace)


def _serve(
    scheduler: Scheduler,
    session: Session,
    log: _Log,
    stop: threading.Event,
    address: tuple[str, int] | None,
) -> None:
    from moltler.sync.health import HealthServer

    about: dict[str, object] = {"home": str(session.home), "pid": os.getpid()}

    def health() -> Mapping[str, object]:
        syncs, running = scheduler.counts
        following = log.plain(scheduler.next_run)
        return {"status": "ok", **about, "syncs": syncs, "running": running, "next_run": following}

    scheduler.look()
    if address is None:
        log.write({"event": "serving", **about})
        scheduler.serve(stop)
        return
    with HealthServer(address[1], health, host=address[0]) as server:
        log.write({"event": "serving", **about, "health": f"{server.url}/health"})
        scheduler.serve(stop)


def _end(scheduler: Scheduler, session: Session, log: _Log, grace: float) -> None:
    _, running = scheduler.counts
    log.write({"event": "stopping", "running": running})
    if not scheduler.finish(grace):
        # What they have not committed is read again by the next run.
        session.close()
        scheduler.finish(grace)
    log.write({"event": "stopped"})


class _Log:
    """One JSON object a line, on stderr."""

    def __init__(self) -> None:
        from moltler.compose import SystemClock

        self._clock = SystemClock()
        self._lock = threading.Lock()

    def plain(self, value: object) -> object:
        from moltler.session.scheduling import in_json

        return in_json(value)

    def write(self, event: Mapping[str, object]) -> None:
        found = {"time": self._clock.now(), **event}
        line = json.dumps({k: self.plain(v) for k, v in found.items()}, ensure_ascii=False)
        with self._lock:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
