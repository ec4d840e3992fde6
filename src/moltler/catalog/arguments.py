"""Arguments of an action bound to its parameters, and what it returned held against RETURNS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from moltler.catalog.values import Misfit, Rules, fit_document, with_defaults
from moltler.errors import MoltlerError, Problem, Span, near_match
from moltler.model import Action
from moltler.schema import JsonValue, Property, Schema

_INPUT = Rules(nulls=True)
_RETURN_HINT = "convert it in the handler, or change RETURNS"
_OUTPUT = Rules(closed=False, lenient=True, nulls=True)


@dataclass(frozen=True, slots=True)
class GivenArgument:
    """One argument of a call, already evaluated."""

    name: str | None
    """``None`` for a positional one."""
    value: object
    span: Span | None = field(default=None, compare=False, repr=False)


def bind_arguments(
    action: Action, arguments: Sequence[GivenArgument], span: Span | None = None
) -> dict[str, JsonValue]:
    """Give an action's parameters as its handler gets them: in declared order, with defaults.

    A single document is the parameter document, unless the only parameter is itself one and the
    document's keys are not its name. Otherwise positional arguments fill the declared order.
    An optional parameter that is NULL stays NULL: the API is told so.

    Args:
        action: What is called.
        arguments: In the order of the text.
        span: The call, for what has no place of its own.

    Raises:
        PlanError: PLN005, everything about the arguments that does not fit.
    """
    binding = _Binding(action, span)
    document = _parameter_document(action.parameters, arguments)
    if document is not None:
        given = document
        binding.spans = dict.fromkeys(document, arguments[0].span)
        binding.default_span = arguments[0].span or span
    else:
        given = binding.assign(arguments)
    fitted, misfits = fit_document(given, action.parameters, (action.path,), _INPUT)
    problems = (*binding.problems, *(binding.problem(m) for m in misfits))
    if problems:
        raise MoltlerError.of(problems)
    return with_defaults(fitted, action.parameters)


def check_returns(action: Action, value: JsonValue) -> JsonValue:
    """Give what an action returned, converted to the types of RETURNS if it has the clause.

    Keys that RETURNS does not name stay as they are.

    Raises:
        HandlerError: JSR005, everything that does not fit.
    """
    if action.returns is None:
        return value
    if value is not None and not isinstance(value, dict):
        kind = "an array" if isinstance(value, list) else "a single value"
        raise MoltlerError.of(
            (
                Problem(
                    "JSR005",
                    f"action `{action.path}` returned {kind}, but RETURNS declares a document",
                    "return an object with the declared keys",
                ),
            )
        )
    fitted, misfits = fit_document(value or {}, action.returns, (action.path,), _OUTPUT)
    if misfits:
        raise MoltlerError.of(tuple(Problem("JSR005", m.message, _RETURN_HINT) for m in misfits))
    return None if value is None else fitted


def _parameter_document(
    parameters: Schema, arguments: Sequence[GivenArgument]
) -> Mapping[str, object] | None:
    if len(arguments) != 1 or arguments[0].name is not None:
        return None
    value = arguments[0].value
    if not isinstance(value, Mapping):
        return None
    document = cast("Mapping[str, object]", value)
    if len(parameters) == 1:
        only = parameters.properties[0]
        matches = bool(document) and all(k == only.name for k in document)
        if only.type.name in {"document", "any"} and not matches:
            return None
    return document


@dataclass(slots=True)
class _Binding:
    action: Action
    default_span: Span | None
    problems: list[Problem] = field(default_factory=list[Problem])
    spans: dict[str, Span | None] = field(default_factory=dict[str, "Span | None"])

    def assign(self, arguments: Sequence[GivenArgument]) -> dict[str, object]:
        """Give the value of each parameter that has an argument."""
        given: dict[str, object] = {}
        declared = self.action.parameters.properties
        position = 0
        for argument in arguments:
            if argument.name is None:
                name = declared[position].name if position < len(declared) else None
                position += 1
                if name is None:
                    self._too_many(argument)
                    continue
            else:
                name = self._named(argument)
                if name is None:
                    continue
            if name in given:
                self._refuse(f"`{name}` is given twice", "leave one out", argument)
                continue
            given[name] = argument.value
            self.spans[name] = argument.span
        return given

    def problem(self, misfit: Misfit) -> Problem:
        span = self.spans.get(str(misfit.path[1])) if len(misfit.path) > 1 else None
        return Problem(
            "PLN005", misfit.message, misfit.hint, span or self.default_span, misfit.allowed
        )

    def _named(self, argument: GivenArgument) -> str | None:
        name = str(argument.name)
        found: Property | None = self.action.parameters.find(name)
        if found is not None:
            return found.name
        names = self.action.parameters.names
        near = near_match(name, names)
        self._refuse(
            f"action `{self.action.path}` has no parameter `{name}`",
            f"did you mean `{near}`?" if near else "leave it out",
            argument,
            names,
        )
        return None

    def _too_many(self, argument: GivenArgument) -> None:
        names = self.action.parameters.names
        count = len(names)
        takes = "no parameters" if not count else f"{count} parameter{'s' * (count != 1)}"
        self._refuse(
            f"action `{self.action.path}` takes {takes}", "leave the rest out", argument, names
        )

    def _refuse(
        self, message: str, hint: str, argument: GivenArgument, allowed: tuple[str, ...] = ()
    ) -> None:
        self.problems.append(
            Problem("PLN005", message, hint, argument.span or self.default_span, allowed)
        )
