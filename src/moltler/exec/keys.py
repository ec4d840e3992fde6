"""Primary keys that a scan has delivered, to notice repeated rows and pages."""

from __future__ import annotations

from collections.abc import Collection, Hashable

_GENERATION = 100_000
"""Keys in one generation; two are kept, so memory does not grow with the scan."""


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
