"""Signatures of examples that AWS has published (sources in `moltler.net.sigv4`)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from moltler.net.address import parse_address
from moltler.net.call import Call
from moltler.net.sigv4 import AwsKeys, sign

SUITE = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", "service")
WHEN = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
FORM = (("Content-Type", "application/x-www-form-urlencoded"),)
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def signature(call: Call, keys: AwsKeys = SUITE, when: datetime = WHEN) -> str:
    headers = dict(sign(call, keys, when).headers)
    return headers["Authorization"].rpartition("=")[2]


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "wanted"),
    [
        ("GET", "/", (), None,
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "/?Param2=value2&Param1=value1", (), None,
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        ("GET", f"/?{UNRESERVED}={UNRESERVED}", (), None,
         "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
        ("POST", "/", (), None,
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("POST", "/", FORM, b"Param1=value1",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ],
    ids=["vanilla", "query-order", "unreserved", "post", "form"],
)  # fmt: skip
def test_the_test_suite(
    method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes | None, wanted: str
) -> None:
    address = parse_address(f"https://example.amazonaws.com{target}")
    assert signature(Call(method, address, headers, body)) == wanted


def test_the_example_of_the_iam_guide() -> None:
    address = parse_address("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08")
    headers = (("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),)
    keys = AwsKeys(SUITE.access_key, SUITE.secret_key, "us-east-1", "iam")
    wanted = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    assert signature(Call("GET", address, headers, None), keys) == wanted


def test_the_get_example_of_s3() -> None:
    address = parse_address("https://examplebucket.s3.amazonaws.com/test.txt")
    keys = AwsKeys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                   "us-east-1", "s3")  # fmt: skip
    call = Call("GET", address, (("Range", "bytes=0-9"),), None)
    wanted = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    assert signature(call, keys, datetime(2013, 5, 24, tzinfo=UTC)) == wanted


def test_a_session_token_is_sent_and_signed() -> None:
    keys = AwsKeys("a", "b", "us-east-1", "service", "token")
    address = parse_address("https://example.amazonaws.com/a b?x=1+2")
    headers = dict(sign(Call("GET", address, (), None), keys, WHEN).headers)
    assert headers["X-Amz-Security-Token"] == "token"
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token" in headers["Authorization"]
