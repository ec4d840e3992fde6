from __future__ import annotations

from typing import Any

import pytest

from moltler.catalog.arguments import GivenArgument, bind_arguments, check_returns
from moltler.errors import HandlerError, PlanError, Source, Span
from moltler.model import Action
from support.definitions import Define

PARAMETERS = """PARAMETERS {
    "name": {"type": "string", "required": true},
    "status": {"type": "string", "default": "active", "enum": ["active", "closed"]},
    "size": {"type": "integer", "minimum": 1},
    "tags": {"type": "array", "items": "string"}}"""


@pytest.fixture
def create(definer: Define) -> Action:
    return definer.action(PARAMETERS)


def positional(*values: object) -> list[GivenArgument]:
    return [GivenArgument(None, v) for v in values]


def named(**values: object) -> list[GivenArgument]:
    return [GivenArgument(k, v) for k, v in values.items()]


def refused(action: Action, arguments: list[GivenArgument]) -> list[str]:
    with pytest.raises(PlanError) as caught:
        bind_arguments(action, arguments)
    assert {p.code for p in caught.value.problems} == {"PLN005"}
    assert caught.value.type == "parameter_error"
    return [p.message for p in caught.value.problems]


@pytest.mark.parametrize(
    "arguments",
    [
        positional({"size": 2, "name": "Lamp"}),
        positional("Lamp", "active", 2),
        [*positional("Lamp"), *named(size=2)],
        named(size=2.0, name="Lamp"),
        named(NAME="Lamp", Size=2),
    ],
)
def test_every_way_to_call_gives_the_same_parameters_in_declared_order(
    create: Action, arguments: list[GivenArgument]
) -> None:
    bound = bind_arguments(create, arguments)
    assert list(bound.items()) == [("name", "Lamp"), ("status", "active"), ("size", 2)]


def test_an_optional_parameter_that_is_null_stays_null(create: Action) -> None:
    bound = bind_arguments(create, named(name="Lamp", status=None, tags=None))
    assert bound == {"name": "Lamp", "status": None, "tags": None}


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        ([], ["`items.create.name` is required and is missing"]),
        (positional(None), ["`items.create.name` is required and is NULL"]),
        (positional(""), ["`items.create.name` is required and must not be empty"]),
        (
            positional({"nme": "Lamp", "size": "2", "status": "open"}),
            [
                "`items.create.nme` is not declared",
                "`items.create.name` is required and is missing",
                "`items.create.status` must be one of 'active', 'closed', found 'open'",
                "`items.create.size` must be an integer, found '2'",
            ],
        ),
        (
            [*positional("Lamp"), *named(name="Desk", colour="red")],
            ["`name` is given twice", "action `items.create` has no parameter `colour`"],
        ),
        (named(name="Lamp") + named(Name="Desk"), ["`name` is given twice"]),
        (
            positional("Lamp", "active", 1, [], 5),
            ["action `items.create` takes 4 parameters"],
        ),
        (named(name="Lamp", size=0), ["`items.create.size` must be at least 1, found 0"]),
        (named(name="Lamp", tags=["a", 1]), ["`items.create.tags[1]` must be a string, found 1"]),
        (
            [*positional({"name": "Lamp"}), *named(size=1)],
            ["`items.create.name` must be a string, found a document"],
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused_all_at_once(
    create: Action, arguments: list[GivenArgument], messages: list[str]
) -> None:
    assert refused(create, arguments) == messages


def test_a_problem_is_placed_at_its_argument_or_at_the_call(create: Action) -> None:
    source = Source("x", "EXEC s.items.create(size => 'a', colour => 1)")
    call, size, colour = Span(source, 0, 45), Span(source, 28, 31), Span(source, 43, 44)
    with pytest.raises(PlanError) as caught:
        bind_arguments(
            create, [GivenArgument("size", "a", size), GivenArgument("colour", 1, colour)], call
        )
    assert [p.span for p in caught.value.problems] == [colour, call, size]


def test_an_action_without_parameters_takes_none(definer: Define) -> None:
    action = definer.action(name="shop.sweep")
    assert bind_arguments(action, []) == {}
    assert bind_arguments(action, positional({})) == {}
    assert refused(action, positional(1)) == ["action `sweep` takes no parameters"]


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        ({"body": {"a": 1}}, {"body": {"a": 1}}),
        ({"a": 1}, {"body": {"a": 1}}),
        ({"body": {}, "a": 1}, {"body": {"body": {}, "a": 1}}),
        ({}, {"body": {}}),
    ],
)
def test_a_document_for_an_only_document_parameter_is_its_value_unless_the_key_matches(
    definer: Define, value: dict[str, Any], bound: dict[str, Any]
) -> None:
    action = definer.action('PARAMETERS {"body": {"type": "document", "required": true}}')
    assert bind_arguments(action, positional(value)) == bound


def test_nested_parameters_are_checked_and_filled(definer: Define) -> None:
    action = definer.action(
        """PARAMETERS {"a": {"type": "string"}, "to": {"type": "document", "properties": {
             "city": {"type": "string", "required": true},
             "land": {"type": "string", "default": "DE"}}}}"""
    )
    assert bind_arguments(action, named(to={"city": "Bonn"})) == {
        "to": {"city": "Bonn", "land": "DE"}
    }
    assert refused(action, named(to={"town": "Bonn"})) == [
        "`items.create.to.town` is not declared",
        "`items.create.to.city` is required and is missing",
    ]


# ── RETURNS ──────────────────────────────────────────────────────────────────────────────────


def test_without_returns_any_value_is_passed_on(definer: Define) -> None:
    assert check_returns(definer.action(), [1, "a"]) == [1, "a"]


@pytest.fixture
def returning(definer: Define) -> Action:
    return definer.action(
        'RETURNS {"id": {"type": "integer", "nullable": false}, "at": {"type": "timestamp"}}'
    )


def test_a_returned_document_is_converted_and_keeps_its_other_keys(returning: Action) -> None:
    assert check_returns(returning, {"extra": [1], "at": 0, "id": "12"}) == {
        "id": 12,
        "at": "1970-01-01T00:00:00.000Z",
        "extra": [1],
    }


@pytest.mark.parametrize(
    ("value", "count"), [(None, 1), ({}, 1), ({"id": None, "at": "soon"}, 2), ([], 1), ("x", 1)]
)
def test_a_returned_value_that_does_not_fit_is_refused(
    returning: Action, value: Any, count: int
) -> None:
    with pytest.raises(HandlerError) as caught:
        check_returns(returning, value)
    assert [p.code for p in caught.value.problems] == ["JSR005"] * count
    if isinstance(value, dict):
        assert {p.hint for p in caught.value.problems} == {
            "convert it in the handler, or change RETURNS"
        }
