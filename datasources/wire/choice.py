"""Which wire a source gets: the asyncio wire, which costs a thirtieth, but for HTTP/2, which only httpx speaks."""

from datasources.wire.asyncio_wire import AsyncioWire
from datasources.wire.protocol import Wire, WireOptions


def wire_for(options: WireOptions) -> Wire:
    """A wire. Raises `OSError` where a certificate can't be read."""
    if not options.http2:
        return AsyncioWire(options)
    from datasources.wire.httpx_wire import HttpxWire  # noqa: PLC0415 - it takes some MiB, and few services speak HTTP/2

    return HttpxWire(options)
