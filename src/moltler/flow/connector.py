"""An instance made ready for a call: revision chosen, config resolved, limits known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from moltler.model import Connector, ConnectorType
from moltler.schema import JsonValue
from moltler.secret import Secret


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What one instance may use; from its options, LANGUAGE §5.2 and §7.7."""

    timeout_s: float = 30.0
    memory_mb: int = 256
    max_concurrency: int = 1
    rate_per_s: float | None = None
    """Requests per second; ``None`` for no throttle."""
    rate_burst: int = 1
    retry_count: int = 0
    max_results: int | None = None
    max_pages: int | None = None
    max_requests: int | None = None
    max_seconds: float | None = None
    null_on_type_error: bool = False
    duplicate_key_is_error: bool = False
    cache_ttl_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ResolvedConnector:
    """An instance with everything a call needs, valid for that call only."""

    connector: Connector
    type: ConnectorType
    """The registered revision (in tests: the draft)."""
    revision: int
    config: Mapping[str, JsonValue] = field(repr=False)
    """In schema order, defaults filled in, secrets in plain: only `net` may look inside."""
    secrets: tuple[Secret, ...]
    credential_version: str
    """Changes when any secret's value changes; says nothing about the value."""
    limits: CallLimits = field(default_factory=CallLimits)
    settings: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """The type's own options, for ``options.settings``."""
    sealed_config: Mapping[str, JsonValue] | None = None
    """`config` as JavaScript gets to see it: seals where secrets are, except for exposed ones.
    ``None``: as `config` has it."""

    @property
    def name(self) -> str:
        """The instance's name."""
        return self.connector.name

    @property
    def runtime_key(self) -> tuple[str, str, int, int, str]:
        """What one runtime process belongs to; when any part changes, a new process starts."""
        return (
            self.connector.name.lower(),
            self.type.name.lower(),
            self.revision,
            self.connector.version,
            self.credential_version,
        )
