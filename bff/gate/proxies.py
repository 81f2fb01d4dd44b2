"""The client's address behind proxies: only entries of `X-Forwarded-For` that trusted proxies have added are used."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from bff.runtime.memo import memoized

Network = IPv4Network | IPv6Network

_MOST_HOPS = 20
_LONGEST_CACHED = 45
"""Characters of the longest IP address without a zone. Longer addresses are not cached: a zone (RFC 4007) has any length."""
_CUSTOMER_BITS = 64
"""Bits of the IPv6 prefix that one customer gets. The customer chooses the other bits, so all count as one client."""


class Proxies:
    """The networks of trusted proxies. Without any, the peer is the client."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def client(self, peer: str | None, forwarded_for: Sequence[bytes]) -> str:
        """The address that counts are kept for: the rightmost `X-Forwarded-For` address that is not a trusted proxy.

        It is the peer's if the peer is no trusted proxy, and empty if the peer has no address.
        """
        if peer is None:
            return ""
        if not self._trusted or not forwarded_for or not self._is_trusted(peer):
            return counted_as(peer)
        hops = b",".join(forwarded_for).decode("latin-1").split(",")[-_MOST_HOPS:]
        client = peer
        for hop in reversed(hops):
            address = _bare(hop.strip())
            if address is None:
                break  # an entry that is no address ends the list
            client = address
            if not self._is_trusted(address):
                break
        return counted_as(client)

    def trusts(self, peer: str) -> bool:
        """Whether what this peer reports about those before it is believed."""
        return bool(self._trusted) and self._is_trusted(peer)

    def _is_trusted(self, address: str) -> bool:
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(ip, "ipv4_mapped", None)
        return any((mapped or ip) in network for network in self._trusted)


@memoized(max_entries=4096, max_length=_LONGEST_CACHED)
def counted_as(address: str) -> str:
    """The address, or for IPv6 its /64 network."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address[:100]
    mapped = getattr(ip, "ipv4_mapped", None)
    if mapped is not None:
        return str(mapped)
    return str(ip) if ip.version == 4 else str(ip_network(f"{address.partition('%')[0]}/{_CUSTOMER_BITS}", strict=False))


def _bare(text: str) -> str | None:
    """The address without port and brackets; None if it is no address."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
