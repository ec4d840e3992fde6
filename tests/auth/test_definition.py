"""The clause AUTH as it is defined (LANGUAGE §4.4)."""

from __future__ import annotations

import pytest

import moltler
from moltler.errors import MoltlerError, Source
from support.definitions import Define

CONFIG = """CONFIG_SCHEMA {"api_key": {"type": "string", "secret": true},
    "user": {"type": "string"},
    "login": {"type": "document", "properties": {"key": {"type": "string"}}},
    "many": {"type": "array"}} """
OAUTH = '"token_url": {"value": "https://a.example/t"}, "client_id": "user", "client_secret"'


@pytest.mark.parametrize(
    "auth",
    [
        '{"scheme": "bearer", "token": "api_key"}',
        '{"scheme": "bearer", "token": "login.key", "hosts": ["*.example.com", "a.b:8443"]}',
        '{"scheme": "header", "name": "X-Api-Key", "value": {"value": "fixed"}}',
        '{"scheme": "query", "name": {"value": "key"}, "value": "api_key"}',
        '{"scheme": "basic", "username": "user", "password": {"value": ""}}',
        f'{{"scheme": "oauth2_client_credentials", {OAUTH}: "api_key", "scope": "user"}}',
        f'{{"scheme": "oauth2_refresh_token", {OAUTH}: "api_key", "refresh_token": "api_key"}}',
        '{"scheme": "aws_sigv4", "access_key": "user", "secret_key": "api_key",'
        ' "region": {"value": "eu-west-1"}, "service": {"value": "s3"}}',
    ],
)
def test_a_clause_is_kept_as_written(auth: str) -> None:
    kept = Define().type(f"{CONFIG} AUTH {auth}").auth
    assert kept is not None
    assert next(iter(kept)) == "scheme"


@pytest.mark.parametrize(
    ("auth", "code", "message", "hint"),
    [
        ("{}", "DEF001", "AUTH names no scheme", "write {"),
        ('{"scheme": 1}', "DEF001", "`scheme` in AUTH must be text, found a number", None),
        ('{"scheme": "barer", "token": "api_key"}', "DEF001",
         "AUTH names the unknown scheme `barer`", "did you mean `bearer`?"),
        ('{"scheme": "bearer", "token": "api_kye"}', "DEF001",
         "`token` in AUTH names `api_kye`, which is not in CONFIG_SCHEMA",
         "did you mean `api_key`?"),
        ('{"scheme": "bearer", "tokn": "api_key", "token": "api_key"}', "DEF001",
         "AUTH of the scheme `bearer` has the unknown key `tokn`", "did you mean `token`?"),
        ('{"scheme": "bearer"}', "DEF001", "AUTH of the scheme `bearer` needs the key `token`",
         None),
        ('{"scheme": "header", "value": "api_key"}', "DEF001",
         "AUTH of the scheme `header` needs the key `name`", 'add "name"'),
        ('{"scheme": "header", "name": " ", "value": "api_key"}', "DEF001",
         "`name` in AUTH is empty", None),
        ('{"scheme": "bearer", "token": 1}', "DEF001", "`token` in AUTH must name a config", None),
        ('{"scheme": "bearer", "token": {"vale": "x"}}', "DEF001",
         "the value of `token` in AUTH is not written as one", None),
        ('{"scheme": "bearer", "token": "many"}', "DEF006",
         "`token` in AUTH names `many`, which is of type array", None),
        ('{"scheme": "bearer", "token": "login.kez"}', "DEF001", "`token` in AUTH names", None),
        ('{"scheme": "bearer", "token": "api_key", "hosts": "a"}', "DEF001",
         "`hosts` in AUTH must be an array of hosts", None),
        ('{"scheme": "bearer", "token": "api_key", "hosts": [1]}', "DEF001",
         "`hosts` in AUTH holds hosts in quotes, found a number", None),
        ('{"scheme": "bearer", "token": "api_key", "hosts": ["*"]}', "DEF007",
         "`*` in `hosts` of AUTH would allow every host", None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(auth: str, code: str, message: str, hint: str | None) -> None:
    with pytest.raises(MoltlerError) as caught:
        Define().type(f"{CONFIG} AUTH {auth}")
    (problem,) = caught.value.problems
    assert problem.code == code
    assert problem.message.startswith(message)
    assert hint is None or str(problem.hint).startswith(hint)
    assert problem.line is not None


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(MoltlerError) as caught:
        Define().type(f'{CONFIG} AUTH {{"scheme": "basic", "user": "a", "password": "nothing"}}')
    assert len(caught.value.problems) == 3


def test_a_test_with_mocks_authenticates_as_well(session: moltler.Session) -> None:
    session.execute("""
        CREATE CONNECTOR TYPE 'shop'
        CONFIG_SCHEMA {"api_url": {"type": "string"}, "id": {"type": "string"},
                       "secret": {"type": "string", "secret": true}}
        AUTH {"scheme": "oauth2_client_credentials", "client_id": "id", "client_secret": "secret",
              "token_url": {"value": "mock://login/token"}};
        CREATE CONNECTOR ENTITY 'shop.items' FIELDS {"id": {"type": "integer"}}
        QUERY_HANDLER 'async function query(config) {
            const r = await fetch(config.api_url + "/items"); return await r.json(); }';
        REGISTER CONNECTOR TYPE 'shop';
    """)
    text = """
        TEST CONNECTOR TYPE 'shop' NAME 'tokens end'
        MOCK_API {"POST /token": [{"body": {"access_token": "one-token", "expires_in": 600}},
                                  {"body": {"access_token": "two-token", "expires_in": 600}}],
                  "GET /items": {"body": [{"id": 1}]}}
        BEGIN
            CREATE CONNECTOR c TYPE 'shop' CONFIG {"api_url": "mock://", "id": "me",
                                                   "secret": "s"};
            DECLARE one = SELECT id FROM c.items;
            DECLARE two = SELECT id FROM c.items;
            ADVANCE CLOCK INTERVAL '11m';
            DECLARE three = SELECT id FROM c.items;
            ASSERT MOCK_CALL_COUNT('POST /token') = 2;
            ASSERT MOCK_CALLS('GET /items')[1].headers.authorization = 'Bearer one-token';
            ASSERT MOCK_CALLS('GET /items')[2].headers.authorization = 'Bearer two-token';
        END TEST;
    """
    collection = session.collect_tests([Source("<test>", text)])
    report = session.run_test(collection.tests[0], collection)
    assert (report.status, report.failure) == ("passed", None)
