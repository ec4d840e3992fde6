"""PACKAGE and PUBLISH of the reference page, and the package in a second, empty home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import moltler
from support.http import HttpServer, Request, Response
from support.reference_page import ReferencePage

HEADINGS = (
    "1. Define Connector Type",
    "2. Define Entities",
    "4. Implement Actions",
    "5. Register Connector",
    "Unit Tests",
)


@pytest.fixture
def author(page: ReferencePage, session: moltler.Session) -> moltler.Session:
    script = "".join(page.sql(heading) for heading in HEADINGS)
    session.execute(script, source_name="page.sql").close()
    return session


def test_publish_without_the_registry_says_that_it_is_not_configured(
    page: ReferencePage, author: moltler.Session
) -> None:
    with author.execute(page.sql("Package Connector")) as result:
        (packed,) = result.dicts()
    assert Path(str(packed["path"])).name == "myservice-1.0.0.moltler.tgz"

    with pytest.raises(moltler.PackageError) as caught:
        author.execute(page.sql("Publish"))

    assert caught.value.code == "PKG006"
    assert "marketplace" in caught.value.message


def test_an_empty_home_installs_tests_and_queries_what_the_page_publishes(
    page: ReferencePage, author: moltler.Session, tmp_path: Path, http_server: HttpServer
) -> None:
    def items(request: Request) -> Any:
        assert request.headers["authorization"] == "Bearer live-key-12345"
        return Response(200, {"items": [{"id": "7", "name": "Lamp", "status": "active"}]})

    http_server.route("GET", "/items", items)
    author.packages.add_registry("marketplace", str(tmp_path / "marketplace"))
    author.execute(page.sql("Package Connector")).close()
    with author.execute(page.sql("Publish")) as result:
        (published,) = result.dicts()
    assert (published["name"], published["version"]) == ("myservice", "1.0.0")
    assert (published["registry"], published["status"]) == ("marketplace", "published")

    with moltler.connect(tmp_path / "second") as second:
        second.packages.add_registry("marketplace", str(tmp_path / "marketplace"))
        with second.execute("INSTALL CONNECTOR TYPE 'myservice' FROM 'marketplace'") as result:
            (installed,) = result.dicts()
        assert installed["sha256"] == published["sha256"]
        assert (installed["write_actions"], installed["secrets"]) == ("items.create", "api_key")

        with second.execute("RUN TESTS FOR CONNECTOR TYPE 'myservice'") as result:
            assert [r["status"] for r in result.dicts()] == ["passed"]

        second.secrets.put("myservice_key", "live-key-12345")
        create = page.sql("Create Instance").replace("https://api.myservice.com", http_server.url)
        second.execute(create).close()
        with second.execute(page.sql("Query")) as result:
            assert list(result.rows()) == [("7", "Lamp", "active")]
