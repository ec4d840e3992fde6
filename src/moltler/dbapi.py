"""The database interface of PEP 249 (LANGUAGE §13).

from moltler import dbapi

with dbapi.connect() as connection:
    cursor = connection.cursor()
    cursor.execute("SELECT id, name FROM shop.items WHERE status = ?", ("active",))
    print(cursor.fetchall())
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from moltler import compose
from moltler.errors import MoltlerError

if TYPE_CHECKING:
    import types

    from moltler.exec.result import Result
    from moltler.session.session import Session

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"

Description = tuple[str, str, None, None, None, None, bool | None]
Row = tuple[Any, ...]


# ── errors ───────────────────────────────────────────────────────────────────────────────────────


class Warning(Exception):
    """Part of the interface; never raised."""


class Error(Exception):
    """Any failure; `cause` is what Moltler says of it, with code, hint and place."""

    @property
    def cause(self) -> MoltlerError | None:
        """The failure as `moltler` has it; ``None`` for misuse of the interface itself."""
        return self.__cause__ if isinstance(self.__cause__, MoltlerError) else None


class InterfaceError(Error):
    """The interface was used wrongly."""


class DatabaseError(Error):
    """A failed test or package (TST, PKG), and everything below."""


class DataError(DatabaseError):
    """What a handler returned is not what was declared (JSR004, JSR005)."""


class OperationalError(DatabaseError):
    """A connector, its API or a sync failed (JSR, API, SNC)."""


class IntegrityError(DatabaseError):
    """Part of the interface; never raised."""


class InternalError(DatabaseError):
    """A fault of Moltler itself (INT)."""


class ProgrammingError(DatabaseError):
    """The statement or a name in it is wrong (SYN, DEF, CAT, PLN)."""


class NotSupportedError(DatabaseError):
    """There is no such thing here, such as a rollback."""


_OF_CODE: dict[str, type[Error]] = {"JSR004": DataError, "JSR005": DataError}
_OF_FAMILY: dict[str, type[Error]] = {
    **dict.fromkeys(("SYN", "DEF", "CAT", "PLN"), ProgrammingError),
    **dict.fromkeys(("JSR", "API", "SNC"), OperationalError),
    **dict.fromkeys(("TST", "PKG"), DatabaseError),
    "INT": InternalError,
}


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except MoltlerError as error:
        kind = _OF_CODE.get(error.code) or _OF_FAMILY[error.code[:3]]
        hint = f" ({error.hint})" if error.hint else ""
        raise kind(f"{error.code}: {error.message}{hint}") from error


# ── types ────────────────────────────────────────────────────────────────────────────────────────


class _TypeCode:
    """A type object: equal to every type name of its group."""

    def __init__(self, *names: str) -> None:
        self._names = frozenset(names)

    def __eq__(self, other: object) -> bool:
        return other in self._names if isinstance(other, str) else self is other

    def __hash__(self) -> int:
        return hash(self._names)


STRING = _TypeCode("string", "document", "array", "any")
BINARY = _TypeCode()
NUMBER = _TypeCode("integer", "number", "boolean")
DATETIME = _TypeCode("timestamp", "date")
ROWID = _TypeCode()

Date = datetime.date
Time = datetime.time


def Timestamp(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0
) -> datetime.datetime:
    """Make a time in UTC; times without a zone have no meaning here."""
    return datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC)


def DateFromTicks(ticks: float) -> datetime.date:
    """Make the local date of a time in seconds since 1970."""
    return datetime.date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> datetime.time:
    """Make the local time of day of a time in seconds since 1970."""
    return datetime.time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    """Make a time of seconds since 1970."""
    return datetime.datetime.fromtimestamp(ticks, datetime.UTC)


def Binary(_value: bytes) -> NoReturn:
    """Refuse bytes, which the language does not have.

    Raises:
        NotSupportedError: Always.
    """
    raise NotSupportedError("there are no binary values; pass them as text")


# ── connections ──────────────────────────────────────────────────────────────────────────────────


def connect(home: str | Path | None = None) -> Connection:
    """Open a home.

    Args:
        home: The folder with catalog and secrets; without it the one of the command line.
    """
    with _translated():
        return Connection(compose.connect(home))


class Connection:
    """A session; a context manager that closes it."""

    Warning = Warning
    Error = Error
    InterfaceError = InterfaceError
    DatabaseError = DatabaseError
    DataError = DataError
    OperationalError = OperationalError
    IntegrityError = IntegrityError
    InternalError = InternalError
    ProgrammingError = ProgrammingError
    NotSupportedError = NotSupportedError

    def __init__(self, session: Session) -> None:
        self._session: Session | None = session

    @property
    def session(self) -> Session:
        """The session behind it.

        Raises:
            InterfaceError: It was closed.
        """
        if self._session is None:
            raise InterfaceError("the connection was closed")
        return self._session

    def cursor(self) -> Cursor:
        """Give a new cursor."""
        return Cursor(self, self.session)

    def commit(self) -> None:
        """Do nothing: every statement takes effect when it runs."""
        _ = self.session

    def rollback(self) -> NoReturn:
        """Refuse: what an API was told cannot be taken back.

        Raises:
            NotSupportedError: Always.
        """
        raise NotSupportedError("statements take effect when they run; there is no rollback")

    def close(self) -> None:
        """End processes and close files; may be repeated."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()


class Cursor:
    """Runs statements and reads the rows of the last one, as they arrive."""

    def __init__(self, connection: Connection, session: Session) -> None:
        self.connection = connection
        self.arraysize = 1
        self._session = session
        self._result: Result | None = None
        self._rows: Iterator[Row] = iter(())
        self._is_read = False
        self._is_closed = False

    @property
    def description(self) -> Sequence[Description] | None:
        """Name and type of each column; ``None`` before a statement that gives rows."""
        if self._result is None or not self._result.columns:
            return None
        return [(c.name, c.type, None, None, None, None, None) for c in self._result.columns]

    @property
    def rowcount(self) -> int:
        """The number of rows, once all have been read; -1 before."""
        return self._result.row_count if self._result is not None and self._is_read else -1

    def execute(self, operation: str, parameters: Sequence[object] = ()) -> Cursor:
        """Run one or more statements; the rows are those of the last.

        Args:
            operation: The text; ``?`` is the next parameter.
            parameters: One for each ``?``.

        Raises:
            Error: As `_translated` maps the codes.
        """
        self._begin()
        given = cast("object", parameters)  # callers without a type checker pass anything
        if not isinstance(given, Sequence) or isinstance(given, str | bytes):
            raise InterfaceError("parameters are a sequence, with one value for each `?`")
        with _translated():
            self._result = self._session.execute(operation, list(parameters))
        self._rows = self._result.rows()
        return self

    def executemany(self, operation: str, seq_of_parameters: Sequence[Sequence[object]]) -> Cursor:
        """Run a text once for each sequence of parameters; there are no rows afterwards.

        Raises:
            Error: One of them failed; the earlier ones took effect.
        """
        self._begin()
        for parameters in seq_of_parameters:
            self.execute(operation, parameters)
            for _ in self:
                pass
        self._release()
        return self

    def fetchone(self) -> Row | None:
        """Give the next row, or ``None`` at the end.

        Raises:
            Error: Nothing was run, or the query failed while it was read.
        """
        if self._is_closed or self._result is None:
            raise InterfaceError("there is no result to fetch from; call execute() first")
        with _translated():
            row = next(self._rows, None)
        self._is_read = self._is_read or row is None
        return row

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """Give the next rows, at most `size` or `arraysize` of them."""
        found: list[Row] = []
        for _ in range(self.arraysize if size is None else size):
            row = self.fetchone()
            if row is None:
                break
            found.append(row)
        return found

    def fetchall(self) -> list[Row]:
        """Give all rows that are left."""
        return list(self)

    def setinputsizes(self, sizes: Sequence[object]) -> None:
        """Do nothing; sizes are not needed."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Do nothing; sizes are not needed."""

    def close(self) -> None:
        """Stop the scans of an unread result; may be repeated."""
        self._is_closed = True
        self._release()

    def __iter__(self) -> Iterator[Row]:
        while (row := self.fetchone()) is not None:
            yield row

    def __enter__(self) -> Cursor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self) -> None:
        _ = self.connection.session  # refuses what was closed
        if self._is_closed:
            raise InterfaceError("the cursor was closed")
        self._release()
        self._is_read = False

    def _release(self) -> None:
        result, self._result = self._result, None
        self._rows = iter(())
        if result is not None:
            result.close()
