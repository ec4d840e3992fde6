"""Primary keys that a scan has delivered, to notice repeated rows and pages."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

_GENERATION = 250_000
"""Keys in one generation; two are kept, so memory does not grow with the scan."""


class SeenKeys:
    """Remembers at least the last 250,000 keys of a scan, and at most twice as many.

    Pages that repeat follow each other closely: a cursor that does not move, rows that slip from
    one page to the next while they are read. A scan of a million rows must not keep a million
    keys for that.
    """

    def __init__(self, generation: int = _GENERATION) -> None:
        self._generation = generation
        self._young: set[Hashable] = set()
        self._old: set[Hashable] = set()

    def add(self, keys: Iterable[Hashable]) -> tuple[int, Hashable | None]:
        """Remember keys; tell how many of them are new, and one that is not.

        Returns:
            The count, and the first repeated key or ``None``.
        """
        new = 0
        repeated: Hashable | None = None
        for key in keys:
            if key in self._young or key in self._old:
                repeated = key if repeated is None else repeated
                continue
            self._young.add(key)
            new += 1
            if len(self._young) >= self._generation:
                self._young, self._old = set(), self._young
        return new, repeated
