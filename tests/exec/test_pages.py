"""From wire pages to declared types (LANGUAGE §7.6)."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from moltler.errors import MoltlerError
from moltler.exec.keys import SeenKeys, SeenPages
from moltler.exec.pages import PageReader
from support.handlers import fields

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def read(type_: str, wire: pa.Array[Any], *, null_misfits: bool = False) -> tuple[list[Any], int]:
    reader = PageReader(fields(f"x {type_}").properties, "shop.items", null_misfits)
    batch, nulled = reader.read(pa.RecordBatch.from_arrays([wire], names=["x"]), 10)
    return batch.column(0).to_pylist(), nulled


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01T12:00:00Z", NOON),
        ("2024-05-01T12:00:00.123456Z", NOON.replace(microsecond=123456)),
        ("2024-05-01T14:00:00+02:00", NOON),
        ("2024-05-01t12:00:00z", NOON),
        ("2024-05-01T12:00:00", NOON),
        ("2024-05-01 12:00:00", NOON),
        ("2024-05-01", NOON.replace(hour=0)),
        ("2024-05-01T12:00:00.1234567Z", NOON.replace(microsecond=123456)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_every_iso_form(text: str, expected: datetime) -> None:
    assert read("timestamp", pa.array([text, None])) == ([expected, None], 0)


def test_forms_may_be_mixed_in_one_page() -> None:
    values, _ = read("timestamp", pa.array(["2024-05-01T12:00:00Z", "2024-05-01 12:00:00"]))
    assert values == [NOON, NOON]


def test_milliseconds_are_times_and_dates() -> None:
    wire = pa.array([1714564800000, None], pa.int64())
    assert read("timestamp", wire)[0] == [NOON, None]
    assert read("date", wire)[0] == [date(2024, 5, 1), None]


def test_a_date_is_the_day_in_utc() -> None:
    assert read("date", pa.array(["2024-05-01T23:30:00-02:00"]))[0] == [date(2024, 5, 2)]


@pytest.mark.parametrize("text", ["yesterday", "2024-02-30", "2024-05-01T25:00:00Z", ""])
def test_text_that_is_no_time_is_refused_with_row_field_and_value(text: str) -> None:
    with pytest.raises(MoltlerError) as caught:
        read("timestamp", pa.array(["2024-05-01", text]))
    assert caught.value.code == "JSR005"
    assert "row 11 of `shop.items`: the value of `x`" in caught.value.message
    assert caught.value.message.endswith(text)


def test_a_year_that_programs_cannot_show_is_refused() -> None:
    with pytest.raises(MoltlerError, match="does not fit its type timestamp"):
        read("timestamp", pa.array([253_402_300_800_000], pa.int64()))


def test_misfits_become_null_and_are_counted_where_options_say_so() -> None:
    wire = pa.array(["yesterday", "2024-05-01", None])
    assert read("timestamp", wire, null_misfits=True) == ([None, NOON.replace(hour=0), None], 1)


@pytest.mark.parametrize(
    ("items", "wire", "expected"),
    [
        ("string", pa.array([["a", None], None, []]), [["a", None], None, []]),
        ("date", pa.array([["2024-05-01", None], None]), [[date(2024, 5, 1), None], None]),
        ("timestamp", pa.array([["2024-05-01T12:00:00Z"], [], ["2024-05-01"]]),
         [[NOON], [], [NOON.replace(hour=0)]]),
        ("timestamp", pa.array([None, [1714564800000, None]], pa.list_(pa.int64())),
         [None, [NOON, None]]),
    ],
)  # fmt: skip
def test_lists_keep_their_cells_and_times_in_them_are_read(
    items: str, wire: pa.Array[Any], expected: list[Any]
) -> None:
    assert read(f"array<{items}>", wire) == (expected, 0)


def test_a_list_with_a_text_that_is_no_time_is_refused_whole() -> None:
    wire = pa.array([["2024-05-01"], ["2024-05-01", "yesterday"]])
    with pytest.raises(MoltlerError, match=r"row 11 .* does not fit its type array<date>: \['2024"):
        read("array<date>", wire)
    assert read("array<date>", wire, null_misfits=True) == ([[date(2024, 5, 1)], None], 1)


def test_null_in_a_primary_key_is_refused_even_where_misfits_become_null() -> None:
    reader = PageReader(fields("id integer key").properties, "shop.items", null_misfits=True)
    page = pa.RecordBatch.from_arrays([pa.array([1, None], pa.int64())], names=["id"])
    with pytest.raises(MoltlerError, match=r"row 1 of `shop\.items`: `id` is NULL"):
        reader.read(page, 0)


def test_null_in_a_field_that_is_not_nullable_is_refused() -> None:
    with pytest.raises(MoltlerError, match="declared not nullable"):
        read("string!", pa.array([None], pa.string()))


def test_seen_keys_forget_only_what_is_long_past() -> None:
    seen = SeenKeys(generation=2)
    assert seen.add(["a", "b", "c"]) == (3, None)
    assert seen.add(["b"]) == (0, "b")
    assert seen.add(["d", "e"]) == (2, None)
    assert seen.add(["a"]) == (1, None)


def pages_of(rng: random.Random) -> list[list[Any]]:
    """Pages of keys in all the orders that APIs have, and with all the repetitions."""
    low = rng.choice([0, -50])
    keys: list[Any] = [rng.randrange(low, 200) for _ in range(rng.randrange(1, 80))]
    match rng.choice(["up", "down", "blocks", "none", "none"]):
        case "up":
            keys = sorted(set(keys))
        case "down":
            keys = sorted(set(keys), reverse=True)
        case "blocks":
            keys = sorted(set(keys))
            cut = rng.randrange(len(keys))
            keys = keys[cut:] + keys[:cut]
        case _:
            pass
    if rng.random() < 0.3:
        keys.insert(rng.randrange(len(keys)), rng.choice(keys))
    if rng.random() < 0.5:
        keys = [chr(0xE0 + k) if k > 150 else f"k{k:03d}" for k in keys]
    size = rng.randrange(1, 9)
    pages = [keys[i : i + size] for i in range(0, len(keys), size)]
    if rng.random() < 0.3:
        pages.insert(rng.randrange(len(pages)), rng.choice(pages))
    return pages


@pytest.mark.parametrize("seed", range(300))
def test_ranges_of_pages_tell_of_keys_what_sets_of_keys_do(seed: int) -> None:
    rng = random.Random(seed)
    pages = pages_of(rng)
    known: set[Any] = set()
    seen = SeenPages()
    for page in pages:
        new, repeated = seen.add([pa.array(page)])
        fresh = set(page) - known
        assert new == len(fresh)
        assert (repeated is None) == (len(fresh) == len(page))
        assert repeated is None or repeated in known or page.count(repeated) > 1
        known |= fresh


def test_ranges_of_pages_forget_only_what_is_long_past() -> None:
    seen = SeenPages(generation=4)
    for start in range(0, 12, 2):
        assert seen.add([pa.array([start, start + 1])]) == (2, None)
    assert seen.add([pa.array([7, 8])]) == (1, 8)
    assert seen.add([pa.array([1])]) == (1, None)


def test_keys_of_several_columns_are_compared_whole() -> None:
    seen = SeenPages()
    assert seen.add([pa.array([1, 1]), pa.array(["a", "b"])]) == (2, None)
    assert seen.add([pa.array([1, 2]), pa.array(["b", "a"])]) == (1, (1, "b"))
