from __future__ import annotations

from typing import Any

import pytest

from moltler.catalog.resolve import resolve
from moltler.errors import LookupFailed
from moltler.flow.connector import CallLimits, ResolvedConnector
from moltler.model import Connector, ConnectorType, EnvReference
from support.definitions import Define

SCHEMA = """CONFIG_SCHEMA {
    "page": {"type": "integer", "default": 50},
    "api_url": {"type": "string", "required": true},
    "api_key": {"type": "string", "secret": true},
    "login": {"type": "document", "properties": {
        "password": {"type": "string", "secret": true},
        "realm": {"type": "string", "default": "main"}}},
    "headers": {"type": "document"}}
  OPTIONS_SCHEMA {"archive": {"type": "boolean", "default": false}, "lang": {"type": "string"}}"""


@pytest.fixture
def type_(definer: Define) -> ConnectorType:
    return definer.type(SCHEMA)


def connector(config: dict[str, Any], **more: Any) -> Connector:
    return Connector("Shop", "shop", {"api_url": "https://a", **config}, **more)


def ready(
    type_: ConnectorType,
    instance: Connector,
    secrets: dict[str, str] | None = None,
    **environ: str,
) -> ResolvedConnector:
    return resolve(instance, type_, 3, lookup=(secrets or {}).get, environ=environ)


def values_of(resolved: ResolvedConnector) -> list[tuple[str, str]]:
    return [(s.name, s.reveal()) for s in resolved.secrets]


def test_defaults_fill_in_and_keys_come_in_schema_order(type_: ConnectorType) -> None:
    resolved = ready(type_, connector({"login": {}, "headers": {"z": 1, "a": 2}}))
    assert list(resolved.config.items()) == [
        ("page", 50),
        ("api_url", "https://a"),
        ("login", {"realm": "main"}),
        ("headers", {"z": 1, "a": 2}),
    ]
    assert (resolved.name, resolved.revision, resolved.secrets) == ("Shop", 3, ())


def test_references_are_replaced_and_named_after_their_key(type_: ConnectorType) -> None:
    instance = connector(
        {
            "api_url": "https://{{secrets.tenant}}.a/{{ secrets.path }}",
            "api_key": "pre-{{secrets.key}}",
            "login": {"password": "{{secrets.key}}"},
            "headers": {"list": ["Bearer {{secrets.key}}"]},
        }
    )
    resolved = ready(type_, instance, {"tenant": "acme", "path": "v1", "key": "k-123"})
    assert resolved.config == {
        "page": 50,
        "api_url": "https://acme.a/v1",
        "api_key": "pre-k-123",
        "login": {"password": "k-123", "realm": "main"},
        "headers": {"list": ["Bearer k-123"]},
    }
    assert values_of(resolved) == [
        ("api_url", "acme"),
        ("api_url", "v1"),
        ("api_key", "k-123"),
        ("api_key", "pre-k-123"),
        ("login.password", "k-123"),
        ("headers.list[0]", "k-123"),
    ]


def test_a_secret_value_that_looks_like_a_reference_is_not_opened(type_: ConnectorType) -> None:
    resolved = ready(type_, connector({"api_key": "{{secrets.a}}"}), {"a": "{{secrets.b}}"})
    assert resolved.config["api_key"] == "{{secrets.b}}"


def test_variables_are_read_at_each_use_and_keep_their_place(type_: ConnectorType) -> None:
    instance = connector(
        {"headers": {}},
        env={"api_key": EnvReference("KEY"), "login.password": EnvReference("PW", "dev")},
    )
    resolved = ready(type_, instance, KEY="from-env")
    assert list(resolved.config) == ["page", "api_url", "api_key", "login", "headers"]
    assert resolved.config["login"] == {"password": "dev", "realm": "main"}
    assert values_of(resolved) == [("api_key", "from-env"), ("login.password", "dev")]


def test_everything_missing_is_named_with_its_key_before_any_call(type_: ConnectorType) -> None:
    instance = connector(
        {"api_key": "{{secrets.shop_key}}"}, env={"login.password": EnvReference("PW")}
    )
    with pytest.raises(LookupFailed) as caught:
        ready(type_, instance)
    assert [(p.code, p.message, p.hint) for p in caught.value.problems] == [
        (
            "CAT005",
            "the secret `shop_key` is missing; connector `Shop` needs it for `config.api_key`",
            "run `moltler secrets set shop_key`",
        ),
        (
            "CAT005",
            "the environment variable `PW` is not set;"
            " connector `Shop` needs it for `config.login.password`",
            "run `export PW=…`",
        ),
    ]
    assert caught.value.type == "secret_not_found"


def test_a_config_of_another_revision_fails_on_use(type_: ConnectorType) -> None:
    with pytest.raises(LookupFailed) as caught:
        ready(type_, connector({"page": "fifty"}))
    assert (caught.value.code, caught.value.type) == ("CAT004", "config_error")
    assert "connector `Shop`: `config.page` must be an integer" in caught.value.message


def test_the_credential_version_changes_with_any_secret_and_only_then(
    type_: ConnectorType,
) -> None:
    instance = connector({"api_key": "{{secrets.a}}", "login": {"password": "{{secrets.b}}"}})

    def version(a: str, b: str) -> str:
        return ready(type_, instance, {"a": a, "b": b}).credential_version

    assert version("x", "y") == version("x", "y")
    assert len({version("x", "y"), version("y", "x"), version("xy", ""), version("x", "z")}) == 4
    assert "x" not in version("x", "y")


def test_without_options_the_limits_are_the_defaults(type_: ConnectorType) -> None:
    assert ready(type_, connector({})).limits == CallLimits()


def test_options_become_limits(type_: ConnectorType) -> None:
    options: dict[str, Any] = {
        "rate_limit": "30/m",
        "timeout_seconds": 5,
        "memory_mb": 64,
        "max_concurrency": 4,
        "retry_count": 2,
        "cache_ttl": 1.5,
        "max_results": 10,
        "max_pages": 11,
        "max_requests": 12,
        "max_seconds": 13,
        "batch_size": 100,
        "on_type_error": "null",
    }
    assert ready(type_, connector({}, options=options)).limits == CallLimits(
        timeout_s=5.0,
        memory_mb=64,
        max_concurrency=4,
        rate_per_s=0.5,
        rate_burst=1,
        retry_count=2,
        max_results=10,
        max_pages=11,
        max_requests=12,
        max_seconds=13.0,
        null_on_type_error=True,
        cache_ttl_s=1.5,
    )


@pytest.mark.parametrize(
    ("options", "rate", "burst"),
    [
        ({"rate_limit": 10}, 10.0, 10),
        ({"rate_limit": 2.9}, 2.9, 2),
        ({"rate_limit": "36/h"}, 0.01, 1),
        ({"rate_limit": "10/s", "rate_limit_burst": 3}, 10.0, 3),
    ],
)
def test_a_burst_is_one_seconds_worth_unless_it_is_given(
    type_: ConnectorType, options: dict[str, Any], rate: float, burst: int
) -> None:
    limits = ready(type_, connector({}, options=options)).limits
    assert (limits.rate_per_s, limits.rate_burst) == (pytest.approx(rate), burst)


def test_concurrency_of_the_type_is_the_default(definer: Define) -> None:
    type_ = definer.type(f"{SCHEMA} CONCURRENCY 8")
    assert ready(type_, connector({})).limits.max_concurrency == 8
    assert ready(type_, connector({}, options={"max_concurrency": 2})).limits.max_concurrency == 2


def test_settings_are_the_types_own_options_with_defaults(type_: ConnectorType) -> None:
    resolved = ready(type_, connector({}, options={"lang": "de", "retry_count": 1}))
    assert list(resolved.settings.items()) == [("archive", False), ("lang", "de")]


def test_a_resolved_connector_does_not_print_its_secrets(type_: ConnectorType) -> None:
    resolved = ready(type_, connector({"api_key": "{{secrets.a}}"}), {"a": "hunter22"})
    assert "hunter22" not in repr(resolved)
