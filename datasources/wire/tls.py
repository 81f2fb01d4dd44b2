"""TLS towards a service: whom we trust, and who we are."""

import ssl

from datasources.wire.protocol import TlsOptions


def tls_context(options: TlsOptions) -> ssl.SSLContext:
    """A client's context, that checks names and chains. Raises `OSError` where a file can't be read or holds none of it."""
    context = ssl.create_default_context(cafile=options.ca_file)
    if options.cert_file is not None:
        context.load_cert_chain(options.cert_file, options.key_file)
    return context
