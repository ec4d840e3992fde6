"""What an author vouches for, and what a module keeps between calls."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from moltler.lint.finding import Finding
from moltler.lint.subject import Subject
from moltler.lint.syntax import (
    STRINGS,
    Module,
    field_text,
    literal,
    method,
    root_name,
    text_of,
    walk,
)
from moltler.model import Action, Entity


def unkept_claims(subject: Subject, entity: Entity, module: Module) -> Iterator[Finding]:
    """LNT014: a claim about what the handler does not even look at."""
    claims = entity.pushdown
    if module.entry is None or not (claims.filters or claims.order_by):
        return
    place = subject.place("entity", entity.name, "pushdown")
    name = subject.entity_name(entity)
    filters, options = module.parameter_name(1), module.parameter_name(2)
    takes_filters = len(module.parameters) > 1 and (filters is None or _uses(module, filters))
    takes_options = len(module.parameters) > 2 and (options is None or _uses(module, options))
    # Rest parameters and `arguments` are more than this reading of the text can follow.
    if _uses(module, "arguments") or any(p.type == "rest_pattern" for p in module.parameters):
        return
    if claims.filters and not (takes_filters or takes_options):
        yield Finding(
            "LNT014",
            f"PUSHDOWN of `{name}` claims filters, and the handler looks at none",
            "hand `filters` on to the API, or take the claim away: filters are checked anyway",
            place,
        )
    elif claims.order_by and not takes_options:
        yield Finding(
            "LNT014",
            f"PUSHDOWN of `{name}` claims an order, and the handler never reads `options.order_by`",
            "hand the order on to the API, or take the claim away: rows are sorted anyway",
            place,
        )


def doubtful_idempotence(subject: Subject, action: Action, module: Module) -> Iterator[Finding]:
    """LNT023: a POST is repeated after a failure, and nothing tells the API that it is one."""
    if not action.idempotent or "idempoten" in action.handler.text.lower():
        return
    for node in module.nodes:
        if node.type in STRINGS and (literal(node) or "").upper() == "POST" and _is_sent(node):
            yield Finding(
                "LNT023",
                f"`{subject.action_name(action)}` is IDEMPOTENT, so its POST may be sent twice",
                "send a key that the API knows repetitions by, or take IDEMPOTENT away; if the API "
                "is idempotent by itself, say so in a suppression",
                module.place(node),
            )
            return


def _is_sent(node: Node) -> bool:
    """Whether a text is the `method` of a request, or is handed to a function that may send one."""
    around = node.parent
    if around is None:
        return False
    if around.type == "pair":
        return field_text(around, "key").strip("'\"") == "method"
    return around.type == "arguments"


def endless_caches(module: Module) -> Iterator[Finding]:
    """LNT024: what a module keeps grows as long as its process lives, and gets old."""
    text = module.handler.text
    if "Date" in text or "performance" in text or "Temporal" in text:
        return
    for node in module.nodes:
        value = node.child_by_field_name("value") if node.type == "variable_declarator" else None
        if value is None or value.type != "new_expression" or module.function_around(node):
            continue
        if field_text(value, "constructor") != "Map":
            continue
        name = field_text(node, "name")
        used = {on[1] for n in module.nodes if (on := method(n)) and root_name(on[0]) == name}
        if "set" in used and not used & {"delete", "clear"}:
            yield Finding(
                "LNT024",
                f"`{name}` keeps what it got for as long as the process lives",
                "keep the time with each entry and compare it, or use the option `cache_ttl`",
                module.place(node),
            )


def _uses(module: Module, name: str) -> bool:
    body = module.entry.child_by_field_name("body") if module.entry is not None else None
    return body is not None and any(
        text_of(n) == name
        for n in walk(body)
        if n.type in {"identifier", "shorthand_property_identifier"}
    )
