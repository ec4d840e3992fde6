"""What the engine complains about, in the words of the language."""

from __future__ import annotations

import re
from collections.abc import Callable

_TYPES = {
    **dict.fromkeys(
        ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT",
         "UINTEGER", "UBIGINT", "UHUGEINT", "INT8", "INT16", "INT32", "INT64", "INT128",
         "UINT8", "UINT16", "UINT32", "UINT64", "UINT128", "INTEGER_LITERAL"), "integer",
    ),
    **dict.fromkeys(("FLOAT", "DOUBLE", "DECIMAL"), "number"),
    **dict.fromkeys(("VARCHAR", "STRING_LITERAL"), "string"),
    **dict.fromkeys(("BOOL", "BOOLEAN"), "boolean"),
    **dict.fromkeys(
        ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ", "TIMESTAMP_S", "TIMESTAMP_MS",
         "TIMESTAMP_NS"), "timestamp",
    ),
    **dict.fromkeys(("VARIANT", "JSON", "STRUCT", "MAP"), "document"),
    "DATE": "date",
}  # fmt: skip
_CONVERT = "TRY_CAST gives NULL for values that do not convert"
_CAST = "convert one side with CAST"


def type_word(engine_type: str) -> str:
    """Give the name that the language has for a type of the engine.

    >>> type_word("BIGINT"), type_word("DECIMAL(18,3)"), type_word("VARCHAR[]"), type_word("UUID")
    ('integer', 'number', 'array', 'uuid')
    """
    spelled = engine_type.strip()
    if spelled.endswith("]"):
        return "array"
    return _TYPES.get(re.sub(r"\(.*", "", spelled), spelled.lower())


def _call(found: re.Match[str]) -> str:
    """Name a call whose arguments do not fit: an operator by its sides, a function as written."""
    name, arguments = found[1], [type_word(a) for a in _arguments(found[2])]
    if not name.isidentifier():
        return f"`{name}` does not work between {' and '.join(arguments)}"
    return f"`{name}({', '.join(arguments)})` does not exist; the function takes other types"


def _arguments(text: str) -> list[str]:
    """Split at the commas that stand in no parentheses."""
    found, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [f for f in found if f.strip()]


_WORDINGS: tuple[tuple[str, Callable[[re.Match[str]], str], str | None], ...] = (
    (
        r"Could not convert string '(.*?)' to (\w+)(?: when casting from source column .*)?",
        lambda m: f"the text '{m[1]}' cannot be converted to {type_word(m[2])}",
        _CONVERT,
    ),
    (
        r"(?i)(date|timestamp) field value out of range: \"(.*?)\".*",
        lambda m: f"'{m[2]}' is no {m[1].lower()}: one of its numbers is out of range",
        None,
    ),
    (
        r"(?i)invalid (date|timestamp) field format: \"(.*?)\".*",
        lambda m: f"'{m[2]}' is no {m[1].lower()}",
        "write it as 2024-01-02 or 2024-01-02T03:04:05Z",
    ),
    (
        r"(?:Failed to cast value: )?Unimplemented type for cast \((.*) -> (.*)\)",
        lambda m: f"{type_word(m[1])} cannot be converted to {type_word(m[2])}",
        None,
    ),
    (
        r"No function matches the given name and argument types '([^(]+)\((.*)\)'.*",
        _call,
        "convert an argument with CAST",
    ),
    (
        r"Could not choose a best candidate function for the function call \"([^(]+)\((.*)\)\".*",
        _call,
        "convert an argument with CAST",
    ),
    (
        r"Cannot compare values of type (.+?) and (?:type )?(.+?)(?: - an explicit cast.*)?",
        lambda m: f"{type_word(m[1])} and {type_word(m[2])} cannot be compared",
        _CAST,
    ),
    (
        r"Cannot mix values of type (.+?) and (?:type )?(.+?) in (.+?)"
        r"(?: operator)?(?: - an explicit cast.*)?",
        lambda m: f"{m[3]} cannot mix {type_word(m[1])} and {type_word(m[2])}",
        _CAST,
    ),
    (
        r"Overflow in (\w+) of \w+ \((.*)\).*",
        lambda m: f"the {m[1]} `{m[2]}` is too large for an integer",
        "convert one side to a number: CAST(x AS DOUBLE)",
    ),
    (
        r"Python Conversion Failure: (.*)",
        lambda m: f"a bound value cannot be used in SQL: {m[1]}",
        "pass it as text",
    ),
    (
        r"Python integer too large for 128-bit integer type: .*",
        lambda _: "a bound integer has more than 128 bits",
        "pass it as text",
    ),
    (
        r"(?i)max(?:imum)? expression depth limit of (\d+) exceeded.*",
        lambda m: f"this SELECT is nested deeper than {int(m[1]):,} levels",
        "use IN (…), a list, or a CTE for a part of it",
    ),
    (
        r"syntax error at or near \"(.*)\"",
        lambda m: f"`{m[1]}` is not expected here, or something is missing behind it",
        None,
    ),
    (
        r"(\w+) clause cannot contain (aggregates|window functions).*",
        lambda m: f"{m[1]} cannot hold {m[2]}",
        "use HAVING for aggregates, QUALIFY for windows",
    ),
    (
        r"(ORDER|GROUP)(?: BY)? term out of range - should be between 1 and (\d+)",
        lambda m: f"{m[1]} BY names a column by number, and there are only {m[2]}",
        "write the name of the column",
    ),
    (
        r"More than one row returned by a subquery used as an expression.*",
        lambda _: "a query used as a value gives more than one row",
        "add LIMIT 1 or an aggregate",
    ),
    (
        r"column \"(.*?)\" must appear in the GROUP BY clause or .* aggregate function",
        lambda m: f"`{m[1]}` is neither grouped by nor inside an aggregate",
        "add it to GROUP BY, or use any_value(…)",
    ),
    (
        r"UNNEST\(\) can only be applied to lists, structs and NULL, not (.*)",
        lambda m: f"UNNEST needs an array, found {type_word(m[1])}",
        None,
    ),
    (
        r"Type with name (.*) does not exist",
        lambda m: f"there is no type `{m[1]}`",
        None,
    ),
)  # fmt: skip
_PATTERNS = tuple((re.compile(p, re.DOTALL), word, hint) for p, word, hint in _WORDINGS)
_ADVICE = re.compile(
    r"\.? (?:You might need to add explicit type casts|In order to select one, please add"
    r" explicit type casts|Use \"SET .*|You can .*|Consider .*)\Z",
    re.DOTALL,
)


def worded(complaint: str) -> tuple[str, str | None]:
    """Give a sentence and a hint for what the engine says.

    >>> worded("WHERE clause cannot contain aggregates!")[0]
    'WHERE cannot hold aggregates'
    """
    text = complaint.rstrip(".! ")
    for pattern, word, hint in _PATTERNS:
        if found := pattern.fullmatch(text):
            return word(found), hint
    text = _ADVICE.sub("", text)
    # A word in capitals keeps them: `WHERE …`, `UNNEST() …`.
    is_word = text[:1].isupper() and text[1:2].islower()
    return (text[:1].lower() + text[1:] if is_word else text), None
