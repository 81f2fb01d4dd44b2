"""The access log: one line per request, and nothing personal in it."""

import json
import logging
import time
from collections import Counter
from typing import Any

import pytest

from bff.engine.operation import Operation
from bff.gate.auth import SignedIn
from bff.gate.consumers import Consumer
from bff.graph.context import Viewer
from bff.request import access_log
from bff.request.exchange import Client, Exchange, headers_of, open_exchange
from bff.request.http import ClientDisconnected
from bff.request.response import EncodedResponse
from bff.upstream.caller import Deadline, Identity
from tests.support.endpoints import endpoint

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


def exchange() -> Exchange:
    """A request with a secret in every place where a client can put one."""
    scope: dict[str, Any] = {
        "method": "POST",
        "path": "/web/graphql",
        "query_string": f"variables={SECRET}".encode(),
        "client": (SECRET, 1),
        "headers": [
            (b"authorization", f"Bearer {SECRET}".encode()),
            (b"cookie", SECRET.encode()),
            (b"x-request-id", b"request-1"),
        ],
    }
    made = open_exchange(endpoint(), scope, None, headers_of(scope), Deadline.after(1, time.monotonic), SECRET)  # type: ignore[arg-type]
    made.calls = Counter(users=1, products=2)
    return made


def operation(document: str = DOCUMENT) -> Operation:
    """The only operation of a document."""
    return endpoint().plans.get(document)[0].operation(None)


def line(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """The one line's fields, with nothing secret in them."""
    (record,) = caplog.records
    assert (record.getMessage(), record.levelno) == ("request", logging.INFO)
    fields: dict[str, Any] = record.fields  # type: ignore[attr-defined]
    assert SECRET not in json.dumps(fields)
    return fields


def test_a_request_to_a_variant_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """What ran, how it ended and how many upstream calls it took; no variables, no query string, nothing of the document."""
    response = EncodedResponse(200, (), SECRET.encode(), ("FORBIDDEN",), "partial", operation())
    access_log.log_request(exchange(), response, 0.0123456)
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


def test_a_consumer_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """By the name in the settings."""
    made = exchange()
    made.client = Client(consumer=Consumer("partner", frozenset()))
    access_log.log_request(made, EncodedResponse(200, (), b""), 0.001)
    assert line(caplog)["consumer"] == "partner"


def test_a_request_without_an_operation_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """It was refused before its operation was known, or it is a batch."""
    access_log.log_request(exchange(), EncodedResponse(401, (), b"", ("UNAUTHENTICATED",), "refused"), 0.001)
    fields = line(caplog)
    assert (fields["operation"], fields["type"], fields["status"]) == (None, None, 401)


def test_an_unnamed_operation_has_no_name(caplog: pytest.LogCaptureFixture) -> None:
    """Its text is not logged instead."""
    access_log.log_request(exchange(), EncodedResponse(200, (), b"", operation=operation("{ me { id } }")), 0.001)
    fields = line(caplog)
    assert (fields["operation"], fields["type"]) == (None, "query")


def test_a_long_name_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    """A client chooses it."""
    named = operation(f"query {'A' * 5000} {{ me {{ id }} }}")
    access_log.log_request(exchange(), EncodedResponse(200, (), b"", operation=named), 0.001)
    assert line(caplog)["operation"] == "A" * 100


def test_a_disconnect_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """With status 499, as nginx has it, and with the operation if it was known."""
    access_log.log_disconnect(exchange(), ClientDisconnected(operation=operation()), 0.5)
    fields = line(caplog)
    assert (fields["status"], fields["errors"], fields["operation"]) == (499, ["CLIENT_GONE"], "Account")
    assert "completed" not in fields


def test_a_disconnect_names_the_outcome_of_completed_mutations(caplog: pytest.LogCaptureFixture) -> None:
    """They ran to their end without a client."""
    access_log.log_disconnect(exchange(), ClientDisconnected("partial", ["FORBIDDEN"]), 0.5)
    fields = line(caplog)
    assert (fields["completed"], fields["errors"]) == ("partial", ["CLIENT_GONE", "FORBIDDEN"])


def test_any_other_request_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """Method and path are the client's, and are cut off."""
    access_log.log_other("M" * 100, "/" + "p" * 5000, 404, 0.001, "request-1")
    fields = line(caplog)
    assert fields == {"method": "M" * 20, "path": "/" + "p" * 199, "status": 404, "ms": 1.0, "request_id": "request-1"}


def test_nothing_is_done_above_the_log_level(caplog: pytest.LogCaptureFixture) -> None:
    """A line that is not written costs nothing."""
    caplog.set_level(logging.WARNING, "bff.access")
    access_log.log_request(None, None, 0.0)  # type: ignore[arg-type]
    access_log.log_disconnect(None, None, 0.0)  # type: ignore[arg-type]
    access_log.log_other("GET", "/", 200, 0.0, "r")
    assert caplog.records == []


def test_further_fields_are_logged_where_settings_name_them(caplog: pytest.LogCaptureFixture) -> None:
    """The address, the body's length, the trace, and a digest of the user's id: never the id itself."""
    made = exchange()
    made.address = "203.0.113.7"
    made.client = Client(signed_in=SignedIn(Viewer("ann@example.com"), Identity("ann@example.com", "Bearer x")))
    fields = access_log.FurtherFields(("ip", "response_length", "trace_id", "user_id"), b"k" * 16)
    access_log.log_request(made, EncodedResponse(200, (), b"12345"), 0.001, fields)
    found = line(caplog)
    assert found["ip"] == made.address
    assert found["response_length"] == 5
    assert found["trace_id"] == made.traceparent.split("-")[1]
    assert len(found["user_id"]) == 16
    assert "ann" not in str(found)
    others = [access_log.FurtherFields(("user_id",), key).of(made, 0)["user_id"] for key in (b"k" * 16, b"another key")]
    assert others[0] == found["user_id"] != others[1]


def test_an_anonymous_request_has_no_user_id() -> None:
    """There is none to digest."""
    assert access_log.FurtherFields(("user_id",), b"k").of(exchange(), 0) == {}
