"""Macros that read values inside documents as numbers, texts, times and lists.

DuckDB compares VARIANTs by their physical type before their value, and casts them silently: a
fraction turns into an integer where an integer is asked for. `plan.variants` writes calls of these
macros wherever a value of unknown type meets an operator or a function (decision 0010).

A macro repeats its argument, so `plan.macros` passes it anything but names through a lambda.
"""

from __future__ import annotations

COMPLAINT = "v__error: "
"""Begins a text that fails to convert and says why. `error()` would count as a side effect, with
which DuckDB refuses aliases and gives up optimisations."""
_WHOLE = (
    "('INT8', 'INT16', 'INT32', 'INT64', 'INT128',"
    " 'UINT8', 'UINT16', 'UINT32', 'UINT64', 'UINT128')"
)
_BROKEN = "('DOUBLE', 'FLOAT', 'DECIMAL')"
_TRUTHS = "('BOOL_TRUE', 'BOOL_FALSE')"
_TIMES = (
    "('VARCHAR', 'DATE', 'TIMESTAMP_MICROS', 'TIMESTAMP_NANOS', 'TIMESTAMP_SEC', 'TIMESTAMP_MILIS',"
    " 'TIMESTAMP_MICROS_TZ')"
)

MACROS: tuple[str, ...] = (
    # A number that is whole, exactly; NULL for everything else.
    f"v__whole(v) AS CASE WHEN variant_type(v) IN {_WHOLE} THEN CAST(v AS HUGEINT)"
    " WHEN variant_type(v) = 'DECIMAL' AND CAST(CAST(v AS HUGEINT) AS VARIANT) = v"
    " THEN CAST(v AS HUGEINT) END",
    # A whole number as a double, or an error where digits would be lost.
    "v__exact(h) AS CASE WHEN h BETWEEN -9007199254740992 AND 9007199254740992"
    " OR CAST(CAST(h AS DOUBLE) AS HUGEINT) = h THEN CAST(h AS DOUBLE) WHEN h IS NOT NULL"
    f" THEN CAST('{COMPLAINT}the whole number ' || CAST(h AS VARCHAR) || ' has more digits than a"
    " number keeps: CAST what it is made of AS BIGINT or AS DOUBLE' AS DOUBLE) END",
    f"v__double(v) AS CASE WHEN variant_type(v) IN {_WHOLE} THEN v__exact(CAST(v AS HUGEINT))"
    f" WHEN variant_type(v) IN {_BROKEN} THEN CAST(v AS DOUBLE) WHEN v IS NOT NULL"
    f" THEN CAST('{COMPLAINT}a value in a document is no number but is used as one: '"
    " || left(CAST(v AS VARCHAR), 60) AS DOUBLE) END",
    # What `sum` adds besides the whole numbers.
    "v__fraction(v) AS CASE WHEN v__whole(v) IS NULL THEN v__double(v) END",
    "v__settled(h, d) AS CASE WHEN h IS NOT NULL THEN v__exact(h) ELSE d END",
    "v__total(h, d) AS CASE WHEN d IS NULL THEN v__exact(h) ELSE coalesce(v__exact(h), 0) + d END",
    "v__mean(h, d, n) AS (coalesce(CAST(h AS DOUBLE), 0) + coalesce(d, 0)) / nullif(n, 0)",
    # Numbers order by their nearest double, then by what that leaves out.
    f"v__number(v) AS CASE WHEN variant_type(v) IN {_WHOLE} THEN {{'d': CAST(v AS DOUBLE),"
    " 'r': CAST(v AS HUGEINT) - CAST(CAST(v AS DOUBLE) AS HUGEINT)}"
    f" WHEN variant_type(v) IN {_BROKEN} THEN {{'d': CAST(v AS DOUBLE), 'r': CAST(0 AS HUGEINT)}}"
    " END",
    "v__text(v) AS CASE WHEN variant_type(v) = 'VARCHAR' THEN CAST(v AS VARCHAR) END",
    f"v__truth(v) AS CASE WHEN variant_type(v) IN {_TRUTHS} THEN variant_type(v) = 'BOOL_TRUE' END",
    f"v__time(v) AS CASE WHEN variant_type(v) IN {_TIMES}"
    " THEN TRY_CAST(CAST(v AS VARCHAR) AS TIMESTAMPTZ) END",
    "v__moment(v) AS CASE WHEN v IS NOT NULL THEN CAST(CAST(v AS VARCHAR) AS TIMESTAMPTZ) END",
    # One spelling for each number, that of JSON: integers of 64 bits, then doubles.
    "v__spelled(d) AS CASE WHEN d >= -9223372036854775808 AND d < 18446744073709551616"
    " AND trunc(d) = d THEN CAST(CAST(d AS HUGEINT) AS VARIANT) ELSE CAST(d AS VARIANT) END",
    "v__same(v) AS CASE WHEN variant_type(v) = 'DECIMAL' AND v__whole(v) IS NOT NULL"
    " THEN CAST(v__whole(v) AS VARIANT)"
    f" WHEN variant_type(v) IN {_BROKEN} THEN v__spelled(CAST(v AS DOUBLE))"
    " WHEN variant_type(v) = 'INT128' AND CAST(CAST(CAST(v AS DOUBLE) AS HUGEINT) AS VARIANT) = v"
    " THEN v__spelled(CAST(v AS DOUBLE)) ELSE v END",
    "v__integer(v) AS CASE WHEN v__whole(v__same(v)) IS NOT NULL"
    " THEN CAST(v__whole(v__same(v)) AS BIGINT)"
    f" WHEN v IS NOT NULL THEN CAST('{COMPLAINT}a value in a document is no integer but is used as"
    " one: ' || left(CAST(v AS VARCHAR), 60) AS BIGINT) END",
    "v__when(v) AS CASE WHEN v__time(v) IS NOT NULL THEN CAST(v__time(v) AS VARIANT) ELSE v END",
    "v__items(a) AS list_transform(a, lambda e: v__same(CAST(e AS VARIANT)))",
    f"v__rank(v) AS CASE WHEN variant_type(v) IN {_TRUTHS} THEN 1"
    f" WHEN variant_type(v) IN {_WHOLE} OR variant_type(v) IN {_BROKEN} THEN 2"
    " WHEN variant_type(v) = 'VARCHAR' THEN 3 WHEN v IS NOT NULL THEN 4 END",
    "v__sort(v) AS CASE WHEN v IS NOT NULL THEN {'k': v__rank(v), 'n': v__number(v),"
    " 't': v__text(v), 'o': CASE WHEN v__rank(v) IN (1, 4) THEN v END} END",
    # Only values of one kind have an order, and documents and arrays have none.
    "v__alike(a, b) AS a = b AND a < 4",
    "v__string(v) AS CASE WHEN variant_type(v) IN ('ARRAY', 'OBJECT')"
    " THEN CAST(CAST(v AS JSON) AS VARCHAR) ELSE CAST(v__same(v) AS VARCHAR) END",
    # Texts of values as they are in expressions: a TIMESTAMP without zone is one in UTC.
    "v__written(x) AS CASE WHEN typeof(x) = 'TIMESTAMP' THEN CAST(x AS VARCHAR) || '+00'"
    " ELSE CAST(x AS VARCHAR) END",
    "v__iso(t) AS CASE WHEN epoch_us(t) % 1000 = 0 THEN strftime(t, '%Y-%m-%dT%H:%M:%S.%gZ')"
    " ELSE strftime(t, '%Y-%m-%dT%H:%M:%S.%fZ') END",
    "v__inside(v) AS CASE WHEN variant_type(v) IN ('TIMESTAMP_MICROS', 'TIMESTAMP_MICROS_TZ')"
    " THEN CAST(v__iso(CAST(v AS TIMESTAMPTZ)) AS VARIANT) ELSE v__same(v) END",
    "v__json(a) AS CAST(to_json(list_transform(a, lambda e: v__inside(CAST(e AS VARIANT))))"
    " AS VARCHAR)",
    "v__list(v) AS TRY_CAST(v AS VARIANT[])",
    # DuckDB says FALSE where the item is the NULL of a VARIANT.
    "v__has(a, x) AS CASE WHEN x IS NOT NULL THEN list_contains(a, x) END",
    "v__at(a, i) AS CASE WHEN i BETWEEN 0 AND 2147483646"
    " THEN list_extract(a, CAST(i AS BIGINT) + 1) END",
    "v__size(v) AS CASE WHEN variant_type(v) = 'ARRAY' THEN CAST(variant_array_length(v) AS BIGINT)"
    " END",
    "v__length(v) AS CASE WHEN variant_type(v) = 'ARRAY'"
    " THEN CAST(variant_array_length(v) AS BIGINT)"
    " WHEN variant_type(v) = 'VARCHAR' THEN system.main.length(CAST(v AS VARCHAR)) END",
    "v__sorted(a) AS list_transform(list_sort(list_transform(a,"
    " lambda e: {'k': v__sort(e), 'v': e})), lambda e: e.v)",
    "v__greatest(a) AS list_extract(v__sorted(list_filter(a, lambda e: e IS NOT NULL)), -1)",
    "v__least(a) AS list_extract(v__sorted(list_filter(a, lambda e: e IS NOT NULL)), 1)",
    # One number is written like another: in a list of DECIMALs 1 would be 1.0.
    "array_join(a, separator) AS array_to_string(list_transform(a,"
    " lambda e: CASE typeof(e) WHEN 'TIMESTAMP' THEN v__written(e)"
    " ELSE v__string(CAST(e AS VARIANT)) END), separator)",
    # `||`: two arrays make one, everything else becomes text.
    "v__joined(p) AS CASE WHEN variant_type(p[1]) = 'ARRAY' AND variant_type(p[2]) = 'ARRAY'"
    " THEN CAST(list_concat(v__list(p[1]), v__list(p[2])) AS VARIANT)"
    " ELSE CAST(v__string(p[1]) || v__string(p[2]) AS VARIANT) END",
)
"""Definitions for CREATE MACRO, each after those that it uses."""
