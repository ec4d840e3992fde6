"""SELECT text read into a sqlglot tree, and what the language refuses in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ErrorLevel, SqlglotError
from sqlglot.errors import ParseError as SqlglotParseError
from sqlglot.tokenizer_core import Token, TokenType

from moltler.errors import Span, error_class, near_match
from moltler.lang.ast import SqlText
from moltler.plan.listed import LISTED, Listed, Literal, listed, literals_at

VARIABLE = "\ue000"
"""First character of an identifier that stands for ``@name`` or, with digits, for ``?``."""
_OPAQUE = "\ue001"
_PLAIN = "\ue003"
NILADIC = "\ue002"
"""First character of a word that SQL reads as a function, unless a field has that name."""


WRITTEN = "written"
"""Key in the meta of a projection: its text, as its author wrote it."""


class Moltler(DuckDB):
    """DuckDB's SQL with array indices taken as written; `plan.rewrite` moves their base."""

    INDEX_OFFSET = 0

    class Tokenizer(DuckDB.Tokenizer):
        """Reads the language's type names as its types, which are wider than SQL's."""

        KEYWORDS = {  # noqa: RUF012 - sqlglot's own way
            **DuckDB.Tokenizer.KEYWORDS,
            "NUMBER": TokenType.DOUBLE,
            "INTEGER": TokenType.BIGINT,
            "INT": TokenType.BIGINT,
        }

    class Parser(DuckDB.Parser):
        """Notes the text of each projection, after which a column without a name is called."""

        def _parse_projections(self) -> tuple[list[exp.Expr], list[exp.Expr] | None]:
            return self._parse_csv(self._parse_projection), None

        def _parse_projection(self) -> exp.Expr | None:
            first = self._curr
            found = self._parse_expression()
            if found is not None and first and self._prev:
                found.meta[WRITTEN] = self.sql[first.start : self._prev.end + 1]
            return found

    class Generator(DuckDB.Generator):
        """Writes what the parser does not make as well."""

        TRANSFORMS = {  # noqa: RUF012 - sqlglot's own way
            **DuckDB.Generator.TRANSFORMS,
            Listed: lambda _, node: node.written,
        }


DIALECT = Moltler()
_ENDS_OPERAND = {
    TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING, TokenType.NUMBER, TokenType.R_PAREN,
    TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.NULL, TokenType.TRUE, TokenType.FALSE,
    TokenType.END,
}  # fmt: skip
_BEGINS_OPERAND = {
    TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING, TokenType.NUMBER, TokenType.L_PAREN,
    TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.NULL, TokenType.TRUE, TokenType.FALSE,
    TokenType.CASE, TokenType.PARAMETER, TokenType.PLACEHOLDER, TokenType.DASH, TokenType.NOT,
    TokenType.DATE, TokenType.TIMESTAMP, TokenType.INTERVAL,
}  # fmt: skip
_NILADIC = {
    TokenType.CURRENT_DATE, TokenType.CURRENT_TIMESTAMP, TokenType.CURRENT_TIME,
    TokenType.LOCALTIME, TokenType.LOCALTIMESTAMP,
}  # fmt: skip
_BUILDERS = {"ARRAY", "LIST"}
_CLAUSES = (
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "QUALIFY",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "JOIN",
    "UNION",
)
# sqlglot makes an array of `list[0]`, whatever `list` is and however it is quoted.
_TYPE_WORDS = DuckDB.Parser.TYPE_TOKENS - {TokenType.ARRAY}
"""Words that sqlglot reads as a type when a bracket follows."""

TABLE_FUNCTIONS = ("range", "generate_series", "unnest", "repeat")
"""Functions that may stand in FROM: pure ones."""
_REFUSED_FUNCTIONS = (
    "read_", "parquet_", "sniff_", "duckdb_", "pragma_", "pg_", "has_", "icu_", "sqlite_",
    "postgres_", "mysql_", "iceberg_", "delta_", "load_", "st_read", "scan_arrow", "arrow_scan",
    "pandas_scan", "python_", "seq_scan", "index_scan", "test_", "write_log", "parse_duckdb_log",
    "json_execute_", "json_serialize_plan", "from_substrait", "get_substrait",
)  # fmt: skip
_REFUSED_NAMES = {
    "getenv", "getvariable", "current_setting", "set_config", "nextval", "currval", "query",
    "query_table", "glob", "current_query", "current_database", "current_schema",
    "current_schemas", "current_catalog", "txid_current", "in_search_path", "version",
    "current_version", "user",
    "current_user", "session_user", "checkpoint", "force_checkpoint", "summary", "which_secret",
    "storage_info", "setseed",
}  # fmt: skip
_REFUSED_NODES: tuple[tuple[type[exp.Expr], str], ...] = (
    (exp.DDL, "a statement that changes something"),
    (exp.Insert, "a statement that changes something"),
    (exp.Update, "a statement that changes something"),
    (exp.Delete, "a statement that changes something"),
    (exp.Merge, "a statement that changes something"),
    (exp.Command, "an engine command"),
    (exp.Set, "SET"),
    (exp.Pragma, "PRAGMA"),
    (exp.Copy, "COPY"),
    (exp.Attach, "ATTACH"),
    (exp.Detach, "DETACH"),
    (exp.Drop, "DROP"),
    (exp.Alter, "ALTER"),
    (exp.Describe, "DESCRIBE inside SELECT"),
    (exp.Show, "SHOW inside SELECT"),
    (exp.Summarize, "SUMMARIZE"),
    (exp.Into, "SELECT INTO"),
    (exp.Parameter, "a host variable"),
    (exp.SessionParameter, "a host variable"),
    (exp.Placeholder, "a host variable"),
    (exp.PositionalColumn, "a column by number"),
    (exp.ReadCSV, "a function that reads files"),
    (exp.ReadParquet, "a function that reads files"),
    (exp.Lock, "a locking clause"),
    (exp.Version, "AT (VERSION …)"),
    (exp.HistoricalData, "AT (…)"),
)
# `SELECT … INTO` and INSERT are subclasses of several of these; Select itself is a Query.


@dataclass(frozen=True, slots=True)
class Text:
    """A SELECT as a tree whose nodes can be found in the script."""

    sql: SqlText
    tree: exp.Expr

    def span(self, node: exp.Expr) -> Span:
        """Give where a node stands; the whole SELECT if sqlglot does not know."""
        found = [
            (i.meta["start"], i.meta["end"])
            for i in node.find_all(exp.Identifier, exp.Literal, Listed)
            if "start" in i.meta
        ]
        if not found:
            return self.sql.span
        return _place(self.sql, min(s for s, _ in found), max(e for _, e in found) + 1)

    def name_span(self, node: exp.Expr) -> Span:
        """Give where the name of a function stands."""
        meta = node.meta
        if "start" not in meta:
            return self.span(node)
        return _place(self.sql, meta["start"], meta["end"] + 1)


def _place(sql: SqlText, start: int, end: int) -> Span:
    return Span(sql.span.source, sql.span.start + start, sql.span.start + end)


def refuse(what: str, span: Span, *, hint: str | None = None) -> NoReturn:
    """Raise PLN006 for a part of SQL that is not available.

    Raises:
        PlanError: Always.
    """
    raise error_class("PLN006")("PLN006", f"{what} is not available here", hint=hint, span=span)


def read_select(sql: SqlText) -> Text:
    """Read SELECT text into a tree with variables, indices and CONTAINS still unresolved.

    ``@x`` and ``?`` are identifiers that start with `VARIABLE`, ``x CONTAINS y`` is an Overlaps
    node (which DuckDB does not have otherwise), and indices are as written.

    Raises:
        ParseError: SYN001, the text is not SQL.
        PlanError: PLN006, it is SQL that is refused.
    """
    if (nul := sql.text.find("\0")) >= 0:
        at = _place(sql, nul, nul + 1)
        raise error_class("SYN001")("SYN001", "a NUL character cannot stand in SELECT", span=at)
    try:
        tokens = list(DIALECT.tokenize(sql.text))
    except SqlglotError as error:
        raise error_class("SYN002")(
            "SYN002", "a string or comment in this SELECT never ends", span=sql.span
        ) from error
    lists: list[tuple[Literal, ...]] = []
    _check_later(sql, tokens)
    tokens = _edit_tokens(sql, tokens, lists)
    try:
        parsed = DIALECT.parser(error_level=ErrorLevel.IMMEDIATE).parse(tokens, sql.text)
    except SqlglotParseError as error:
        raise _syntax_error(sql, tokens, error) from error
    trees = [tree for tree in parsed if tree is not None]
    if len(trees) != 1:
        raise error_class("SYN001")("SYN001", "expected one SELECT", span=sql.span)
    tree = trees[0]
    _put_lists(tree, lists)
    _bind_method_calls(tree)
    text = Text(sql, tree)
    if not isinstance(tree, exp.Query | exp.Values):
        refuse("a statement other than SELECT", sql.span)
    _check(text)
    return text


def _check_later(sql: SqlText, tokens: list[Token]) -> None:
    """Refuse what later versions read.

    Raises:
        PlanError: PLN011.
    """
    words = zip(tokens, tokens[1:], tokens[2:], strict=False)
    for first, second, third in words:
        if third.token_type == TokenType.INTERVAL and (
            (first.text.upper(), second.text.upper()) == ("MAX", "AGE")
        ):
            raise error_class("PLN011")(
                "PLN011",
                "MAX AGE is not available in this version",
                hint="leave it out: the rows come from the API",
                span=_place(sql, first.start, second.end + 1),
            )


def _put_lists(tree: exp.Expr, lists: list[tuple[Literal, ...]]) -> None:
    """Put the lists of literals where the parser saw a name for each."""
    if not lists:
        return
    for column in list(tree.find_all(exp.Column)):
        if column.name.startswith(LISTED):
            leaf = listed(lists[int(column.name[1:])])
            leaf.meta.update(column.this.meta)
            column.replace(leaf)


def _bind_method_calls(tree: exp.Expr) -> None:
    """Make columns again of what stands before ``.upper()``: sqlglot leaves bare identifiers."""
    for call in tree.find_all(exp.Dot):
        if not isinstance(call.expression, exp.Func):
            continue
        for name in list(call.this.find_all(exp.Identifier)):
            holder = name.parent
            is_key = isinstance(holder, exp.Dot) and holder.expression is name
            if not is_key and not isinstance(holder, exp.Column | exp.Alias | exp.TableAlias):
                column = exp.Column()
                name.replace(column)
                column.set("this", name)


def _syntax_error(
    sql: SqlText, tokens: list[Token], error: SqlglotParseError
) -> Exception:  # the class that the code maps to
    where = error.errors[0] if error.errors else {}
    token = next(
        (t for t in tokens if t.line == where.get("line") and t.col == where.get("col")), None
    )
    if token is not None and token is tokens[-1] and _ends_early(sql, tokens):
        end = _place(sql, token.start, token.end + 1)
        message = f"this SELECT ends too early, after `{end.text}`"
        return error_class("SYN001")("SYN001", message, hint=_unclosed(tokens), span=end)
    span = sql.span if token is None else _place(sql, token.start, token.end + 1)
    shown = "this SELECT" if token is None else f"`{span.text}`"
    hint = None
    if token is not None:
        hint = _misspelled(token) or _misspelled(tokens[tokens.index(token) - 1])
    if (
        hint is None
        and token is not None
        and token.token_type not in {TokenType.VAR, TokenType.IDENTIFIER}
    ):
        is_word = span.text.isidentifier()
        hint = f'a field of that name is written "{span.text}"' if is_word else None
    return error_class("SYN001")("SYN001", f"{shown} is not expected here", hint=hint, span=span)


def _misspelled(word: Token) -> str | None:
    """Say which keyword was meant by a word, perhaps taken for an alias, as in ``* FORM t``."""
    if word.token_type != TokenType.VAR or word.text.upper() in _CLAUSES:
        return None
    near = near_match(word.text.upper(), _CLAUSES)
    return f"did you mean {near} instead of `{word.text}`?" if near else None


def _ends_early(sql: SqlText, tokens: list[Token]) -> bool:
    """Tell whether the last token was good and more was expected behind it.

    The parser blames the last token in both cases; with one more behind it, it blames that one.
    """
    last = tokens[-1]
    more = Token(
        TokenType.BREAK, " ", line=last.line, col=last.col + 2, start=last.end, end=last.end
    )
    try:
        DIALECT.parser(error_level=ErrorLevel.IMMEDIATE).parse([*tokens, more], sql.text)
    except SqlglotParseError as error:
        where = error.errors[0] if error.errors else {}
        return (where.get("line"), where.get("col")) == (more.line, more.col)
    return False


_PAIRS = {
    TokenType.L_PAREN: ")",
    TokenType.L_BRACKET: "]",
    TokenType.L_BRACE: "}",
}
_CLOSERS = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE}


def _unclosed(tokens: list[Token]) -> str | None:
    open_: list[Token] = []
    for token in tokens:
        if token.token_type in _PAIRS:
            open_.append(token)
        elif token.token_type in _CLOSERS and open_:
            open_.pop()
    return f"close the `{open_[-1].text}` with `{_PAIRS[open_[-1].token_type]}`" if open_ else None


def _edit_tokens(
    sql: SqlText, tokens: list[Token], lists: list[tuple[Literal, ...]]
) -> list[Token]:
    result: list[Token] = []
    position = 0
    positional = sql.first_positional
    while position < len(tokens):
        token = tokens[position]
        following = tokens[position + 1] if position + 1 < len(tokens) else None
        kind = token.token_type
        step = 1
        if kind == TokenType.PLACEHOLDER and token.text == "?":
            token = _identifier(token, f"{VARIABLE}{positional}", token.end)
            positional += 1
        elif kind == TokenType.PARAMETER and token.text == "@" and following is not None:
            if not following.text.isidentifier() or following.start != token.end + 1:
                at = _place(sql, token.start, token.end + 1)
                raise error_class("SYN001")("SYN001", "expected a name after `@`", span=at)
            token = _identifier(token, VARIABLE + following.text, following.end)
            step = 2
        elif kind == TokenType.PARAMETER:
            end = following.end if following is not None else token.end
            refuse("a host variable", _place(sql, token.start, end + 1), hint="use @name or ?")
        elif (
            kind == TokenType.IN
            and following is not None
            and following.token_type == TokenType.L_PAREN
            and (found := literals_at(tokens, position + 2)) is not None
        ):
            values, close = found
            first, last = tokens[position + 2], tokens[close - 1]
            result += [token, following, _identifier(first, f"{LISTED}{len(lists)}", last.end)]
            lists.append(values)
            token, step = tokens[close], close - position + 1
        elif kind == TokenType.OVERLAPS:
            refuse("OVERLAPS", _place(sql, token.start, token.end + 1))
        elif kind == TokenType.VAR and _is_infix(token, result, following):
            matches = token.text.upper() == "MATCHES"
            token = _retyped(token, TokenType.RLIKE if matches else TokenType.OVERLAPS)
        elif kind in _NILADIC and not (following and following.token_type == TokenType.L_PAREN):
            token = _identifier(token, NILADIC + token.text, token.end)
        elif _is_name(tokens, position):
            is_builder = token.text.upper() in _BUILDERS
            token = _identifier(token, (_PLAIN if is_builder else "") + token.text, token.end)
        elif (
            kind == TokenType.VAR
            and following is not None
            and following.token_type == TokenType.L_PAREN
            and token.text.lower().startswith(("array_", "list_"))
            and token.text.lower() != "array_agg"
        ):
            # sqlglot rewrites these by other dialects' rules; DuckDB and our macros know them.
            token = _retyped(token, TokenType.VAR, _OPAQUE + token.text)
        result.append(token)
        position += step
    return result


def _is_name(tokens: list[Token], position: int) -> bool:
    """Tell whether a keyword must be a name: behind a dot, or ahead of an index."""
    token = tokens[position]
    before = tokens[position - 1].token_type if position else None
    after = [t.token_type for t in tokens[position + 1 : position + 3]]
    if token.token_type == TokenType.IDENTIFIER:
        return token.text.upper() in _BUILDERS and after[:1] == [TokenType.L_BRACKET]
    if token.token_type == TokenType.VAR or not token.text.isidentifier():
        return False
    if before == TokenType.DOT:
        return after[:1] != [TokenType.L_PAREN]
    return (
        token.token_type in _TYPE_WORDS
        and after[:1] == [TokenType.L_BRACKET]
        and after[1:] != [TokenType.R_BRACKET]
        and before not in {TokenType.DCOLON, TokenType.ALIAS}
    )


def _is_infix(token: Token, before: list[Token], following: Token | None) -> bool:
    if token.text.upper() not in {"CONTAINS", "MATCHES"} or not before or following is None:
        return False
    has_not = before[-1].token_type == TokenType.NOT
    operand = before[-2] if has_not and len(before) > 1 else before[-1]
    # `NOT contains(a, b)` is the function, `a NOT CONTAINS (b)` the operator.
    return operand.token_type in _ENDS_OPERAND and following.token_type in _BEGINS_OPERAND


def _retyped(token: Token, kind: TokenType, text: str | None = None) -> Token:
    return Token(
        kind, text or token.text, line=token.line, col=token.col, start=token.start, end=token.end,
        comments=token.comments,
    )  # fmt: skip


def _identifier(token: Token, text: str, end: int) -> Token:
    return Token(
        TokenType.IDENTIFIER, text, line=token.line, col=token.col, start=token.start, end=end,
        comments=token.comments,
    )  # fmt: skip


def _check(text: Text) -> None:
    for node in text.tree.walk():
        for kind, what in _REFUSED_NODES:
            if isinstance(node, kind) and not isinstance(node, exp.Query):
                refuse(what, text.name_span(node))
        match node:
            case exp.Bracket() if any(isinstance(e, exp.Slice) for e in node.expressions):
                refuse("a slice in brackets", text.span(node), hint="use ARRAY_SLICE(a, from, to)")
            case exp.Anonymous() | exp.AnonymousAggFunc():
                name = str(node.this)
                if name.startswith(_OPAQUE):
                    node.set("this", name[1:])
                _check_function(text, node, name.lstrip(_OPAQUE).lower())
            case exp.Identifier() if node.name.startswith(_PLAIN):
                node.set("this", node.name[1:])
            case exp.CTE() if not isinstance(node.this, exp.Query | exp.Values):
                refuse("a CTE that is not a SELECT", text.span(node))
            case exp.Table():
                _check_table(text, node)
            case exp.Func():
                for name in node.sql_names():
                    _check_function(text, node, name.lower())
            case _:
                pass


def _check_table(text: Text, node: exp.Table) -> None:
    source = node.this
    if isinstance(source, exp.Identifier):
        span = text.span(source)
        if span.text.startswith("'"):
            refuse("reading a file", span)
        return
    if isinstance(source, exp.GenerateSeries | exp.Unnest | exp.ExplodingGenerateSeries):
        return
    name = str(source.this) if isinstance(source, exp.Anonymous) else source.sql_name()
    if name.lower() not in TABLE_FUNCTIONS:
        refuse(
            f"the table function `{name.lower()}`",
            text.name_span(source),
            hint=f"functions that may stand in FROM: {', '.join(TABLE_FUNCTIONS)}",
        )


def _check_function(text: Text, node: exp.Expr, name: str) -> None:
    if name in _REFUSED_NAMES or name.startswith(_REFUSED_FUNCTIONS) or name.endswith("_scan"):
        refuse(f"the function `{name}`", text.name_span(node))
