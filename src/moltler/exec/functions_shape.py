"""What a function of expressions is: its parameters, and the code behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from moltler.errors import MoltlerError, Span
from moltler.exec.values import (
    as_instant,
    described,
    is_array,
    is_document,
    is_number,
    shortened,
    type_error,
    whole,
)

ParameterKind = Literal[
    "text", "number", "integer", "time", "array", "document", "sized", "any", "lambda1", "lambda2"
]
"""``sized`` is a string or an array; ``lambda2`` a lambda with two parameters."""

_WANTED: Mapping[ParameterKind, str] = {
    "text": "a string",
    "number": "a number",
    "integer": "a whole number",
    "time": "a timestamp or date",
    "array": "an array",
    "document": "a document",
    "sized": "a string or an array",
    "lambda1": "x => …",
    "lambda2": "(a, b) => …",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function."""

    name: str
    kind: ParameterKind
    is_optional: bool = False
    is_repeated: bool = False
    """Takes all further arguments as well."""
    takes_null: bool = False
    """NULL is a value like any other, not a NULL result."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function with the parameters it takes."""

    name: str
    parameters: tuple[Parameter, ...]
    call: Callable[..., object]
    """Gets the checked arguments in order; never a NULL where a parameter does not take it."""

    @property
    def signature(self) -> str:
        """How it is written: ``LPAD(text, length [, fill])``."""
        text = ""
        for place, parameter in enumerate(self.parameters):
            name = _WANTED[parameter.kind] if "lambda" in parameter.kind else parameter.name
            more = ", …" if parameter.is_repeated else ""
            joint = ", " if place else ""
            text += (
                f"{' ' if place else ''}[{joint}{name}{more}]"
                if parameter.is_optional
                else (f"{joint}{name}{more}")
            )
        return f"{self.name}({text})"

    def check_arity(self, count: int) -> None:
        """Check how many arguments there are.

        Raises:
            MoltlerError: PLN004, too few or too many.
        """
        least = sum(not p.is_optional for p in self.parameters)
        is_open = bool(self.parameters) and self.parameters[-1].is_repeated
        if count < least or (count > len(self.parameters) and not is_open):
            raise type_error(
                f"{self.name} does not take {count} argument{'' if count == 1 else 's'}",
                f"write {self.signature}",
            )

    def parameter(self, place: int) -> Parameter | None:
        """Give the parameter that the argument at a place, from 0, belongs to."""
        if place < len(self.parameters):
            return self.parameters[place]
        last = self.parameters[-1] if self.parameters else None
        return last if last is not None and last.is_repeated else None

    def lambda_parameters(self, place: int) -> int | None:
        """Tell how many parameters the lambda at a place has; ``None`` if none stands there."""
        parameter = self.parameter(place)
        match parameter and parameter.kind:
            case "lambda1":
                return 1
            case "lambda2":
                return 2
            case _:
                return None

    def apply(self, values: Sequence[object], spans: Sequence[Span]) -> object:
        """Give the result for values; their number is checked already.

        Raises:
            MoltlerError: PLN004, an argument is of the wrong kind; else what the function says.
        """
        checked: list[object] = []
        is_null = False
        for place, value in enumerate(values):
            parameter = self.parameter(place)
            if parameter is None or (value is None and parameter.takes_null):
                checked.append(value)
            elif value is None:
                is_null = True
            else:
                try:
                    checked.append(self._checked(parameter, value))
                except MoltlerError as error:
                    error.at(spans[place])
                    raise
        return None if is_null else self.call(*checked)

    def _checked(self, parameter: Parameter, value: object) -> object:
        accepted = _accepted(parameter.kind, value)
        if accepted is None:
            found = (
                f"`{shortened(value, 40)}` ({described(value)})" if not callable(value) else "=>"
            )
            raise type_error(
                f"{self.name} needs {_WANTED[parameter.kind]} as `{parameter.name}`, found {found}",
                f"write {self.signature}",
            )
        return accepted


def _accepted(kind: ParameterKind, value: object) -> object:
    match kind:
        case "any":
            return value
        case "text":
            return value if isinstance(value, str) else None
        case "number":
            return value if is_number(value) else None
        case "integer":
            return whole(value)
        case "time":
            return _moment(value)
        case "array":
            return value if is_array(value) else None
        case "document":
            return value if is_document(value) else None
        case "sized":
            return value if isinstance(value, str | list) else None
        case "lambda1" | "lambda2":
            return value if callable(value) else None


def _moment(value: object) -> datetime | None:
    return as_instant(value)


def function(name: str, parameters: str, call: Callable[..., object]) -> Function:
    """Make a function from a line of parameters.

    Each is ``name:kind`` and then, as they apply, ``?`` optional, ``*`` repeated, ``~`` takes NULL.

    >>> function("LPAD", "text:text length:integer fill:text?", str).signature
    'LPAD(text, length [, fill])'
    """
    return Function(name, tuple(map(_parameter, parameters.split())), call)


def _parameter(text: str) -> Parameter:
    name, _, rest = text.partition(":")
    kind = rest.rstrip("?*~")
    marks = rest[len(kind) :]
    return Parameter(name, _KIND_NAMES[kind], "?" in marks, "*" in marks, "~" in marks)


_KIND_NAMES: Mapping[str, ParameterKind] = {
    "text": "text",
    "number": "number",
    "integer": "integer",
    "time": "time",
    "array": "array",
    "document": "document",
    "sized": "sized",
    "any": "any",
    "lambda1": "lambda1",
    "lambda2": "lambda2",
}


def table(*functions: Function) -> dict[str, Function]:
    """Give functions by name."""
    return {f.name: f for f in functions}
