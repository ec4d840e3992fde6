"""The demo's connectors against odd APIs: the right rows, or a clear error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import moltler
from moltler.demo.goods import first_items
from moltler.demo.server import DemoServer
from moltler.demo.tour import read_connector

CLOSED = [(str(item["id"]),) for item in first_items() if item["status"] == "closed"]
CAREFUL = """
CREATE CONNECTOR TYPE 'careful'
CONFIG_SCHEMA {"api_url": {"type": "string"}, "api_key": {"type": "string", "secret": true}};
CREATE CONNECTOR ENTITY 'careful.items' FIELDS {"id": {"type": "string", "primary_key": true}}
QUERY_HANDLER '''
async function query(config, filters, options) {
    const response = await fetch(`${config.api_url}/items`,
        {headers: {Authorization: `Bearer ${config.api_key}`}});
    if (response.status === 429) throw new ConnectorRateLimitError('slow down', {status: 429});
    return (await response.json()).items;
}
''';
REGISTER CONNECTOR TYPE 'careful';
CREATE CONNECTOR careful_shop TYPE 'careful'
CONFIG {"api_url": ENV('SHOP_URL') || '/quirks/rate-limit', "api_key": "{{secrets.shop_key}}"};
"""


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    with DemoServer() as opened:
        yield opened


@pytest.fixture(scope="module")
def shop(server: DemoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[moltler.Session]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOP_URL", server.url)
        patch.setenv("MOLTLER_SECRET_SHOP_KEY", server.key)
        # The environment is looked at whenever the secret is used.
        with moltler.connect(tmp_path_factory.mktemp("shop") / "home") as session:
            session.execute(read_connector()).close()
            session.execute(CAREFUL).close()
            yield session


def under(shop: moltler.Session, server: DemoServer, quirk: str) -> moltler.Session:
    url = f"{server.url}/quirks/{quirk}"
    shop.execute(f"ALTER CONNECTOR my_shop SET CONFIG {{'api_url': '{url}'}}").close()
    return shop


@pytest.mark.parametrize(
    "quirk",
    [
        "half-filled-pages",
        "filters-ignore-case",
        "filters-match-prefixes",
        "closed-items-hidden",
        "offset-token",
        "limit-capped-at-100",
        "times-in-seconds",
        "no-update-time",
    ],
)
def test_a_filter_gives_the_right_rows_whatever_the_shop_makes_of_it(
    shop: moltler.Session, server: DemoServer, quirk: str
) -> None:
    odd = under(shop, server, quirk)

    found = odd.execute("SELECT id FROM my_shop.items WHERE status = 'closed' ORDER BY id")

    assert list(found.rows()) == CLOSED


def test_a_limit_is_filled_though_pages_are_half_filled(
    shop: moltler.Session, server: DemoServer
) -> None:
    odd = under(shop, server, "half-filled-pages")

    found = odd.execute("SELECT id FROM my_shop.items WHERE status = 'closed' LIMIT 30")

    assert len(set(found.rows()) & set(CLOSED)) == 30


@pytest.mark.parametrize("quirk", ["filters-match-prefixes", "filters-ignore-case"])
def test_a_loose_match_of_the_shop_does_not_leak_into_the_rows(
    shop: moltler.Session, server: DemoServer, quirk: str
) -> None:
    odd = under(shop, server, quirk)

    assert list(odd.execute("SELECT id FROM my_shop.items WHERE status = 'c'").rows()) == []
    assert list(odd.execute("SELECT id FROM my_shop.items WHERE status = 'CLOSED'").rows()) == []


@pytest.mark.parametrize(
    "quirk", ["search-by-post", "missing-scope-is-401", "rate-limit-without-retry-after"]
)
def test_a_refusal_is_an_error_with_the_status(
    shop: moltler.Session, server: DemoServer, quirk: str
) -> None:
    odd = under(shop, server, quirk)

    with pytest.raises(moltler.ConnectorError, match="the shop answered 4") as caught:
        list(odd.execute("SELECT id FROM my_shop.orders").rows())
    assert caught.value.code == "API004"


@pytest.mark.parametrize("quirk", ["errors-with-200,search-by-post", "rows-as-cells"])
def test_a_shape_that_a_handler_does_not_expect_is_an_error_and_not_an_empty_answer(
    shop: moltler.Session, server: DemoServer, quirk: str
) -> None:
    odd = under(shop, server, quirk)

    with pytest.raises(moltler.HandlerError):
        list(odd.execute("SELECT id FROM my_shop.items").rows())


def test_a_rate_limit_carries_how_long_to_wait(shop: moltler.Session) -> None:
    with pytest.raises(moltler.ConnectorRateLimitError) as caught:
        list(shop.execute("SELECT id FROM careful_shop.items").rows())

    assert caught.value.retry_after == 1


def test_integers_beyond_doubles_arrive_exact(shop: moltler.Session, server: DemoServer) -> None:
    odd = under(shop, server, "huge-ids")

    found = odd.execute("SELECT id FROM my_shop.orders ORDER BY id LIMIT 2")

    assert list(found.rows()) == [(2**53 + 1,), (2**53 + 3,)]
