"""Statements as text on one line; `layout` gives them their lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from moltler.lang import ast
from moltler.lang.wording import Wording, quoted

_PLAIN = Wording()
_SQL = Wording(sql_names=True)

Definition = ast.CreateType | ast.CreateEntity | ast.CreateAction
Instance = (
    ast.RegisterType
    | ast.DropDefinition
    | ast.CreateConnector
    | ast.AlterConnector
    | ast.SetEnabled
    | ast.DropConnector
    | ast.TestConnector
    | ast.CreateDestination
    | ast.DropDestination
)
Operation = (
    ast.Show
    | ast.ShowConnector
    | ast.ShowType
    | ast.ShowTests
    | ast.Describe
    | ast.Select
    | ast.Query
    | ast.Explain
    | ast.ClearCache
    | ast.ExecStatement
)
Delivery = (
    ast.Sync
    | ast.RollbackSync
    | ast.DropSchedule
    | ast.Package
    | ast.Publish
    | ast.Install
    | ast.Upgrade
    | ast.PackageAdmin
)
Testing = (
    ast.TestDefinition | ast.RunTest | ast.RunTests | ast.DropTest | ast.AdvanceClock | ast.SkipTest
)


def statement_text(node: ast.Statement) -> str:
    """Give a statement as text without its ``;``."""
    match node:
        case ast.CreateType() | ast.CreateEntity() | ast.CreateAction():
            return _definition(node)
        case (
            ast.RegisterType()
            | ast.DropDefinition()
            | ast.CreateConnector()
            | ast.AlterConnector()
            | ast.SetEnabled()
            | ast.DropConnector()
            | ast.TestConnector()
            | ast.CreateDestination()
            | ast.DropDestination()
        ):
            return _instance(node)
        case (
            ast.Show()
            | ast.ShowConnector()
            | ast.ShowType()
            | ast.ShowTests()
            | ast.Describe()
            | ast.Select()
            | ast.Query()
            | ast.Explain()
            | ast.ClearCache()
            | ast.ExecStatement()
        ):
            return _operation(node)
        case (
            ast.Sync()
            | ast.RollbackSync()
            | ast.DropSchedule()
            | ast.Package()
            | ast.Publish()
            | ast.Install()
            | ast.Upgrade()
            | ast.PackageAdmin()
        ):
            return _delivery(node)
        case (
            ast.TestDefinition()
            | ast.RunTest()
            | ast.RunTests()
            | ast.DropTest()
            | ast.AdvanceClock()
            | ast.SkipTest()
        ):
            return _testing(node)
        case _:
            return _script(node)


def body_text(statements: Iterable[ast.Statement]) -> str:
    """Give the statements of a body, each with its ``;``."""
    return "".join(f" {statement_text(s)};" for s in statements) + " "


def _joined(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def _clause(word: str, value: object) -> str | None:
    """Give a clause, or nothing where it was not stated."""
    match value:
        case None | False:
            return None
        case True:
            return word
        case str():
            return f"{word} {quoted(value)}"
        case int():
            return f"{word} {value}"
        case ast.QuotedName():
            return f"{word} {_name(value)}"
        case ast.HandlerText():
            return f"{word} {_raw(value.text)}"
        case ast.HandlerFile():
            return f"{word} FILE {quoted(value.path)}"
        case ast.Document() | ast.Array() | ast.Interval():
            return f"{word} {_PLAIN.expression(value)}"
        case tuple():
            return f"{word} [{', '.join(quoted(str(text)) for text in value)}]"
        case _:
            raise TypeError(f"no clause holds a {type(value).__name__}")


def _raw(text: str) -> str:
    """Give a raw block, or a string where the text would end the block early."""
    if "'''" in text or text.endswith("'"):
        return quoted(text)
    return f"'''\n{text}'''"


def _documentation(word: str, text: str | None) -> str | None:
    if text is None:
        return None
    return f"{word} {_raw(text)}" if "\n" in text else _clause(word, text)


def _name(name: ast.QuotedName) -> str:
    return quoted(str(name))


def _create(node: Definition | ast.CreateConnector | ast.CreateDestination, what: str) -> str:
    replace = "OR REPLACE" if node.or_replace else None
    unless = "IF NOT EXISTS" if node.if_not_exists else None
    return _joined("CREATE", replace, what, unless)


def _definition(node: Definition) -> str:
    match node:
        case ast.CreateType():
            return _joined(
                _create(node, f"CONNECTOR TYPE {_name(node.name)}"),
                _clause("DESCRIPTION", node.description),
                _clause("CONFIG_SCHEMA", node.config_schema),
                _clause("OPTIONS_SCHEMA", node.options_schema),
                _clause("TEST_HANDLER", node.test_handler),
                _clause("ALLOWED_HOSTS", node.allowed_hosts),
                _clause("AUTH", node.auth),
                _clause("CONCURRENCY", node.concurrency),
                _documentation("DOCUMENTATION", node.documentation),
            )
        case ast.CreateEntity():
            return _joined(
                _create(node, f"CONNECTOR ENTITY {_name(node.name)}"),
                _clause("DESCRIPTION", node.description),
                _clause("FIELDS", node.fields),
                _clause("PUSHDOWN", node.pushdown),
                _clause("ROWS_PATH", node.rows_path),
                _clause("QUERY_HANDLER", node.handler),
            )
        case ast.CreateAction():
            return _joined(
                _create(node, f"CONNECTOR ACTION {_name(node.name)}"),
                _clause("DESCRIPTION", node.description),
                _clause("PARAMETERS", node.parameters),
                _clause("RETURNS", node.returns),
                _clause("IDEMPOTENT", node.idempotent),
                _clause("HANDLER", node.handler),
            )
        case _:
            assert_never(node)


def _if_exists(node: ast.DropDefinition | ast.DropConnector | ast.DropDestination) -> str | None:
    return "IF EXISTS" if node.if_exists else None


def _instance(node: Instance) -> str:
    match node:
        case ast.RegisterType():
            return _joined(f"REGISTER CONNECTOR TYPE {_name(node.name)}", "FORCE" * node.force)
        case ast.DropDefinition():
            head = f"DROP CONNECTOR {node.kind} {_name(node.name)}"
            return _joined(head, _if_exists(node), "CASCADE" * node.cascade)
        case ast.CreateConnector():
            return _joined(
                _create(node, f"CONNECTOR {node.name}"),
                _clause("TYPE", node.type_name),
                _clause("CONFIG", node.config),
                _clause("OPTIONS", node.options),
                _clause("DESCRIPTION", node.description),
            )
        case ast.AlterConnector():
            change = _PLAIN.document(node.document)
            return f"ALTER CONNECTOR {node.name} SET {node.part} {change}"
        case ast.SetEnabled():
            return f"{'ENABLE' if node.enabled else 'DISABLE'} CONNECTOR {node.name}"
        case ast.DropConnector():
            return _joined(f"DROP CONNECTOR {node.name}", _if_exists(node))
        case ast.TestConnector():
            return f"TEST CONNECTOR {node.name}"
        case ast.CreateDestination():
            return _joined(
                _create(node, f"DESTINATION {node.name}"),
                _clause("TYPE", node.type_name),
                _clause("CONFIG", node.config),
            )
        case ast.DropDestination():
            return _joined(f"DROP DESTINATION {node.name}", _if_exists(node))
        case _:
            assert_never(node)


def _into(name: str | None) -> str | None:
    return f"INTO {name}" if name else None


def _operation(node: Operation) -> str:
    match node:
        case ast.Show():
            return "SHOW CONNECTOR TYPES" if node.subject == "TYPES" else f"SHOW {node.subject}"
        case ast.ShowConnector():
            limit = _clause("LIMIT", node.limit)
            return _joined(f"SHOW CONNECTOR {node.name}", node.aspect, limit)
        case ast.ShowType():
            return f"SHOW CONNECTOR TYPE {_name(node.name)}"
        case ast.ShowTests():
            return _joined("SHOW TESTS", _clause("FOR CONNECTOR TYPE", node.type_name))
        case ast.Describe():
            return f"DESCRIBE {'.'.join(node.path)}"
        case ast.Select():
            return _joined(node.sql.text, _into(node.into))
        case ast.Query():
            return _query(node)
        case ast.Explain():
            target = _value(node.target)
            return _joined("EXPLAIN", "ANALYZE" * node.analyze, target)
        case ast.ClearCache():
            return _joined("CLEAR CACHE", node.connector and f"FOR CONNECTOR {node.connector}")
        case ast.ExecStatement():
            return _joined(_PLAIN.execution(node.call), _into(node.into))
        case _:
            assert_never(node)


def _query(node: ast.Query) -> str:
    where = f"WHERE {_SQL.expression(node.where)}" if node.where else None
    keys = ", ".join(_sort_key(key) for key in node.order_by)
    order = f"ORDER BY {keys}" if keys else None
    limit = f"LIMIT {_PLAIN.expression(node.limit)}" if node.limit else None
    return _joined(f"QUERY {node.connector}.{node.entity}", where, order, limit, _into(node.into))


def _sort_key(key: ast.SortKey) -> str:
    nulls = {None: None, True: "NULLS FIRST", False: "NULLS LAST"}[key.nulls_first]
    return _joined(_SQL.name(key.name), "DESC" * key.descending, nulls)


def _delivery(node: Delivery) -> str:
    match node:
        case ast.Sync():
            return _sync(node)
        case ast.RollbackSync():
            return f"ROLLBACK SYNC {_target(node.target)}"
        case ast.DropSchedule():
            entity = f".{node.entity}" if node.entity else ""
            return f"DROP SCHEDULE FOR CONNECTOR {node.connector}{entity}"
        case ast.Package():
            return _joined(
                f"PACKAGE CONNECTOR TYPE {_name(node.type_name)}",
                _clause("VERSION", node.version),
                _clause("DESCRIPTION", node.description),
                _clause("AUTHOR", node.author),
                _clause("LICENSE", node.license),
                _clause("HOMEPAGE", node.homepage),
                _clause("REPOSITORY", node.repository),
                _clause("TAGS", node.tags),
                _clause("REQUIRES", node.requires),
                _clause("TO", node.to),
                _settings(node.settings),
                _documentation("DOCUMENTATION", node.documentation),
                _documentation("CHANGELOG", node.changelog),
            )
        case ast.Publish():
            return _joined(
                f"PUBLISH CONNECTOR TYPE {_name(node.type_name)}",
                _clause("VERSION", node.version),
                _clause("TO", node.to),
                _settings(node.settings),
            )
        case ast.Install():
            return _joined(
                _joined("INSTALL", "OR REPLACE" * node.or_replace),
                f"CONNECTOR TYPE {_name(node.type_name)}",
                _clause("VERSION", node.version),
                _clause("FROM", node.source),
                _settings(node.settings),
            )
        case ast.Upgrade():
            version = _clause("TO VERSION", node.version)
            head = f"UPGRADE CONNECTOR TYPE {_name(node.type_name)}"
            return _joined(head, version, _settings(node.settings))
        case ast.PackageAdmin():
            return _joined(
                f"{node.verb} CONNECTOR TYPE {_name(node.type_name)}",
                "FOR PUBLISHING" if node.verb == "VALIDATE" else None,
                _clause("VERSION", node.version),
                _clause("MESSAGE", node.message),
                _clause("FROM", node.registry),
            )
        case _:
            assert_never(node)


def _sync(node: ast.Sync) -> str:
    entity = f".{node.entity}" if node.entity else ""
    window = None
    if node.backfill_from is not None and node.backfill_until is not None:
        first, last = map(_PLAIN.expression, (node.backfill_from, node.backfill_until))
        window = f"FROM {first} UNTIL {last}"
    return _joined(
        f"SYNC CONNECTOR {node.connector}{entity} TO {_target(node.target)}",
        _clause("FULL", node.full),
        f"WHERE {_SQL.expression(node.where)}" if node.where else None,
        f"INCREMENTAL ON {node.incremental_on}" if node.incremental_on else None,
        _clause("LOOKBACK", node.lookback),
        _clause("SCHEDULE", node.schedule),
        _clause("TIMEZONE", node.timezone),
        _joined("DELETES", node.deletes, node.deletes_field) if node.deletes else None,
        _clause("MAX ERRORS", node.max_errors),
        _clause("ALLOW EMPTY", node.allow_empty),
        f"OVERLAP {node.overlap}" if node.overlap else None,
        window,
    )


def _target(node: ast.Target) -> str:
    destination = f"{node.destination}." if node.destination else ""
    return destination + quoted(node.table)


def _settings(settings: tuple[ast.Setting, ...]) -> str | None:
    pairs = ", ".join(f"{s.name} = {_PLAIN.expression(s.value)}" for s in settings)
    return f"WITH {pairs}" if pairs else None


def _expected(word: str, node: ast.ExpectError) -> str:
    pattern = quoted(node.pattern) if node.pattern is not None else None
    return _joined(word, node.type_name, node.match, pattern)


def _testing(node: Testing) -> str:
    match node:
        case ast.TestDefinition():
            return _test(node)
        case ast.RunTest():
            return f"RUN TEST {quoted(node.name)} FOR CONNECTOR TYPE {_name(node.type_name)}"
        case ast.RunTests():
            if node.type_name is None:
                return "RUN ALL TESTS"
            tag = _clause("WHERE TAGS CONTAINS", node.tag)
            return _joined(f"RUN TESTS FOR CONNECTOR TYPE {_name(node.type_name)}", tag)
        case ast.DropTest():
            return f"DROP TEST {quoted(node.name)} FOR CONNECTOR TYPE {_name(node.type_name)}"
        case ast.AdvanceClock():
            return f"ADVANCE CLOCK {_PLAIN.expression(node.by)}"
        case ast.SkipTest():
            return f"SKIP {quoted(node.reason)}"
        case _:
            assert_never(node)


def _test(node: ast.TestDefinition) -> str:
    expected = node.expect_error
    word = "EXPECT ERROR TYPE" if expected and expected.type_name else "EXPECT ERROR"
    return _joined(
        f"TEST CONNECTOR TYPE {_name(node.type_name)}",
        _clause("NAME", node.name),
        _clause("DESCRIPTION", node.description),
        _clause("TAGS", node.tags or None),
        _clause("MOCK_API", node.mock_api),
        _clause("SECRETS", node.secrets),
        _clause("ENV", node.env),
        _clause("FAULTS", node.faults),
        _clause("TIMEOUT", node.timeout),
        _clause("SKIP", node.skip),
        _expected(word, expected) if expected else None,
        f"BEGIN{body_text(node.body)}",
        f"TEARDOWN{body_text(node.teardown)}" if node.teardown else None,
        "END TEST",
    )


def _value(value: ast.Expr | ast.SqlText) -> str:
    return value.text if isinstance(value, ast.SqlText) else _PLAIN.expression(value)


def _script(node: ast.Statement) -> str:
    match node:
        case ast.Declare():
            return f"DECLARE {', '.join(map(_declaration, node.declarations))}"
        case ast.Set():
            return f"SET {_PLAIN.expression(node.target)} = {_value(node.value)}"
        case ast.Assert():
            message = f", {_PLAIN.expression(node.message)}" if node.message else ""
            return f"ASSERT {_PLAIN.expression(node.condition)}{message}"
        case ast.AssertRaises():
            return f"{_expected('ASSERT RAISES', node.expected)} BEGIN{body_text(node.body)}END"
        case ast.Print():
            return f"PRINT {_PLAIN.expression(node.value)}"
        case ast.If():
            branches = (
                f"{_PLAIN.expression(b.condition)} THEN{body_text(b.body)}" for b in node.branches
            )
            otherwise = "" if node.otherwise is None else f"ELSE{body_text(node.otherwise)}"
            return f"IF {'ELSEIF '.join(branches)}{otherwise}END IF"
        case ast.For():
            head = f"FOR {node.variable} IN {_subject(node.subject)}"
            return f"{head} LOOP{body_text(node.body)}END LOOP"
        case ast.While():
            condition = _PLAIN.expression(node.condition)
            return f"WHILE {condition} LOOP{body_text(node.body)}END LOOP"
        case ast.Try():
            catches = (f"CATCH {c.type_name or 'THEN'}{body_text(c.body)}" for c in node.catches)
            final = "" if node.final is None else f"FINALLY{body_text(node.final)}"
            return f"TRY{body_text(node.body)}{''.join(catches)}{final}END TRY"
        case ast.Block():
            return f"BEGIN{body_text(node.body)}END"
        case ast.Throw():
            value = _PLAIN.expression(node.value) if node.value else None
            code = f"WITH CODE {_PLAIN.expression(node.code)}" if node.code else None
            return _joined("THROW", value, code)
        case ast.Jump():
            return node.kind
        case ast.Return():
            return _joined("RETURN", None if node.value is None else _value(node.value))
        case ast.DeclareCursor():
            return f"DECLARE {node.name} CURSOR FOR {node.sql.text}"
        case ast.CursorStep():
            return _joined(node.verb, node.name, _into(node.into))
        case ast.CallStatement():
            return _PLAIN.expression(node.call)
        case _:
            raise TypeError(f"{type(node).__name__} is no statement of a script")


def _declaration(node: ast.Declaration) -> str:
    value = None if node.value is None else f"= {_value(node.value)}"
    return _joined(node.name, node.type_name, value)


def _subject(node: ast.Expr | ast.SqlText | ast.Range) -> str:
    match node:
        case ast.SqlText():
            return f"({node.text})"
        case ast.Range():
            return f"{_PLAIN.expression(node.first)}..{_PLAIN.expression(node.last)}"
        case _:
            return _PLAIN.expression(node)
