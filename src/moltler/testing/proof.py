"""Claims of PUSHDOWN proven in the worlds of tests (LANGUAGE §11.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from moltler.catalog.catalog import Catalog
from moltler.catalog.resolve import resolve
from moltler.errors import MoltlerError
from moltler.exec.proof import EntityProof, Proving, fixed_conditions
from moltler.exec.questions import Question
from moltler.flow.predicate import Scalar
from moltler.lang import ast
from moltler.model import Connector
from moltler.testing.runner import Play, Reading, open_world
from moltler.testing.world import Host, Skipped, World
from moltler.vault.lookup import lookup_secret

_TIME = "600s"
_COMPARED = re.compile(r"\b(\w+)\s*=\s*('(?:[^']|'')*'|-?\d+(?:\.\d+)?)")
_SHOWN_ROWS = 5


def prove(
    type_name: str,
    tests: Sequence[ast.TestDefinition],
    catalog: Catalog,
    host: Host,
    *,
    play: Play,
    reading: Reading,
) -> tuple[EntityProof, ...]:
    """Compare what the handlers of a type answer with what its claims say.

    Args:
        type_name: The type; its draft is asked.
        tests: Their mocks and cassettes are the worlds; their bodies make the instances.
        catalog: Has the type.
        host: The session's parts.
        play: Runs statements.
        reading: Evaluates clauses.

    Raises:
        LookupFailed: CAT008, there is no such type.
    """
    entry = catalog.type(type_name)
    proofs = [EntityProof(e) for e in entry.draft.entities]
    proofs = [p for p in proofs if p.claims]
    literals = _literals(tests)
    for test in tests:
        if str(test.type_name).lower() != type_name.lower() or test.skip is not None:
            continue
        # Disturbances are for what the test itself looks at.
        calm = replace(test, faults=None, timeout=_TIME, expect_error=None)
        try:
            world = open_world(calm, catalog, host, play=play, reading=reading)
        except MoltlerError as error:
            for proof in proofs:
                proof.notes.append(f"'{test.name}': {error.message}")
            continue
        try:
            _in_world(world, calm, proofs, literals, play)
        finally:
            world.close()
    return tuple(proofs)


def _in_world(
    world: World,
    test: ast.TestDefinition,
    proofs: Sequence[EntityProof],
    literals: Mapping[str, Sequence[Scalar]],
    play: Play,
) -> None:
    if not world.mock.is_mocked and world.room.virtual_now_ms is None:
        return  # its requests would be real
    made = [s for s in test.body if isinstance(s, ast.CreateConnector | ast.AlterConnector)]
    try:
        play(made, world)
    except (MoltlerError, Skipped) as error:
        for proof in proofs:
            proof.notes.append(f"'{test.name}': {error}")
        return
    type_name = str(test.type_name).lower()
    for connector in world.catalog.load().connectors.values():
        if connector.type_name.lower() == type_name:
            for proof in proofs:
                if proof.difference is None:
                    _about(proof, connector, world, test, literals)


def _about(
    proof: EntityProof,
    connector: Connector,
    world: World,
    test: ast.TestDefinition,
    literals: Mapping[str, Sequence[Scalar]],
) -> None:
    connector, type_, revision = world.catalog.load().usable(connector.name)
    target = resolve(
        connector,
        type_,
        revision,
        lookup=lambda name: lookup_secret(name, world.environ, world.secrets),
        environ=world.environ,
        seal_key=world.secrets.seal_key,
    )
    entity = proof.entity
    proving = Proving(target, world.room, world.engine, world.clock)
    sets = fixed_conditions(entity, literals)
    if sets is None:
        proof.notes.append(f"'{test.name}': no test shows a value of the required filter")
        return
    data = _data_routes(test)
    for fixed in sets:
        before = len(world.mock.calls)
        try:
            rows = proving.rows(entity, Question(fixed))
        except MoltlerError as error:
            proof.notes.append(f"'{test.name}': {error.message}")
            continue
        used = {call.route for call in world.mock.calls[before:]}
        if world.mock.is_mocked and not used <= data:
            proof.notes.append(f"'{test.name}': its answers do not depend on what is asked")
            return
        proving.prove(proof, fixed, rows)
        if proof.difference is not None:
            proof.example = _example(proof, connector.name, test)
            return


def _data_routes(test: ast.TestDefinition) -> set[str]:
    """Give the keys whose route answers from rows, as the API would."""
    members = test.mock_api.members if test.mock_api is not None else ()
    return {
        m.key
        for m in members
        if isinstance(m.value, ast.Document) and any(k.key == "rows" for k in m.value.members)
    }


def _literals(tests: Sequence[ast.TestDefinition]) -> dict[str, list[Scalar]]:
    """Give the constants that tests compare fields with, by the field in lower case."""
    found: dict[str, dict[Scalar, None]] = {}
    for test in tests:
        for name, text in _COMPARED.findall(test.span.text):
            value: Scalar
            if text.startswith("'"):
                value = text[1:-1].replace("''", "'")
            else:
                value = float(text) if "." in text else int(text)
            found.setdefault(name.lower(), {})[value] = None
    return {name: list(values) for name, values in found.items()}


def _example(proof: EntityProof, connector: str, test: ast.TestDefinition) -> str:
    """Give a difference as a TEST to paste."""
    difference = proof.difference
    assert difference is not None  # noqa: S101 - asked for only where there is one
    path = f"{connector}.{proof.entity.name}"
    clauses = [f"SECRETS {test.secrets.span.text}"] if test.secrets is not None else []
    clauses += [f"ENV {test.env.span.text}"] if test.env is not None else []
    clauses += [f"MOCK_API {test.mock_api.span.text}"] if test.mock_api is not None else []
    made = [s for s in test.body if isinstance(s, ast.CreateConnector | ast.AlterConnector)]
    count = len(difference.expected)
    limit = difference.question.limit
    wanted = count if limit is None else min(limit, count)
    name = f"push-down of {proof.entity.name}: {difference.question.sql}".replace("'", "''")
    lines = [
        f"TEST CONNECTOR TYPE '{test.type_name}'",
        f"NAME '{name}'",
        *clauses,
        "BEGIN",
        *(f"    {s.span.text};" for s in made),
        f"    -- {difference.what}",
        *_commented("the condition holds for", difference.expected),
        *_commented("the handler answers", difference.answered),
        f"    DECLARE rows = SELECT * FROM {path} {difference.question.sql};",  # noqa: S608 - text of a test
        f"    ASSERT ARRAY_LENGTH(rows) = {wanted};",
        "END TEST;",
    ]
    return "\n".join(lines)


def _commented(words: str, rows: Sequence[str]) -> list[str]:
    more = [f"and {len(rows) - _SHOWN_ROWS} more"] if len(rows) > _SHOWN_ROWS else []
    shown = [*rows[:_SHOWN_ROWS], *more]
    return [f"    -- {words} {len(rows)} row(s)", *(f"    --     {row}" for row in shown)]
