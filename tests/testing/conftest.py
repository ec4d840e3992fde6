"""Tests of connectors, run over the production path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import moltler
from moltler.errors import Source
from moltler.testing.report import TestReport
from moltler.testing.runner import TestOptions

TYPE = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {"api_url": {"type": "string", "required": true},
    "api_key": {"type": "string", "secret": true}};
CREATE CONNECTOR ENTITY 'shop.items'
FIELDS {"id": {"type": "string", "primary_key": true}, "name": {"type": "string"},
        "status": {"type": "string"}}
QUERY_HANDLER '''
let calls = 0;
async function query(config, filters, options) {
    calls += 1;
    const headers = {Authorization: `Bearer ${config.api_key}`, 'X-Calls': String(calls)};
    const wanted = filters.status ? `?status=${filters.status}` : '';
    const response = await fetch(`${config.api_url}/items${wanted}`, {headers});
    if (!response.ok) throw new ConnectorError(`shop said ${response.status}`);
    return await response.json();
}
''';
CREATE CONNECTOR ACTION 'shop.items.create' PARAMETERS {"name": {"type": "string"}}
HANDLER '''
async function execute(config, params) {
    const body = JSON.stringify(params);
    return await (await fetch(config.api_url + '/items', {method: 'POST', body})).json();
}
''';
"""
CREATE = 'CREATE CONNECTOR c TYPE \'shop\' CONFIG {"api_url": "mock://", "api_key": "test"};'
ITEMS = 'MOCK_API {"GET /items": {"body": [{"id": "1", "name": "Lamp", "status": "new"}]}}'

RunTest = Callable[..., TestReport]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[moltler.Session]:
    """One session for all tests of a module: their worlds keep them apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLTLER_KEY", "a key for tests only, long enough")
        with moltler.connect(tmp_path_factory.mktemp("shared") / "home") as session:
            yield session


@pytest.fixture
def play(shared: moltler.Session) -> RunTest:
    """Run the body of one test of the type `shop`, with further clauses before BEGIN."""

    def run(
        body: str,
        clauses: str = ITEMS,
        *,
        definitions: str = TYPE,
        options: TestOptions | None = None,
    ) -> TestReport:
        text = f"TEST CONNECTOR TYPE 'shop' NAME 't' {clauses}\nBEGIN\n{body}\nEND TEST;"
        sources = [Source("shop.moltler", definitions), Source("tests.moltler", text)]
        collection = shared.collect_tests(sources)
        return shared.run_test(collection.tests[0], collection, options)

    return run


@pytest.fixture
def shop_home(home: Path) -> Iterator[moltler.Session]:
    """A session whose home has the type `shop`."""
    with moltler.connect(home) as session:
        session.execute(TYPE)
        yield session
