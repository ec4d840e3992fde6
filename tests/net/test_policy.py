"""An instance reaches the hosts of its config and of ALLOWED_HOSTS, and nothing else."""

from __future__ import annotations

import ipaddress

import pytest

from moltler.net.address import parse_address
from moltler.net.policy import Refused, host_pattern, policy_of
from support.net import resolved

CONFIG = {
    "api_url": "https://api.example.com:8443/v1",
    "upload": {"urls": ["http://Up.Example.com/"]},
    "note": "http is not an address",
    "local": "http://localhost:5000",
    "lan": "http://10.0.0.7",
}
HOSTS = (
    "*.zendesk.com",
    "api.other.com",
    "files.other.com:9443",
    "*",
    "10.9.9.9",
    "bücher.example",
)

ALLOWED = [
    "https://api.example.com:8443/x",
    "https://API.example.com./x",
    "https://api.example.com/",
    "http://up.example.com/",
    "https://up.example.com/",
    "http://localhost:5000/",
    "http://10.0.0.7/",
    "http://0x0a.7/",
    "https://acme.zendesk.com/",
    "http://a.b.zendesk.com/",
    "https://api.other.com/",
    "https://files.other.com:9443/",
    "https://xn--bcher-kva.example/",
]
REFUSED = [
    ("http://api.example.com/", "ALLOWED_HOSTS ['api.example.com']"),
    ("https://up.example.com:8443/", "ALLOWED_HOSTS ['up.example.com:8443']"),
    ("https://zendesk.com/", "`zendesk.com`"),
    ("https://evilzendesk.com/", "`evilzendesk.com`"),
    ("https://acme.zendesk.com:8443/", "ALLOWED_HOSTS ['acme.zendesk.com:8443']"),
    ("https://files.other.com/", "`files.other.com`"),
    ("https://else.example/", "ALLOWED_HOSTS ['else.example']"),
    ("http://localhost:5001/", "`localhost`"),
    ("http://127.0.0.1:5000/", "`127.0.0.1`"),
    ("http://[::ffff:127.0.0.1]:5000/", "`[::ffff:7f00:1]`"),
    ("http://[::ffff:10.0.0.7]/", "`[::ffff:a00:7]`"),
    ("https://10.9.9.9/", "private"),
    ("http://2130706433:5000/", "`127.0.0.1`"),
    ("mock://svc/items", "MOCK_API"),
    ("ftp://api.example.com/", "allowed: http, https"),
    ("file:///etc/passwd", "allowed: http, https"),
    ("data:text/plain,x", "allowed: http, https"),
]


@pytest.mark.parametrize("url", ALLOWED)
def test_hosts_that_are_named_or_match_a_pattern_pass(url: str) -> None:
    policy_of(resolved(CONFIG, hosts=HOSTS)).judge(parse_address(url))


@pytest.mark.parametrize(("url", "message"), REFUSED)
def test_everything_else_is_refused_and_the_message_says_what_to_add(
    url: str, message: str
) -> None:
    with pytest.raises(Refused) as caught:
        policy_of(resolved(CONFIG, hosts=HOSTS)).judge(parse_address(url))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text", ["*", "*.", "", "a.*", "*.*.b", "*.10.0.0.1", "https://a.b", "a b", "a:b"]
)
def test_a_malformed_pattern_allows_nothing(text: str) -> None:
    assert host_pattern(text) is None


INNER = ["127.0.0.1", "127.8.8.8", "10.1.1.1", "172.16.0.1", "192.168.0.1", "169.254.1.1",
         "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1",
         "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
         "::127.0.0.1", "198.18.0.1"]  # fmt: skip


@pytest.mark.parametrize("ip", INNER)
def test_an_inner_address_is_refused_unless_the_config_names_its_host(ip: str) -> None:
    address = ipaddress.ip_address(ip)
    with pytest.raises(Refused, match="private or local"):
        policy_of(resolved({}, hosts=("api.other.com",))).judge_ip("api.other.com", address)
    named = {"api_url": "https://api.other.com"}
    policy_of(resolved(named)).judge_ip("api.other.com", address)


def test_a_default_of_the_type_does_not_open_private_networks() -> None:
    policy = policy_of(resolved({}, defaults={"api_url": "http://192.168.0.1"}))
    with pytest.raises(Refused, match="does not name that host"):
        policy.judge(parse_address("http://192.168.0.1/"))


def test_the_hint_for_an_inner_address_keeps_its_port() -> None:
    policy = policy_of(resolved({}, hosts=("127.0.0.1:8080",)))
    with pytest.raises(Refused) as caught:
        policy.judge(parse_address("http://127.0.0.1:8080/"))
    assert caught.value.hint is not None
    assert '"http://127.0.0.1:8080"' in caught.value.hint


def test_what_may_be_reached_is_told_with_its_ports() -> None:
    named = {"a": "http://127.0.0.1:8080", "b": "https://api.other.com"}
    policy = policy_of(resolved(named, hosts=("*.x.com:81", "y.com")))
    with pytest.raises(Refused, match=r"port 9912 \(allowed hosts: 127.0.0.1:8080, api.other.com, "
                       r"\*.x.com:81, y.com\)"):  # fmt: skip
        policy.judge(parse_address("http://127.0.0.1:9912/"))


@pytest.mark.parametrize("ip", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_pass(ip: str) -> None:
    policy_of(resolved({})).judge_ip("api.other.com", ipaddress.ip_address(ip))


METADATA = ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
            "100.100.100.200", "168.63.129.16"]  # fmt: skip


@pytest.mark.parametrize("ip", METADATA)
def test_a_named_host_does_not_open_a_metadata_service(ip: str) -> None:
    policy = policy_of(resolved({"api_url": "http://meta.example"}))
    with pytest.raises(Refused, match="metadata"):
        policy.judge_ip("meta.example", ipaddress.ip_address(ip))


def test_the_config_may_name_a_metadata_address_itself() -> None:
    policy = policy_of(resolved({"api_url": "http://169.254.169.254"}))
    policy.judge(parse_address("http://169.254.169.254/latest"))


def test_naming_one_metadata_address_does_not_open_a_name_that_has_it() -> None:
    policy = policy_of(resolved({"a": "http://169.254.169.254", "b": "http://meta.example"}))
    with pytest.raises(Refused, match="metadata"):
        policy.judge_ip("meta.example", ipaddress.ip_address("169.254.169.254"))


SECRETS = [
    ("https://api.other.com/", True),
    ("http://api.other.com/", False),
    ("http://plain.example/", True),
    ("http://127.0.0.1:9/", True),
    ("http://[::1]:9/", True),
    ("http://localhost/", True),
    ("http://localhost.evil.example/", False),
]


@pytest.mark.parametrize(("url", "allowed"), SECRETS)
def test_secrets_travel_encrypted_or_where_the_config_says_http(url: str, allowed: bool) -> None:
    policy = policy_of(resolved({"api_url": "http://plain.example", "b": "https://api.other.com"}))
    assert policy.allows_secret(parse_address(url)) is allowed
