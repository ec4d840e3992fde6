"""Statements about packages, one case each."""

from __future__ import annotations

from typing import assert_never

from moltler.exec.evaluate import Environment
from moltler.flow.result import Done, Table
from moltler.lang import ast
from moltler.session.installing import install_type, rollback_type, uninstall_type, upgrade_type
from moltler.session.names import statement_name
from moltler.session.packages import (
    mark_version,
    package_type,
    publish_type,
    validate_type,
)
from moltler.session.registries import HomeServices, host_of
from moltler.session.services import Services
from moltler.session.statements import Delivery


def deliver(statement: Delivery, services: Services, environment: Environment) -> Table | Done:
    """Run a statement about packages.

    Raises:
        MoltlerError: PKG, CAT or DEF.
    """
    host = host_of(services, statement_name(statement)[0])
    match statement:
        case ast.Package():
            return package_type(statement, host, environment)
        case ast.Publish():
            return publish_type(statement, host, environment)
        case ast.Install():
            return install_type(statement, host, environment)
        case ast.Upgrade():
            return upgrade_type(statement, host, environment)
        case ast.PackageAdmin():
            return _administer(statement, host)
        case _:
            assert_never(statement)


def _administer(statement: ast.PackageAdmin, host: HomeServices) -> Table | Done:
    match statement.verb:
        case "VALIDATE":
            return validate_type(statement, host)
        case "ROLLBACK":
            return rollback_type(statement, host)
        case "UNINSTALL":
            return uninstall_type(statement, host)
        case "DEPRECATE" | "UNPUBLISH":
            return mark_version(statement, host)
        case _:
            assert_never(statement.verb)
