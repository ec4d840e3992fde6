"""Addresses are read into one spelling, and go on the wire as they were written."""

from __future__ import annotations

import pytest

from moltler.net.address import BadAddress, canonical_host, parse_address, resolve

HOSTS = [
    ("API.Example.com", "api.example.com"),
    ("api.example.com.", "api.example.com"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("BÜCHER.example", "xn--bcher-kva.example"),
    ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ("a_b.example", "a_b.example"),
    ("127.0.0.1", "127.0.0.1"),
    ("127.1", "127.0.0.1"),
    ("2130706433", "127.0.0.1"),
    ("0x7f000001", "127.0.0.1"),
    ("0X7F.0.0.1", "127.0.0.1"),
    ("0177.0.0.01", "127.0.0.1"),
    ("127.0.0.1.", "127.0.0.1"),
    ("１２７.0.0.1", "127.0.0.1"),
    ("%31%32%37.0.0.1", "127.0.0.1"),
    ("169.254.43518", "169.254.169.254"),
    ("0x", "0.0.0.0"),
    ("[::1]", "::1"),
    ("[0:0:0:0:0:0:0:1]", "::1"),
    ("::1", "::1"),
    ("[::ffff:127.0.0.1]", "::ffff:7f00:1"),
    ("[::FFFF:7F00:0001]", "::ffff:7f00:1"),
    ("1password.com", "1password.com"),
]


@pytest.mark.parametrize(("text", "host"), HOSTS)
def test_a_host_has_one_spelling(text: str, host: str) -> None:
    assert canonical_host(text) == host


@pytest.mark.parametrize(
    "text",
    ["", ".", "a..b", "a b", "a%00b", "a%2fb", "256.1.1.1", "1.2.3.4.5", "08.1.1.1", "a.1",
     "[::1", "[::1%25eth0]", "[fe80::1%eth0]", "::g", "a@b", "a|b", "4294967296", "999.9"],
)  # fmt: skip
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        canonical_host(text)


WIRE = [
    ("http://h/a?", "/a?"),
    ("http://h/a?#part", "/a?"),
    ("http://h", "/"),
    ("http://h?x=1", "/?x=1"),
    ("http://h//double//x/", "//double//x/"),
    ("http://h/a%2Fb%2fc", "/a%2Fb%2fc"),
    ("http://h/a?x=%zz&y=1+2%20&&=", "/a?x=%zz&y=1+2%20&&="),
    ("http://h/a?b?c=[1]{}|^`", "/a?b?c=[1]{}|^`"),
    ("http://h/a b?c d", "/a%20b?c%20d"),
    ("http://h/ä?ü=€", "/%C3%A4?%C3%BC=%E2%82%AC"),
    ("http://h/a/../b/./c/..", "/b/"),
    ("http://h/%2e%2E/x", "/x"),
    ("http://h/..", "/"),
    ("http://h\\a\\b?c\\d", "/a/b?c\\d"),
    ("http:/h/x", "/x"),
    ("  http://h/x \n", "/x"),
    ("http://h/a?q='\"<>", "/a?q=%27%22%3C%3E"),
]


@pytest.mark.parametrize(("text", "target"), WIRE)
def test_path_and_query_go_on_the_wire_as_written(text: str, target: str) -> None:
    address = parse_address(text)
    assert (address.host, address.target) == ("h", target)


@pytest.mark.parametrize(
    "text", ["", "/x", "h/x", "http://", "http:///", "http://h:99999/", "http://h:a/",
             "http://a b/", "http://h/\r\nX: 1", "http://h/\0x", "http://[::1"],
)  # fmt: skip
def test_what_is_no_absolute_address_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_address(text)


def test_the_userinfo_cannot_pass_for_the_host() -> None:
    address = parse_address("https://good.example:x@evil.example/\\@good.example")
    assert address.host == "evil.example"
    assert parse_address("https://evil.example\\@good.example/").host == "evil.example"
    assert parse_address("https://evil.example#@good.example/").host == "evil.example"
    assert parse_address("https://evil.example?@good.example/").host == "evil.example"


LOCATIONS = [
    ("https://c.example/", "https://c.example/"),
    ("//c.example/z", "https://c.example/z"),
    ("\\\\c.example/z", "https://c.example/z"),
    ("/z?p", "https://a.example:8443/z?p"),
    ("z", "https://a.example:8443/x/z"),
    ("../../z", "https://a.example:8443/z"),
    ("?p", "https://a.example:8443/x/y?p"),
    ("", "https://a.example:8443/x/y?q"),
    ("https:z", "https://a.example:8443/x/z"),
    ("http:z", "http://z/"),
    ("/x\udcc3\udca9", "https://a.example:8443/x%C3%A9"),
]


@pytest.mark.parametrize(("location", "address"), LOCATIONS)
def test_a_location_is_seen_from_the_address_that_sent_it(location: str, address: str) -> None:
    assert str(resolve(parse_address("https://a.example:8443/x/y?q"), location)) == address
