"""Write the generated pages of docs/, or with --check tell which are stale.

Sources: ``codes.CODES`` and ``src/moltler/explanations``, the data files
``docs/reference/*.toml``, and the help texts of the command line.
"""

from __future__ import annotations

import sys
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from moltler.catalog.options import ENGINE_OPTIONS
from moltler.catalog.properties import ALLOWED_KEYS
from moltler.cli.main import COMMANDS, cli
from moltler.codes import CODES, Code
from moltler.exec.functions import FUNCTIONS
from moltler.lang import ast
from moltler.lint.rules import RULES

ROOT = Path(__file__).resolve().parent.parent
EXPLANATIONS = ROOT / "src/moltler/explanations"
NOTE = "<!-- Made by scripts/generate_docs.py; edit {source} instead. -->"
FAMILIES = {
    "SYN": "The text or the command line cannot be read",
    "DEF": "A definition is wrong",
    "CAT": "A name is unknown, taken or unusable, or the home is",
    "PLN": "A statement cannot run as written",
    "JSR": "The connector's JavaScript failed",
    "API": "The API failed, or could not be used",
    "SNC": "A sync failed, or its destination did",
    "TST": "A connector test failed, or cannot run",
    "PKG": "A package or registry failed",
    "INT": "Moltler itself failed",
}
HELP_WIDTH = 96


class DocsError(Exception):
    """A source of the pages is incomplete; the message says what to add."""


def pages() -> dict[str, str]:
    """Give every generated page by its path below the root.

    Raises:
        DocsError: A code has no explanation, a statement no section, a function or option no
            line.
    """
    made = {f"docs/errors/{code}.md": error_page(row) for code, row in CODES.items()}
    made["docs/errors/README.md"] = error_index()
    made["docs/reference/statements.md"] = statements_page()
    made["docs/reference/functions.md"] = functions_page()
    made["docs/reference/options.md"] = options_page()
    made["docs/reference/command-line.md"] = command_line_page()
    made["docs/reference/lint.md"] = lint_page()
    return made


def stale_pages() -> list[str]:
    """Give the paths of pages that are missing, differ, or belong to nothing any more."""
    made = pages()
    present = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/errors").glob("*.md")}
    stale = [path for path, text in made.items() if _read(ROOT / path) != text]
    return sorted({*stale, *(present - set(made))})


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def error_page(row: Code) -> str:
    """Give the page of one code: its explanation, and how programs see it."""
    source = f"src/moltler/explanations/{row.code}.md"
    text = _read(ROOT / source)
    if text is None:
        raise DocsError(f"`{row.code}` has no explanation; write {source}")
    title, _, body = text.partition("\n")
    names = ", ".join(f"`{name}`" for name in (row.type, *row.also, "error"))
    facts = f"Type `{row.type}` · caught as {names} · exit status {row.exit}"
    return "\n".join([title, "", NOTE.format(source=source), "", facts, "", body.strip(), ""])


def error_index() -> str:
    """Give the table of all codes."""
    lines = [
        "# Error codes",
        "",
        NOTE.format(source="codes.CODES"),
        "",
        "Every error has a code, which never changes its meaning. `moltler explain CODE` prints",
        "its page in the terminal. A program that handles errors looks at the code or at the type;",
        "the exit status says at a glance whose turn it is: 1 yours, 2 the text cannot be read,",
        "3 the connector or its API, 5 no tests were selected, 70 Moltler itself.",
    ]
    for family, title in FAMILIES.items():
        rows = [
            (
                f"[{row.code}]({row.code}.md)",
                f"`{row.type}`",
                " ".join(f"`{name}`" for name in row.also),
                row.summary,
                str(row.exit),
            )
            for row in CODES.values()
            if row.code.startswith(family)
        ]
        heads = ("code", "type", "also caught as", "raised when", "exit")
        lines += ["", f"## {family}: {title}", "", *_table(heads, sorted(rows))]
    return "\n".join([*lines, ""])


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _data(name: str) -> Mapping[str, typing.Any]:
    with (ROOT / "docs/reference" / name).open("rb") as file:
        return tomllib.load(file)


def statements_page() -> str:
    """Give one section a statement.

    Raises:
        DocsError: A member of ``ast.Statement`` is in no section, or a section names another one.
    """
    source = "docs/reference/statements.toml"
    sections = _data("statements.toml")["statement"]
    members = {member.__name__ for member in typing.get_args(ast.Statement)}
    described = {node for section in sections for node in section["nodes"]}
    if missing := members - described:
        raise DocsError(f"{', '.join(sorted(missing))} has no section in {source}")
    if unknown := described - members:
        raise DocsError(f"{source} names {', '.join(sorted(unknown))}, which is no statement")
    lines = [
        "# Statements",
        "",
        NOTE.format(source=source),
        "",
        "Words in capitals are keywords, in any case. `[ ]` may be left out, `{ }` repeats what it",
        "holds any number of times, `|` separates alternatives, `( )` groups; the example shows",
        "where a symbol itself is meant. Clauses on lines of their own may come in any order.",
        "Statements end with `;`.",
    ]
    group = None
    for section in sections:
        if section["group"] != group:
            group = section["group"]
            lines += ["", f"## {group}"]
        lines += ["", f"### {section['title']}", "", section["says"]]
        lines += ["", "```text", section["syntax"].strip(), "```"]
        lines += ["", "```moltler", section["example"].strip(), "```"]
    return "\n".join([*lines, ""])


def functions_page() -> str:
    """Give the table of functions.

    Raises:
        DocsError: A function is not described, or one is described that does not exist.
    """
    source = "docs/reference/functions.toml"
    groups = _data("functions.toml")
    described = {name for group in groups.values() for name in group}
    known = {name.upper(): function.signature for name, function in FUNCTIONS.items()}
    if missing := known.keys() - described:
        raise DocsError(f"{', '.join(sorted(missing))} has no line in {source}")
    if unknown := described - known.keys():
        raise DocsError(f"{source} describes {', '.join(sorted(unknown))}, which does not exist")
    lines = [
        "# Functions",
        "",
        NOTE.format(source=source),
        "",
        "In SELECT every scalar, aggregate and window function of DuckDB can be used besides",
        "these. A name means the same in SELECT and in expressions: those of documents, arguments",
        "and conditions outside of SELECT. Names are written in any case; arrays count from 0.",
    ]
    usable = {"both": "expressions, SELECT", "expressions": "expressions"}
    for title, group in groups.items():
        rows = [
            (f"`{known[name]}`", gives, usable[where]) for name, (gives, where) in group.items()
        ]
        lines += ["", f"## {title}", "", *_table(("function", "gives", "usable in"), rows)]
    return "\n".join([*lines, ""])


def options_page() -> str:
    """Give the tables of options, property keys, arguments and limits.

    Raises:
        DocsError: An option or a property key is missing.
    """
    source = "docs/reference/options.toml"
    lines = ["# Options, properties, limits", "", NOTE.format(source=source)]
    for table in _data("options.toml")["table"]:
        lines += ["", f"## {table['title']}", "", table["intro"], ""]
        lines += _table(tuple(table["columns"]), [tuple(row) for row in table["rows"]])
    page = "\n".join([*lines, ""])
    names = {*ENGINE_OPTIONS, *(key for keys in ALLOWED_KEYS.values() for key in keys)}
    if missing := sorted(n for n in names if f"`{n}`" not in page):
        raise DocsError(f"{', '.join(missing)} has no row in {source}")
    return page


def command_line_page() -> str:
    """Give the help text of every command, as the program prints it."""
    lines = [
        "# Command line",
        "",
        NOTE.format(source="the commands in src/moltler/cli"),
        "",
        "Results go to stdout, messages, warnings and logs to stderr. Exit status: 0 success,",
        "1 your turn, 2 the text or the command line cannot be read, 3 the connector or its API",
        "failed, 5 no test was selected, 70 a fault of Moltler itself, 130 interrupted.",
    ]
    with click.Context(cli, info_name="moltler", **cli.context_settings) as root:
        for title, text in _helps(root, cli):
            lines += ["", f"## {title}", "", "```text", text, "```"]
    return "\n".join([*lines, ""])


def lint_page() -> str:
    """Give the table of the rules of lint, and the page of each as a section.

    Raises:
        DocsError: A rule has no page, or a page belongs to no rule.
    """
    source = "src/moltler/explanations/lint"
    texts = {path.stem: path for path in (EXPLANATIONS / "lint").glob("*.md")}
    if missing := RULES.keys() - texts:
        raise DocsError(f"{', '.join(sorted(missing))} has no page in {source}")
    if unknown := texts.keys() - RULES:
        raise DocsError(f"{source} describes {', '.join(sorted(unknown))}, which is no rule")
    lines = [
        "# Rules of lint",
        "",
        NOTE.format(source=source),
        "",
        "`moltler lint` reads scripts and runs nothing. It prints a line for each finding; an",
        "error keeps a connector from being published, a warning does not. `moltler explain CODE`",
        "prints the section of a rule in the terminal.",
        "",
        "Where a rule is wrong, say so in a comment, in the line of the finding or above it. It",
        "names the rule and the reason:",
        "",
        "```text",
        "-- lint-ok LNT032: the API numbers its log lines anew every day",
        "```",
        "",
    ]
    rows = [(f"[{r.code}](#{r.code.lower()})", r.severity, r.summary) for r in RULES.values()]
    lines += _table(("rule", "severity", "what it finds"), rows)
    for code, rule in RULES.items():
        body = texts[code].read_text(encoding="utf-8").partition("\n")[2].strip()
        body = body.replace("\n## ", "\n### ")
        lines += ["", f"## {code}", "", f"{rule.severity.capitalize()}: {rule.summary}.", "", body]
    return "\n".join([*lines, ""])


def _helps(parent: click.Context, command: click.Command) -> Iterator[tuple[str, str]]:
    parent.terminal_width = parent.max_content_width = HELP_WIDTH
    yield (
        parent.command_path,
        "\n".join(line.rstrip() for line in command.get_help(parent).splitlines()),
    )
    if not isinstance(command, click.Group):
        return
    for name in COMMANDS if command is cli else command.list_commands(parent):
        found = command.get_command(parent, name)
        if found is None:
            raise DocsError(f"the command `{name}` cannot be loaded")
        with click.Context(found, info_name=name, parent=parent) as context:
            yield from _helps(context, found)


def main() -> None:
    """Write the pages, or with ``--check`` exit 1 naming those that are stale."""
    try:
        stale = stale_pages()
        made = pages()
    except DocsError as error:
        sys.exit(f"docs: {error}")
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"stale: {path}")
        sys.exit(1 if stale else 0)
    for path in stale:
        target = ROOT / path
        if path in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(made[path], encoding="utf-8")
        else:
            target.unlink()
        print(path)


if __name__ == "__main__":
    main()
