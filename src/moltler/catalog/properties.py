"""Property documents: CONFIG_SCHEMA, OPTIONS_SCHEMA, FIELDS, PARAMETERS and RETURNS to schemas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from moltler.catalog.documents import key_span_of, kind_of, literal_value, span_of
from moltler.catalog.values import fit_value, is_same, shown
from moltler.errors import Problem, Span, near_match
from moltler.lang import ast
from moltler.schema import SCALARS, TYPE_NAMES, DataType, JsonValue, Property, Schema

Place = Literal["config", "options", "fields", "parameters", "returns"]

_EVERYWHERE = ("type", "description", "items", "properties")
_INPUT = ("required", "default", "enum", "pattern", "minimum", "maximum")
ALLOWED_KEYS: Mapping[Place, tuple[str, ...]] = {
    "config": (*_EVERYWHERE, *_INPUT, "secret", "expose", "expose_reason"),
    "options": (*_EVERYWHERE, *_INPUT),
    "fields": (*_EVERYWHERE, "enum", "primary_key", "nullable", "filter_only", "collation"),
    "parameters": (*_EVERYWHERE, *_INPUT),
    "returns": (*_EVERYWHERE, "nullable"),
}
"""The table of LANGUAGE §4.2."""
_OF_FIELDS_ONLY = ("primary_key", "filter_only", "collation", "enum")
"""Keys of a field itself, without a meaning for what is nested in it."""
_CLAUSES: Mapping[Place, str] = {
    "config": "CONFIG_SCHEMA",
    "options": "OPTIONS_SCHEMA",
    "fields": "FIELDS",
    "parameters": "PARAMETERS",
    "returns": "RETURNS",
}
_TYPE_SPELLINGS = ("string", "number", "integer", "boolean", "timestamp", "date", "document",
                   "array", "any")  # fmt: skip
_ELEMENT_KEYS = _EVERYWHERE
_TAKEN_FIELDS = frozenset({"_synced_at", "_run_id", "_deleted_at"})
_IDENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_schema(
    document: ast.Document | None,
    place: Place,
    problems: list[Problem],
    *,
    taken: Iterable[str] = (),
) -> Schema:
    """Give the schema of a property document and add everything wrong with it to `problems`.

    Args:
        document: Literals only; ``None`` for a clause that was left out.
        place: The clause it belongs to.
        problems: Grows by DEF001, DEF002 and DEF006.
        taken: Further names that no property may have, in lower case.
    """
    if document is None:
        return Schema()
    names = _Names(place, frozenset(taken), problems)
    properties: list[Property] = []
    for entry in document.members:
        reader = _Reader(place, entry.key, problems)
        if names.is_free(entry):
            properties.append(reader.property(entry, is_nested=False))
        else:
            reader.property(entry, is_nested=False)
    return Schema(tuple(properties))


@dataclass(slots=True)
class _Names:
    """Tells names apart that differ only by case, or that something else has."""

    place: Place
    taken: frozenset[str]
    problems: list[Problem]
    seen: dict[str, str] = field(default_factory=dict[str, str])
    """Spelling by name in lower case."""

    def is_free(self, entry: ast.DocumentMember) -> bool:
        key, folded = entry.key, entry.key.lower()
        first = self.seen.setdefault(folded, key)
        if first != key:
            self._refuse(
                entry.key_span,
                f"`{first}` and `{key}` in {_CLAUSES[self.place]} differ only by case",
                "rename one of them; names are found ignoring case",
            )
            return False
        if self.place == "fields" and not _IDENT.fullmatch(key):
            self._refuse(
                entry.key_span,
                f"`{key}` cannot name a field",
                "use letters, digits and `_`, not starting with a digit",
            )
        elif not key.strip():
            self._refuse(entry.key_span, "a property needs a name", "write it between the quotes")
        elif self.place == "config" and "." in key:
            # A path such as `auth.token` names what is nested, in messages and in the catalog.
            self._refuse(entry.key_span, f"`{key}` holds a dot", "nest it, or write `_`")
        elif folded in self.taken or (self.place == "fields" and folded in _TAKEN_FIELDS):
            self._refuse(
                entry.key_span,
                f"the name `{key}` is taken by Moltler itself",
                "choose another name",
            )
        else:
            return True
        return False

    def _refuse(self, span: Span, message: str, hint: str) -> None:
        self.problems.append(Problem("DEF002", message, hint, span))


@dataclass(slots=True)
class _Reader:
    """Reads one property document; `name` is its path for the messages."""

    place: Place
    name: str
    problems: list[Problem]

    # ── the document ──

    def property(self, entry: ast.DocumentMember, *, is_nested: bool) -> Property:
        """Give the property as far as it can be read."""
        if not isinstance(entry.value, ast.Document):
            self._misuse(
                entry.value.span,
                f"`{self.name}` must be a property document, found {kind_of(entry.value)}",
                'write {"type": "string"}',
            )
            return Property(entry.key, DataType("any"))
        document = entry.value
        allowed = ALLOWED_KEYS[self.place]
        if is_nested:
            allowed = tuple(
                k for k in allowed if self.place != "fields" or k not in _OF_FIELDS_ONLY
            )
        self._check_keys(document, allowed)
        keys = {m.key: m for m in document.members if m.key in allowed}
        before = len(self.problems)
        type_ = self._type(document, keys, entry.key_span)
        is_typed = len(self.problems) == before
        read = self._flags(Property(entry.key, type_, self._text(keys, "description")), keys)
        read = self._constraints(read, keys)
        if is_typed:
            # Against a type that could not be read, everything would contradict.
            self._check_types(read, keys)
            if read.enum is not None:
                read = replace(read, enum=self._enum(read, keys["enum"].value))
            read = self._default(read, keys)
        self._check_flags(read, keys)
        return read

    def _check_keys(self, document: ast.Document, allowed: tuple[str, ...]) -> None:
        for entry in document.members:
            if entry.key in allowed:
                continue
            places = [_CLAUSES[p] for p, keys in ALLOWED_KEYS.items() if entry.key in keys]
            if places:
                message = f"the key `{entry.key}` of `{self.name}` is not allowed here"
                hint = f"it belongs to {' and '.join(places)}; leave it out"
                if _CLAUSES[self.place] in places:
                    hint = "it belongs to the property itself, not to what is nested in it"
            else:
                near = near_match(entry.key, allowed)
                message = f"`{self.name}` has the unknown key `{entry.key}`"
                hint = f"did you mean `{near}`?" if near else "leave it out"
            self.problems.append(Problem("DEF001", message, hint, entry.key_span, allowed))

    # ── types ──

    def _type(
        self, document: ast.Document, keys: Mapping[str, ast.DocumentMember], at: Span
    ) -> DataType:
        entry = keys.get("type")
        if entry is None:
            self._misuse(at, f"`{self.name}` has no `type`", 'add "type": "string"')
            return DataType("any")
        type_ = self._named_type(entry.value)
        if "items" in keys:
            type_ = replace(type_, items=self._element(keys["items"].value))
        if "properties" in keys:
            type_ = replace(type_, properties=self._nested(keys["properties"].value))
        for key, owner in (("items", "array"), ("properties", "document")):
            if key in keys and type_.name != owner:
                self._contradiction(
                    keys[key].key_span,
                    f"`{self.name}` has `{key}` but is of type {type_.name}",
                    f'use "type": "{owner}", or leave `{key}` out',
                )
        return type_

    def _named_type(self, node: ast.Expr) -> DataType:
        match node:
            case ast.Literal(value=str() as text):
                name = TYPE_NAMES.get(text.lower())
                if name is not None:
                    return DataType(name)
                near = near_match(text, tuple(TYPE_NAMES))
                self._misuse(
                    node.span,
                    f"`{self.name}` has the unknown type `{text}`",
                    f"did you mean `{near}`?" if near else None,
                    _TYPE_SPELLINGS,
                )
            case _:
                self._misuse(
                    node.span,
                    f"the `type` of `{self.name}` must be a string, found {kind_of(node)}",
                    None,
                    _TYPE_SPELLINGS,
                )
        return DataType("any")

    def _element(self, node: ast.Expr) -> DataType:
        """Read ``items``: the name of a type, or a property document of type and nesting only."""
        inner = _Reader(self.place, f"{self.name}.items", self.problems)
        if not isinstance(node, ast.Document):
            return inner._named_type(node)
        inner._check_keys(node, _ELEMENT_KEYS)
        keys = {m.key: m for m in node.members if m.key in _ELEMENT_KEYS}
        return inner._type(node, keys, node.span)

    def _nested(self, node: ast.Expr) -> tuple[Property, ...]:
        if not isinstance(node, ast.Document):
            self._misuse(
                node.span,
                f"`properties` of `{self.name}` must be a document, found {kind_of(node)}",
                'write {"key": {"type": "string"}}',
            )
            return ()
        return tuple(
            _Reader(self.place, f"{self.name}.{m.key}", self.problems).property(m, is_nested=True)
            for m in node.members
        )

    # ── keys of one kind ──

    def _flags(self, read: Property, keys: Mapping[str, ast.DocumentMember]) -> Property:
        return replace(
            read,
            required=self._flag(keys, "required", default=False),
            secret=self._flag(keys, "secret", default=False),
            expose=self._flag(keys, "expose", default=False),
            expose_reason=self._text(keys, "expose_reason"),
            primary_key=self._flag(keys, "primary_key", default=False),
            nullable=self._flag(keys, "nullable", default=True)
            and not self._flag(keys, "primary_key", default=False, is_silent=True),
            filter_only=self._flag(keys, "filter_only", default=False),
            collation=self._text(keys, "collation"),
        )

    def _flag(
        self,
        keys: Mapping[str, ast.DocumentMember],
        key: str,
        *,
        default: bool,
        is_silent: bool = False,
    ) -> bool:
        match keys.get(key):
            case None:
                return default
            case ast.DocumentMember(value=ast.Literal(value=bool() as value)):
                return value
            case entry:
                if not is_silent:
                    self._wrong_kind(key, entry.value, "TRUE or FALSE")
                return default

    def _text(self, keys: Mapping[str, ast.DocumentMember], key: str) -> str | None:
        match keys.get(key):
            case None:
                return None
            case ast.DocumentMember(value=ast.Literal(value=str() as value)):
                return value
            case entry:
                self._wrong_kind(key, entry.value, "a string")
                return None

    def _limit(self, keys: Mapping[str, ast.DocumentMember], key: str) -> int | float | None:
        entry = keys.get(key)
        if entry is None:
            return None
        value = literal_value(entry.value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        self._wrong_kind(key, entry.value, "a number")
        return None

    def _constraints(self, read: Property, keys: Mapping[str, ast.DocumentMember]) -> Property:
        enum: tuple[JsonValue, ...] | None = None
        if "enum" in keys:
            node = keys["enum"].value
            if isinstance(node, ast.Array) and node.items:
                enum = tuple(literal_value(item) for item in node.items)
            else:
                self._wrong_kind("enum", node, "an array of at least one value")
        pattern = self._text(keys, "pattern")
        if pattern is not None:
            try:
                re.compile(pattern)
            except (re.error, RecursionError, OverflowError) as error:
                self._contradiction(
                    keys["pattern"].value.span,
                    f"the `pattern` of `{self.name}` is not a regular expression: {error}",
                    "correct the pattern",
                )
                pattern = None
        return replace(
            read,
            enum=enum,
            pattern=pattern,
            minimum=self._limit(keys, "minimum"),
            maximum=self._limit(keys, "maximum"),
        )

    # ── contradictions ──

    def _check_types(self, read: Property, keys: Mapping[str, ast.DocumentMember]) -> None:
        fitting_types = {
            "pattern": ("string",),
            "minimum": ("number", "integer"),
            "maximum": ("number", "integer"),
            "secret": ("string",),
            "collation": ("string",),
            "primary_key": tuple(t for t in _TYPE_SPELLINGS if t in SCALARS),
        }
        for key, types in fitting_types.items():
            is_on = key in keys and not _is_false(keys[key].value)
            if is_on and read.type.name not in types:
                self._contradiction(
                    keys[key].key_span,
                    f"`{self.name}` has `{key}` but is of type {read.type.name}",
                    f"`{key}` goes with type {' or '.join(types)}",
                )

    def _enum(self, read: Property, node: ast.Expr) -> tuple[JsonValue, ...]:
        bare = Property(read.name, read.type)
        values: list[JsonValue] = []
        for index, value in enumerate(read.enum or ()):
            fitted, misfits = fit_value(value, bare, (self.name,))
            span = span_of(node, (index,))
            if misfits or value is None:
                self._contradiction(
                    span,
                    f"{shown(value)} in the `enum` of `{self.name}` is not of type {read.type}",
                    "write a value of that type, or change the type",
                )
            elif any(is_same(fitted, known) for known in values):
                self._contradiction(
                    span,
                    f"{shown(value)} stands twice in the `enum` of `{self.name}`",
                    "leave one out",
                )
            values.append(fitted)
        return tuple(values)

    def _default(self, read: Property, keys: Mapping[str, ast.DocumentMember]) -> Property:
        entry = keys.get("default")
        if entry is None:
            return read
        value = literal_value(entry.value)
        if value is None:
            # The same as no default: a key that does not apply is absent, never null.
            return read
        fitted, misfits = fit_value(value, read, (self.name,))
        for misfit in misfits:
            at = key_span_of if misfit.is_unknown else span_of
            self._contradiction(
                at(entry.value, misfit.path[1:]),
                f"the `default` of `{self.name}` does not fit: {misfit.message}",
                misfit.hint or "change the default, or what it contradicts",
            )
        return read if misfits else replace(read, has_default=True, default=fitted)

    def _check_flags(self, read: Property, keys: Mapping[str, ast.DocumentMember]) -> None:
        def contradict(key: str, message: str, hint: str) -> None:
            self._contradiction(keys[key].key_span, f"`{self.name}` {message}", hint)

        if read.required and "default" in keys:
            contradict(
                "default", "is required and has a default", "leave out `required` or `default`"
            )
        if read.minimum is not None and read.maximum is not None and read.minimum > read.maximum:
            contradict(
                "minimum",
                f"has a minimum of {read.minimum} above its maximum of {read.maximum}",
                "exchange them",
            )
        if read.expose and not read.secret:
            contradict("expose", "has `expose` without `secret`", 'add "secret": true')
        if read.expose_reason is not None and not read.expose:
            contradict(
                "expose_reason", "has `expose_reason` without `expose`", 'add "expose": true'
            )
        if read.primary_key and "nullable" in keys and not _is_false(keys["nullable"].value):
            contradict(
                "nullable",
                "is part of the primary key, which is never NULL, and nullable",
                "leave `nullable` out",
            )
        if read.primary_key and read.filter_only:
            contradict(
                "filter_only",
                "is part of the primary key and only a filter",
                "leave out one of the two",
            )
        if read.collation is not None and read.collation != "binary":
            contradict(
                "collation",
                f"has the unknown collation `{read.collation}`",
                'the only value is "binary"',
            )

    # ── reporting ──

    def _wrong_kind(self, key: str, node: ast.Expr, wanted: str) -> None:
        found = (
            "an empty array" if isinstance(node, ast.Array) and not node.items else kind_of(node)
        )
        self._misuse(node.span, f"`{key}` of `{self.name}` must be {wanted}, found {found}", None)

    def _misuse(
        self, span: Span, message: str, hint: str | None, allowed: tuple[str, ...] = ()
    ) -> None:
        self.problems.append(Problem("DEF001", message, hint, span, allowed))

    def _contradiction(self, span: Span, message: str, hint: str) -> None:
        self.problems.append(Problem("DEF006", message, hint, span))


def _is_false(node: ast.Expr) -> bool:
    return isinstance(node, ast.Literal) and node.value is False
