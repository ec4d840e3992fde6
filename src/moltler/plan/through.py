"""Document fields that a SELECT only passes on: they need no VARIANT on their way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp

from moltler.plan.bind import Bound
from moltler.plan.scope import Block, Query, Ref, Scan, output_names
from moltler.plan.sources import declared_column
from moltler.schema import SCALARS, DataType, TypeName

_BARRIERS = ("distinct", "group", "having", "qualify", "windows", "sample")


def passed_through(bound: Bound) -> tuple[Mapping[Scan, frozenset[str]], Mapping[int, TypeName]]:
    """Tell which document fields nothing looks into, and which columns of the result they are.

    Turning JSON text into a VARIANT and back costs more than the rest of a scan, sorts the keys,
    and changes nothing that anybody asked for.

    Returns:
        By scan the declared names of such fields, none where the tree holds anything this does not
        know; by position of the result's column its declared type, for all that are plain fields.
    """
    root = bound.root
    types = dict(_declared(root))
    if not isinstance(root, Block) or root.outputs is None or not _is_plain(bound, root):
        return {}, types
    shown: dict[int, Ref] = {}
    for position, (_, value) in enumerate(root.outputs):
        if isinstance(value, Ref) and _is_document(value):
            shown[position] = value
    looked_into = _others(bound, root)
    fields: dict[Scan, set[str]] = {}
    for ref in shown.values():
        declared, scan = ref.output.property, ref.source.scan
        if declared is None or scan is None or (scan, declared.name) in looked_into:
            continue
        fields.setdefault(scan, set()).add(declared.name)
    return {scan: frozenset(names) for scan, names in fields.items()}, types


def _declared(root: Query) -> Iterator[tuple[int, TypeName]]:
    """Give the declared types of columns that are document fields."""
    for position in range(len(output_names(root) or ())):
        declared = declared_column(root, position)
        if declared is not None and is_variant(declared.type):
            yield position, declared.type.name


def _is_plain(bound: Bound, root: Block) -> bool:
    node = root.node
    if root.is_denied or root.merged or any(node.args.get(key) for key in _BARRIERS):
        return False
    order = node.args.get("order")
    # A number, ALL or an alias stands for an output without referring to it.
    return order is None or all(
        (bound.ref(key) is not None and key.name.lower() not in root.aliases)
        or not isinstance(key, exp.Column | exp.Literal | exp.Var)
        for ordered in order.expressions
        for key in (ordered.this, *ordered.this.find_all(exp.Column))
    )


def _is_document(ref: Ref) -> bool:
    declared = ref.output.property
    return (
        declared is not None
        and ref.source.scan is not None
        and not ref.path
        and not ref.is_merged
        and is_variant(declared.type)
    )


def is_variant(type_: DataType) -> bool:
    """Tell whether fields of a type are VARIANTs in SQL."""
    if type_.name == "array":
        return type_.items is None or type_.items.name not in SCALARS
    return type_.name in {"document", "any"}


def _others(bound: Bound, root: Block) -> set[tuple[Scan, str]]:
    """Give the fields that are used for more than being shown."""
    selected = {id(p.unalias()) for p in root.node.expressions}
    found: set[tuple[Scan, str]] = set()
    for node, ref in bound.refs.items():
        declared, scan = ref.output.property, ref.source.scan
        if declared is not None and scan is not None and (node not in selected or ref.path):
            found.add((scan, declared.name))
    # Sources of other blocks, whose stars leave no reference.
    for block in bound.blocks:
        if block is not root:
            for source in block.sources:
                if source.scan is not None:
                    found.update((source.scan, o.name) for o in source.outputs.values())
    return found
