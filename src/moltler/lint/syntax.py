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
        return tuple(node for node, _ in self._placed)

    @cached_property
    def _placed(self) -> tuple[tuple[Node, Node | None], ...]:
        """Every named node with the innermost function around it.

        Walked once: the tree finds a parent only by going down from its root again.
        """
        found: list[tuple[Node, Node | None]] = []
        waiting: list[tuple[Node, Node | None]] = [(self.root, None)]
        while waiting:
            node, around = waiting.pop()
            found.append((node, around))
            inside = node if node.type in FUNCTIONS else around
            waiting += [(child, inside) for child in reversed(node.named_children)]
        return tuple(found)

    @cached_property
    def _around(self) -> dict[int, Node | None]:
        return {node.id: around for node, around in self._placed}

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
        calls: dict[int, set[str]] = {f.id: set() for f in self.functions}
        for node in self.nodes:
            if name := called(node):
                for function in self.functions_around(node):
                    calls[function.id].add(name)
        names = {name_of(f): f.id for f in self.functions}
        callers: dict[int, set[int]] = {}
        for function_id, called_names in calls.items():
            for name in called_names & names.keys():
                callers.setdefault(names[name], set()).add(function_id)
        found: set[int] = set()
        waiting = [
            function_id for function_id, called_names in calls.items() if "fetch" in called_names
        ]
        while waiting:
            function_id = waiting.pop()
            if function_id not in found:
                found.add(function_id)
                waiting += callers.get(function_id, ())
        return frozenset(found)

    @cached_property
    def _requesting(self) -> frozenset[str]:
        return frozenset({"fetch", *(name_of(f) for f in self.functions if f.id in self.fetching)})

    def makes_request(self, node: Node) -> bool:
        """Tell whether something inside a node makes a request, directly or through a call."""
        return any(name in self._requesting for n in walk(node) if (name := called(n)))

    def parameter_name(self, index: int) -> str | None:
        """Give the name of a parameter, or ``None`` if it is a pattern or is not there."""
        if index >= len(self.parameters) or self.parameters[index].type != "identifier":
            return None
        return text_of(self.parameters[index])

    def reads(self, name: str) -> bool:
        """Tell whether anything of that name is read: ``.name``, ``['name']``, ``{name}``."""
        return name in self._properties

    @cached_property
    def _properties(self) -> frozenset[str]:
        return frozenset(name for n in self.nodes if (name := _property_name(n)))

    def function_around(self, node: Node) -> Node | None:
        """Give the innermost function that holds a node."""
        return self._around.get(node.id)

    def functions_around(self, node: Node) -> Iterator[Node]:
        """Give every function that holds a node, inner ones first."""
        around = self.function_around(node)
        while around is not None:
            yield around
            around = self.function_around(around)

    def value_of(self, name: str) -> Node | None:
        """Give what a variable is declared with."""
        return self._values.get(name)

    @cached_property
    def _values(self) -> dict[str, Node | None]:
        found: dict[str, Node | None] = {}
        for node in self.nodes:
            if node.type == "variable_declarator":
                found.setdefault(field_text(node, "name"), node.child_by_field_name("value"))
        return found

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


def _property_name(node: Node) -> str:
    match node.type:
        case "property_identifier" | "shorthand_property_identifier_pattern":
            return text_of(node)
        case "subscript_expression":
            return literal(node.child_by_field_name("index")) or ""
        case _:
            return ""
