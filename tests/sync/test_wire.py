from datetime import UTC, date, datetime

import pytest

from moltler.errors import SyncError
from moltler.flow.predicate import Scalar
from moltler.flow.sync import Scope, StoredColumn, SyncState
from moltler.schema import DataType
from moltler.sync.wire import decode_columns, decode_state, encode_columns, encode_state

ARRAY = DataType("array", DataType("array", DataType("integer")))


@pytest.mark.parametrize(
    "watermark",
    [
        None, 7, -(2**63), 0.1, "z\u0000ü", date(2024, 2, 29),
        datetime(2024, 2, 29, 1, 2, 3, 456789, tzinfo=UTC),
    ],
)  # fmt: skip
def test_a_state_is_read_as_it_was_written(watermark: Scalar | None) -> None:
    state = SyncState(
        generation=3,
        primary_key=("shop", "id"),
        cursor_field="updated",
        cursor_type=DataType("timestamp"),
        watermark=watermark,
        suspended_until=datetime(2030, 1, 1, tzinfo=UTC),
        resume=watermark,
        resume_generation=4,
    )
    assert decode_state(encode_state(state)) == state


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', '{"version": 1}', "[" * 9999])
def test_a_state_that_is_none_is_refused_and_never_taken_for_a_first_run(text: str) -> None:
    with pytest.raises(SyncError) as caught:
        decode_state(text)
    assert caught.value.code == "SNC007"


def test_columns_are_read_as_they_were_written() -> None:
    columns = (StoredColumn("id", DataType("integer")), StoredColumn("tags", ARRAY))
    assert decode_columns(encode_columns(columns)) == columns


def test_scopes_that_differ_have_different_keys() -> None:
    scopes = [
        Scope("shop", "items", "t"),
        Scope("shop", "items", "t", "a = 1"),
        Scope("shop", "items", "u"),
        Scope("shop", "orders", "t"),
        Scope("shop", "items", "t", None, ("1", "2")),
    ]
    assert len({s.key for s in scopes}) == len(scopes)
    assert Scope("SHOP", "Items", "T").key == scopes[0].key
