"""The pages of one query for a synchronous caller (`ports.PageStream`)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

from moltler.errors import ErrorContext, MoltlerError, error_class
from moltler.flow.scan import UNFIT, ScanOutcome, ScanRequest, Warning
from moltler.loop import LoopThread
from moltler.sandbox.call import Call, Death
from moltler.sandbox.columns import Batch, decode_page
from moltler.sandbox.failures import of_death, session_closed
from moltler.sandbox.frames import BadFrame, PageNote
from moltler.sandbox.stream import Stream, Work
from moltler.schema import DataType
from moltler.secret import redact_start

_PREVIEW = 80


class JavaScriptPages:
    """The pages of one query (`ports.PageStream`); made by `Runtime.query`."""

    def __init__(
        self,
        loop: LoopThread,
        stream: Stream,
        work: Work,
        request: ScanRequest,
        over: threading.Event,
    ) -> None:
        fields = request.entity.fields
        self._columns = tuple(
            (p.name, p.type) for c in request.columns if (p := fields.find(c)) is not None
        )
        self._keeps_unfit = request.keeps_unfit
        if request.keeps_unfit:
            self._columns = (*self._columns, (UNFIT, DataType("string")))
        self._loop = loop
        self._stream = stream
        self._over = over
        """Set when the handlers are closed; their loop may then be gone."""
        self._work = work
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._rows = 0
        self._nulled = 0

    def __iter__(self) -> Iterator[Batch]:
        """Give itself."""
        return self

    def __next__(self) -> Batch:
        """Run the handler to its next page.

        Raises:
            MoltlerError: The handler failed, or a value does not fit its field (JSR005).
        """
        with self._lock:
            if self._closed.is_set():
                raise StopIteration
            if self._over.is_set():
                self._closed.set()
                raise session_closed()
            try:
                payload = self._loop.run(self._stream.pull())
            except CancelledError:
                self._closed.set()
                raise StopIteration from None
            except MoltlerError:
                self._closed.set()
                raise
            except BaseException:
                # An interrupt: whoever waited is gone, so the handler must stop.
                self._closed.set()
                self._loop.submit(self._stream.stop())
                raise
            if payload is None:
                self._closed.set()
                raise StopIteration
            return self._read(payload)

    def close(self) -> None:
        """Stop the handler (its ``finally`` runs) and release the stream; may be repeated.

        From another thread it ends a pull that is under way.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        if not self._over.is_set():
            self._loop.finish(self._stream.stop())

    @property
    def outcome(self) -> ScanOutcome:
        """What is known so far."""
        stream, warnings = self._stream, self._stream.warnings
        if self._nulled:
            message = f"{self._nulled} value(s) did not fit their field and became NULL"
            warnings = (*warnings, Warning("values_nulled", message, self._work.source))
        return ScanOutcome(
            stream.incomplete_reason,
            warnings,
            self._rows,
            stream.pages,
            stream.requests,
            stream.has_ended,
            stream.api_s,
            stream.call_s,
            server_time=stream.server_time,
        )

    def _read(self, payload: bytes | bytearray) -> Batch:
        try:
            page = decode_page(payload, self._columns)
        except BadFrame as bad:
            death = Death("forged", detail=str(bad))
            self._closed.set()
            self._loop.run(self._stream.abandon(death))
            raise of_death(death, Call(0, "query"), self._work.failing) from bad
        if page.note.count and not self._keeps_unfit:
            if not self._work.target.limits.null_on_type_error:
                self.close()
                raise self._misfit(page.note)
            self._nulled += page.note.count
        self._rows += page.batch.num_rows
        return page.batch

    def _misfit(self, note: PageNote) -> MoltlerError:
        first, failing = note.misfits[0], self._work.failing
        name, type_ = self._columns[first.column]
        shown = redact_start(first.preview, _PREVIEW, failing.secrets)
        others = f" (and {note.count - 1} more values of the page)" if note.count > 1 else ""
        reason = first.reason[:_PREVIEW] or "does not fit"
        return error_class("JSR005")(
            "JSR005",
            f"row {self._rows + first.row}, field `{name}` ({type_}): `{shown}` is refused, "
            f"{reason}{others}",
            hint="convert it in the handler, declare another type, "
            "or set OPTIONS `on_type_error` to 'null'",
            span=failing.place,
            context=ErrorContext(failing.connector, failing.entity),
        )
