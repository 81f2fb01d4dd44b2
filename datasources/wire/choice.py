"""Which wire a source gets: the asyncio wire, which costs a thirtieth, but for HTTP/2, which only httpx speaks."""

from datasources.wire.asyncio_wire import AsyncioWire
from datasources.wire.httpx_wire import HttpxWire
from datasources.wire.protocol import Wire, WireOptions


def wire_for(options: WireOptions) -> Wire:
    """A wire. Raises `OSError` where a certificate can't be read."""
    return HttpxWire(options) if options.http2 else AsyncioWire(options)
