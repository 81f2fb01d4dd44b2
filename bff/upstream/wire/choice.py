"""Which wire a source gets: the asyncio wire, which costs a thirtieth, but for HTTP/2, which only httpx speaks."""

from bff.upstream.wire.asyncio_wire import AsyncioWire
from bff.upstream.wire.protocol import Wire, WireOptions
from bff.upstream.wire.resolver import Resolver


def wire_for(options: WireOptions, resolver: Resolver) -> Wire:
    """A wire that shares `resolver` with the others. Raises `OSError` where a certificate can't be read."""
    if not options.http2:
        return AsyncioWire(options, resolver)
    from bff.upstream.wire.httpx_wire import HttpxWire  # noqa: PLC0415 - it takes some MiB, and few services speak HTTP/2

    return HttpxWire(options, resolver)
