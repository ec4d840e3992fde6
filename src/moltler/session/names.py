"""What each statement is called in receipts and errors."""

from __future__ import annotations

from moltler.lang import ast


def statement_name(statement: ast.Statement) -> tuple[str, str]:
    """Give the leading keywords of a statement and the name of what it is about.

    The name is empty where a statement is about nothing that has one.
    """
    match statement:
        case ast.CreateType():
            return "CREATE CONNECTOR TYPE", str(statement.name)
        case ast.CreateEntity():
            return "CREATE CONNECTOR ENTITY", str(statement.name)
        case ast.CreateAction():
            return "CREATE CONNECTOR ACTION", str(statement.name)
        case ast.RegisterType():
            return "REGISTER CONNECTOR TYPE", str(statement.name)
        case ast.DropDefinition():
            return f"DROP CONNECTOR {statement.kind}", str(statement.name)
        case ast.CreateConnector():
            return "CREATE CONNECTOR", statement.name
        case ast.AlterConnector():
            return "ALTER CONNECTOR", statement.name
        case ast.SetEnabled():
            return f"{'ENABLE' if statement.enabled else 'DISABLE'} CONNECTOR", statement.name
        case ast.DropConnector():
            return "DROP CONNECTOR", statement.name
        case ast.TestConnector():
            return "TEST CONNECTOR", statement.name
        case ast.Show():
            return f"SHOW {_SUBJECTS.get(statement.subject, statement.subject)}", ""
        case ast.ShowConnector():
            return "SHOW CONNECTOR", statement.name
        case ast.ShowType():
            return "SHOW CONNECTOR TYPE", str(statement.name)
        case ast.ShowTests():
            return "SHOW TESTS", ""
        case ast.Describe():
            return "DESCRIBE", ".".join(statement.path)
        case ast.Select():
            return "SELECT", ""
        case ast.Query():
            return "QUERY", f"{statement.connector}.{statement.entity}"
        case ast.Explain():
            return "EXPLAIN ANALYZE" if statement.analyze else "EXPLAIN", ""
        case ast.ClearCache():
            return "CLEAR CACHE", ""
        case ast.ExecStatement():
            return "CONNECTOR_EXEC", ".".join(statement.call.path)
        case _:
            return _later_or_procedural(statement)


_SUBJECTS = {"TYPES": "CONNECTOR TYPES"}


def _later_or_procedural(statement: ast.Statement) -> tuple[str, str]:
    match statement:
        case ast.Sync():
            return "SYNC CONNECTOR", statement.connector
        case ast.RollbackSync():
            return "ROLLBACK SYNC", statement.target.table
        case ast.DropSchedule():
            return "DROP SCHEDULE", statement.connector
        case ast.CreateDestination():
            return "CREATE DESTINATION", statement.name
        case ast.DropDestination():
            return "DROP DESTINATION", statement.name
        case ast.TestDefinition():
            return "TEST CONNECTOR TYPE", str(statement.type_name)
        case ast.RunTest() | ast.RunTests():
            return "RUN TEST", ""
        case ast.DropTest():
            return "DROP TEST", statement.name
        case ast.Package():
            return "PACKAGE CONNECTOR TYPE", str(statement.type_name)
        case ast.Publish():
            return "PUBLISH CONNECTOR TYPE", str(statement.type_name)
        case ast.Install():
            return "INSTALL CONNECTOR TYPE", str(statement.type_name)
        case ast.Upgrade():
            return "UPGRADE CONNECTOR TYPE", str(statement.type_name)
        case ast.PackageAdmin():
            return f"{statement.verb} CONNECTOR TYPE", str(statement.type_name)
        case ast.AdvanceClock():
            return "ADVANCE CLOCK", ""
        case ast.SkipTest():
            return "SKIP", ""
        case _:
            return type(statement).__name__.upper(), ""
