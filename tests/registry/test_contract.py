"""What changed between two versions, and the step that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import moltler
from moltler.errors import PackageError, Source
from moltler.model import ConnectorType
from moltler.registry.contract import Step, check_step, needed_step
from moltler.registry.package import Package

from .making import simple

Read = Callable[[str], ConnectorType]
BASE = """
CREATE CONNECTOR TYPE 't' DESCRIPTION 'T'
CONFIG_SCHEMA {"url": {"type": "string", "required": true},
               "key": {"type": "string", "secret": true},
               "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
               "size": {"type": "integer", "minimum": 1, "maximum": 9},
               "more": {"type": "document", "properties": {"x": {"type": "string"}}}};
CREATE CONNECTOR ENTITY 't.items'
FIELDS {"id": {"type": "string", "primary_key": true}, "n": {"type": "integer", "nullable": false},
        "tags": {"type": "array", "items": "string"}}
PUSHDOWN {"filters": {"n": ["="]}, "order_by": ["n"]}
QUERY_HANDLER 'async function query() { return []; }';
CREATE CONNECTOR ACTION 't.items.create' PARAMETERS {"name": {"type": "string"}}
RETURNS {"id": {"type": "string"}} IDEMPOTENT
HANDLER 'async function execute() { return {}; }';
"""


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    session = moltler.connect(tmp_path_factory.mktemp("home"))

    def read_(text: str) -> ConnectorType:
        source = Source("t.moltler", text)
        return session.collect_tests([source]).catalog.type("t").draft

    yield read_
    session.close()


CHANGES = [
    ("MAJOR", '"url": {"type": "string", "required": true},', ""),
    (
        "MAJOR",
        '"url": {"type": "string", "required": true}',
        '"url": {"type": "any", "required": true}',
    ),
    ("MAJOR", '"key": {"type": "string"', '"key": {"type": "string", "required": true'),
    ("MAJOR", '"key": {"type": "string", "secret": true}', '"key": {"type": "string"}'),
    ("MAJOR", '"enum": ["a", "b"]', '"enum": ["a"]'),
    ("MINOR", '"enum": ["a", "b"]', '"enum": ["a", "b", "c"]'),
    ("MINOR", '"default": "a"', '"default": "b"'),
    ("MAJOR", ', "default": "a"', ""),
    ("MAJOR", '"minimum": 1', '"minimum": 2'),
    ("MAJOR", '"maximum": 9', '"maximum": 8'),
    ("MINOR", '"maximum": 9', '"maximum": 10'),
    ("MAJOR", '{"x": {"type": "string"}}', '{"y": {"type": "string"}}'),
    ("MINOR", '{"x": {"type": "string"}}', '{"x": {"type": "string"}, "y": {"type": "string"}}'),
    ("MINOR", "CONFIG_SCHEMA {", 'CONFIG_SCHEMA {"free": {"type": "string"}, '),
    ("MAJOR", "CONFIG_SCHEMA {", 'CONFIG_SCHEMA {"must": {"type": "string", "required": true}, '),
    ("MINOR", "DESCRIPTION 'T'", "DESCRIPTION 'T' ALLOWED_HOSTS ['api.example.com']"),
    ("MINOR", '"secret": true', '"secret": true, "expose": true, "expose_reason": "signing"'),
    ("MAJOR", "'t.items'", "'t.things'"),
    (
        "MAJOR",
        '"n": {"type": "integer", "nullable": false}',
        '"n": {"type": "string", "nullable": false}',
    ),
    ("MAJOR", '"n": {"type": "integer", "nullable": false}', '"n": {"type": "integer"}'),
    ("MAJOR", '"items": "string"', '"items": "integer"'),
    (
        "MAJOR",
        '"tags": {"type": "array", "items": "string"}',
        '"other": {"type": "array", "items": "string"}',
    ),
    ("MAJOR", '"tags": {', '"tags": {"filter_only": true, '),
    ("MINOR", "FIELDS {", 'FIELDS {"new": {"type": "string"}, '),
    ("MAJOR", '"id": {"type": "string", "primary_key": true}', '"id": {"type": "string"}'),
    ("MAJOR", '{"n": ["="]}', '{"n": {"operators": ["="], "required": true}}'),
    ("MINOR", '{"n": ["="]}', '{"n": ["=", "<"]}'),
    ("MINOR", '{"n": ["="]}', "{}"),
    ("MINOR", ', "order_by": ["n"]', ""),
    ("MAJOR", "'t.items.create'", "'t.items.make'"),
    (
        "MAJOR",
        'PARAMETERS {"name"',
        'PARAMETERS {"must": {"type": "string", "required": true}, "name"',
    ),
    ("MINOR", 'PARAMETERS {"name"', 'PARAMETERS {"free": {"type": "string"}, "name"'),
    ("MAJOR", 'RETURNS {"id": {"type": "string"}}', ""),
    ("MAJOR", 'RETURNS {"id": {"type": "string"}}', 'RETURNS {"name": {"type": "string"}}'),
    (
        "MINOR",
        'RETURNS {"id": {"type": "string"}}',
        'RETURNS {"id": {"type": "string"}, "n": {"type": "any"}}',
    ),
    ("MAJOR", " IDEMPOTENT", ""),
    ("PATCH", "return [];", "return [{}];"),
    ("PATCH", "DESCRIPTION 'T'", "DESCRIPTION 'Better'"),
    ("NONE", "\n", "\n\n"),
]


@pytest.mark.parametrize(("step", "old", "new"), CHANGES, ids=lambda t: str(t)[:40])
def test_every_change_has_its_step(read: Read, step: str, old: str, new: str) -> None:
    assert old in BASE

    changes = needed_step(read(BASE), read(BASE.replace(old, new, 1) if step != "NONE" else BASE))

    assert max((c.step for c in changes), default=Step.NONE).name == step


def test_what_is_new_for_one_direction_is_gone_for_the_other(read: Read) -> None:
    more = BASE.replace("FIELDS {", 'FIELDS {"new": {"type": "string"}, ')

    (added,) = needed_step(read(BASE), read(more))
    (removed,) = needed_step(read(more), read(BASE))

    assert (added.step, added.words) == (Step.MINOR, "items.new was added")
    assert (removed.step, removed.words) == (Step.MAJOR, "items.new was removed")


def two(old: str, new: str) -> tuple[Package, Package]:
    before = simple("shop", old)
    after = simple("shop", new)
    return after, before


@pytest.mark.parametrize(
    ("old", "new", "step", "fits"),
    [
        ("1.2.3", "1.2.4", Step.PATCH, True),
        ("1.2.3", "1.2.4", Step.MINOR, False),
        ("1.2.3", "1.3.0", Step.MINOR, True),
        ("1.2.3", "1.9.0", Step.MAJOR, False),
        ("1.2.3", "2.0.0", Step.MAJOR, True),
        ("1.2.3", "2.0.0-rc.1", Step.MAJOR, True),
        ("0.2.3", "0.3.0", Step.MAJOR, True),
        ("0.2.3", "0.2.4", Step.MAJOR, False),
        ("0.2.3", "0.2.4", Step.MINOR, False),
        ("0.2.3", "1.0.0", Step.MAJOR, True),
        ("1.2.3", "1.2.4", Step.NONE, True),
    ],
)
def test_a_step_that_is_too_small_is_refused(old: str, new: str, step: Step, fits: bool) -> None:
    from moltler.registry.contract import Change

    after, before = two(old, new)
    changes = (Change(step, "something"),) if step else ()
    if fits:
        check_step(after, before, changes)
        return
    with pytest.raises(PackageError, match="something") as caught:
        check_step(after, before, changes)
    assert caught.value.code == "PKG005"


def test_a_type_that_was_written_out_reads_back_with_no_change(read: Read, tmp_path: Path) -> None:
    definition = read(BASE)
    package = simple("t", "1.0.0", definition=definition)

    back = package.definition(lambda _handler, _entry: ())

    assert needed_step(definition, back) == ()
    assert replace(back, entities=(), actions=()) == replace(definition, entities=(), actions=())
