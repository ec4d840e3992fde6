"""What a handler makes of an answer that is no success."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from moltler.lint.finding import Finding
from moltler.lint.syntax import (
    FUNCTIONS,
    Module,
    field_text,
    literal,
    text_of,
    unwrapped,
    walk,
)

_REFUSALS = {
    "ConnectorAuthError": "401 and 403",
    "ConnectorRateLimitError": "429",
}


def swallowed(module: Module) -> Iterator[Finding]:
    """LNT013: a failed request looks like an answer with fewer rows."""
    if module.entry_name != "query":
        return
    for node in module.nodes:
        around = module.function_around(node)
        if around is None or around.id not in module.fetching:
            continue
        is_entry = module.entry is not None and around.id == module.entry.id
        if node.type == "try_statement":
            tried, caught = node.child_by_field_name("body"), _catch(node)
            if tried is None or caught is None or not module.makes_request(tried):
                continue
            if _hides(caught, is_entry=is_entry) or _is_empty(caught):
                yield _swallowed(module, caught, "a request that fails is answered with no rows")
        elif node.type == "if_statement" and _is_not_ok(node.child_by_field_name("condition")):
            then = node.child_by_field_name("consequence")
            if then is not None and _hides(then, is_entry=is_entry):
                yield _swallowed(module, node, "an answer that is no success counts as no rows")


def status_ignored(module: Module) -> Iterator[Finding]:
    """LNT020: the body of an error would be taken for rows."""
    if module.fetches and not _looks_at_status(module):
        yield Finding(
            "LNT020",
            "the status of the answer is never looked at, so an error is read as if it were data",
            "throw unless `response.ok`, such as `new ConnectorError(…, {status})`",
            module.place(module.fetches[0]),
        )


def refusals_unnamed(module: Module) -> Iterator[Finding]:
    """LNT021: nobody can tell a wrong key or a rate limit from an outage."""
    if not module.fetches or not _looks_at_status(module):
        return
    names = {text_of(n) for n in module.nodes if n.type == "identifier"}
    missing = [name for name in _REFUSALS if name not in names]
    if missing:
        classes = " and ".join(f"`{name}` for {_REFUSALS[name]}" for name in missing)
        yield Finding(
            "LNT021",
            f"no refusal of the API becomes {' or '.join(f'`{name}`' for name in missing)}",
            f"throw {classes}: scripts can catch them, and retries wait as long as the API asks",
            module.place(module.fetches[0]),
        )


def _swallowed(module: Module, node: Node, message: str) -> Finding:
    hint = "throw an error: rows that are missing in silence are the worst answer"
    return Finding("LNT013", message, hint, module.place(node))


def _looks_at_status(module: Module) -> bool:
    return any(module.reads(name) for name in ("ok", "status", "statusText"))


def _catch(node: Node) -> Node | None:
    caught = node.child_by_field_name("handler")
    return None if caught is None else caught.child_by_field_name("body")


def _is_empty(block: Node) -> bool:
    return not any(c.type != "comment" for c in block.named_children)


def _is_not_ok(condition: Node | None) -> bool:
    inner = unwrapped(condition)
    if inner is None or inner.type != "unary_expression":
        return False
    tested = unwrapped(inner.child_by_field_name("argument"))
    return (
        field_text(inner, "operator") == "!"
        and tested is not None
        and tested.type == "member_expression"
        and field_text(tested, "property") == "ok"
    )


def _hides(block: Node, *, is_entry: bool) -> bool:
    """Whether a block leaves with empty hands and never throws."""
    if any(n.type == "throw_statement" for n in _shallow(block)):
        return False
    for node in _shallow(block):
        if node.type != "return_statement":
            continue
        value = next((c for c in node.named_children if c.type != "comment"), None)
        # A function in between may say "nothing" to its caller, which then throws.
        if _is_empty_list(value) or (is_entry and _is_nothing(value)):
            return True
    return False


def _shallow(node: Node) -> Iterator[Node]:
    return (n for n in walk(node, into_functions=False) if n.type not in FUNCTIONS)


def _is_empty_list(value: Node | None) -> bool:
    if value is None:
        return False
    if value.type == "array":
        return not value.named_children
    if value.type != "object":
        return False
    pairs = [c for c in value.named_children if c.type == "pair"]
    return len(pairs) == 1 and _is_empty_list(pairs[0].child_by_field_name("value"))


def _is_nothing(value: Node | None) -> bool:
    return value is None or value.type in {"null", "undefined"} or literal(value) == ""
