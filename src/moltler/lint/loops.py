"""Loops over pages: that they end, that there is one, and that it stops when it may."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tree_sitter import Node

from moltler.lint.finding import Finding
from moltler.lint.syntax import (
    FUNCTIONS,
    LOOPS,
    Module,
    arguments,
    called,
    field_text,
    literal,
    method,
    name_of,
    root_name,
    text_of,
    unwrapped,
    walk,
)

_SIZE_NAMES = frozenset(
    {
        "per_page", "page_size", "perPage", "pageSize", "limit", "maxResults", "max_results",
        "page[size]", "page[limit]", "count", "size", "top", "$top",
    }
)  # fmt: skip
_SIZE_IN_TEXT = re.compile(
    r"[?&](" + "|".join(re.escape(name) for name in sorted(_SIZE_NAMES)) + r")=([0-9]+)(?![0-9])"
)
_INNER_BREAKS = frozenset({*LOOPS, "switch_statement"})
_CHANGES = frozenset({"assignment_expression", "augmented_assignment_expression"})


def endless(module: Module) -> Iterator[Finding]:
    """LNT010: a loop without a way out."""
    elsewhere = _changes_by_function(module)
    for loop in module.nodes:
        if loop.type not in LOOPS or loop.type == "for_in_statement":
            continue
        body, condition = loop.child_by_field_name("body"), _condition(loop)
        if body is None or _has_exit(body):
            continue
        if condition is None:
            message = "this loop has no condition, and nothing in it ends it"
        elif any(n.type in {"call_expression", "await_expression"} for n in walk(condition)):
            continue  # what it answers is not known here
        elif not (names := _names(condition)):
            message = "the condition of this loop never changes, and nothing in it ends it"
        elif names & _changeable(module, loop, elsewhere):
            continue
        else:
            listed = ", ".join(f"`{name}`" for name in sorted(names))
            message = f"nothing in this loop changes {listed}, so it goes on for ever"
        yield Finding(
            "LNT010",
            message,
            "read the cursor of the next page in the loop, and end when there is none",
            module.place(loop),
        )


def first_page_only(module: Module) -> Iterator[Finding]:
    """LNT011: a page size is asked for, and no further page."""
    entry = module.entry
    if entry is None or module.entry_name != "query" or _goes_on(module):
        return
    size = next((n for n in module.nodes if _is_page_size(n)), None)
    if size is None or _returns_whole_answer(module):
        return
    yield Finding(
        "LNT011",
        "the request asks for a page of rows, and there is no loop that asks for the next one",
        "loop until the API has no next page; a generator can yield page after page",
        module.place(size),
    )


def collects_all(module: Module) -> Iterator[Finding]:
    """LNT012: every page is read before the first row is given."""
    entry = module.entry
    if entry is None or module.entry_name != "query" or "generator" in entry.type:
        return
    if any(n.type == "yield_expression" for n in module.nodes) or module.reads("limit"):
        return
    for loop in walk(entry):
        if loop.type in LOOPS and module.makes_request(loop) and _collects(loop):
            yield Finding(
                "LNT012",
                "this loop reads every page, also when a query wants only a few rows",
                "write `async function* query` and `yield` each page: it is stopped in time",
                module.place(loop),
            )
            return


def _condition(loop: Node) -> Node | None:
    condition = loop.child_by_field_name("condition")
    if condition is None or condition.type in {"empty_statement", ";"}:
        return None
    if condition.type == "expression_statement":
        condition = condition.named_children[0] if condition.named_children else None
    while condition is not None and condition.type == "parenthesized_expression":
        condition = condition.named_children[0] if condition.named_children else None
    return condition


def _has_exit(body: Node) -> bool:
    waiting: list[tuple[Node, bool]] = [(body, True)]
    while waiting:
        node, is_ours = waiting.pop()
        if node.type in {"return_statement", "throw_statement"}:
            return True
        if node.type == "break_statement" and (is_ours or node.named_child_count > 0):
            return True
        ours = is_ours and node.type not in _INNER_BREAKS
        waiting += [(c, ours) for c in node.named_children if c.type not in FUNCTIONS]
    return False


def _names(condition: Node) -> set[str]:
    return {
        text_of(n)
        for n in walk(condition)
        if n.type == "identifier" and text_of(n) not in {"undefined", "Infinity", "NaN"}
    }


def _changeable(module: Module, loop: Node, elsewhere: dict[str, set[int | None]]) -> set[str]:
    """Give the names whose values may change while a loop runs."""
    # What the initializer of a `for` sets, it sets once.
    parts = (loop.child_by_field_name(f) for f in ("condition", "increment", "body"))
    found = {name for p in parts if p is not None for n in walk(p) for name in _changed(n)}
    # Another function may change them as well.
    around = module.function_around(loop)
    own = None if around is None else around.id
    return found | {name for name, functions in elsewhere.items() if functions - {own}}


def _changes_by_function(module: Module) -> dict[str, set[int | None]]:
    """Give the functions in which each name is changed."""
    found: dict[str, set[int | None]] = {}
    for node in module.nodes:
        if node.type == "variable_declarator":
            continue  # elsewhere it makes another variable
        for name in _changed(node):
            around = module.function_around(node)
            found.setdefault(name, set()).add(None if around is None else around.id)
    return found


def _changed(node: Node) -> set[str]:
    """Give the names that a node by itself changes, or may."""
    match node.type:
        case "assignment_expression" | "augmented_assignment_expression":
            return _named(node.child_by_field_name("left"))
        case "update_expression":
            return {root_name(node.child_by_field_name("argument"))} - {""}
        case "variable_declarator":
            return _named(node.child_by_field_name("name"))
        case "call_expression":
            # What is called, or handed over, may do anything to it.
            on = method(node)
            owner = {root_name(on[0])} if on is not None else set[str]()
            return (owner | {root_name(a) for a in arguments(node)}) - {""}
        case "unary_expression" if field_text(node, "operator") == "delete":
            return _named(node)
        case _:
            return set()


def _named(node: Node | None) -> set[str]:
    if node is None:
        return set()
    kinds = {"identifier", "shorthand_property_identifier_pattern"}
    return {text_of(n) for n in walk(node) if n.type in kinds}


def _goes_on(module: Module) -> bool:
    """Whether some loop or recursion may ask for more pages."""
    for node in module.nodes:
        if node.type in LOOPS and module.makes_request(node):
            return True
        name = called(node)
        if name and any(name == name_of(f) for f in module.functions_around(node)):
            return True
    # map(async page => fetch(…)) and its like also ask more than once.
    return any(
        f.type == "arrow_function" and f.id in module.fetching and _is_argument(f)
        for f in module.functions
    )


def _is_argument(function: Node) -> bool:
    return function.parent is not None and function.parent.type == "arguments"


def _is_page_size(node: Node) -> bool:
    if node.type == "pair":
        key = field_text(node, "key").strip("'\"")
        value = text_of(node.child_by_field_name("value")).strip("'\"")
        return key in _SIZE_NAMES and value.isdecimal() and value != "1"
    if (on := method(node)) is not None and on[1] in {"append", "set"}:
        given = arguments(node)
        if len(given) != 2 or (literal(given[0]) or "") not in _SIZE_NAMES:
            return False
        value = text_of(given[1]).strip("'\"")
        return value.isdecimal() and value != "1"
    if node.type in {"string_fragment"}:
        return any(size != "1" for _, size in _SIZE_IN_TEXT.findall(text_of(node)))
    return False


def _returns_whole_answer(module: Module) -> bool:
    """Whether the API's answer is returned as it is, so that the engine sees a next page."""
    for node in module.nodes:
        if node.type != "return_statement" or not node.named_children:
            continue
        value = unwrapped(node.named_children[0])
        if value is not None and value.type == "identifier":
            value = unwrapped(module.value_of(text_of(value)))
        if value is not None and (on := method(value)) is not None and on[1] == "json":
            return True
    return False


def _collects(loop: Node) -> bool:
    for node in walk(loop):
        on = method(node)
        if on is not None and on[1] in {"push", "concat", "unshift"}:
            return True
        if node.type in _CHANGES and any(n.type == "spread_element" for n in walk(node)):
            return True
    return False
