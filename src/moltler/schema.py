"""The types of the language and the properties that definitions declare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

TypeName = Literal[
    "string", "number", "integer", "boolean", "timestamp", "date", "document", "array", "any"
]
JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

TYPE_NAMES: Mapping[str, TypeName] = {
    "string": "string",
    "number": "number",
    "integer": "integer",
    "boolean": "boolean",
    "timestamp": "timestamp",
    "datetime": "timestamp",
    "date": "date",
    "document": "document",
    "object": "document",
    "array": "array",
    "any": "any",
}
"""Every spelling of a type, lower-case, and the type it means."""

SCALARS: frozenset[TypeName] = frozenset(
    {"string", "number", "integer", "boolean", "timestamp", "date"}
)
"""Types whose values are single: the only ones that equality filters carry."""


@dataclass(frozen=True, slots=True)
class DataType:
    """A type with its element type or nested properties."""

    name: TypeName
    items: DataType | None = None
    """Element type of an array; ``None`` for an untyped one."""
    properties: tuple[Property, ...] | None = None
    """Properties of a document; ``None`` for an open one."""

    def __str__(self) -> str:
        return f"array<{self.items}>" if self.items else self.name

    @property
    def scalar_items(self) -> DataType | None:
        """The element type of an array of single values: such an array is a list everywhere."""
        items = self.items
        return items if items is not None and items.name in SCALARS else None


@dataclass(frozen=True, slots=True)
class Property:
    """One declared config key, option, field, parameter or returned key."""

    name: str
    type: DataType
    description: str | None = None
    required: bool = False
    has_default: bool = False
    default: JsonValue = None
    enum: tuple[JsonValue, ...] | None = None
    pattern: str | None = None
    minimum: float | int | None = None
    maximum: float | int | None = None
    secret: bool = False
    expose: bool = False
    expose_reason: str | None = None
    primary_key: bool = False
    nullable: bool = True
    filter_only: bool = False
    collation: str | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """Properties in declared order, found by name ignoring case."""

    properties: tuple[Property, ...] = ()
    _index: dict[str, Property] = field(
        init=False, repr=False, compare=False, default_factory=dict[str, Property]
    )

    def __post_init__(self) -> None:
        self._index.update({p.name.lower(): p for p in self.properties})

    def __iter__(self) -> Iterator[Property]:
        return iter(self.properties)

    def __len__(self) -> int:
        return len(self.properties)

    def find(self, name: str) -> Property | None:
        """Give the property of that name, ignoring case, or ``None``."""
        return self._index.get(name.lower())

    @property
    def names(self) -> tuple[str, ...]:
        """The names as declared, in declared order."""
        return tuple(p.name for p in self.properties)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The names of the primary key's fields, in declared order; may be empty."""
        return tuple(p.name for p in self.properties if p.primary_key)
