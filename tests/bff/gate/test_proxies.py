"""The client's address behind proxies."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.gate.proxies import Proxies, counted_as

BEHIND = Proxies([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", [b"1.1.1.1"], "203.0.113.9"),  # not a trusted proxy
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", [b"6.6.6.6, 1.1.1.1"], "1.1.1.1"),  # the client may have written the left one
        ("10.0.0.1", [b"6.6.6.6", b"1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", [b"1.1.1.1, 10.0.0.2"], "1.1.1.1"),  # two proxies
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [b"nonsense"], "10.0.0.1"),
        ("10.0.0.1", [b"1.1.1.1, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("10.0.0.1", [b"1.1.1.1:4711"], "1.1.1.1"),
        ("10.0.0.1", [b"[2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", [b"1.1.1.1"], "1.1.1.1"),
        ("fd00::1", [b"2001:db8:1:2:ffff::9"], "2001:db8:1:2::/64"),
        ("10.0.0.1", [b", ".join([b"10.0.0.2"] * 1000 + [b"1.1.1.1"])], "1.1.1.1"),
        (None, [b"1.1.1.1"], ""),
    ],
)
def test_the_client_is_the_rightmost_untrusted_address(peer: str | None, forwarded: list[bytes], expected: str) -> None:
    """From the right: as far as they are trusted, and no further."""
    assert BEHIND.client(peer, forwarded) == expected


def test_without_proxies_the_peer_is_the_client() -> None:
    """The header is ignored."""
    assert Proxies().client("10.0.0.1", [b"1.1.1.1"]) == "10.0.0.1"


def test_an_ipv6_network_is_one_client() -> None:
    """A customer can use all addresses of a /64. A mapped IPv4 address counts as the IPv4 address."""
    assert counted_as("2001:db8::1") == counted_as("2001:db8::ffff:2") != counted_as("2001:db8:0:1::1")
    assert counted_as("::ffff:1.2.3.4") == "1.2.3.4"
    assert counted_as("fe80::1%eth0") == "fe80::/64"
    assert counted_as("testclient" * 100) == ("testclient" * 100)[:100]


@given(st.binary(max_size=200))
def test_no_header_raises(header: bytes) -> None:
    """Any client can send any bytes."""
    assert BEHIND.client("10.0.0.1", [header])


def test_no_long_address_is_kept() -> None:
    """An address with a zone may have any length, and a client writes it: its result is new each time."""
    short, long = "fe80::1%eth0", "fe80::1%" + "x" * 10_000
    assert counted_as(long) == "fe80::/64"
    assert counted_as(short) is counted_as(short)
    assert counted_as(long) is not counted_as(long)
