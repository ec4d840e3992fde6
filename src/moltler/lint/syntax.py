"""JavaScript and TypeScript of handlers as a tree, read by the tree-sitter grammar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

from moltler.errors import ScriptPosition
from moltler.model import Handler

# The TypeScript grammar reads JavaScript as well, as the runtime does.
_LANGUAGE = Language(tree_sitter_typescript.language_typescript())

FUNCTIONS = frozenset(
    {
        "function_declaration",
        "generator_function_declaration",
        "function_expression",
        "generator_function",
        "arrow_function",
        "method_definition",
    }
)
LOOPS = frozenset({"while_statement", "do_statement", "for_statement", "for_in_statement"})
STRINGS = frozenset({"string", "template_string"})


@dataclass(frozen=True)
class Module:
    """The module of one handler."""

    handler: Handler
    entry_name: str
    """``query``, ``execute`` or ``test``."""

    @cached_property
    def root(self) -> Node:
        """The tree; it has errors where the text is not JavaScript."""
        return Parser(_LANGUAGE).parse(self.handler.text.encode("utf-8")).root_node

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every named node, outer ones first, in the order of the text."""
        return tuple(walk(self.root))

    @cached_property
    def entry(self) -> Node | None:
        """The function that the engine calls."""
        return next((f for f in self.functions if name_of(f) == self.entry_name), None)

    @cached_property
    def functions(self) -> tuple[Node, ...]:
        """Every function, outer ones first."""
        return tuple(n for n in self.nodes if n.type in FUNCTIONS)

    @cached_property
    def parameters(self) -> tuple[Node, ...]:
        """The parameters of the entry: identifiers or patterns, without types and defaults."""
        listed = self.entry.child_by_field_name("parameters") if self.entry is not None else None
        if listed is None:
            return ()
        return tuple(
            p.child_by_field_name("pattern") or p
            for p in listed.named_children
            if p.type != "comment"
        )

    @cached_property
    def fetches(self) -> tuple[Node, ...]:
        """Every call of fetch."""
        return tuple(n for n in self.nodes if is_call_of(n, "fetch"))

    @cached_property
    def fetching(self) -> frozenset[int]:
        """The ids of functions that make requests, by themselves or through others."""
        found = {f.id for f in self.functions if any(is_call_of(n, "fetch") for n in walk(f))}
        names = {name_of(f): f.id for f in self.functions if name_of(f)}
        while True:
            callers = {
                f.id
                for f in self.functions
                if f.id not in found and any(names.get(called(n)) in found for n in walk(f))
            }
            if not callers:
                return frozenset(found)
            found |= callers

    def makes_request(self, node: Node) -> bool:
        """Tell whether something inside a node makes a request, directly or through a call."""
        names = {name_of(f) for f in self.functions if f.id in self.fetching}
        return any(called(n) == "fetch" or called(n) in names for n in walk(node) if called(n))

    def parameter_name(self, index: int) -> str | None:
        """Give the name of a parameter, or ``None`` if it is a pattern or is not there."""
        if index >= len(self.parameters) or self.parameters[index].type != "identifier":
            return None
        return text_of(self.parameters[index])

    def reads(self, name: str) -> bool:
        """Tell whether anything of that name is read: ``.name``, ``['name']``, ``{name}``."""
        return any(_names_property(n, name) for n in self.nodes)

    def function_around(self, node: Node) -> Node | None:
        """Give the innermost function that holds a node."""
        around = node.parent
        while around is not None and around.type not in FUNCTIONS:
            around = around.parent
        return around

    def value_of(self, name: str) -> Node | None:
        """Give what a variable is declared with."""
        for node in self.nodes:
            if node.type == "variable_declarator" and field_text(node, "name") == name:
                return node.child_by_field_name("value")
        return None

    def place(self, node: Node) -> ScriptPosition:
        """Give where a node stands in the script or file that holds the handler."""
        row, byte_column = node.start_point
        line = self.handler.text.split("\n")[row].encode("utf-8")
        column = len(line[:byte_column].decode("utf-8", "replace"))
        first = self.handler.column if row == 0 else 1
        return ScriptPosition(self.handler.file, self.handler.line + row, first + column)


def walk(node: Node, *, into_functions: bool = True) -> Iterator[Node]:
    """Give a node and every named node below it, in the order of the text."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        if into_functions or current is node or current.type not in FUNCTIONS:
            waiting += reversed(current.named_children)


def text_of(node: Node | None) -> str:
    """Give the text of a node."""
    return "" if node is None or node.text is None else node.text.decode("utf-8")


def field_text(node: Node, field: str) -> str:
    """Give the text of a field of a node, or ``""``."""
    return text_of(node.child_by_field_name(field))


def called(node: Node) -> str:
    """Give the plain name that a call calls, or ``""``."""
    if node.type != "call_expression":
        return ""
    target = node.child_by_field_name("function")
    return text_of(target) if target is not None and target.type == "identifier" else ""


def is_call_of(node: Node, name: str) -> bool:
    """Tell whether a node is ``name(…)``."""
    return called(node) == name


def arguments(call: Node) -> tuple[Node, ...]:
    """Give the arguments of a call or of ``new``."""
    listed = call.child_by_field_name("arguments")
    return () if listed is None else tuple(a for a in listed.named_children if a.type != "comment")


def method(node: Node) -> tuple[Node, str] | None:
    """Give the object and the name of ``object.name(…)``."""
    target = node.child_by_field_name("function") if node.type == "call_expression" else None
    if target is None or target.type != "member_expression":
        return None
    owner = target.child_by_field_name("object")
    return None if owner is None else (owner, field_text(target, "property"))


def name_of(function: Node) -> str:
    """Give the name of a function, also of one that a variable holds."""
    own = field_text(function, "name")
    if own or function.parent is None or function.parent.type != "variable_declarator":
        return own
    return field_text(function.parent, "name")


def literal(node: Node | None) -> str | None:
    """Give the text of a string, or of a template without parts; else ``None``."""
    if node is None or node.type not in STRINGS:
        return None
    if any(c.type == "template_substitution" for c in node.named_children):
        return None
    return text_of(node)[1:-1]


def root_name(node: Node | None) -> str:
    """Give the variable that an access starts from: ``a`` of ``a.b[0].c``."""
    while node is not None and node.type in {"member_expression", "subscript_expression"}:
        node = node.child_by_field_name("object")
    return text_of(node) if node is not None and node.type == "identifier" else ""


def unwrapped(node: Node | None) -> Node | None:
    """Give an expression without parentheses, await, ``!`` and casts around it."""
    wrappers = {"parenthesized_expression", "await_expression", "non_null_expression"}
    while node is not None and (node.type in wrappers or node.type == "as_expression"):
        node = node.named_children[0] if node.named_children else None
    return node


def _names_property(node: Node, name: str) -> bool:
    match node.type:
        case "property_identifier" | "shorthand_property_identifier_pattern":
            return text_of(node) == name
        case "subscript_expression":
            return literal(node.child_by_field_name("index")) == name
        case _:
            return False
