"""Variables in nested blocks."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from moltler.errors import MoltlerError, Span, error_class, near_match
from moltler.exec.values import described, is_array, is_document, shortened, type_error, whole

Block = dict[str, tuple[str, object]]
"""Lower-case name → spelling and value."""


class Scope:
    """The variables of one block, and those of the blocks around it.

    Names compare ignoring case and keep the spelling of their declaration. Values are never
    changed in place: a SET into a document makes a new one along the path, so two variables
    never share a change.
    """

    __slots__ = ("_blocks", "_parameters")

    def __init__(
        self, blocks: tuple[Block, ...] = (), parameters: frozenset[str] = frozenset()
    ) -> None:
        self._blocks: tuple[Block, ...] = ({}, *blocks)
        self._parameters = parameters

    def nested(self) -> Scope:
        """Give the scope of a block inside this one."""
        return Scope(self._blocks)

    def for_script(self, parameters: Mapping[str, object]) -> Scope:
        """Give the scope of a script of a session: a block of its own, its parameters, then this.

        Its parameters hide the session's variables, and the script declares none of their names.
        """
        bound = {name.lower(): (name, value) for name, value in parameters.items()}
        return Scope((bound, *self._blocks), frozenset(bound))

    def keep(self, script: Scope) -> None:
        """Take over what a script declared, so that the next one sees it."""
        self._blocks[0].update(script._blocks[0])

    def declare(self, name: str, value: object, span: Span | None = None) -> None:
        """Add a variable to this block.

        Raises:
            MoltlerError: CAT003, the block has one of that name.
        """
        block, folded = self._blocks[0], name.lower()
        if folded in self._parameters:
            raise error_class("CAT003")(
                "CAT003",
                f"`{name}` is a parameter of this call, so no variable can have that name",
                hint="give the variable another name",
                span=span,
            )
        if folded in block:
            raise error_class("CAT003")(
                "CAT003",
                f"the variable `{block[folded][0]}` is declared already",
                hint=f"change it with SET {name} = …",
                span=span,
            )
        block[folded] = (name, value)

    def assign(self, name: str, value: object) -> None:
        """Set the nearest variable of that name, or declare it in this block (INTO)."""
        folded = name.lower()
        block = self._owner(folded)
        if block is None:
            self._blocks[0][folded] = (name, value)
        else:
            block[folded] = (block[folded][0], value)

    def set(
        self,
        name: str,
        value: object,
        path: Sequence[str | int] = (),
        span: Span | None = None,
    ) -> None:
        """Change a variable, or a part of the document or array in it.

        Args:
            name: The variable.
            value: The new value of it, or of the part.
            path: Keys and indices from the variable to the part; a missing last key is added,
                and so is the item directly after the last one.
            span: Where an error is placed.

        Raises:
            MoltlerError: PLN003, there is no such variable; PLN004, the path does not lead there.
        """
        folded = name.lower()
        block = self._owner(folded)
        if block is None:
            raise self._unknown(name, span)
        spelling, old = block[folded]
        try:
            block[folded] = (spelling, _replaced(old, list(path), value, spelling))
        except MoltlerError as error:
            error.at(span)
            raise

    def get(self, name: str, span: Span | None = None) -> object:
        """Give the value of a variable.

        Raises:
            MoltlerError: PLN003, there is no such variable.
        """
        folded = name.lower()
        for block in self._blocks:
            found = block.get(folded)
            if found is not None:
                return found[1]
        raise self._unknown(name, span)

    def __contains__(self, name: str) -> bool:
        return self._owner(name.lower()) is not None

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable in sight, innermost first, as spelled at its declaration."""
        return tuple(self.visible())

    def visible(self) -> dict[str, object]:
        """Give every variable in sight by its spelling; inner ones hide outer ones."""
        merged: Block = {}
        for block in self._blocks:
            merged = {**block, **merged}
        return dict(merged.values())

    @contextmanager
    def holding(self, values: Mapping[str, object]) -> Generator[None, None, None]:
        """Hide variables behind others for a while: the parameters of a lambda."""
        block = self._blocks[0]
        hidden = {n.lower(): block.get(n.lower()) for n in values}
        block.update({n.lower(): (n, v) for n, v in values.items()})
        try:
            yield
        finally:
            for folded, old in hidden.items():
                if old is None:
                    block.pop(folded, None)
                else:
                    block[folded] = old

    def _owner(self, folded: str) -> Block | None:
        return next((block for block in self._blocks if folded in block), None)

    def _unknown(self, name: str, span: Span | None) -> MoltlerError:
        names = self.names
        near = near_match(name, list(names))
        return error_class("PLN003")(
            "PLN003",
            f"there is no variable `{name}`",
            hint=f"did you mean `{near}`?" if near else f"declare it: DECLARE {name} = …",
            span=span,
            allowed=names,
        )


def _replaced(old: object, path: list[str | int], value: object, where: str) -> object:
    if not path:
        return value
    step, *rest = path
    if isinstance(step, str):
        if old is None and not rest:
            raise type_error(f"`{where}` is NULL and has no key `{step}`", f"set `{where}` first")
        if not is_document(old):
            raise type_error(f"`{where}` is {described(old)} and has no key `{step}`")
        return {**old, step: _replaced(old.get(step), rest, value, f"{where}.{step}")}
    if not is_array(old):
        raise type_error(f"`{where}` is {described(old)} and has no item {step}")
    if not 0 <= step <= len(old):
        raise type_error(
            f"`{where}` has {len(old)} items and no place {step}", "add one with ARRAY_APPEND"
        )
    item = old[step] if step < len(old) else None
    return [*old[:step], _replaced(item, rest, value, f"{where}[{step}]"), *old[step + 1 :]]


def step_of(index: object) -> str | int:
    """Give one step of a SET path from the value between its brackets.

    Raises:
        MoltlerError: PLN004, it is neither a key nor a whole number.
    """
    if isinstance(index, str):
        return index
    place = whole(index)
    if place is None:
        raise type_error(f"`{shortened(index)}` ({described(index)}) is no place in an array")
    return place
