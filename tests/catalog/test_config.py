from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from moltler.catalog.config import (
    NewConnector,
    alter_config,
    alter_options,
    automatic_secrets,
    build_connector,
    fits,
    missing_secrets,
)
from moltler.errors import LookupFailed, Span
from moltler.model import Connector, ConnectorType, EnvReference
from moltler.vault.store import check_secret_name
from support.definitions import Define, Evaluator, read

SCHEMA = """CONFIG_SCHEMA {
    "api_url": {"type": "string", "required": true},
    "api_key": {"type": "string", "secret": true, "pattern": "^.{4}"},
    "page": {"type": "integer", "default": 50, "minimum": 1, "maximum": 100},
    "region": {"type": "string", "enum": ["eu", "us"]},
    "headers": {"type": "document"},
    "login": {"type": "document", "properties": {
        "user": {"type": "string"}, "password": {"type": "string", "secret": true}}}}
  OPTIONS_SCHEMA {"archive": {"type": "boolean", "default": false}, "lang": {"type": "string"}}"""


@pytest.fixture
def type_(definer: Define) -> ConnectorType:
    return definer.type(SCHEMA)


def build(type_: ConnectorType, clauses: str, **environ: str) -> NewConnector:
    statement = read(f"CREATE CONNECTOR Shop TYPE 'shop' {clauses}")
    evaluate = Evaluator(environ)
    return build_connector(
        statement, type_, evaluate=evaluate, read_env=environ.get, mark=lambda: "1"
    )


def alter(connector: Connector, type_: ConnectorType, part: str, **environ: str) -> NewConnector:
    document = read(f"ALTER CONNECTOR shop SET {part}").document
    evaluate = Evaluator(environ)
    if part.startswith("OPTIONS"):
        return alter_options(connector, document, type_, evaluate=evaluate)
    return alter_config(
        connector, document, type_, evaluate=evaluate, read_env=environ.get, mark=lambda: "2"
    )


def problems_of(error: LookupFailed) -> list[tuple[str, str]]:
    """Message and text marked of every problem, all CAT004."""
    assert {p.code for p in error.problems} == {"CAT004"}
    return [(p.message, p.span.text if isinstance(p.span, Span) else "") for p in error.problems]


def test_a_config_is_kept_as_given_without_defaults(type_: ConnectorType) -> None:
    made = build(
        type_, """CONFIG {"api_url": "https://a", "headers": {"x": [1]}} DESCRIPTION 'd'"""
    )
    assert made == NewConnector(
        Connector(
            "Shop",
            "shop",
            {"api_url": "https://a", "headers": {"x": [1]}},
            description="d",
        )
    )


def test_a_null_is_the_same_as_no_key(type_: ConnectorType) -> None:
    made = build(type_, 'CONFIG {"api_url": "https://a", "region": NULL}')
    assert made.connector.config == {"api_url": "https://a"}


def test_a_type_without_schema_takes_no_config(definer: Define) -> None:
    plain = definer.type()
    assert build(plain, "").connector.config == {}
    assert build(plain, "CONFIG {}").connector.config == {}
    with pytest.raises(LookupFailed) as caught:
        build(plain, 'CONFIG {"a": 1}')
    assert problems_of(caught.value) == [("`config.a` is not declared", '"a"')]


def test_config_and_options_report_all_their_problems_at_once(type_: ConnectorType) -> None:
    config = '{"api_ur": "x", "page": 0, "region": "moon", "login": {"name": 1}}'
    with pytest.raises(LookupFailed) as caught:
        build(type_, f'CONFIG {config} OPTIONS {{"timeout_secs": 1, "retry_count": -1}}')
    assert problems_of(caught.value) == [
        ("`config.api_ur` is not declared", '"api_ur"'),
        ("`config.api_url` is required and is missing", config),
        ("`config.page` must be at least 1, found 0", "0"),
        ("`config.region` must be one of 'eu', 'us', found 'moon'", '"moon"'),
        ("`config.login.name` is not declared", '"name"'),
        ("no option `timeout_secs`", '"timeout_secs"'),
        ("`options.retry_count` must be at least 0, found -1", "-1"),
    ]
    assert caught.value.problems[0].hint == "did you mean `api_url`?"
    assert caught.value.problems[5].hint == "did you mean `timeout_seconds`?"


def test_a_missing_config_is_placed_at_the_statement(type_: ConnectorType) -> None:
    with pytest.raises(LookupFailed) as caught:
        build(type_, "")
    assert problems_of(caught.value) == [
        ("`config.api_url` is required and is missing", "CREATE CONNECTOR Shop TYPE 'shop'")
    ]


def test_keys_are_compared_exactly(type_: ConnectorType) -> None:
    with pytest.raises(LookupFailed) as caught:
        build(type_, 'CONFIG {"API_URL": "x"}')
    assert [p.hint for p in caught.value.problems] == ["did you mean `api_url`?", "add `api_url`"]


# ── secrets ──────────────────────────────────────────────────────────────────────────────────


def test_references_are_kept_wherever_they_stand(type_: ConnectorType) -> None:
    config = {
        "api_url": "https://{{secrets.tenant}}.example.com",
        "api_key": "{{ secrets.a.b-c }}",
        "region": "{{secrets.region}}",
        "headers": {"list": ["Bearer {{secrets.token}}"]},
    }
    made = build(
        type_,
        """CONFIG {"api_url": "https://{{secrets.tenant}}.example.com",
                   "api_key": "{{ secrets.a.b-c }}", "region": "{{secrets.region}}",
                   "headers": {"list": ["Bearer {{secrets.token}}"]}}""",
    )
    assert (made.connector.config, made.plain_secrets, made.warnings) == (config, {}, ())
    warnings = missing_secrets(made.connector, {"token": "t"}.get)
    assert [(w.code, w.source) for w in warnings] == [("secret_missing", "Shop")] * 3
    assert ["tenant" in warnings[0].message, "a.b-c" in warnings[1].message] == [True, True]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{secret.key}}", "is not a reference to a secret"),
        ("{{ env.KEY }}", "is not a reference to a secret"),
        ("a {{}} b", "is not a reference to a secret"),
        ("{{secrets.9}}", "is not a reference to a secret"),
        ("{{secrets.key}} {{x}}", "is not a reference to a secret"),
        ("{{secrets.a b}}", "is not a reference to a secret"),
        ("{{secrets.key}", "is not closed by }}"),
    ],
)
def test_any_other_double_braces_are_refused(type_: ConnectorType, text: str, problem: str) -> None:
    with pytest.raises(LookupFailed) as caught:
        build(type_, f'CONFIG {{"api_url": "u", "headers": {{"a": ["{text}"]}}}}')
    ((message, marked),) = problems_of(caught.value)
    assert message.endswith(f"in `config.headers.a[0]` {problem}")
    assert marked == f'"{text}"'


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("{{secrets.a b}}", "write {{secrets.a_b}}"),
        ("{{secret.key}}", "write {{secrets.key}}"),
        ("{{secrets. }}", "write {{secrets.NAME}}"),
        ("{{secrets.9}}", "write {{secrets.NAME}}"),
    ],
)
def test_the_hint_for_a_wrong_reference_is_a_right_one(
    type_: ConnectorType, text: str, hint: str
) -> None:
    with pytest.raises(LookupFailed) as caught:
        build(type_, f'CONFIG {{"api_url": "{text}"}}')
    assert caught.value.hint == hint


@pytest.mark.parametrize("text", ["{{", "}}", "{a}", "a {{ b"])
def test_braces_that_are_no_reference_are_ordinary_text(type_: ConnectorType, text: str) -> None:
    assert build(type_, f'CONFIG {{"api_url": "{text}"}}').connector.config == {"api_url": text}


def test_a_literal_secret_is_moved_to_the_store_and_warned_about(type_: ConnectorType) -> None:
    made = build(
        type_, 'CONFIG {"api_url": "u", "api_key": "hunter2", "login": {"password": "pw"}}'
    )
    assert made.plain_secrets == {
        "_connector.shop.api_key.1": "hunter2",
        "_connector.shop.login.password.1": "pw",
    }
    assert made.connector.config == {
        "api_url": "u",
        "api_key": "{{secrets._connector.shop.api_key.1}}",
        "login": {"password": "{{secrets._connector.shop.login.password.1}}"},
    }
    assert [w.code for w in made.warnings] == ["plain_secret", "plain_secret"]
    assert automatic_secrets(made.connector) == tuple(made.plain_secrets)
    assert missing_secrets(made.connector, {}.get) == ()
    assert "hunter2" not in repr(made)


def test_a_statement_never_writes_over_the_secret_of_an_earlier_one(
    type_: ConnectorType,
) -> None:
    statement = read(
        """CREATE CONNECTOR a TYPE 'shop' CONFIG {"api_url": "u", "api_key": "same"}"""
    )
    names = {
        name
        for _ in range(3)
        for name in build_connector(
            statement, type_, evaluate=Evaluator(), read_env={}.get
        ).plain_secrets
    }
    assert len(names) == 3


def test_only_its_own_automatic_secrets_are_a_connectors(type_: ConnectorType) -> None:
    made = build(type_, 'CONFIG {"api_url": "{{secrets._connector.other.api_key}}"}')
    assert automatic_secrets(made.connector) == ()


def test_automatic_names_can_name_secrets_whatever_the_key(definer: Define) -> None:
    type_ = definer.type(
        'CONFIG_SCHEMA {"api key": {"type": "string", "secret": true},'
        ' "api_key": {"type": "string", "secret": true},'
        ' "ключ": {"type": "string", "secret": true}}'
    )
    made = build(type_, 'CONFIG {"api key": "one", "api_key": "two", "ключ": "three"}')
    for name in made.plain_secrets:
        check_secret_name(name)
    assert list(made.plain_secrets.values()) == ["one", "two", "three"]


def test_a_literal_secret_is_measured_without_being_shown(type_: ConnectorType) -> None:
    with pytest.raises(LookupFailed) as caught:
        build(type_, 'CONFIG {"api_url": "u", "api_key": "abc"}')
    assert problems_of(caught.value) == [
        ("`config.api_key` must match the pattern `^.{4}`", '"abc"')
    ]


# ── ENV ──────────────────────────────────────────────────────────────────────────────────────


def test_env_as_a_whole_secret_is_kept_as_a_reference(type_: ConnectorType) -> None:
    made = build(
        type_,
        """CONFIG {"api_url": "u", "api_key": env('KEY'),
                   "login": {"user": "me", "password": ENV('PASSWORD', 'pw')}}""",
        KEY="live-key",
    )
    assert made.connector.config == {"api_url": "u", "login": {"user": "me"}}
    assert made.connector.env == {
        "api_key": EnvReference("KEY"),
        "login.password": EnvReference("PASSWORD", "pw"),
    }
    assert (made.plain_secrets, made.warnings) == ({}, ())


def test_env_elsewhere_is_evaluated_once(type_: ConnectorType) -> None:
    made = build(type_, "CONFIG {\"api_url\": ENV('URL')}", URL="https://a")
    assert (made.connector.config, made.connector.env) == ({"api_url": "https://a"}, {})


@pytest.mark.parametrize(
    ("config", "key", "variable"),
    [
        ("\"api_url\": ENV('URL')", "api_url", "URL"),
        ('"api_url": "u", "api_key": ENV(\'KEY\')', "api_key", "KEY"),
        ('"api_url": "u", "page": ENV(\'PAGE\')', "page", "PAGE"),
    ],
)
def test_a_value_from_an_unset_variable_names_the_variable(
    type_: ConnectorType, config: str, key: str, variable: str
) -> None:
    with pytest.raises(LookupFailed) as caught:
        build(type_, f"CONFIG {{{config}}}")
    message = f"`config.{key}` comes from the environment variable `{variable}`, which is not set"
    assert problems_of(caught.value) == [(message, f"ENV('{variable}')")]
    assert caught.value.hint == f"set `{variable}`"


def test_env_needs_the_name_of_a_variable(type_: ConnectorType) -> None:
    with pytest.raises(LookupFailed) as caught:
        build(type_, 'CONFIG {"api_url": "u", "api_key": ENV(NULL)}')
    assert problems_of(caught.value) == [
        ("ENV in `config.api_key` needs the name of a variable", "ENV(NULL)")
    ]


def test_a_key_inside_an_array_is_placed_where_it_stands(definer: Define) -> None:
    inner = '{"type": "document", "properties": {"a": {"type": "string"}}}'
    listed = definer.type(f'CONFIG_SCHEMA {{"x": {{"type": "array", "items": {inner}}}}}')
    with pytest.raises(LookupFailed) as caught:
        build(listed, 'CONFIG {"x": [{"a": "ok"}, {"b": 1}]}')
    assert problems_of(caught.value) == [("`config.x[1].b` is not declared", '"b"')]


def test_an_optional_value_from_an_unset_variable_is_empty(type_: ConnectorType) -> None:
    made = build(type_, 'CONFIG {"api_url": "u", "login": {"user": ENV(\'U\')}}')
    assert made.connector.config == {"api_url": "u", "login": {"user": ""}}


def test_a_secret_variable_is_measured_as_it_is_now(type_: ConnectorType) -> None:
    with pytest.raises(LookupFailed) as caught:
        build(type_, 'CONFIG {"api_url": "u", "api_key": ENV(\'KEY\')}', KEY="abc")
    assert [m for m, _ in problems_of(caught.value)] == [
        "`config.api_key` must match the pattern `^.{4}`"
    ]


# ── OPTIONS ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("option", "value", "fits_it"),
    [
        ("rate_limit", "5", True),
        ("rate_limit", "0.5", True),
        ("rate_limit", "'30/m'", True),
        ("rate_limit", "'10 / s'", True),
        ("rate_limit", "'100/h'", True),
        ("rate_limit", "0", False),
        ("rate_limit", "-1", False),
        ("rate_limit", "'0/s'", False),
        ("rate_limit", "'10/d'", False),
        ("rate_limit", "'fast'", False),
        ("rate_limit", "TRUE", False),
        ("rate_limit", "[1]", False),
        ("rate_limit_burst", "0", False),
        ("rate_limit_burst", "1", True),
        ("timeout_seconds", "0", False),
        ("timeout_seconds", "0.5", True),
        ("timeout_seconds", "86400", True),
        ("timeout_seconds", "86401", False),
        ("memory_mb", "15", False),
        ("memory_mb", "16", True),
        ("max_concurrency", "0", False),
        ("max_concurrency", "1000", True),
        ("max_concurrency", "1001", False),
        ("retry_count", "0", True),
        ("retry_count", "101", False),
        ("cache_ttl", "-1", False),
        ("cache_ttl", "0", True),
        ("max_results", "0", False),
        ("max_pages", "1", True),
        ("max_pages", "1.5", False),
        ("max_requests", "0", False),
        ("max_seconds", "0", False),
        ("max_seconds", "1", True),
        ("batch_size", "0", False),
        ("on_type_error", "'null'", True),
        ("on_type_error", "'ignore'", False),
        ("archive", "TRUE", True),
        ("archive", "1", False),
    ],
)
def test_an_option_has_its_range(
    type_: ConnectorType, option: str, value: str, fits_it: bool
) -> None:
    clauses = f'CONFIG {{"api_url": "u"}} OPTIONS {{"{option}": {value}}}'
    if fits_it:
        assert list(build(type_, clauses).connector.options) == [option]
        return
    with pytest.raises(LookupFailed) as caught:
        build(type_, clauses)
    ((_, marked),) = problems_of(caught.value)
    assert marked == value


# ── ALTER ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def shop(type_: ConnectorType) -> Connector:
    made = build(
        type_,
        """CONFIG {"api_url": "https://a", "api_key": "hunter2", "page": 10,
                   "login": {"user": "me", "password": ENV('PASSWORD')}}
           OPTIONS {"retry_count": 2, "lang": "de"}""",
        PASSWORD="pw",
    )
    return made.connector


def test_altering_merges_top_level_keys_and_null_removes(
    type_: ConnectorType, shop: Connector
) -> None:
    made = alter(shop, type_, 'CONFIG {"api_url": "https://b", "page": NULL}', PASSWORD="pw")
    assert made.connector.config == {
        "api_url": "https://b",
        "api_key": "{{secrets._connector.shop.api_key.1}}",
        "login": {"user": "me"},
    }
    assert made.connector.env == shop.env
    assert made.plain_secrets == {}
    assert made.connector.options == shop.options


def test_altering_a_document_replaces_it_with_what_came_from_the_environment(
    type_: ConnectorType, shop: Connector
) -> None:
    made = alter(shop, type_, 'CONFIG {"login": {"user": "you"}}')
    assert (made.connector.config["login"], made.connector.env) == ({"user": "you"}, {})


def test_the_result_of_altering_is_validated(type_: ConnectorType, shop: Connector) -> None:
    with pytest.raises(LookupFailed) as caught:
        alter(shop, type_, 'CONFIG {"api_url": NULL, "page": 200}')
    assert [m for m, _ in problems_of(caught.value)] == [
        "`config.login.password` comes from the environment variable `PASSWORD`, which is not set",
        "`config.api_url` is required and is missing",
        "`config.page` must be at most 100, found 200",
    ]


def test_an_altered_secret_is_moved_again(type_: ConnectorType, shop: Connector) -> None:
    made = alter(shop, type_, 'CONFIG {"api_key": "hunter3"}', PASSWORD="pw")
    assert made.plain_secrets == {"_connector.shop.api_key.2": "hunter3"}


def test_a_secret_may_be_altered_to_a_variable(type_: ConnectorType, shop: Connector) -> None:
    made = alter(shop, type_, "CONFIG {\"api_key\": ENV('KEY')}", PASSWORD="pw", KEY="live-key")
    assert "api_key" not in made.connector.config
    assert made.connector.env["api_key"] == EnvReference("KEY")
    assert automatic_secrets(made.connector) == ()


def test_altering_options_merges_too(type_: ConnectorType, shop: Connector) -> None:
    made = alter(shop, type_, 'OPTIONS {"retry_count": NULL, "archive": TRUE}')
    assert made.connector.options == {"archive": True, "lang": "de"}
    with pytest.raises(LookupFailed) as caught:
        alter(shop, type_, 'OPTIONS {"langs": "de"}')
    assert problems_of(caught.value) == [("no option `langs`", '"langs"')]


# ── REGISTER ─────────────────────────────────────────────────────────────────────────────────


def test_an_instance_that_fits_a_new_revision_has_no_problems(
    type_: ConnectorType, shop: Connector
) -> None:
    assert fits(shop, type_) == ()


def test_an_instance_that_does_not_fit_a_new_revision_says_why(
    definer: Define, shop: Connector
) -> None:
    narrower = definer.type(
        """CONFIG_SCHEMA {"api_url": {"type": "string"}, "api_key": {"type": "integer"},
             "tenant": {"type": "string", "required": true},
             "login": {"type": "document", "properties": {"user": {"type": "string"}}}}"""
    )
    found = fits(shop, narrower)
    assert [(p.code, p.message) for p in found] == [
        ("DEF008", "connector `Shop`: `config.page` is not declared"),
        (
            "DEF008",
            "connector `Shop`: `config.api_key` must be an integer,"
            " found '{{secrets._connector.shop.api_key.1}}'",
        ),
        ("DEF008", "connector `Shop`: `config.tenant` is required and is missing"),
        ("DEF008", "connector `Shop`: `config.login.password` is not declared"),
        ("DEF008", "connector `Shop`: no option `lang`"),
    ]


def test_a_connector_of_another_name_has_other_automatic_secrets(shop: Connector) -> None:
    names: Mapping[str, Connector] = {"x": replace(shop, name="x")}
    assert automatic_secrets(names["x"]) == ()
