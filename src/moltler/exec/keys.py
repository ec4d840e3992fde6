"""Primary keys that a scan has delivered, to notice repeated rows and pages."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import Any, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc

from moltler.exec.border import Cells

_GENERATION = 100_000
"""Keys in one generation; two are kept, so memory does not grow with the scan."""
_MOST_RUNS = 8
_Bound: TypeAlias = "str | int"


class SeenPages:
    """Remembers the keys of a scan's pages, as `SeenKeys` does, for less where they come in order.

    Most APIs page along their key. Pages in order whose ranges lie apart hold no key twice, so
    only ranges are compared, and no key becomes an object of Python. With the first page that is
    not in order, or reaches into the range of another one, all keys are compared.
    """

    def __init__(self, generation: int = _GENERATION) -> None:
        self._generation = generation
        self._young = _Ranges()
        self._old = _Ranges()
        self._keys: SeenKeys | None = None

    def add(self, columns: Sequence[Cells]) -> tuple[int, Hashable | None]:
        """Remember the keys of a page; tell how many of them are new, and one that is not.

        Args:
            columns: Of the key, without NULL.
        """
        if self._keys is None:
            bounds = _bounds(columns[0]) if len(columns) == 1 else None
            if bounds is not None and not self._old.meet(*bounds) and self._young.add(*bounds):
                column = columns[0]
                # A copy: the column would keep all others of its page in memory.
                self._young.pages.append(pa.concat_arrays([column, column.slice(0, 0)]))
                self._young.size += len(column)
                if self._young.size >= self._generation:
                    self._old, self._young = self._young, _Ranges()
                return len(column), None
            self._keys = SeenKeys(self._generation)
            for page in (*self._old.pages, *self._young.pages):
                self._keys.add(page.to_pylist())
            self._old = self._young = _Ranges()
        return self._keys.add(_rows(columns))


class _Ranges:
    """Where the keys of some pages lie, and the keys."""

    def __init__(self) -> None:
        self.pages: list[Cells] = []
        self.size = 0
        self._runs: list[tuple[Any, Any]] = []

    def meet(self, low: _Bound, high: _Bound) -> bool:
        """Tell whether a page may have a key of these."""
        return any(low <= last and first <= high for first, last in self._runs)

    def add(self, low: _Bound, high: _Bound) -> bool:
        """Add the range of a page that meets none; tell whether that could be done."""
        if self.meet(low, high):
            return False
        *others, latest = self._runs or [(low, high)]
        wider = min(low, latest[0]), max(high, latest[1])
        if not any(wider[0] <= last and first <= wider[1] for first, last in others):
            self._runs = [*others, wider]
        else:
            self._runs.append((low, high))
        return len(self._runs) <= _MOST_RUNS


def _bounds(column: Cells) -> tuple[_Bound, _Bound] | None:
    """Give the least and the greatest key of a column in strict order, or ``None``."""
    if not (pa.types.is_string(column.type) or pa.types.is_int64(column.type)):
        return None
    first, last = column[0].as_py(), column[-1].as_py()
    smaller, greater = column[:-1], column[1:]
    if first > last:
        smaller, greater, first, last = greater, smaller, last, first
    in_order = pc.all(pc.less(smaller, greater), min_count=0).as_py()
    return (cast("_Bound", first), cast("_Bound", last)) if in_order else None


def _rows(columns: Sequence[Cells]) -> list[Hashable]:
    if len(columns) == 1:
        return cast("list[Hashable]", columns[0].to_pylist())
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


class SeenKeys:
    """Remembers at least the last 100,000 keys of a scan, and at most twice as many.

    Pages that repeat follow each other closely: a cursor that does not move, rows that slip from
    one page to the next while they are read. A scan of a million rows must not keep a million
    keys for that.
    """

    def __init__(self, generation: int = _GENERATION) -> None:
        self._generation = generation
        self._young: set[Hashable] = set()
        self._old: set[Hashable] = set()

    def add(self, keys: Collection[Hashable]) -> tuple[int, Hashable | None]:
        """Remember keys; tell how many of them are new, and one that is not.

        Returns:
            The count, and the first repeated key or ``None``.
        """
        fresh = set(keys)
        fresh -= self._young
        fresh -= self._old
        repeated = None if len(fresh) == len(keys) else self._repeated(keys)
        self._young |= fresh
        if len(self._young) >= self._generation:
            self._young, self._old = set(), self._young
        return len(fresh), repeated

    def _repeated(self, keys: Collection[Hashable]) -> Hashable | None:
        here: set[Hashable] = set()
        for key in keys:
            if key in here or key in self._young or key in self._old:
                return key
            here.add(key)
        return None
