"""The only door to DuckDB: locked connections, registered scans, streamed batches, our errors."""

from __future__ import annotations

import re
import tempfile
import threading
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa

from moltler.errors import MoltlerError, error_class, near_match
from moltler.exec.binding import bindable
from moltler.exec.border import BorderColumn, border_column, cells, json_column, to_border
from moltler.exec.complaints import worded
from moltler.exec.documents import COMPLAINT, MACROS
from moltler.exec.tables import ArrowSource, Tables
from moltler.schema import TypeName

T = TypeVar("T")

_SETTINGS = (
    "SET TimeZone = 'UTC'",
    # Default buffering pulls hundreds of pages before the first row leaves.
    "SET streaming_buffer_size = '1KB'",
    "SET python_enable_replacements = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    # As in expressions (LANGUAGE §3.3): a remainder by zero is NULL.
    "SET error_on_division_by_zero = false",
)
_READERS = 16
"""Threads that wait for the first pages of a query's scans."""
_LOCKS = ("SET enable_external_access = false", "SET lock_configuration = true")
# Functions of LANGUAGE §3.4 that DuckDB lacks, or has with other arguments or another meaning.
# Macros see each other, so their bodies use DuckDB's list_ names only.
_MACROS = (
    "array_prepend(a, x) AS list_prepend(x, a)",
    "array_remove(a, x) AS list_filter(a, lambda e: e IS DISTINCT FROM x)",
    "array_distinct(a) AS list_filter(a, lambda e, i: list_position(a, e) = i)",
    "array_reverse(a) AS list_transform(range(len(a), 0, -1), lambda i: list_extract(a, i))",
    "array_flatten(a) AS flatten(a)",
    # Without the CASE a NULL bound would count as none: `greatest` passes over NULLs.
    "array_slice(a, start, stop) AS CASE WHEN start IS NOT NULL AND stop IS NOT NULL THEN"
    " list_slice(a, greatest(start, 0) + 1, greatest(stop, 0)) END",
    "lpad(s, n) AS system.main.lpad(s, n, ' '), (s, n, c) AS system.main.lpad(s, n, c)",
    "rpad(s, n) AS system.main.rpad(s, n, ' '), (s, n, c) AS system.main.rpad(s, n, c)",
)
# What the language forbids, even where the locked connection would answer.
_HIDDEN_FUNCTIONS = re.compile(r"__internal|^v__|^duckdb_|^pragma_|^pg_")


_TIMED = re.compile(r"\buuidv7\s*\(", re.IGNORECASE)


class Engine:
    """DuckDB instances, made ready once and used by one query at a time.

    Opening one takes tens of milliseconds, so idle ones are kept.

    Args:
        threads: DuckDB's workers for each query; ``None`` for as many as there are processors.
        idle: How many unused instances are kept.
    """

    def __init__(self, *, threads: int | None = None, idle: int = 4) -> None:
        self._threads = threads
        self._most_idle = idle
        self._lock = threading.Lock()
        self._idle: list[_Seat] = []
        self._closed = False

    @contextmanager
    def open(self) -> Generator[Connection]:
        """Give a connection for one query; what it registered is gone afterwards."""
        seat = self._take()
        connection = Connection(seat)
        try:
            yield connection
        finally:
            if connection.was_interrupted:
                seat.close()
            else:
                connection.forget()
                self._give_back(seat)

    def evaluate_constant(self, sql: str, parameters: Mapping[str, object] | None = None) -> object:
        """Give the value of SQL without tables, an expression or a whole SELECT.

        Raises:
            MoltlerError: As `Connection.query`, or PLN007 if there is not exactly one value.
        """
        text = sql if re.match(r"\s*(select|with|values|from)\b", sql, re.IGNORECASE) else None
        with self.open() as connection:
            query = connection.query(text or f"SELECT {sql}", parameters or {})
            rows = [row for batch in query.batches() for row in _rows(batch, query.columns)]
        if len(rows) != 1 or len(rows[0]) != 1:
            raise error_class("PLN007")(
                "PLN007", f"`{sql}` gives {len(rows)} rows where one value is needed"
            )
        return rows[0][0]

    def close(self) -> None:
        """Close the idle instances; those in use close when their query ends."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for seat in idle:
            seat.close()

    def _take(self) -> _Seat:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Seat(_open_locked(self._threads))

    def _give_back(self, seat: _Seat) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < self._most_idle:
                self._idle.append(seat)
                return
        seat.close()


class _Seat:
    """A DuckDB instance, the thread that waits for it, and threads that read ahead for it."""

    def __init__(self, raw: duckdb.DuckDBPyConnection) -> None:
        self.raw = raw
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="moltler-query")
        self.readers = ThreadPoolExecutor(_READERS, thread_name_prefix="moltler-first")
        self.tables = Tables(raw.register, raw.unregister, raw.execute)

    def close(self) -> None:
        self.worker.shutdown()
        self.readers.shutdown()
        self.raw.close()


def _open_locked(threads: int | None) -> duckdb.DuckDBPyConnection:
    raw = duckdb.connect(":memory:")
    spill = Path(tempfile.gettempdir()) / f"moltler-{uuid.uuid4().hex}"
    raw.execute(f"SET temp_directory = '{str(spill).replace(chr(39), chr(39) * 2)}'")
    if threads is not None:
        raw.execute(f"SET threads = {int(threads)}")
    for setting in _SETTINGS:
        raw.execute(setting)
    for macro in (*_MACROS, *MACROS):
        raw.execute(f"CREATE MACRO {macro}")
    for lock in _LOCKS:
        raw.execute(lock)
    return raw


class Connection:
    """One locked connection; used by one thread at a time, but `interrupt` by any."""

    def __init__(self, seat: _Seat) -> None:
        self._raw = seat.raw
        self._worker = seat.worker
        self._readers = seat.readers
        self._tables = seat.tables
        self._is_seeded = False
        self.was_interrupted = False
        """Whether it was stopped in the middle: such a connection is not used again."""

    def register(self, name: str, source: ArrowSource, variants: Mapping[str, bool]) -> None:
        """Make a source readable as the table `name`.

        Args:
            name: The table.
            source: Its rows.
            variants: JSON text columns that become VARIANT, or VARIANT[] where true.
        """
        self._tables.put(name, source, variants)

    def seed(self, value: float) -> None:
        """Let random() and uuid() of the next query give what they gave for this value before.

        Args:
            value: From 0 to 1.
        """
        self._raw.execute("SELECT setseed(?)", [value]).fetchall()
        self._is_seeded = True

    def query(
        self,
        sql: str,
        parameters: Mapping[str, object],
        documents: Mapping[int, TypeName] | None = None,
    ) -> Query:
        """Bind a SELECT; nothing runs before its batches are asked for.

        Args:
            sql: The SELECT.
            parameters: Values for its ``$name``.
            documents: Columns that are documents, JSON text or VARIANT, by position, and what they
                are outside.

        Raises:
            MoltlerError: The SQL cannot run as written.
        """
        texts = documents or {}
        if self._is_seeded and _TIMED.search(sql):
            raise error_class("PLN006")(
                "PLN006",
                "uuidv7() holds the time, so a replay would give another value",
                hint="use uuid()",
            )
        with _translated(self._raw):
            wanted = self._wanted(sql, parameters)
            relation = self._raw.sql(sql, params=wanted)
            names = unique_names(relation.columns)
            columns = tuple(
                _border(name, type_, texts.get(i))
                for i, (name, type_) in enumerate(zip(names, relation.types, strict=True))
            )
            if any(c.cast for c in columns):
                numbered = [f"c{i}" for i in range(len(columns))]
                shown = ", ".join(
                    c.cast.format(n) if c.cast else n
                    for c, n in zip(columns, numbered, strict=True)
                )
                relation = self._raw.sql(
                    f"SELECT {shown} FROM (\n{sql}\n) AS result({', '.join(numbered)})",  # noqa: S608 - the statement itself
                    params=wanted,
                )
        return Query(self._raw, sql, relation, columns)

    def count(self, sql: str, parameters: Mapping[str, object]) -> int:
        """Give the one number that a query returns."""
        with _translated(self._raw):
            reader = self._raw.sql(sql, params=self._wanted(sql, parameters)).to_arrow_reader()
            return int(reader.read_all().column(0)[0].as_py() or 0)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Run something that pulls pages in the connection's own thread, after what it does now.

        Whoever waits for it can be interrupted; a thread inside DuckDB cannot.
        """
        return _submitted(self._worker, work)

    def read_ahead(self, work: Callable[[], T]) -> Future[T]:
        """Run something that pulls a page while the connection does something else."""
        return _submitted(self._readers, work)

    def interrupt(self) -> None:
        """Stop what runs; the thread that runs it gets an error."""
        self.was_interrupted = True
        self._raw.interrupt()

    def forget(self) -> None:
        """Let go of the sources."""
        self._tables.clear()

    def _wanted(self, sql: str, parameters: Mapping[str, object]) -> dict[str, object] | None:
        if not parameters:
            return None
        # DuckDB refuses values for names that the text does not hold.
        names = {n for s in self._raw.extract_statements(sql) for n in s.named_parameters}
        return {n: bindable(v) for n, v in parameters.items() if n in names} or None


def _submitted(pool: ThreadPoolExecutor, work: Callable[[], T]) -> Future[T]:
    try:
        return pool.submit(work)
    except RuntimeError:
        # The program ends, and Python has ended the threads already: nobody else is here.
        done: Future[T] = Future()
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001 - for whoever waits
            done.set_exception(error)
        return done


def _border(name: str, engine_type: object, declared: TypeName | None) -> BorderColumn:
    if declared is not None and str(engine_type) == "VARCHAR":
        return json_column(name, declared)
    column = border_column(name, engine_type)
    is_open = str(engine_type) in {"VARIANT", "VARIANT[]"}
    return replace(column, type=declared) if declared is not None and is_open else column


def unique_names(names: Sequence[str]) -> list[str]:
    """Give every name once: repeated ones get a number.

    >>> unique_names(["id", "name", "id", "id"])
    ['id', 'name', 'id_1', 'id_2']
    """
    taken = set(names)
    used: set[str] = set()
    result: list[str] = []
    for name in names:
        unique, number = name, 0
        while unique in used or (number and unique in taken):
            number += 1
            unique = f"{name}_{number}"
        used.add(unique)
        result.append(unique)
    return result


class Query:
    """A bound SELECT whose batches have border types (LANGUAGE §3.2)."""

    def __init__(
        self,
        raw: duckdb.DuckDBPyConnection,
        sql: str,
        relation: duckdb.DuckDBPyRelation,
        columns: tuple[BorderColumn, ...],
    ) -> None:
        self._raw = raw
        self._sql = sql
        self._relation = relation
        self.columns = columns
        self.schema = pa.schema([(c.name, c.arrow) for c in columns])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Run it; each step pulls as few pages as DuckDB needs.

        Raises:
            MoltlerError: DuckDB failed; a scan's own failure is for the caller to re-raise.
        """
        with _translated(self._raw):
            reader = self._relation.to_arrow_reader()
        try:
            while True:
                with _translated(self._raw):
                    try:
                        batch = reader.read_next_batch()
                    except StopIteration:
                        return
                if batch.num_rows:
                    yield to_border(batch, self.columns, self.schema)
        finally:
            reader.close()


def _rows(batch: pa.RecordBatch, columns: Sequence[BorderColumn]) -> Iterator[tuple[object, ...]]:
    return iter(zip(*(cells(batch.column(i), c) for i, c in enumerate(columns)), strict=True))


_CODES: tuple[tuple[type[Exception], str], ...] = (
    (duckdb.ParserException, "SYN001"),
    (duckdb.CatalogException, "PLN003"),
    (duckdb.BinderException, "PLN004"),
    (duckdb.TypeMismatchException, "PLN004"),
    (duckdb.ConversionException, "PLN007"),
    (duckdb.OutOfRangeException, "PLN007"),
    (duckdb.InvalidInputException, "PLN007"),
    (duckdb.PermissionException, "PLN006"),
    (duckdb.NotImplementedException, "PLN006"),
    (duckdb.OutOfMemoryException, "PLN010"),
    (duckdb.Error, "INT001"),
)
"""The code that each class of DuckDB's errors means, the special before the general."""


@contextmanager
def _translated(raw: duckdb.DuckDBPyConnection) -> Generator[None]:
    try:
        yield
    except duckdb.Error as error:
        code = next(code for kind, code in _CODES if isinstance(error, kind))
        raise _explain(raw, code, str(error)) from error
    except (OSError, pa.ArrowException) as error:
        # Once rows stream, Arrow stands between us and DuckDB and passes on its text alone.
        named = _STREAMED.match(str(error))
        code = _BY_LABEL.get(named[1], "INT001") if named else "INT001"
        raise _explain(raw, code, str(error)) from error


_STREAMED = re.compile(r"([A-Z][A-Za-z ]+) Error: ")
_BY_LABEL = {
    "Conversion": "PLN007",
    "Out of Range": "PLN007",
    "Invalid Input": "PLN007",
    "Mismatch Type": "PLN004",
    "Out of Memory": "PLN010",
}


def _explain(raw: duckdb.DuckDBPyConnection, code: str, text: str) -> MoltlerError:
    # The first paragraph says what is wrong; what follows quotes SQL that the user did not write.
    complaint = _STREAMED.sub("", text.split("\n", 1)[0], count=1)
    ours = re.search(f"{COMPLAINT}(.*?)(' to [A-Z0-9]+)?$", complaint)
    if ours:
        return error_class("PLN007")("PLN007", ours[1], hint="TRY_CAST gives NULL for what is none")
    named = re.search(r"Function with name (\S+) does not exist", complaint)
    if named:
        message, hint = f"there is no function `{named[1]}`", _near_function(raw, named[1])
    else:
        message, hint = worded(complaint)
        if message.startswith("this SELECT is nested"):
            code = "SYN001"  # wherever the engine notices
        elif code == "PLN007" and hint is None and re.search(r"onver(?!ted to)", message):
            hint = "TRY_CAST gives NULL for values that do not convert"
    return error_class(code)(code, message, hint=hint)


def _near_function(raw: duckdb.DuckDBPyConnection, name: str) -> str | None:
    rows = raw.sql("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
    names = [n for (n,) in rows if n.isidentifier() and not _HIDDEN_FUNCTIONS.search(n)]
    near = near_match(name, names)
    return f"did you mean `{near}`?" if near else None
