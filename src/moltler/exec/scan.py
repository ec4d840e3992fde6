"""One table reference of a query: pages pulled from a handler, as DuckDB wants them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import pyarrow as pa

from moltler.errors import ErrorContext, MoltlerError, error_class
from moltler.exec.budget import Budget
from moltler.exec.fitting import sort_out
from moltler.exec.keys import SeenPages
from moltler.exec.masking import masked
from moltler.exec.pages import PageReader, scan_schema
from moltler.flow.connector import ResolvedConnector
from moltler.flow.scan import IncompleteReason, ScanOutcome, ScanRequest, Warning
from moltler.flow.sync import Unfit
from moltler.ports import Handlers, PageStream
from moltler.schema import Property

_PAGES_WITHOUT_PROGRESS = 3


@dataclass(slots=True)
class RowCount:
    """Rows of one reading, over all its calls."""

    rows: int = 0


class ScanSource:
    """The rows of one scan; every reading calls the handler anew.

    DuckDB may open it from any of its threads and keeps only the text of an error, so the error
    itself stays here in `failure`.

    Args:
        request: What is asked of the handler.
        target: The instance.
        handlers: Runs it.
        budget: Of the query.
    """

    def __init__(
        self,
        request: ScanRequest,
        target: ResolvedConnector,
        handlers: Handlers,
        budget: Budget,
    ) -> None:
        self.request = request
        self.target = target
        self.failure: BaseException | None = None
        self._handlers = handlers
        self._budget = budget
        fields = request.entity.fields
        self._columns = _shown(request)
        keys = [p for p in fields if p.primary_key and p not in self._columns]
        # Keys are read even where the SQL does not need them: they show whether pages repeat.
        self._read_columns = (*self._columns, *keys)
        self._lock = threading.Lock()
        self._streams: list[PageStream] = []
        self._outcomes: list[ScanOutcome] = []
        self._warnings: list[Warning] = []
        self._closed = False
        self._stopped: MoltlerError | None = None
        self.rows = 0
        """Rows so far, over all readings."""
        self._unfit: list[Unfit] = []
        budget.add(self)

    @property
    def label(self) -> str:
        """Connector and entity, as messages name them."""
        return f"{self.target.name}.{self.request.entity.name}"

    @property
    def schema(self) -> pa.Schema:
        """What every batch looks like."""
        return scan_schema(self._columns)

    @property
    def columns(self) -> tuple[Property, ...]:
        """The fields that the SQL sees, in order."""
        return self._columns

    def pages(self, *, limit: int | None) -> Iterator[pa.RecordBatch]:
        """Read the scan outside of DuckDB, with or without a limit."""
        return self._guarded(replace(self.request, limit=limit), RowCount())

    def reading(
        self, request: ScanRequest, count: RowCount, opened: Callable[[PageStream], None]
    ) -> Iterator[pa.RecordBatch]:
        """Read one of several calls outside of DuckDB.

        Args:
            request: What this call asks.
            count: Of the reading that the call belongs to.
            opened: Given the call's stream, so that another thread can stop it.
        """
        return self._guarded(request, count, opened)

    def close(self) -> None:
        """Stop what still runs; may be called from any thread and repeated."""
        with self._lock:
            self._closed = True
            streams = list(self._streams)
        for stream in streams:
            stream.close()
            self._note(stream, None, has_ended=False)

    def stop(self, error: MoltlerError) -> None:
        """End its calls with an error; may be called from any thread."""
        with self._lock:
            if self._closed or self._stopped is not None:
                return
            self._stopped = error
            streams = list(self._streams)
        for stream in streams:
            stream.close()

    def disbelieve(self) -> None:
        """Forget what earlier readings told about completeness: their rows are not used."""
        self._warnings.clear()
        self._outcomes = [ScanOutcome(requests=o.requests) for o in self._outcomes]

    @property
    def incomplete_reason(self) -> IncompleteReason | None:
        """Why rows may be missing, as far as the scan was read."""
        return next((o.incomplete_reason for o in self._outcomes if o.incomplete_reason), None)

    @property
    def warnings(self) -> tuple[Warning, ...]:
        """What users should know, each once."""
        told = [w for o in self._outcomes for w in o.warnings]
        return tuple(dict.fromkeys((*told, *self._warnings)))

    @property
    def server_time(self) -> datetime | None:
        """The time of the API when it first answered, as far as it told it."""
        with self._lock:
            known = [*self._outcomes, *(s.outcome for s in self._streams)]
        return min((o.server_time for o in known if o.server_time), default=None)

    def take_unfit(self) -> list[Unfit]:
        """Give the rows that did not fit since the last call."""
        with self._lock:
            unfit, self._unfit = self._unfit, []
        return unfit

    @property
    def requests(self) -> int:
        """HTTP requests so far."""
        with self._lock:
            streams, outcomes = tuple(self._streams), tuple(self._outcomes)
        return sum(o.requests for o in (*outcomes, *(s.outcome for s in streams)))

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def _guarded(
        self,
        request: ScanRequest,
        count: RowCount,
        opened: Callable[[PageStream], None] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._read(request, count, opened)
        except GeneratorExit:
            raise
        except BaseException as error:
            if self.failure is None:
                self.failure = self._placed(error)
            raise

    def _placed(self, error: BaseException) -> BaseException:
        if isinstance(error, MoltlerError):
            error.within(ErrorContext(connector=self.target.name, entity=self.request.entity.name))
            masked(error, self.target.secrets)
        return error

    def _read(
        self,
        request: ScanRequest,
        count: RowCount,
        opened: Callable[[PageStream], None] | None,
    ) -> Iterator[pa.RecordBatch]:
        if request.is_empty:
            return
        wanted = replace(
            request,
            columns=tuple(p.name for p in self._read_columns),
            admit=partial(self._budget.admit, self),
        )
        stream = self._handlers.query(self.target, wanted)
        with self._lock:
            if self._stopped is not None:
                raise self._stopped
            if self._closed:
                return
            self._streams.append(stream)
        if opened is not None:
            opened(stream)
        has_ended = False
        try:
            yield from self._converted(stream, count)
            has_ended = True
        finally:
            stream.close()
            self._note(stream, request.limit, has_ended=has_ended)

    def _converted(self, stream: PageStream, count: RowCount) -> Iterator[pa.RecordBatch]:
        limits = self.target.limits
        reader = PageReader(self._read_columns, self.label, limits.null_on_type_error)
        progress = _Progress(self.request, self.label, is_strict=limits.duplicate_key_is_error)
        shown = [p.name for p in self._columns]
        rows = nulled = 0
        for page in stream:
            if self.request.keeps_unfit:
                batch, misfits, unfit = sort_out(reader, page, rows)
                with self._lock:
                    self._unfit += unfit
            else:
                batch, misfits = reader.read(page, rows)
            rows += batch.num_rows
            nulled += misfits
            with self._lock:
                count.rows += batch.num_rows
                self.rows += batch.num_rows
            self._budget.check(self, count.rows)
            progress.check(batch)
            yield batch.select(shown)
        if self._stopped is not None:
            raise self._stopped
        self._budget.check(self, count.rows)
        if nulled:
            self._warn("values_nulled", f"{nulled} value(s) did not fit their fields and are NULL")
        if progress.repeated is not None:
            self._warn("duplicate_key", progress.told)

    def _warn(self, code: str, message: str) -> None:
        self._warnings.append(Warning(code, message, self.label))

    def _note(self, stream: PageStream, limit: int | None, *, has_ended: bool) -> None:
        """Keep what became of a reading that is over."""
        with self._lock:
            if stream not in self._streams:
                return
            self._streams.remove(stream)
            outcome = stream.outcome
            had_enough = not has_ended or (limit is not None and outcome.rows >= limit)
            if had_enough and outcome.incomplete_reason == "possibly_incomplete":
                # The pages that were left out are pages that nobody asked for.
                outcome = replace(outcome, incomplete_reason=None)
            self._outcomes.append(outcome)


def _shown(request: ScanRequest) -> tuple[Property, ...]:
    fields = request.entity.fields
    found = [fields.find(name) for name in request.columns]
    shown = tuple(f for f in found if f is not None)
    if shown:
        return shown
    # `count(*)` reads no column, but a batch without columns has no rows either.
    plain = [p for p in fields if not p.filter_only]
    return tuple(sorted(plain, key=lambda p: not p.primary_key)[:1])


class _Progress:
    """Watches that pages bring new primary keys (JSR008)."""

    def __init__(self, request: ScanRequest, label: str, *, is_strict: bool) -> None:
        self._is_strict = is_strict
        self._names = request.entity.fields.primary_key
        self._label = label
        self._seen = SeenPages()
        self._stale = 0
        self.repeated: Hashable | None = None

    @property
    def told(self) -> str:
        """The first repeated key, as a sentence."""
        key = self.repeated
        shown = ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)
        return f"the primary key {shown} was delivered more than once"

    def check(self, batch: pa.RecordBatch) -> None:
        """Look at the keys of one page.

        Raises:
            HandlerError: JSR008, the third page in a row without a new key; or, if that is an
                error, a key that was delivered before.
        """
        if not self._names or not batch.num_rows:
            return
        new, repeated = self._seen.add([batch.column(n) for n in self._names])
        if repeated is not None and self.repeated is None:
            self.repeated = repeated
            if self._is_strict:
                raise error_class("JSR008")(
                    "JSR008",
                    f"`{self._label}`: {self.told}",
                    hint="rows may be missing as well: page by a cursor or in the order of a key "
                    "that does not change",
                )
        self._stale = 0 if new else self._stale + 1
        if self._stale >= _PAGES_WITHOUT_PROGRESS:
            raise error_class("JSR008")(
                "JSR008",
                f"{self._stale} pages in a row of `{self._label}` brought no new primary key",
                hint="the handler asks for the same page again: check how it moves its cursor",
            )
