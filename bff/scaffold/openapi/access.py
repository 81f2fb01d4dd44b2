"""What a document says about the way to the service: its URL, its credentials, headers that it wants. As text."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bff.scaffold.openapi.document import Document, Operation
from bff.scaffold.openapi.words import shown

_URL = re.compile(r"https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?(/[A-Za-z0-9._~-]{1,100}){0,10}/?\Z", re.ASCII)
"""A URL that can be pasted into a shell."""
_WRITES = ("post", "put", "patch", "delete")
_MOST = 10


def service_url(document: Document) -> str:
    """The URL of the document's first server; empty if it can't be used as it is. Then with a note."""
    servers = document.root.get("servers")
    first = document.mapping(servers[0]) if isinstance(servers, list) and servers else {}
    url = first.get("url")
    if not isinstance(url, str) or url in {"", "/"}:
        return ""
    if _URL.match(url):
        return url.rstrip("/")
    document.notes.add(f"the service's URL: the document has {shown(url)}")
    return ""


def note_access(document: Document, source: str, operations: Iterable[Operation | None]) -> bool:
    """Note which settings the service's credentials and headers need.

    Returns whether reads should carry the viewer's token: not if the service wants the gateway's own alone.
    """
    found = [each for each in operations if each is not None]
    for operation in found:
        for name in operation.required("header"):
            if name.lower() not in {"authorization", "accept", "content-type"}:
                document.notes.add(f"header {shown(name)} is required: set sources.{source}.headers")
    wanted: dict[str, None] = {}
    for operation in found:
        given = operation.node.get("security", document.root.get("security"))
        for each in given[:_MOST] if isinstance(given, list) else ():
            wanted |= dict.fromkeys(list(document.mapping(each))[:_MOST])
    all_schemes = document.mapping(document.mapping(document.root.get("components")).get("securitySchemes"))
    schemes = {name: document.mapping(all_schemes.get(name)) for name in list(wanted)[:_MOST]}
    for name, scheme in schemes.items():
        document.notes.add(f"credentials {shown(name)}: {_setting(document, scheme, source)}")
    if schemes and all(_is_gateways_own(document, scheme) for scheme in schemes.values()):
        document.notes.add(
            "forward_identity=False is written: the service wants the gateway's credentials, not the viewer's"
        )
        return False
    document.notes.add("reads carry the viewer's token: write forward_identity=False if the service must not see it")
    return True


def _is_gateways_own(document: Document, scheme: Mapping[str, Any]) -> bool:
    is_basic = scheme.get("type") == "http" and str(scheme.get("scheme")).lower() == "basic"
    is_client = list(document.mapping(scheme.get("flows"))) == ["clientCredentials"]
    return is_basic or is_client or str(scheme.get("type")) in {"apiKey", "mutualTLS"}


def _setting(document: Document, scheme: Mapping[str, Any], source: str) -> str:
    headers = f"set sources.{source}.headers"
    place = shown(scheme.get("in"))
    kind = shown(scheme.get("scheme")).capitalize()
    of_user = "the service gets the user's token if forward_identity is true"
    found = {
        "apiKey": f"{headers} with {shown(scheme.get('name'))}"
        if place == "header"
        else f"a key in the {place} can't be sent",
        "http": f'{headers} with Authorization = "{kind} …", unless the service takes the user\'s token',
        "oauth2": f"OAuth 2.0 for users: {of_user}",
        "openIdConnect": f"OpenID Connect: {of_user}",
        "mutualTLS": f"set sources.{source}.tls.cert_file",
    }
    if "clientCredentials" in document.mapping(scheme.get("flows")):
        return f"set sources.{source}.oauth2"
    return found.get(str(scheme.get("type")), "the document does not describe them")


def note_writes(document: Document, paths: Iterable[str]) -> None:
    """Note the operations that are left to a person."""
    found = [f"{method.upper()} {shown(path)}" for path in paths for method in _WRITES if document.operation(path, method)]
    if found:
        document.notes.add(f"writes are not generated: {', '.join(found)}: see Writes in docs/services.md")
