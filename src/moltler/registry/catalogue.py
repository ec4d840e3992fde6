"""Pages about the connectors of a registry: plain files, with nothing from outside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from typing import cast
from urllib.parse import urlsplit

from moltler.registry.manifest import Permissions
from moltler.registry.markdown import inline, to_html
from moltler.registry.package import Package
from moltler.registry.records import ConnectorRecord, Index, IndexEntry, VersionRecord

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d8dee4;
  --paper: #fff; --tint: #f4f6f8; --blue: #0550ae; --good: #1a7f37; --bad: #a40e26; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4ae; --line: #30363d;
  --paper: #0d1117; --tint: #161b22; --blue: #79b8ff; --good: #56d364; --bad: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
main, header, footer { max-width: 60rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
header a, h2 a { color: inherit; text-decoration: none; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { margin: .4rem 0 .8rem; }
a { color: var(--blue); }
.soft { color: var(--soft); }
input { width: 100%; padding: .65rem .9rem; font: inherit; color: inherit; margin: 1rem 0 .5rem;
  background: var(--tint); border: 1px solid var(--line); border-radius: .5rem; }
input:focus { outline: 2px solid var(--blue); outline-offset: 1px; }
ul.list { list-style: none; padding: 0; margin: 0; }
ul.list li { padding: 1rem 0; border-top: 1px solid var(--line); }
ul.list h2 { margin: 0; } ul.list p { margin: .2rem 0 .4rem; }
.badge { display: inline-block; padding: .05rem .5rem; margin: 0 .3rem .3rem 0; font-size: .8rem;
  border: 1px solid var(--line); border-radius: 1rem; color: var(--soft); }
.good { color: var(--good); border-color: var(--good); }
.bad { color: var(--bad); border-color: var(--bad); }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: .5rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0;
  border-bottom: 1px solid var(--line); font-size: .92rem; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
code, pre { font: .88em/1.5 ui-monospace, SFMono-Regular, Menlo, monospace; }
code { overflow-wrap: anywhere; }
pre { background: var(--tint); border: 1px solid var(--line); border-radius: .5rem;
  padding: .8rem 1rem; overflow-x: auto; } pre code { overflow-wrap: normal; }
details > summary { cursor: pointer; font-weight: 600; margin: 2rem 0 .5rem; }
footer { color: var(--soft); font-size: .85rem; padding: 3rem 1.25rem 2rem; }
"""
_SCRIPT = """
const box = document.getElementById('search'), count = document.getElementById('count');
const items = [...document.querySelectorAll('li[data-words]')];
function filter() {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  for (const item of items) {
    const has = words.every(word => item.dataset.words.includes(word));
    item.hidden = !has;
    shown += has;
  }
  count.textContent = shown === 1 ? '1 connector' : `${shown} connectors`;
}
box.addEventListener('input', filter);
box.hidden = false;
filter();
"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


POLICY = (
    f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)};"
    " base-uri 'none'; form-action 'none'"
)
"""What the pages may do: use their own style and script, and nothing else."""


def page_path(name: str) -> str:
    """Give where the page of a connector lies below the root of a registry."""
    return f"connectors/{name.lower()}.html"


def index_page(index: Index) -> str:
    """Give the page that lists all connectors, with a search that works without a server."""
    count = len(index.connectors)
    items = "".join(_item(entry) for entry in index.connectors)
    empty = "" if count else "<p>Nothing has been published yet.</p>"
    body = (
        "<header><h1>Connectors</h1>"
        f'<p class="soft" id="count">{count} connector{"" if count == 1 else "s"}</p>'
        '<input id="search" type="search" hidden aria-label="Search connectors" autocomplete="off"'
        ' placeholder="Search by name, description, tag or table"></header>'
        f'<main><ul class="list">{items}</ul>{empty}</main>'
    )
    return _page("Connectors", body, script=_SCRIPT)


def _item(entry: IndexEntry) -> str:
    words = " ".join(
        (entry.name, entry.description, entry.author, *entry.tags, entry.words)
    ).lower()
    link = escape(page_path(entry.name), quote=True)
    return (
        f'<li data-words="{escape(words, quote=True)}">'
        f'<h2><a href="{link}">{escape(entry.name)}</a> '
        f'<span class="soft">{escape(entry.version)}</span></h2>'
        f"<p>{escape(entry.description)}</p>"
        f"{_badges(entry.tests, entry.claims, entry.key_id, entry.permissions, entry.deprecated)}"
        f"{''.join(_badge(tag) for tag in entry.tags)}"
        f'<span class="soft"> by {escape(entry.author)} · {escape(entry.license)}</span></li>'
    )


def connector_page(record: ConnectorRecord, package: Package) -> str:
    """Give the page of one connector, whose newest version is at hand."""
    manifest = package.manifest
    shown = record.find(package.version)
    name = escape(record.name)
    deprecated = ""
    if shown is not None and shown.deprecated:
        deprecated = f'<p class="bad">Deprecated: {escape(shown.deprecated)}</p>'
    badges = (
        ""
        if shown is None
        else _badges(shown.tests, shown.claims, shown.key_id, shown.permissions, None)
    )
    links = "".join(
        f' · <a href="{escape(address, quote=True)}" rel="nofollow noopener">{what}</a>'
        for what, address in (("homepage", manifest.homepage), ("source", manifest.repository))
        if address is not None and urlsplit(address).scheme in {"http", "https"}
    )
    install = f"moltler install {manifest.name} --from REGISTRY --version ^{manifest.version}"
    body = (
        f'<header><p><a class="soft" href="../index.html">← all connectors</a></p>'
        f'<h1>{name} <span class="soft">{escape(manifest.version)}</span></h1>'
        f"<p>{escape(manifest.description)}</p>{deprecated}{badges}"
        f'<p class="soft">by {escape(manifest.author)} · {escape(manifest.license)}{links}</p>'
        f"<pre><code>{escape(install)}</code></pre></header><main>"
        f"<h2>What it may do</h2>{_permissions(manifest.permissions)}"
        f"<h2>Entities</h2>{_entities(manifest.entities)}"
        f"<h2>Actions</h2>{_actions(manifest.actions)}"
        f"<h2>What was proven</h2>{_evidence(package)}"
        f"<h2>Versions</h2>{_versions(record.versions)}"
        f"<details open><summary>README</summary>{to_html(package.readme, lowest=3)}</details>"
        f"<details><summary>Changes</summary>{to_html(package.changelog, lowest=3)}</details>"
        "</main>"
    )
    return _page(record.name, body)


def _badges(
    tests: int, claims: int, key_id: str | None, permissions: Permissions, deprecated: str | None
) -> str:
    badges = [_badge(f"{tests} test{'' if tests == 1 else 's'} passed", "good" if tests else "")]
    if claims:
        badges.append(_badge(f"{claims} claim{'' if claims == 1 else 's'} proven", "good"))
    badges.append(_badge("signed" if key_id else "not signed", "good" if key_id else ""))
    if permissions.exposed_secrets:
        badges.append(_badge("sees secrets in plain", "bad"))
    if permissions.write_actions:
        badges.append(_badge("changes things"))
    if deprecated:
        badges.append(_badge("deprecated", "bad"))
    return "".join(badges)


def _badge(text: str, kind: str = "") -> str:
    return f'<span class="badge {kind}">{escape(text)}</span>'


def _permissions(permissions: Permissions) -> str:
    if permissions.is_empty:
        return "<p>Read from the hosts that your CONFIG names, and nothing else.</p>"
    return "<ul>" + "".join(f"<li>{inline(line)}</li>" for line in permissions.lines()) + "</ul>"


def _entities(entities: Iterable[dict[str, object]]) -> str:
    parts: list[str] = []
    for entity in entities:
        fields = cast("dict[str, dict[str, object]]", entity.get("fields", {}))
        rows = (
            (name, str(f.get("type", "")), _traits(f, "primary_key", "filter_only"),
             str(f.get("description", "")))
            for name, f in fields.items()
        )  # fmt: skip
        parts.append(_described(entity) + _table(("field", "type", "", "description"), rows))
    return "".join(parts) or "<p>None.</p>"


def _actions(actions: Iterable[dict[str, object]]) -> str:
    parts: list[str] = []
    for action in actions:
        fields = cast("dict[str, dict[str, object]]", action.get("parameters", {}))
        rows = tuple(
            (name, str(f.get("type", "")), _traits(f, "required"), str(f.get("description", "")))
            for name, f in fields.items()
        )
        table = _table(("parameter", "type", "", "description"), rows) if rows else ""
        parts.append(_described(action) + (table or "<p>No parameters.</p>"))
    return "".join(parts) or "<p>None.</p>"


def _described(thing: dict[str, object]) -> str:
    description = thing.get("description")
    text = f"<p>{escape(str(description))}</p>" if description else ""
    return f"<h3><code>{escape(str(thing['name']))}</code></h3>{text}"


def _traits(declared: dict[str, object], *keys: str) -> str:
    return ", ".join(key.replace("_", " ") for key in keys if declared.get(key))


def _evidence(package: Package) -> str:
    evidence = package.manifest.evidence
    if evidence.tests == "skipped":
        return "<p>Nothing: it was packaged without its tests.</p>"
    tests = _table(("test", "result"), ((r.name, r.status) for r in evidence.results))
    proof = _table(
        ("entity", "claims", "queries compared"),
        ((p.entity, ", ".join(p.claims), str(p.queries)) for p in evidence.proof if p.claims),
    )
    digest = f'<p class="soft">Bound to the archive <code>{escape(package.sha256)}</code></p>'
    return (tests if evidence.results else "<p>It has no tests.</p>") + (
        proof if any(p.claims for p in evidence.proof) else ""
    ) + digest  # fmt: skip


def _versions(versions: Iterable[VersionRecord]) -> str:
    listed = [v for v in versions if v.visibility == "public"]
    rows = (
        (v.version, v.published_at[:10], _state(v), f"{v.size:,} bytes", v.sha256[:16] + "…")
        for v in sorted(listed, key=lambda v: v.number, reverse=True)
    )
    return _table(("version", "published", "state", "size", "sha256"), rows)


def _state(version: VersionRecord) -> str:
    if version.yanked:
        return f"withdrawn{f': {version.yank_reason}' if version.yank_reason else ''}"
    return f"deprecated: {version.deprecated}" if version.deprecated else ""


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(h)}</th>" for h in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _page(title: str, body: str, script: str | None = None) -> str:
    code = "" if script is None else f"<script>{script}</script>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY, quote=True)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{body}<footer>Made from this registry's index. Programs read "
        f"<code>v1/index.json</code>.</footer>{code}</body></html>\n"
    )
