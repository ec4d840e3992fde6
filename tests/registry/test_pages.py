"""The pages of a registry: what they show, and that nothing of a package can run in them."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from moltler.compose import open_folder
from moltler.registry.folder import Folder
from moltler.registry.manifest import Evidence
from moltler.registry.markdown import to_html
from moltler.registry.package import About, make_package
from moltler.registry.semver import parse_version

from .making import connector_type, publish, simple

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(1)>"\' onload="x'


class Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


@pytest.fixture
def registry(tmp_path: Path) -> Folder:
    folder = open_folder(tmp_path / "registry")
    folder.create()
    return folder


def page(registry: Folder, path: str) -> str:
    return (registry.root / path).read_text(encoding="utf-8")


def test_nothing_that_a_package_says_becomes_markup(registry: Folder) -> None:
    base = connector_type("shop")
    (entity,) = base.entities
    hostile = replace(
        base,
        description=HOSTILE,
        documentation=f"# {HOSTILE}\n\n[x](javascript:alert) {HOSTILE}",
        entities=(replace(entity, description=HOSTILE),),
    )
    about = About(
        parse_version("1.0.0"), HOSTILE, HOSTILE, HOSTILE, "javascript:alert(1)", HOSTILE,
        (HOSTILE,), HOSTILE, HOSTILE,
    )  # fmt: skip
    publish(registry, make_package(hostile, (), about, Evidence()))
    registry.mark("shop", "1.0.0", "deprecate", HOSTILE)

    for path, scripts in (("index.html", 1), ("connectors/shop.html", 0)):
        seen = Seen(page(registry, path))
        assert seen.tags.count("script") == scripts
        assert "img" not in seen.tags
        assert [n for n, _ in seen.attributes if n.startswith("on")] == []
        links = [v or "" for n, v in seen.attributes if n in {"href", "src"}]
        assert [v for v in links if re.match(r"\s*(javascript|data|https?):", v)] == []


def test_a_page_shows_fields_actions_permissions_versions_and_proof(registry: Folder) -> None:
    publish(registry, simple("shop", "1.0.0"), simple("shop", "1.1.0"))
    registry.mark("shop", "1.0.0", "yank", "loses rows")

    text = page(registry, "connectors/shop.html")

    for part in (
        "shop <span", "1.1.0", "withdrawn: loses rows", "primary key", "items.create",
        "change things with the action <code>items.create</code>", "README", "Changes",
    ):  # fmt: skip
        assert part in text


def test_the_index_lists_what_is_public_and_not_withdrawn(registry: Folder) -> None:
    publish(registry, simple("shop", "1.0.0"), simple("bank", "1.0.0"))
    assert page(registry, "index.html").count("<li data-words") == 2

    registry.mark("bank", "1.0.0", "yank")

    assert page(registry, "index.html").count("<li data-words") == 1
    assert not (registry.root / "connectors/bank.html").exists()


def test_pages_need_nothing_from_outside(registry: Folder) -> None:
    publish(registry, simple("shop", "1.0.0"))

    for path in ("index.html", "connectors/shop.html"):
        seen = Seen(page(registry, path))
        assert {"link", "img", "iframe"}.isdisjoint(seen.tags)
        assert "src" not in dict(seen.attributes)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# A\n\nb", "<h2>A</h2>\n<p>b</p>"),
        ("- one\n- **two**", "<ul><li>one</li><li><strong>two</strong></li></ul>"),
        ("```sql\nSELECT '<b>';\n```", "<pre><code>SELECT &#x27;&lt;b&gt;&#x27;;</code></pre>"),
        ("    x < 1", "<pre><code>x &lt; 1</code></pre>"),
        ("[a](https://b.example/?x=1&y=2)", '<p><a href="https://b.example/?x=1&amp;y=2" '
         'rel="nofollow noopener">a</a></p>'),
        ("[a](javascript:x)", "<p>[a](javascript:x)</p>"),
        ("[a](https://b.example/\"onclick=x)", "<p>[a](https://b.example/&quot;onclick=x)</p>"),
        ("| a | b\\|c |\n|---|---|\n| `1` | 2 |", "<table><thead><tr><th>a</th><th>b|c</th></tr>"
         "</thead><tbody><tr><td><code>1</code></td><td>2</td></tr></tbody></table>"),
        ("`<i>` & **`x`**", "<p><code>&lt;i&gt;</code> &amp; **<code>x</code>**</p>"),
        ("```\nnever closed", "<pre><code>never closed</code></pre>"),
        ("", ""),
    ],
)  # fmt: skip
def test_markdown_becomes_html_and_html_stays_text(text: str, html: str) -> None:
    assert to_html(text) == html


def test_a_long_text_does_not_take_long() -> None:
    # Each of these would take minutes if a pattern went back and forth in it.
    for text in ("**" * 20_000, "`" * 20_000, "[" * 20_000, "|" * 20_000 + "\n" + "-|" * 20_000):
        assert to_html(text)
