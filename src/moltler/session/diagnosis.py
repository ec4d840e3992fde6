"""What works on this machine and in this home, and how to mend what does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from moltler.catalog.home import create_home
from moltler.errors import MoltlerError
from moltler.model import Handler
from moltler.session.services import Services

if TYPE_CHECKING:
    from moltler.sandbox.walls import Wall


@runtime_checkable
class Walled(Protocol):
    """A session whose handlers run behind walls."""

    def walls(self) -> tuple[Wall, ...]:
        """Tell which stand around a process on this machine."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: Literal["ok", "warning", "failed"]
    detail: str
    """What was found; of a failure also what to do."""


def diagnose(services: Services) -> tuple[Check, ...]:
    """Look at everything; one failure does not keep the rest from being looked at."""
    checks: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("home", lambda: _home(services)),
        ("catalog", lambda: _catalog(services)),
        ("key", lambda: _key(services)),
        ("runtime", lambda: _runtime(services)),
        ("engine", lambda: _engine(services)),
        ("network", lambda: _network(services)),
        ("registries", lambda: _registries(services)),
    )
    return (*(_guarded(name, check) for name, check in checks), *_walls(services))


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except MoltlerError as error:
        return _failed(name, error)


def _failed(name: str, error: MoltlerError) -> Check:
    hint = f"; {error.hint}" if error.hint else ""
    return Check(name, "failed", f"{error.code}: {error.message}{hint}")


def _home(services: Services) -> Check:
    home = create_home(services.home)
    mode = home.stat().st_mode & 0o777
    if mode & 0o077:
        return Check(
            "home",
            "warning",
            f"{home} can be entered by others (mode {mode:04o}); run `chmod 700 {home}`",
        )
    return Check("home", "ok", str(home))


def _catalog(services: Services) -> Check:
    catalog = services.catalog.load()
    return Check(
        "catalog", "ok", f"{len(catalog.types)} type(s), {len(catalog.connectors)} connector(s)"
    )


def _key(services: Services) -> Check:
    source = services.secrets.check()
    if source == "none yet":
        return Check("key", "ok", "none yet; the first secret makes one")
    detail = f"from the {source}; {len(services.secrets.list())} secret(s)"
    return Check("key", "ok", detail)


def _runtime(services: Services) -> Check:
    problems = services.handlers.check(
        Handler("async function query() { return []; }", "<doctor>", 1), "query"
    )
    if problems:
        return Check("runtime", "failed", problems[0].message)
    return Check("runtime", "ok", "the JavaScript runtime starts and compiles handlers")


def _walls(services: Services) -> tuple[Check, ...]:
    if not isinstance(services, Walled):
        return ()
    try:
        walls = services.walls()
    except MoltlerError as error:
        return (_failed("walls", error),)
    return tuple(
        Check(f"wall: {wall.name}", "warning", f"not on this machine: {wall.missing}")
        if wall.missing
        else Check(f"wall: {wall.name}", "ok", wall.keeps)
        for wall in walls
    )


def _engine(services: Services) -> Check:
    version = services.engine.evaluate_constant("version()")
    return Check("engine", "ok", f"DuckDB {version}")


def _network(services: Services) -> Check:
    proxy, ca_file = (services.environ.get(n) for n in ("MOLTLER_PROXY", "MOLTLER_CA_FILE"))
    if proxy:
        return Check(
            "network",
            "warning",
            "MOLTLER_PROXY is set: names are resolved by the proxy, so the rule about private "
            "addresses rests on it",
        )
    return Check("network", "ok", f"direct; extra certificates: {ca_file or 'none'}")


def _registries(services: Services) -> Check:
    from moltler.session.registries import PackageHost, book_of, registry_at

    configured = book_of(services).load().registries
    if not configured or not isinstance(services, PackageHost):
        return Check("registries", "ok", "none; packages can be installed from archives")
    found: list[str] = []
    for registry in configured:
        count = len(registry_at(registry, services).index().connectors)
        found.append(f"{registry.name}: {count} connector(s)")
    return Check("registries", "ok", "; ".join(found))
