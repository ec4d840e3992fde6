"""Which of the collected tests run, and in what order."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from moltler.errors import MoltlerError, error_class, near_match
from moltler.lang import ast


@dataclass(frozen=True, slots=True)
class Choice:
    """What the options of `moltler test` say; of each kind any may match, and all kinds must."""

    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Globs."""
    tags: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    """Tags; they win over everything else."""

    def takes(self, test: ast.TestDefinition) -> bool:
        """Tell whether a test is meant."""
        type_name = str(test.type_name).lower()
        return (
            (not self.types or type_name in {t.lower() for t in self.types})
            and (not self.names or any(fnmatchcase(test.name, glob) for glob in self.names))
            and (not self.tags or not set(self.tags).isdisjoint(test.tags))
            and set(self.excluded).isdisjoint(test.tags)
        )

    def of(self, tests: Sequence[ast.TestDefinition]) -> list[ast.TestDefinition]:
        """Give the tests that are meant, in their order.

        Raises:
            AssertionFailed: TST006, none is.
        """
        chosen = [test for test in tests if self.takes(test)]
        if not chosen:
            raise self._nothing(tests)
        return chosen

    def _nothing(self, tests: Sequence[ast.TestDefinition]) -> MoltlerError:
        if not tests:
            return error_class("TST006")(
                "TST006",
                "there are no tests in these files",
                hint="write TEST CONNECTOR TYPE statements into .moltler or .sql files",
            )
        options = (
            ("--type", self.types),
            ("--name", self.names),
            ("--tag", self.tags),
            ("--exclude-tag", self.excluded),
        )
        said = " ".join(f"{option} {value}" for option, values in options for value in values)
        close = next(filter(None, self._near(tests)), None)
        return error_class("TST006")(
            "TST006",
            f"no test matches {said}",
            hint=f"did you mean `{close}`?" if close else "list the tests with --list",
        )

    def _near(self, tests: Sequence[ast.TestDefinition]) -> Iterable[str | None]:
        known = (
            (self.types, [str(t.type_name) for t in tests]),
            (self.tags, [tag for t in tests for tag in t.tags]),
            (self.names, [t.name for t in tests]),
        )
        for wanted, there in known:
            folded = {name.lower() for name in there}
            for name in wanted:
                if name.lower() not in folded:
                    yield near_match(name, there)


def shuffled(tests: Sequence[ast.TestDefinition], seed: int) -> list[ast.TestDefinition]:
    """Give the tests in an order that the seed alone decides."""
    mixed = list(tests)
    random.Random(seed).shuffle(mixed)  # noqa: S311 - an order, no secret
    return mixed


def new_seed() -> int:
    """Give a seed that is short enough to be typed again."""
    return random.SystemRandom().randrange(1_000_000)
