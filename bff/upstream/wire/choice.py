"""Chooses a source's wire: httpx for HTTP/2; otherwise the asyncio wire, which takes a thirtieth of its CPU time."""

from bff.upstream.wire.asyncio_wire import AsyncioWire
from bff.upstream.wire.protocol import Wire, WireOptions
from bff.upstream.wire.resolver import Resolver


def wire_for(options: WireOptions, resolver: Resolver) -> Wire:
    """A wire with these options. Raises `OSError` if a certificate can't be read."""
    if not options.http2:
        return AsyncioWire(options, resolver)
    from bff.upstream.wire.httpx_wire import HttpxWire  # noqa: PLC0415 - the import takes some MiB, and few services speak HTTP/2

    return HttpxWire(options, resolver)
