"""Where requests go, and what is put into their addresses."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from moltler.errors import ScriptPosition
from moltler.lint.finding import Finding
from moltler.lint.subject import Subject
from moltler.lint.syntax import (
    Module,
    arguments,
    called,
    field_text,
    literal,
    root_name,
    text_of,
    unwrapped,
)
from moltler.net.address import BadAddress, WebAddress, parse_address
from moltler.net.policy import host_pattern, is_loopback
from moltler.schema import Schema

_DEPTH = 8
_SLASHES = 3
_SAFE_TYPES = frozenset({"integer", "number", "boolean", "date"})
_OWN_HINT = "name it in ALLOWED_HOSTS ['{host}'], or take the address from a setting"


def undeclared_hosts(subject: Subject, module: Module) -> Iterator[Finding]:
    """LNT004 and LNT005: fixed addresses that are blocked, or that anybody can listen to."""
    allowed = [p for p in map(host_pattern, subject.type.allowed_hosts) if p is not None]
    named = {a.host for a in _default_addresses(subject)}
    seen: set[str] = set()
    for node in module.nodes:
        given = _requested(node)
        if given is None or (text := _start(module, given)) is None:
            continue
        address = _fixed(text)
        if address is None or address.host in seen:
            continue
        seen.add(address.host)
        if address.host not in named and not any(p.matches(address) for p in allowed):
            yield Finding(
                "LNT004",
                f"requests to `{address.host}` are blocked: the type does not declare that host",
                _OWN_HINT.format(host=address.host),
                module.place(node),
            )
        if address.scheme == "http" and not is_loopback(address.host):
            yield _plain(address, module.place(node))


def plain_defaults(subject: Subject) -> Iterator[Finding]:
    """LNT005 for addresses that settings have by default."""
    for declared in subject.type.config_schema:
        address = _fixed(declared.default) if isinstance(declared.default, str) else None
        if address is not None and address.scheme == "http" and not is_loopback(address.host):
            yield _plain(address, subject.place("config", declared.name))


def unencoded(subject: Subject, module: Module, parameters: Schema) -> Iterator[Finding]:
    """LNT022: a value that holds ``/`` or ``?`` would change which address is asked."""
    name = module.parameter_name(1)
    if name is None or module.entry_name == "test":
        return
    for node in module.nodes:
        parts = _parts(node)
        if len(parts) < 2 or not _is_address_start(parts[0]):
            continue
        for part in parts[1:]:
            if part.type != "member_expression" or root_name(part) != name:
                continue
            declared = parameters.find(field_text(part, "property"))
            if declared is not None and declared.type.name in _SAFE_TYPES:
                continue
            yield Finding(
                "LNT022",
                f"`{text_of(part)}` goes into the address as it is: a `/` or `?` in it asks for "
                "something else",
                f"write encodeURIComponent({text_of(part)})",
                module.place(part),
                subject.type.name,
            )


def _plain(address: WebAddress, place: ScriptPosition | None) -> Finding:
    return Finding(
        "LNT005",
        f"requests to `{address.host}` go over plain http: others can read them",
        "write https, if the API has it",
        place,
    )


def _default_addresses(subject: Subject) -> Iterator[WebAddress]:
    for declared in subject.type.config_schema:
        if isinstance(declared.default, str) and (address := _fixed(declared.default)) is not None:
            yield address


def _fixed(text: str) -> WebAddress | None:
    """Read an address whose host stands in the text as a whole."""
    if not text.lower().startswith(("http://", "https://")):
        return None
    try:
        address = parse_address(text)
    except BadAddress:
        return None
    return address if address.host else None


def _requested(node: Node) -> Node | None:
    """Give what fetch, or ``new Request``, is to ask for."""
    is_request = node.type == "new_expression" and field_text(node, "constructor") == "Request"
    given = arguments(node) if is_request or called(node) == "fetch" else ()
    return given[0] if given else None


def _start(module: Module, node: Node | None, depth: int = 0) -> str | None:
    """Give the fixed text that an address starts with, up to its path; ``None`` if unknown."""
    node = unwrapped(node)
    if node is None or depth > _DEPTH:
        return None
    match node.type:
        case "string":
            return literal(node)
        case "template_string":
            parts = node.named_children
            if not parts:
                return None
            if parts[0].type == "template_substitution":
                return _start(module, parts[0].named_children[0], depth + 1)
            text = text_of(parts[0])
            # `https://${host}/items`: the host itself is not known.
            return text if len(parts) == 1 or text.count("/") >= _SLASHES else None
        case "binary_expression":
            left = _start(module, node.child_by_field_name("left"), depth + 1)
            return left if left is not None and left.count("/") >= _SLASHES - 1 else None
        case "identifier":
            return _start(module, module.value_of(text_of(node)), depth + 1)
        case "new_expression" if field_text(node, "constructor") == "URL":
            given = arguments(node)
            return _start(module, given[-1], depth + 1) if given else None
        case "call_expression":
            # A text made of an address: by its own toString, or by String.
            given = arguments(node)
            target = node.child_by_field_name("function")
            owner = target.child_by_field_name("object") if target is not None else None
            return _start(module, owner or (given[0] if given else None), depth + 1)
        case _:
            return None


def _parts(node: Node) -> list[Node]:
    """Give the pieces that a template or a sum of texts joins; none for anything else."""
    if node.type == "template_string":
        return [
            c.named_children[0] if c.type == "template_substitution" and c.named_children else c
            for c in node.named_children
        ]
    if node.type != "binary_expression" or field_text(node, "operator") != "+":
        return []
    if node.parent is not None and node.parent.type == "binary_expression":
        return []  # part of a longer sum
    pieces: list[Node] = []
    current: Node | None = node
    while current is not None and current.type == "binary_expression":
        right = current.child_by_field_name("right")
        pieces += [right] if right is not None else []
        current = current.child_by_field_name("left")
    pieces += [current] if current is not None else []
    return pieces[::-1]


def _is_address_start(node: Node) -> bool:
    if root_name(node) == "config" and node.type == "member_expression":
        return True
    text = literal(node) if node.type == "string" else text_of(node)
    return (text or "").startswith(("http://", "https://", "/"))
