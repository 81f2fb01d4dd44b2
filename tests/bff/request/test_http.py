"""Reading requests: which media type the response has, what a valid request is, and that no bytes raise anything else."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import BadRequest, CsrfPrevented
from bff.request.encoding import encode_json
from bff.request.http import (
    ClientDisconnected,
    GraphQLRequest,
    MediaType,
    check_content,
    decode_body,
    decode_query,
    negotiate,
    read_body,
    wants_html,
)

JSON, RESPONSE = MediaType.JSON, MediaType.RESPONSE
_DEEP = 100_000

# Accept


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, JSON),
        (b"*/*", JSON),
        (b"application/*", JSON),
        (b"application/json", JSON),
        (b"application/graphql-response+json", RESPONSE),
        (b"application/graphql-response+json, application/json", RESPONSE),
        (b"application/json, application/graphql-response+json", RESPONSE),
        (b"application/graphql-response+json, application/json;q=0.9", RESPONSE),
        (b"application/graphql-response+json;q=0.9, application/json", JSON),
        (b"application/graphql-response+json;q=0.5, */*;q=0.4", RESPONSE),
        (b"application/graphql-response+json;q=0.1, */*;q=0.9", JSON),
        (b"application/json;q=0.1, */*;q=0.9", RESPONSE),
        (b"application/json;q=0, */*", RESPONSE),
        (b"application/graphql-response+json;q=0, application/json", JSON),
        (b"application/*;q=0.1, application/json;q=0, */*", RESPONSE),
        (b"text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", JSON),
        (b"text/html, application/json;q=0.001", JSON),
        (b"APPLICATION/JSON", JSON),
        (b"  application/json ; Q=0.5  ", JSON),
        (b"application/json; charset=utf-8", JSON),
        (b'application/graphql-response+json; charset="UTF-8"', RESPONSE),
        (b"application/json; version=2", JSON),
        (b",, application/json,", JSON),
        (b"application/json;q=1.000", JSON),
    ],
)
def test_the_media_type_is_the_one_of_highest_quality(accept: bytes | None, media: MediaType) -> None:
    """The most specific range counts (RFC 9110, section 12.5.1). Wildcards and no `Accept` mean `application/json`."""
    assert negotiate(accept) is media


@pytest.mark.parametrize(
    "accept",
    [
        b"text/html",
        b"application/xml",
        b"text/*",
        b"application/json;q=0",
        b"*/*;q=0",
        b"application/json;q=0, application/graphql-response+json;q=0.0",
        b"application/json; charset=iso-8859-1",
        b"application/json;q=2",
        b"application/json;q=-1",
        b"application/json;q=1.5",
        b"application/json;q=0.1234",
        b"application/json;q=nan",
        b"application/json;q=",
        b"application/graphql+json",
        b"json",
        b"junk",
        b";;;",
        b"\xff\xfe",
    ],
)
def test_there_is_none_if_the_client_accepts_neither(accept: bytes) -> None:
    """Another type, a quality of zero, an invalid quality, or another charset."""
    assert negotiate(accept) is None


@given(st.binary(max_size=200))
def test_no_accept_raises(accept: bytes) -> None:
    """Any bytes give a media type or None."""
    assert negotiate(accept) in {JSON, RESPONSE, None}
    wants_html(accept)


@pytest.mark.parametrize("last", [b"*/*", b"text/html", b"application/graphql-response+json", b"application/json;q=0"])
def test_a_long_accept_is_ignored(last: bytes) -> None:
    """Thousands of ranges would block the event loop; a server may ignore the header (RFC 9110, section 12.5.1)."""
    accept = b"a/b;q=0.1," * 3000 + last
    assert negotiate(accept) is JSON
    assert not wants_html(accept)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, False),
        (b"*/*", False),
        (b"application/json", False),
        (b"text/html", True),
        (b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        (b"application/json, text/html;q=0.1", True),
        (b"text/html;q=0", False),
        (b"TEXT/HTML", True),
        (b"text/*", False),
    ],
)
def test_only_a_browser_wants_html(accept: bytes | None, wanted: bool) -> None:
    """It names `text/html`; programs don't."""
    assert wants_html(accept) is wanted


# Content


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"Application/JSON",
        b" application/json ; charset=utf-8",
        b'application/json;charset="UTF-8"',
        b"application/json; charset=utf8",
        b"application/json; boundary=x",
    ],
)
@pytest.mark.parametrize("encoding", [None, b"", b"identity", b" Identity "])
def test_json_is_accepted(content_type: bytes, encoding: bytes | None) -> None:
    """In UTF-8, not compressed."""
    check_content(content_type, encoding)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"",
        b" ",
        b"text/plain",
        b"text/plain; charset=utf-8",
        b"TEXT/PLAIN",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"text/plain; application/json",
        b"; application/json",
    ],
)
def test_content_that_a_cross_site_form_could_send_is_refused(content_type: bytes | None) -> None:
    """Those that browsers send without asking first (Fetch standard, CORS-safelisted), and none at all."""
    with pytest.raises(CsrfPrevented) as caught:
        check_content(content_type, None)
    assert (caught.value.status, caught.value.code) == (415, "CSRF_PREVENTION_FAILED")


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        (b"application/graphql", None),
        (b"application/xml", None),
        (b"application/json-patch+json", None),
        (b"application/jsonx", None),
        (b"application/json, text/plain", None),
        (b"text/plain, application/json", None),
        (b"application/json; charset=utf-16", None),
        (b"application/json; charset=latin-1", None),
        (b"\xff", None),
        (b"application/json", b"gzip"),
        (b"application/json", b"identity, gzip"),
        (b"application/json", b"br"),
    ],
)
def test_any_other_body_is_refused(content_type: bytes, encoding: bytes | None) -> None:
    """Another type, charset or coding is 415."""
    with pytest.raises(BadRequest) as caught:
        check_content(content_type, encoding)
    assert (caught.value.status, caught.value.code) == (415, "BAD_REQUEST")


# The body's bytes


def receiver(*messages: dict[str, Any]) -> Callable[[], Any]:
    """ASGI's `receive`. Asking for more than these messages is an error."""
    rest = list(messages)

    async def receive() -> dict[str, Any]:
        return rest.pop(0)

    return receive


def chunk(body: bytes, *, more: bool = False) -> dict[str, Any]:
    """A part of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize(
    "messages",
    [
        [chunk(b"abcdef")],
        [chunk(b"abc", more=True), chunk(b"def")],
        [chunk(b"", more=True), chunk(b"abcdef", more=True), chunk(b"")],
        [{"type": "http.request", "more_body": True}, chunk(b"abcdef")],
    ],
)
@pytest.mark.parametrize("declared", [None, b"6", b"0", b"junk", b"-1", b"\xb2"])
async def test_a_body_is_read_to_its_end(messages: list[dict[str, Any]], declared: bytes | None) -> None:
    """In any number of parts, up to the limit. A declared length matters only if it is above the limit."""
    assert await read_body(receiver(*messages), declared, 6) == b"abcdef"


async def test_no_body_is_an_empty_body() -> None:
    """ASGI may leave `body` out."""
    assert await read_body(receiver({"type": "http.request"}), None, 6) == b""


@pytest.mark.parametrize("declared", [b"7", b"100000000", b"9" * 5000])
async def test_a_body_that_is_declared_too_long_is_not_read(declared: bytes) -> None:
    """No byte of it is read, so the connection is closed."""
    with pytest.raises(BadRequest) as caught:
        await read_body(receiver(), declared, 6)
    assert (caught.value.status, caught.value.headers) == (413, ((b"connection", b"close"),))
    assert caught.value.message == "The body is longer than 6 bytes."


@pytest.mark.parametrize("messages", [[chunk(b"abcdefg")], [chunk(b"abcd", more=True), chunk(b"efg", more=True)]])
@pytest.mark.parametrize("declared", [None, b"6"])
async def test_reading_stops_at_the_limit(messages: list[dict[str, Any]], declared: bytes | None) -> None:
    """Whatever length was declared: a chunked body declares none."""
    with pytest.raises(BadRequest) as caught:
        await read_body(receiver(*messages), declared, 6)
    assert caught.value.status == 413


async def test_a_client_may_disconnect_while_the_body_is_read() -> None:
    """Before the body, or in the middle of it."""
    gone = {"type": "http.disconnect"}
    for messages in ([gone], [chunk(b"abc", more=True), gone]):
        with pytest.raises(ClientDisconnected):
            await read_body(receiver(*messages), None, 6)


# A POST's request


def refused_body(body: bytes) -> str:
    """The message of the `BadRequest` with which a body is refused."""
    with pytest.raises(BadRequest) as caught:
        decode_body(body)
    assert (caught.value.status, caught.value.code) == (400, "BAD_REQUEST")
    return caught.value.message


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        (b'{"query":"{a}"}', GraphQLRequest("{a}")),
        (b' {"query" : "{a}" } \n', GraphQLRequest("{a}")),
        (
            b'{"query":"{a}","operationName":"A","variables":{"a":[1,{"b":null}]},"extensions":{"x":1},"documentId":"d"}',
            GraphQLRequest("{a}", "A", {"a": [1, {"b": None}]}, {"x": 1}, "d"),
        ),
        (b'{"query":null,"operationName":null,"variables":null,"extensions":null}', GraphQLRequest()),
        (b"{}", GraphQLRequest()),
        (b'{"query":"{a}","id":1,"unknown":{"deep":[1]}}', GraphQLRequest("{a}")),
        ('{"query":"{a(b: \\"é😀\\")}"}'.encode(), GraphQLRequest('{a(b: "é😀")}')),
        (b'{"query":"\\ud83d\\ude00"}', GraphQLRequest("😀")),
        (
            b'{"variables":{"a":1.0,"b":1e3,"c":123456789012345678901234567890}}',
            GraphQLRequest(variables={"a": 1.0, "b": 1e3, "c": 123456789012345678901234567890}),
        ),
        (b'{"query":"a","query":"b"}', GraphQLRequest("b")),
    ],
)
def test_a_body_has_the_members_of_a_request(body: bytes, request_: GraphQLRequest) -> None:
    """Those that the specification names. Null means absent, others are ignored, of duplicates the last one counts."""
    assert decode_body(body) == request_


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"query":"{a}"',
        b'{"query":"{a}"}}',
        b'{"query":"{a}"} {}',
        b"{'query':'{a}'}",
        b'{"query":"{a}",}',
        b"query={a}",
        b"NaN",
        b'{"variables":{"a":NaN}}',
        b'{"variables":{"a":Infinity}}',
        b'{"variables":{"a":-Infinity}}',
        b'{"variables":{"a":1e999}}',
        b'{"variables":{"a":' + b"9" * 5000 + b"}}",
        b'{"variables":{"a":01}}',
        b'{"query":"\xff"}',
        b'{"query":"\xed\xa0\x80"}',
        b'{"query":"\\ud800"}',
        b'{"query":"\\udc00\\ud800"}',
        b'{"variables":{"a":"\\ud800"}}',
        b'{"variables":{"\\ud800":1}}',
        b'{"query":"a\nb"}',
        b"\xef\xbb\xbf{}",
        '{"query":"{a}"}'.encode("utf-16"),
        b"\x00",
        b'{"variables":{"a":' + b"[" * _DEEP + b"]" * _DEEP + b"}}",
        b'{"variables":{"a":' + b'{"a":' * _DEEP + b"1" + b"}" * _DEEP + b"}}",
        b'{"unknown":' + b"[" * _DEEP + b"]" * _DEEP + b"}",
        b"[" * _DEEP,
        b'{"variables":{"a":' + b"[" * _DEEP,
    ],
)
def test_invalid_json_is_refused(body: bytes) -> None:
    """Also what only Python reads, unpaired surrogates, and endless nesting."""
    refused_body(body)


@pytest.mark.parametrize("body", [b"null", b"1", b'"{a}"', b"true"])
def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    """The message says that an object was expected."""
    assert "Expected `object`" in refused_body(body)


def test_a_list_of_requests_is_a_batch() -> None:
    """Of 1 to `max_batch` requests. The refusal of any other names its size and the limit."""
    one = GraphQLRequest(query="{a}")
    assert decode_body(b' \n[{"query":"{a}"}]', 2) == [one]
    assert decode_body(b'[{"query":"{a}"},{"query":"{a}"}]', 2) == [one, one]
    assert refused_body(b"[]") == "The batch has 0 requests: expected 1 to 1."
    assert refused_body(b'[{"query":"{a}"},{"query":"{a}"}]') == "The batch has 2 requests: expected 1 to 1."


@pytest.mark.parametrize(
    ("body", "member"),
    [
        (b'{"query":1}', "query"),
        (b'{"query":["{a}"]}', "query"),
        (b'{"query":{}}', "query"),
        (b'{"query":"{a}","operationName":1}', "operationName"),
        (b'{"query":"{a}","variables":"{}"}', "variables"),
        (b'{"query":"{a}","variables":[]}', "variables"),
        (b'{"query":"{a}","variables":1}', "variables"),
        (b'{"query":"{a}","extensions":[]}', "extensions"),
        (b'{"query":"{a}","extensions":"x"}', "extensions"),
        (b'{"query":"{a}","documentId":1}', "documentId"),
    ],
)
def test_a_member_of_the_wrong_type_is_named(body: bytes, member: str) -> None:
    """So that the client's author finds it."""
    assert f"$.{member}" in refused_body(body)


@given(st.binary(max_size=100))
def test_no_body_raises_anything_but_bad_request(body: bytes) -> None:
    """Any bytes are a request or a `BadRequest`, whose message can be encoded."""
    try:
        decode_body(body)
    except BadRequest as error:
        encode_json({"message": error.message})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=10,
)


@given(_JSON)
def test_variables_are_decoded_unchanged(value: Any) -> None:
    """By POST and by GET alike."""
    body = json.dumps({"query": "{a}", "variables": {"v": value}}).encode()
    decoded = decode_body(body)
    assert isinstance(decoded, GraphQLRequest)
    assert decoded.variables == {"v": value}
    query_string = urlencode({"query": "{a}", "variables": json.dumps({"v": value})}).encode()
    assert decode_query(query_string).variables == {"v": value}


# A GET's request


def refused_query(query_string: bytes) -> str:
    """The message of the `BadRequest` with which a query string is refused."""
    with pytest.raises(BadRequest) as caught:
        decode_query(query_string)
    assert (caught.value.status, caught.value.code) == (400, "BAD_REQUEST")
    return caught.value.message


@pytest.mark.parametrize(
    ("query_string", "request_"),
    [
        (b"", GraphQLRequest()),
        (b"query=%7Ba%7D", GraphQLRequest("{a}")),
        (b"query={a}", GraphQLRequest("{a}")),
        (b"query=query+A+%7Ba%7D&operationName=A", GraphQLRequest("query A {a}", "A")),
        (b"query=", GraphQLRequest("")),
        (b"query=%7Ba%7D&operationName=&variables=&extensions=", GraphQLRequest("{a}")),
        (b"query=%7Ba%7D&variables=null&extensions=null", GraphQLRequest("{a}")),
        (b"query=%7Ba%7D&unknown=1&x", GraphQLRequest("{a}")),
        (b"documentId=sha256%3Aabc", GraphQLRequest(document_id="sha256:abc")),
        (b'variables={"a":[1]}&extensions={"x":{}}', GraphQLRequest(variables={"a": [1]}, extensions={"x": {}})),
        (("query=" + quote('{a(b: "é😀+")}')).encode(), GraphQLRequest('{a(b: "é😀+")}')),
        (b"query=a;b", GraphQLRequest("a;b")),
    ],
)
def test_url_parameters_have_the_members_of_a_request(query_string: bytes, request_: GraphQLRequest) -> None:
    """The same as in a body. Variables and extensions are JSON. Empty parameters are absent ones."""
    assert decode_query(query_string) == request_


@pytest.mark.parametrize(
    "query_string",
    [
        b"query=%ff",
        b"query=%ed%a0%80",
        b"query=\xff",
        b"query=\xc3\xa9",
        b"query=%7Ba%7D&query=%7Ba%7D",
        b"x=1&x=2",
        b"&".join(b"a%d=1" % number for number in range(21)),
        b"&" * 50 + b"query=a",
    ],
)
def test_malformed_url_parameters_are_refused(query_string: bytes) -> None:
    """Not UTF-8, given twice, or too many."""
    refused_query(query_string)


@pytest.mark.parametrize("name", ["variables", "extensions"])
@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "1",
        '"x"',
        "true",
        "NaN",
        '{"a":NaN}',
        "{'a':1}",
        "%7B%22a%22%3A%22%5Cud800%22%7D",
        '{"a":' + "9" * 5000 + "}",
        '{"a":' + "[" * _DEEP + "]" * _DEEP + "}",
        "undefined",
        "{}{}",
    ],
)
def test_a_url_parameter_that_is_no_json_object_is_named(name: str, text: str) -> None:
    """Another kind of JSON, or invalid JSON."""
    assert refused_query(f"query=a&{name}={text}".encode()) == f"{name}: expected a JSON object."


@given(st.binary(max_size=100))
def test_no_url_parameters_raise_anything_but_bad_request(query_string: bytes) -> None:
    """Any bytes are a request or a `BadRequest`, whose message can be encoded."""
    try:
        decode_query(query_string)
    except BadRequest as error:
        encode_json({"message": error.message})
