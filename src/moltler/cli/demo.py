"""``moltler demo``: a small shop API on this machine, and a tour of Moltler against it."""

from __future__ import annotations

import base64
import os
import secrets
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moltler.cli.base import Command, examples, settings_of
from moltler.cli.opening import open_session
from moltler.cli.output import Printer, wants_color
from moltler.errors import MoltlerError, Source

if TYPE_CHECKING:
    from moltler.demo.server import DemoServer, Seen
    from moltler.demo.tour import Step
    from moltler.session.session import Session

_DEFAULT_PORT = 8765
_REQUESTS_SHOWN = 3


@click.command(
    cls=Command,
    epilog=examples(
        "moltler demo                  serve the shop on port 8765 until Ctrl-C",
        "moltler demo --port 9000",
        "moltler demo --tour           define, query, join, act and see what the shop saw",
    ),
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"Port to listen on; 0 takes any free one. [default: {_DEFAULT_PORT}]",
)
@click.option("--tour", is_flag=True, help="Take a tour in a temporary home, then end.")
@click.pass_context
def command(context: click.Context, *, port: int | None, tour: bool) -> None:
    """Serve a small shop API with items, orders, paging, errors and oddities.

    It listens on 127.0.0.1 only, keeps its rows in memory and forgets all changes when it ends.
    """
    if tour:
        _take_tour(context, port or 0)
    else:
        _serve(_DEFAULT_PORT if port is None else port)


def _serve(port: int) -> None:
    from moltler.demo.server import DemoServer
    from moltler.demo.tour import CONNECTOR_FILE

    def show(seen: Seen) -> None:
        click.echo(f"  {seen}")

    with DemoServer(port, on_request=show) as server:
        click.echo(_welcome(server, CONNECTOR_FILE))
        try:
            server.wait()
        except KeyboardInterrupt:
            click.echo("\nThe shop is closed.")


def _welcome(server: DemoServer, connector: Path) -> str:
    # The text looks like SQL only to a linter.
    return f"""\
The shop is open at {server.url} with the key {server.key}   (Ctrl-C closes it)

  In another terminal:
    export SHOP_URL={server.url}
    moltler secrets set shop_key {server.key}
    moltler run {connector}
    moltler query "SELECT * FROM my_shop.items LIMIT 5"

  Or by hand:
    curl -H 'Authorization: Bearer {server.key}' '{server.url}/items?status=active&limit=2'
    curl {server.url}/quirks        oddities to ask for: {server.url}/quirks/<name>/items

Requests:"""  # noqa: S608


class _Guide:
    """Prints the tour, in colours only on a terminal."""

    def __init__(self, *, color: bool) -> None:
        self.printer = Printer("table", color=color)
        self.color = color
        self._number = 0

    def say(self, text: str, **style: bool | str) -> None:
        click.echo(click.style(text, **style) if self.color else text)  # type: ignore[arg-type] # click's own keywords

    def head(self, title: str) -> None:
        self._number += 1
        self.say(f"\n{self._number}. {title}", bold=True)

    def code(self, text: str) -> None:
        click.echo()
        for line in text.splitlines():
            self.say(f"    {line}", fg="cyan")
        click.echo()

    def note(self, text: str) -> None:
        self.say(f"→ {text}", fg="green")


def _take_tour(context: click.Context, port: int) -> None:
    from moltler.demo.server import DemoServer
    from moltler.demo.tour import NEXT, STEPS

    started = time.monotonic()
    settings = settings_of(context)
    guide = _Guide(color=settings.color and wants_color(sys.stdout))
    with (
        tempfile.TemporaryDirectory(prefix="moltler-tour-") as folder,
        DemoServer(port, key=_tour_key()) as server,
    ):
        home = _new_home(Path(folder))
        context.find_root().obj = replace(settings, home=str(home))
        guide.say("A tour of Moltler, in a temporary home that is gone when it ends.")
        guide.say(f"A small shop API now runs at {server.url}.")
        with open_session(context, prewarm=True) as session:
            _store(guide, session, server)
            _define(guide, session, server)
            for step in STEPS:
                guide.head(step.title)
                _run_step(guide, session, step)
                _tell_requests(guide, server)
                guide.note(step.says)
            _search_key(guide, home, server.key)
        guide.say(f"\nThe tour took {time.monotonic() - started:.1f} s.\n")
        guide.say(NEXT)


def _tour_key() -> str:
    # A variable of the user's would win over the stored secret, so the shop takes that one.
    return os.environ.get("MOLTLER_SECRET_SHOP_KEY") or f"key-{secrets.token_hex(12)}"


def _new_home(folder: Path) -> Path:
    from moltler.vault.keys import KEY_BYTES, write_private

    home = folder / "home"
    home.mkdir(mode=0o700)
    # With a key file of its own the tour leaves nothing in the keyring of the machine.
    write_private(home / "secrets.key", base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
    return home


def _store(guide: _Guide, session: Session, server: DemoServer) -> None:
    guide.head("Store a secret")
    guide.code("moltler secrets set shop_key")
    session.secrets.put("shop_key", server.key)
    guide.say("✓ secret shop_key stored")
    guide.note("It is encrypted in the home, and looked up only when a request leaves.")


def _define(guide: _Guide, session: Session, server: DemoServer) -> None:
    from moltler.demo.tour import CONNECTOR_FILE, excerpt, point_at, read_connector

    connector = read_connector()
    guide.head("Define a connector")
    guide.say(f"It is a text file: {CONNECTOR_FILE}")
    guide.say("This is one of its two entities; its handler fetches the rows:")
    guide.code(excerpt(connector))
    source = Source(str(CONNECTOR_FILE), point_at(connector, server.url))
    for _, outcome in session.run(source):
        if outcome is not None:
            guide.printer.show(outcome)
    guide.note("The whole file was read before its first statement ran.")


def _run_step(guide: _Guide, session: Session, step: Step) -> None:
    guide.code(step.text)
    try:
        for _, outcome in session.run(Source("<tour>", step.text)):
            if outcome is not None:
                guide.printer.show(outcome)
    except MoltlerError as error:
        if not step.fails:
            raise
        from moltler.render.text import print_error, stdout_console

        print_error(stdout_console(color=guide.color), error)


def _tell_requests(guide: _Guide, server: DemoServer) -> None:
    seen = server.seen()
    for request in seen[:_REQUESTS_SHOWN]:
        guide.say(f"  the shop saw  {request}", dim=True)
    if len(seen) > _REQUESTS_SHOWN:
        guide.say(f"  and {len(seen) - _REQUESTS_SHOWN} more", dim=True)


def _search_key(guide: _Guide, home: Path, key: str) -> None:
    guide.head("Look for the key in every file of the home")
    files = [path for path in home.rglob("*") if path.is_file()]
    holding = [path.name for path in files if key.encode() in path.read_bytes()]
    guide.say(f"{len(files)} files, {len(holding)} with the key {' '.join(holding)}".rstrip())
    guide.note("Catalog, history and secrets hold no readable credential.")
