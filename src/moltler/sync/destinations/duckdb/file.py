"""One DuckDB file, opened for as long as it is needed and shared with other processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from moltler.errors import MoltlerError, SyncError
from moltler.ports import Clock
from moltler.sync.file_queue import Busy, FileQueue
from moltler.vault.locks import BUSY_AFTER_S, busy, holder_of

KEEP_S = 2.0
"""How long a file stays open for what comes next, unless somebody waits for it."""
_LOOK_S = 0.05
_MAGIC_AT, _MAGIC = 8, b"DUCK"
_SETTINGS = (
    "SET TimeZone = 'UTC'",
    "SET python_enable_replacements = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
)
_MEMORY = "512MB"


class DuckFile:
    """A DuckDB file; safe for threads.

    DuckDB admits one process that writes or several that read. Ours take turns by a lock file; a
    program of others is waited for. In one process all share one instance, so a reader sees the
    state of its beginning while somebody writes.

    Args:
        path: The file, which is made by the first writing.
        name: The destination, as messages name it.
        clock: Measures the waiting.
        is_home: It is the file of the home, whose folder is made as well.
        wait_s: How long others are waited for.
        keep_s: How long the file stays open.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        clock: Clock,
        *,
        is_home: bool = False,
        wait_s: float = BUSY_AFTER_S,
        keep_s: float = KEEP_S,
    ) -> None:
        self.path = path
        self.name = name
        self._clock = clock
        self._is_home = is_home
        self._wait_s = wait_s
        self._keep_s = keep_s
        self._queue = FileQueue(path, clock)
        self._changed = threading.Condition()
        self._instance: duckdb.DuckDBPyConnection | None = None
        self._writes = False
        self._is_writing = False
        self._users = 0
        self._idle_since: float | None = None
        self._keeper: threading.Thread | None = None

    @property
    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    @contextmanager
    def write(self) -> Generator[duckdb.DuckDBPyConnection]:
        """Give a connection in a transaction, which is committed at the end.

        Raises:
            SyncError: SNC006, the file cannot be opened or written.
            LookupFailed: CAT009, another process holds the home's file.
        """
        with self._used(writes=True) as connection:
            try:
                with self.translated():
                    connection.execute("BEGIN TRANSACTION")
                yield connection
                with self.translated():
                    connection.execute("COMMIT")
            except BaseException as error:
                if isinstance(error.__cause__, duckdb.Error):
                    # An instance that failed may be unusable, and reading its log again is cheap.
                    self._spoil()
                raise

    @contextmanager
    def read(self) -> Generator[duckdb.DuckDBPyConnection]:
        """Give a connection that sees one state of an existing file.

        Raises:
            SyncError: SNC006.
            LookupFailed: CAT009.
        """
        with self._used(writes=False) as connection:
            with self.translated():
                connection.execute("BEGIN TRANSACTION")
            yield connection

    def close(self) -> None:
        """Close the file once nobody uses it; may be repeated."""
        with self._changed:
            self._keep_s = 0.0
            if self._users == 0:
                self._shut()
            self._changed.notify_all()
            keeper = self._keeper
        if keeper is not None:
            keeper.join()

    # ── opening and sharing ──────────────────────────────────────────────────────────────────

    @contextmanager
    def _used(self, *, writes: bool) -> Generator[duckdb.DuckDBPyConnection]:
        connection = self._enter(writes=writes)
        try:
            yield connection
        finally:
            connection.close()
            self._leave(writes=writes)

    def _enter(self, *, writes: bool) -> duckdb.DuckDBPyConnection:
        deadline = self._clock.monotonic() + self._wait_s
        with self._changed:
            while True:
                if self._instance is not None and (self._writes or not writes):
                    if not (writes and self._is_writing):
                        break
                elif self._instance is None or self._users == 0:
                    self._shut()
                    self._open(writes=writes, deadline=deadline)
                    break
                # What another thread does ends by itself; a result that nobody reads may not.
                if not self._changed.wait(max(0.0, deadline - self._clock.monotonic())):
                    raise self._busy("a result of this process that has not been read to its end")
            assert self._instance is not None  # noqa: S101 - opened above
            self._users += 1
            self._idle_since = None
            self._is_writing = self._is_writing or writes
            try:
                return self._instance.cursor()
            except duckdb.Error as error:
                self._users -= 1
                self._is_writing = self._is_writing and not writes
                self._shut()
                raise self._refused(error) from error

    def _leave(self, *, writes: bool) -> None:
        with self._changed:
            self._users -= 1
            if writes:
                self._is_writing = False
            if self._users == 0:
                if self._keep_s <= 0 or self._instance is None or self._queue.is_wanted():
                    self._shut()
                else:
                    self._idle_since = self._clock.monotonic()
                    self._begin_keeping()
            self._changed.notify_all()

    def _spoil(self) -> None:
        with self._changed:
            if self._users == 1:
                self._shut_instance()

    def _begin_keeping(self) -> None:
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="moltler-duck", daemon=True)
            self._keeper.start()

    def _keep(self) -> None:
        with self._changed:
            while self._instance is not None:
                since = self._idle_since
                is_over = since is not None and (
                    self._clock.monotonic() - since >= self._keep_s or self._queue.is_wanted()
                )
                if is_over and self._users == 0:
                    self._shut()
                    self._changed.notify_all()
                    break
                self._changed.wait(_LOOK_S)
            self._keeper = None

    def _open(self, *, writes: bool, deadline: float) -> None:
        if writes and self._is_home:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            left = max(0.0, deadline - self._clock.monotonic())
            self._queue.take(shared=not writes, wait_s=left)
        except Busy as verdict:
            raise self._busy(verdict.holder) from None
        except OSError as error:
            if writes:
                raise self._refused(error) from error
            # A file on a medium that cannot be written has no lock file, and no writers.
        try:
            self._queue.wait_until(lambda: self._connect(writes=writes), deadline)
        except Busy:
            self._queue.release()
            raise self._busy(holder_of(self.path)) from None
        except BaseException:
            self._queue.release()
            raise
        self._writes = writes

    def _connect(self, *, writes: bool) -> bool:
        """Open the file; tell whether that succeeded or another program has it.

        Raises:
            SyncError: SNC006, it will not succeed later either.
        """
        try:
            instance = duckdb.connect(str(self.path), read_only=not writes)
        except duckdb.IOException as error:
            if self._may_be_held(writes=writes):
                return False
            raise self._refused(error) from error
        except duckdb.Error as error:
            raise self._refused(error) from error
        try:
            for setting in _SETTINGS:
                instance.execute(setting)
            instance.execute(f"SET memory_limit = '{_MEMORY}'")
        except duckdb.Error as error:
            instance.close()
            raise self._refused(error) from error
        self._instance = instance
        return True

    def _may_be_held(self, *, writes: bool) -> bool:
        # Nobody of us has it open here, so reading it cannot take a lock away.
        try:
            with self.path.open("rb") as file:
                head = file.read(_MAGIC_AT + len(_MAGIC))
        except OSError:
            return False
        return head[_MAGIC_AT:] == _MAGIC and (not writes or os.access(self.path, os.W_OK))

    def _shut(self) -> None:
        self._shut_instance()
        self._queue.release()

    def _shut_instance(self) -> None:
        instance, self._instance = self._instance, None
        self._idle_since = None
        if instance is not None:
            instance.close()

    # ── errors ───────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def translated(self) -> Generator[None]:
        """Turn what DuckDB raises into SNC006."""
        try:
            yield
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise self.changed_by_others(error) from error
        except (duckdb.Error, OSError) as error:
            raise self._refused(error) from error

    def changed_by_others(self, error: Exception) -> SyncError:
        """Give the error SNC006 for tables that are not as a sync left them."""
        return SyncError(
            "SNC006",
            f"the tables of destination `{self.name}` were changed by somebody else:"
            f" {_first_line(error)}",
            hint="run the sync with FULL, which loads the table anew",
        )

    def _refused(self, error: Exception) -> SyncError:
        return SyncError(
            "SNC006",
            f"destination `{self.name}` refuses (`{self.path}`): {_first_line(error)}",
            hint="check the file, its permissions and the free space; what was committed is safe",
        )

    def _busy(self, holder: str | None) -> MoltlerError:
        if self._is_home:
            return busy(self.path.parent, holder, self._wait_s)
        return SyncError(
            "SNC006",
            f"destination `{self.name}` is busy: {holder or 'another program'} has had"
            f" `{self.path}` open for {self._wait_s:g} seconds",
            hint="close the file there, or wait, and try again",
        )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].removesuffix(".")
