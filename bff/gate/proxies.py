"""The client's address, where proxies stand in front: `X-Forwarded-For` is believed as far as trusted proxies wrote it."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from bff.runtime.memo import memoized

Network = IPv4Network | IPv6Network

_MOST_HOPS = 20
_LONGEST_KEPT = 45
"""Characters of the longest IP address without a zone. Longer ones are not cached: a zone (RFC 4007) may have any length."""
_ONE_SITE = 64
"""Bits of an IPv6 address that one customer has; the rest is theirs to choose, so all of it counts as one."""


class Proxies:
    """Which peers are believed. Without any, the peer is the client."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def client(self, peer: str | None, forwarded_for: Sequence[bytes]) -> str:
        """The address to count by: that of the last hop that no trusted proxy vouches for as one of its own."""
        if peer is None:
            return ""
        if not self._trusted or not forwarded_for or not self._is_trusted(peer):
            return counted_as(peer)
        hops = b",".join(forwarded_for).decode("latin-1").split(",")[-_MOST_HOPS:]
        client = peer
        for hop in reversed(hops):
            address = _bare(hop.strip())
            if address is None:
                break  # what can't be read is nobody's word
            client = address
            if not self._is_trusted(address):
                break
        return counted_as(client)

    def _is_trusted(self, address: str) -> bool:
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(ip, "ipv4_mapped", None)
        return any((mapped or ip) in network for network in self._trusted)


@memoized(max_entries=4096, max_length=_LONGEST_KEPT)
def counted_as(address: str) -> str:
    """An IPv4 address itself; of an IPv6 one its site."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address[:100]
    mapped = getattr(ip, "ipv4_mapped", None)
    if mapped is not None:
        return str(mapped)
    return str(ip) if ip.version == 4 else str(ip_network(f"{address.partition('%')[0]}/{_ONE_SITE}", strict=False))


def _bare(text: str) -> str | None:
    """An address without port and brackets; None where it is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
