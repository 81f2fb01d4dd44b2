"""TLS contexts for connections to services."""

import ssl
from functools import cache

from bff.upstream.wire.protocol import TlsOptions


def tls_context(options: TlsOptions) -> ssl.SSLContext:
    """A client's context, which checks host names and chains. Raises `OSError` if a file can't be read or isn't PEM."""
    context = ssl.create_default_context(cafile=options.ca_file)
    if options.cert_file is not None:
        context.load_cert_chain(options.cert_file, options.key_file)
    return context


def http1_context(options: TlsOptions) -> ssl.SSLContext:
    """As `tls_context`, for HTTP/1.1. Sources with default options share one, since it loads the system's authorities."""
    return _default_http1_context() if options == TlsOptions() else _http1_context(options)


@cache
def _default_http1_context() -> ssl.SSLContext:
    return _http1_context(TlsOptions())


def _http1_context(options: TlsOptions) -> ssl.SSLContext:
    context = tls_context(options)
    context.set_alpn_protocols(["http/1.1"])
    return context
