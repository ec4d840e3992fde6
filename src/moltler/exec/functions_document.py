"""Functions of documents and JSON text."""

from __future__ import annotations

import json
import re
from typing import NoReturn

from moltler.exec.functions_shape import function, table
from moltler.exec.values import (
    checked_integer,
    described,
    is_array,
    is_document,
    json_text,
    same,
    shortened,
    too_deep,
    type_error,
    value_error,
)

Members = dict[str, object]
_STEP = re.compile(r"""\.?([^.\[\]"]+)|\[(\d+)\]|\.?\[?"((?:[^"]|"")*)"\]?""")


def keys(document: Members) -> list[object]:
    """Give the keys in order."""
    return list(document)


def values(document: Members) -> list[object]:
    """Give the values in order."""
    return list(document.values())


def get(document: object, path: str) -> object:
    """Give the part at a path such as ``a.b[0].c``; NULL where it leads nowhere.

    >>> get({"a": {"b": [{"c": 1}]}}, "a.b[0].c")
    1
    """
    if not isinstance(document, dict | list):
        raise type_error(f"DOCUMENT_GET needs a document, found {described(document)}")
    value: object = document
    for step in _steps(path):
        if isinstance(step, int):
            value = value[step] if is_array(value) and step < len(value) else None
        else:
            value = value.get(step) if is_document(value) else None
    return value


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or (at == 0 and path.startswith(".")):
            raise value_error(f"`{shortened(path)}` is not a path", "write one such as 'a.b[0].c'")
        key, index, quoted = found.groups()
        if index is not None:
            steps.append(int(index) if len(index) < 19 else 2**63)
        else:
            steps.append(key if key is not None else quoted.replace('""', '"'))
        at = found.end()
    return steps


def merge(*documents: Members) -> Members:
    """Give one document with the keys of all; later ones win."""
    result: Members = {}
    for document in documents:
        result |= document
    return result


def remove(document: Members, *names: str) -> Members:
    """Give the document without some keys."""
    return {key: value for key, value in document.items() if key not in names}


def contains(document: Members, part: object) -> bool:
    """Tell whether a document has a key, or every member of another document.

    Raises:
        MoltlerError: PLN004, the part is neither a string nor a document.
    """
    if isinstance(part, str):
        return part in document
    if is_document(part):
        return _covers(document, part)
    raise type_error(
        f"DOCUMENT_CONTAINS needs a key or a document, found {described(part)}",
        "write DOCUMENT_CONTAINS(document, 'key')",
    )


def _covers(whole: Members, part: Members) -> bool:
    for key, value in part.items():
        if key not in whole:
            return False
        own = whole[key]
        if is_document(own) and is_document(value):
            if not _covers(own, value):
                return False
        elif not same(own, value):
            return False
    return True


def json_parse(text: str) -> object:
    """Read JSON text.

    Raises:
        MoltlerError: PLN007, it is not JSON, or a whole number does not fit into 64 bits.
    """
    try:
        return json.loads(text, parse_int=_integer, parse_constant=_no_constant)
    except ValueError as error:
        raise value_error(f"`{shortened(text)}` is not JSON", "check the text") from error
    except RecursionError as error:
        raise too_deep() from error


def _integer(digits: str) -> int:
    # Python itself refuses thousands of digits, with an error of its own.
    return checked_integer(int(digits[:30]))


def _no_constant(name: str) -> NoReturn:
    raise value_error(f"`{name}` is not JSON", "use null")


DOCUMENT = table(
    function("DOCUMENT_KEYS", "document:document", keys),
    function("DOCUMENT_VALUES", "document:document", values),
    function("DOCUMENT_GET", "document:any path:text", get),
    function("DOCUMENT_MERGE", "document:document documents:document?*", merge),
    function("DOCUMENT_REMOVE", "document:document key:text keys:text?*", remove),
    function("DOCUMENT_CONTAINS", "document:document part:any", contains),
    function("DOCUMENT_TO_JSON", "value:any~", json_text),
    function("JSON_PARSE", "text:text", json_parse),
)
