"""Names in expressions: columns, variables, and words that SQL reads as functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from sqlglot import exp

from moltler.errors import MoltlerError, Span, near_match
from moltler.plan.bound import Bound, Variables, error, no_column
from moltler.plan.listed import swap
from moltler.plan.scope import Block, Output, Ref, Source
from moltler.plan.text import NILADIC, VARIABLE

_NILADIC_NODES: Mapping[str, type[exp.Expr]] = {
    "current_date": exp.CurrentDate,
    "current_timestamp": exp.CurrentTimestamp,
    "current_time": exp.CurrentTime,
    "localtime": exp.Localtime,
    "localtimestamp": exp.Localtimestamp,
}
_OPEN_TYPES = ("document", "any")


@dataclass(slots=True)
class Names:
    """Binds names of one SELECT, in place."""

    bound: Bound
    variables: Variables
    now: datetime | None
    _named: dict[str, str] = field(default_factory=dict[str, str])
    # Parameters by the variable they stand for.

    # ── columns ──────────────────────────────────────────────────────────────────────────────

    def name(self, node: exp.Expr, parts: list[exp.Identifier], block: Block) -> None:
        """Bind ``a``, ``a.b`` or longer to a column, a key in a document, or a variable.

        Raises:
            PlanError: PLN002 to PLN005, or PLN008.
        """
        names = tuple(p.name for p in parts)
        span = self.bound.text.span(node)
        if names[0].startswith(VARIABLE):
            self._variable(node, names[0][1:], names[1:], span, is_marked=True)
            return
        names = (names[0].lstrip(NILADIC), *names[1:])
        niladic = parts[0].name.startswith(NILADIC)
        # (1) a table, alias or instance
        for length in (2, 1):
            if len(names) > length and (source := self._source(names[:length], block, span)):
                self._column_of(node, source, parts[length:], span)
                return
        # (2) a column
        ref = self._column(names[0], block, span)
        is_document = ref is not None and (
            ref.output.property is None or ref.output.property.type.name in _OPEN_TYPES
        )
        is_variable = self._has_variable(names[0])
        if ref is not None and (len(names) == 1 or is_document or not is_variable):
            if len(names) > 1 and not is_document:
                type_ = ref.output.property.type if ref.output.property else "value"
                raise error(
                    "PLN004", f"`{names[0]}` is a field of type {type_}, it has no key "
                    f"`{names[1]}`", span,
                )  # fmt: skip
            self._bind_ref(node, ref, parts, names)
            return
        if len(names) == 1 and names[0].lower() in self._aliases(block):
            return
        # (3) a variable
        if is_variable:
            self._variable(node, names[0], names[1:], span, is_marked=False)
            return
        if niladic:
            self._replace_niladic(node, names[0])
            return
        if self._is_open(block):
            return
        self._unknown(names[0], names[1:], block, span)

    @staticmethod
    def _aliases(block: Block) -> set[str]:
        found: set[str] = set()
        each: Block | None = block
        while each is not None:
            found |= each.aliases
            each = each.parent
        return found

    @staticmethod
    def _is_open(block: Block) -> bool:
        each: Block | None = block
        while each is not None:
            if any(s.is_open for s in each.sources):
                return True
            each = each.parent
        return False

    def _column(self, name: str, block: Block, span: Span) -> Ref | None:
        lowered = name.lower()
        each: Block | None = block
        while each is not None:
            found = [s for s in each.visible if lowered in s.outputs]
            group = each.merged.get(lowered, [])
            if len(found) > 1 and all(s in group for s in found):
                return Ref(found[0], found[0].outputs[lowered], is_merged=True)
            if len(found) > 1:
                tables = " and ".join(f"`{s.alias}.{name}`" for s in found)
                raise error(
                    "PLN008", f"`{name}` may mean {tables}", span,
                    hint=f"write `{found[0].alias}.{name}`",
                )  # fmt: skip
            if found:
                return Ref(found[0], found[0].outputs[lowered], is_merged=bool(group))
            if lowered in each.aliases:
                return None
            each = each.parent
        return None

    def _column_of(
        self, node: exp.Expr, source: Source, rest: list[exp.Identifier], span: Span
    ) -> None:
        output = source.outputs.get(rest[0].name.lower())
        if output is None:
            if source.is_open:
                return
            no_column(rest[0].name, span, [source])
        ref = Ref(source, output, tuple(p.name for p in rest[1:]))
        declared = output.property
        if ref.path and declared is not None and declared.type.name not in _OPEN_TYPES:
            raise error(
                "PLN004", f"`{output.name}` is a field of type {declared.type}, it has no key "
                f"`{ref.path[0]}`", span,
            )  # fmt: skip
        need(source, output)
        column = exp.column(
            exp.to_identifier(rest[0].name, quoted=True),
            table=exp.to_identifier(source.alias, quoted=True) if source.alias else None,
        )
        self._replace(node, column, rest[1:], ref, span)

    def _bind_ref(
        self,
        node: exp.Expr,
        ref: Ref,
        parts: list[exp.Identifier],
        names: tuple[str, ...],
    ) -> None:
        need(ref.source, ref.output)
        full = Ref(ref.source, ref.output, names[1:], ref.is_merged)
        span = self.bound.text.span(node)
        column = exp.column(exp.to_identifier(names[0], quoted=True))
        if names[1:] and ref.source.alias and not ref.is_merged:
            # Keeps DuckDB from reading the field's name as a table's.
            column.set("table", exp.to_identifier(ref.source.alias, quoted=True))
        self._replace(node, column, parts[1:], full, span)

    def _replace(
        self,
        node: exp.Expr,
        column: exp.Column,
        path: list[exp.Identifier],
        ref: Ref,
        span: Span,
    ) -> None:
        new: exp.Expr = column
        for part in path:
            new = exp.Dot(this=new, expression=exp.to_identifier(part.name, quoted=True))
        self.bound.keep.append(node)
        self.bound.refs[id(new)] = ref
        self.bound.spans[id(new)] = span
        node.replace(new)
        self.bound.keep.append(new)

    def _replace_niladic(self, node: exp.Expr, name: str) -> None:
        new = _NILADIC_NODES[name.lower()]()
        self.bound.keep.append(node)
        node.replace(new)
        if isinstance(new, exp.CurrentTimestamp | exp.CurrentDate):
            self.moment(new)

    def qualifier(self, node: exp.Column, block: Block) -> Source:
        """Give the source that ``a.*`` means.

        Raises:
            PlanError: PLN002 or PLN008.
        """
        parts = tuple(p.name for p in node.parts[:-1])
        source = self._source(parts, block, self.bound.text.span(node))
        if source is None:
            shown = ".".join(parts)
            names = tuple(s.alias for s in block.visible if s.alias)
            near = near_match(shown, names)
            raise error(
                "PLN002", f"there is no table `{shown}` in this FROM", self.bound.text.span(node),
                hint=f"did you mean `{near}`?" if near else None, allowed=names,
            )  # fmt: skip
        return source

    def _source(self, parts: tuple[str, ...], block: Block, span: Span) -> Source | None:
        """Give the source of the innermost block that a qualifier names."""
        lowered = tuple(p.lower() for p in parts)
        each: Block | None = block
        while each is not None:
            found = [s for s in each.visible if _is_named(s, lowered)]
            exact = [s for s in found if len(lowered) == 1 and s.alias.lower() == lowered[0]]
            found = exact if len(exact) == 1 else found
            if len(found) > 1:
                raise error(
                    "PLN008", f"`{'.'.join(parts)}` may mean {len(found)} tables here", span,
                    hint="give the tables aliases",
                )  # fmt: skip
            if found:
                return found[0]
            each = each.parent
        return None

    # ── variables and constants ──────────────────────────────────────────────────────────────

    def _has_variable(self, name: str) -> bool:
        return name.lower() in {n.lower() for n in self.variables.names}

    def _variable(
        self,
        node: exp.Expr,
        name: str,
        path: Sequence[str],
        span: Span,
        *,
        is_marked: bool,
    ) -> None:
        if name.isdigit() and is_marked:
            try:
                value = self.variables.positional(int(name))
            except MoltlerError as failure:
                raise failure.at(span) from None
        elif self._has_variable(name):
            value = self.variables.get(name)
        else:
            near = near_match(name, self.variables.names)
            raise error(
                "PLN003", f"there is no variable `{name}`", span,
                hint=f"did you mean `@{near}`?" if near else None,
                allowed=tuple(self.variables.names),
            )  # fmt: skip
        for key in path:
            value = _member(value, key, span)
        label = f"{'@' if is_marked else ''}{'.'.join((name, *path))}".lower()
        shown = path[-1] if path else "?" if name.isdigit() else name
        self._parameter(node, value, label, span, shown)

    def _parameter(self, node: exp.Expr, value: object, label: str, span: Span, shown: str) -> None:
        name = self._named.get(label)
        if name is None:
            name = f"v{len(self.bound.parameters)}"
            self._named[label] = name
            self.bound.parameters[name] = value
        new = exp.Placeholder(this=name)
        new.meta["shown"] = shown
        self.bound.keep.append(node)
        self.bound.spans[id(new)] = span
        swap(node, new)
        self.bound.keep.append(new)

    def index_of_variable(self, node: exp.Bracket) -> None:
        """Resolve ``variable.items[0].name`` step by step, as far as indices are literal."""
        target = node.this
        if not isinstance(target, exp.Placeholder) or len(node.expressions) != 1:
            return
        index = node.expressions[0]
        if not isinstance(index, exp.Literal):
            return
        value = self.bound.parameters[target.name]
        found: object = None
        if isinstance(value, Mapping) and index.is_string:
            found = value.get(index.this)
        elif isinstance(value, Sequence) and not isinstance(value, str) and not index.is_string:
            position = int(index.this) if str(index.this).isdigit() else len(value)
            found = value[position] if position < len(value) else None
        span = self.bound.span(target)
        self._parameter(node, found, f"{target.name}[{index.sql()}]", span, node.sql())

    def env(self, node: exp.Anonymous) -> None:
        """Make the value of ENV(…) a parameter.

        Raises:
            PlanError: PLN004.
        """
        span = self.bound.text.span(node)
        arguments = [a.this for a in node.expressions if isinstance(a, exp.Literal) and a.is_string]
        if len(arguments) != len(node.expressions) or len(arguments) not in (1, 2):
            raise error("PLN004", "ENV takes one or two texts: a name and a default", span)
        default = arguments[1] if len(arguments) > 1 else None
        value = self.variables.env(arguments[0], default)
        self._parameter(node, value, f"env {arguments}", span, "env")

    def moment(self, node: exp.Expr) -> None:
        """Make NOW() and its kin a parameter: the statement has one time."""
        if self.now is None:
            return
        is_date = isinstance(node, exp.CurrentDate)
        value = self.now.date() if is_date else self.now
        self._parameter(
            node, value, "today()" if is_date else "now()", self.bound.text.sql.span,
            "current_date" if is_date else "now",
        )  # fmt: skip

    def _unknown(self, name: str, path: Sequence[str], block: Block, span: Span) -> NoReturn:
        variables = self.variables.names
        near = near_match(name, variables)
        if path:
            known = tuple(s.alias for s in _in_scope(block) if s.alias)
            table = near_match(name, known)
            guess = f"`{table}.{path[0]}`" if table else f"`{near}`" if near else None
            raise error(
                "PLN002", f"`{name}` is no table, document field or variable here", span,
                hint=f"did you mean {guess}?" if guess else None, allowed=known,
            )  # fmt: skip
        sources = _in_scope(block)
        if not sources:
            raise error(
                "PLN003", f"there is no variable `{name}`", span,
                hint=f"did you mean `{near}`?" if near else "text is written in single quotes",
                allowed=tuple(variables),
            )  # fmt: skip
        columns = tuple(o.name for s in sources for o in s.outputs.values())
        if near and near_match(name, columns) is None:
            raise error(
                "PLN003", f"there is no column or variable `{name}`", span,
                hint=f"did you mean `{near}`?",
            )  # fmt: skip
        no_column(name, span, sources)


def _in_scope(block: Block) -> list[Source]:
    found: list[Source] = []
    each: Block | None = block
    while each is not None:
        found.extend(each.visible)
        each = each.parent
    return found


def parts_of(node: exp.Expr) -> list[exp.Identifier] | None:
    """Give the identifiers of ``a.b.c``, or ``None`` if a part is something else."""
    if isinstance(node, exp.Column):
        parts = node.parts
        found = [p for p in parts if isinstance(p, exp.Identifier)]
        return found if len(found) == len(parts) else None
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        left = parts_of(node.this)
        return None if left is None else [*left, node.expression]
    return None


def _is_named(source: Source, lowered: tuple[str, ...]) -> bool:
    if len(lowered) == 1 and source.alias.lower() == lowered[0]:
        return True
    if source.entity_name is None or source.scan is None:
        return False
    connector, entity = source.scan.connector.lower(), source.entity_name.lower()
    return lowered in {(connector,), (entity,), (connector, entity)}


def _member(value: object, key: str, span: Span) -> object:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return value.get(key)
    raise error("PLN004", f"only documents have keys, and `.{key}` stands after another", span)


def need(source: Source, output: Output) -> None:
    """Note that the SQL reads a column."""
    if source.scan is not None:
        source.scan.needed.add(output.name)
