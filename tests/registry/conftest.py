"""A shop worth packing, homes that publish it, and homes that install it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import moltler

SHOP = """
CREATE CONNECTOR TYPE 'shop' DESCRIPTION 'A shop'
CONFIG_SCHEMA {"api_url": {"type": "string", "required": true},
               "api_key": {"type": "string", "required": true, "secret": true}};
CREATE CONNECTOR ENTITY 'shop.items'
FIELDS {"id": {"type": "string", "primary_key": true, "description": "Its number"},
        "name": {"type": "string"}, "status": {"type": "string"}}
PUSHDOWN {"filters": {"status": ["="]}}
QUERY_HANDLER '''
async function query(config, filters) {
    const params = new URLSearchParams();
    if (filters.status) params.append('status', filters.status);
    const response = await fetch(`${config.api_url}/items?${params}`, {
        headers: {'Authorization': `Bearer ${config.api_key}`},
    });
    if (!response.ok) throw new ConnectorError(`the shop answers ${response.status}`);
    return (await response.json()).items;
}
''';
CREATE CONNECTOR ACTION 'shop.items.create'
PARAMETERS {"name": {"type": "string", "required": true}}
HANDLER '''
async function execute(config, params) {
    const sent = {method: 'POST', body: JSON.stringify(params)};
    const response = await fetch(config.api_url + '/items', sent);
    return await response.json();
}
''';
REGISTER CONNECTOR TYPE 'shop';
"""
TEST = """
TEST CONNECTOR TYPE 'shop' NAME 'active items' TAGS ['quick']
MOCK_API {"GET /items": {"rows": [{"id": "1", "name": "Lamp", "status": "active"},
                                  {"id": "2", "name": "Desk", "status": "closed"},
                                  {"id": "3", "name": null, "status": null}],
                         "in": "items", "filters": {"status": "status"}}}
BEGIN
    CREATE CONNECTOR c TYPE 'shop' CONFIG {"api_url": "mock://", "api_key": "test"};
    DECLARE rows = SELECT id FROM c.items WHERE status = 'active';
    ASSERT ARRAY_LENGTH(rows) = 1;
END TEST;
"""
PACKAGE = "PACKAGE CONNECTOR TYPE 'shop' VERSION '{}' AUTHOR 'Ann' LICENSE 'MIT' CHANGELOG 'News'"

Open = Callable[..., moltler.Session]


@pytest.fixture
def open_home(tmp_path: Path) -> Iterator[Open]:
    """Open a session in a home of that name; all are closed at the end."""
    with ExitStack() as stack:

        def open_(name: str = "home") -> moltler.Session:
            return stack.enter_context(moltler.connect(tmp_path / name))

        yield open_


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the registry is."""
    return tmp_path / "registry"


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: the home of an author before and after 1.0.0 was published, and the registry."""
    folder = tmp_path_factory.mktemp("templates")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLTLER_KEY", "a key for tests only, long enough")
        with moltler.connect(folder / "author") as session:
            session.execute(SHOP, source_name="shop.moltler").close()
            session.execute(TEST, source_name="tests.moltler").close()
        shutil.copytree(folder / "author", folder / "published")
        with moltler.connect(folder / "published") as session:
            session.packages.add_registry("team", str(folder / "registry"))
            run(session, PACKAGE.format("1.0.0"))
            run(session, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")
    return folder


@pytest.fixture
def author(open_home: Open, templates: Path, tmp_path: Path, folder: Path) -> moltler.Session:
    """A home that has the shop and the registry `team`."""
    shutil.copytree(templates / "author", tmp_path / "author")
    session = open_home("author")
    session.packages.add_registry("team", str(folder))
    return session


@pytest.fixture
def user(open_home: Open, folder: Path) -> moltler.Session:
    """An empty home that knows the registry `team`."""
    session = open_home("user")
    session.packages.add_registry("team", str(folder))
    return session


@pytest.fixture
def published(open_home: Open, templates: Path, tmp_path: Path, folder: Path) -> moltler.Session:
    """The home of the author, once 1.0.0 is published."""
    shutil.copytree(templates / "published", tmp_path / "author")
    shutil.copytree(templates / "registry", folder)
    session = open_home("author")
    session.packages.add_registry("team", str(folder))
    return session


def run(session: moltler.Session, text: str) -> list[dict[str, object]]:
    """Run statements and give the rows of the last."""
    with session.execute(text) as result:
        return list(result.dicts())


def fails(session: moltler.Session, text: str) -> moltler.MoltlerError:
    """Run a statement that must fail and give its error."""
    with pytest.raises(moltler.MoltlerError) as caught:
        run(session, text)
    return caught.value
