"""The order in which a secret's value is looked for."""

from __future__ import annotations

from collections.abc import Mapping

from moltler.ports import SecretStore

ENVIRONMENT_PREFIX = "MOLTLER_SECRET_"


def lookup_secret(name: str, environ: Mapping[str, str], store: SecretStore) -> str | None:
    """Give a secret's value: from ``MOLTLER_SECRET_<NAME>``, else from the store.

    Args:
        name: As written in ``{{secrets.NAME}}``.
        environ: The environment; an empty variable counts as unset.
        store: Asked only if the environment has no value.

    Source: LANGUAGE §5.3.
    """
    return environ.get(ENVIRONMENT_PREFIX + name.upper()) or store.get(name)
