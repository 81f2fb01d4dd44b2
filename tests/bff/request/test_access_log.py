"""The access log: one line a request, and nothing personal in it."""

import json
import logging
from collections import Counter
from typing import Any

import pytest

from bff.engine.plans import Plans
from bff.gate.documents import Documents
from bff.gate.limits import LimitOptions
from bff.gate.manifests import TrustedDocuments
from bff.gate.rate import RateOptions
from bff.operations.calls import TrustedOperations
from bff.request import access_log
from bff.request.endpoint import Endpoint
from bff.request.exchange import Exchange, Response
from bff.request.http import GraphQLRequest
from schema.variants import EVERYONE as VARIANTS
from tests.support.shop import schemas

SECRET = "hunter2"
DOCUMENT = f"""
query Account($password: String) {{
  me {{ id }}
  products(search: "{SECRET}") {{ totalCount }}
  x: products(search: $password) {{ totalCount }}
}}
"""


@pytest.fixture(autouse=True)
def at_info(caplog: pytest.LogCaptureFixture) -> None:
    """As it is by default."""
    caplog.set_level(logging.INFO, "bff.access")


def exchange(document: str | None = DOCUMENT) -> Exchange:
    """A request with something secret in every place where a client can put it."""
    plans = Plans(schemas()["web"], LimitOptions(), introspection=True)
    documents = Documents("web", "any", TrustedDocuments([]))
    endpoint = Endpoint(
        VARIANTS[0],
        schemas()["web"],
        plans,
        LimitOptions(),
        RateOptions(),
        documents,
        TrustedOperations(schemas()["web"], []),
        None,
        None,
    )
    scope: dict[str, Any] = {
        "method": "POST",
        "path": "/web/graphql",
        "query_string": f"variables={SECRET}".encode(),
        "client": (SECRET, 1),
        "headers": [(b"authorization", f"Bearer {SECRET}".encode()), (b"cookie", SECRET.encode())],
    }
    made = Exchange(endpoint, scope, None, {b"authorization": [SECRET.encode()]}, "request-1", "00-x", None)  # type: ignore[arg-type]
    made.request = GraphQLRequest(document, None, {"password": SECRET}, {"x": SECRET})
    if document is not None:
        made.operation = plans.get(document)[0].operation(None)
    made.calls = Counter(users=1, products=2)
    return made


def line(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """The one line's fields, with nothing secret in them."""
    (record,) = caplog.records
    assert (record.getMessage(), record.levelno) == ("request", logging.INFO)
    fields: dict[str, Any] = record.fields  # type: ignore[attr-defined]
    assert SECRET not in json.dumps(fields)
    return fields


def test_a_request_to_a_variant_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """What was run, how it ended and what it cost; no variables, no query string, no header, nothing of the document."""
    access_log.log_request(exchange(), Response(200, (), SECRET.encode(), ("FORBIDDEN",), "partial"), 0.0123456)
    assert line(caplog) == {
        "method": "POST",
        "path": "/web/graphql",
        "variant": "web",
        "consumer": None,
        "operation": "Account",
        "type": "query",
        "status": 200,
        "ms": 12.35,
        "request_id": "request-1",
        "upstream_calls": {"users": 1, "products": 2},
        "errors": ["FORBIDDEN"],
    }


def test_a_request_that_was_refused_is_a_line_too(caplog: pytest.LogCaptureFixture) -> None:
    """Before there was any operation."""
    access_log.log_request(exchange(None), Response(401, (), b"", ("UNAUTHENTICATED",), "refused"), 0.001)
    fields = line(caplog)
    assert (fields["operation"], fields["type"], fields["status"]) == (None, None, 401)


def test_an_operation_without_a_name_has_none(caplog: pytest.LogCaptureFixture) -> None:
    """Its text does not take the name's place."""
    access_log.log_request(exchange("{ me { id } }"), Response(200, (), b""), 0.001)
    fields = line(caplog)
    assert (fields["operation"], fields["type"]) == (None, "query")


def test_a_long_name_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    """A client chooses it."""
    access_log.log_request(exchange(f"query {'A' * 5000} {{ me {{ id }} }}"), Response(200, (), b""), 0.001)
    assert line(caplog)["operation"] == "A" * 100


def test_a_client_that_hung_up_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """With the status that servers use for it among themselves."""
    access_log.log_disconnect(exchange(None), 0.5)
    fields = line(caplog)
    assert (fields["status"], fields["errors"]) == (499, ["CLIENT_GONE"])


def test_any_other_request_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """Method and path are what a client sent, and are cut off."""
    access_log.log_other("M" * 100, "/" + "p" * 5000, 404, 0.001, "request-1")
    fields = line(caplog)
    assert fields == {"method": "M" * 20, "path": "/" + "p" * 199, "status": 404, "ms": 1.0, "request_id": "request-1"}


def test_where_nobody_reads_it_nothing_is_made(caplog: pytest.LogCaptureFixture) -> None:
    """Above the level of information the log costs nothing."""
    caplog.set_level(logging.WARNING, "bff.access")
    access_log.log_request(None, None, 0.0)  # type: ignore[arg-type]
    access_log.log_other("GET", "/", 200, 0.0, "r")
    assert caplog.records == []
