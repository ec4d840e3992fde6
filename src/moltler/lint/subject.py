"""What rules look at: a type, its tests, and where in a text its parts stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from moltler.errors import ScriptPosition
from moltler.lang import ast
from moltler.model import Action, ConnectorType, Entity

Path: TypeAlias = tuple[str, ...]
"""Kind and names in lower case: ``("entity", "items")``, ``("entity", "items", "name")``."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One type as rules see it."""

    type: ConnectorType
    tests: tuple[ast.TestDefinition, ...] = ()
    places: Mapping[Path, ScriptPosition] = field(default_factory=dict[Path, ScriptPosition])
    """Empty for a type of the catalog, whose text is not kept."""
    is_whole: bool = True
    """Whether its CREATE CONNECTOR TYPE was seen; if not, only its parts can be judged."""

    def place(self, *path: str) -> ScriptPosition | None:
        """Give where the part stands, or the nearest part around it."""
        folded = tuple(p.lower() for p in path)
        while folded:
            if found := self.places.get(folded):
                return found
            folded = folded[:-1]
        return self.places.get(("type",))

    def entity_name(self, entity: Entity) -> str:
        """Give the name with its type: ``shop.items``."""
        return f"{self.type.name}.{entity.name}"

    def action_name(self, action: Action) -> str:
        """Give the name with its type: ``shop.items.create``."""
        return f"{self.type.name}.{action.path}"
