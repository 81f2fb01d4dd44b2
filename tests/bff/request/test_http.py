"""GraphQL over HTTP: which form is answered in, what a request is, and that no bytes do any harm."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import BadRequest, CsrfPrevented
from bff.request.http import (
    NO_STORE,
    ClientDisconnected,
    GraphQLRequest,
    MediaType,
    cache_control_of,
    canonical,
    check_content,
    content_headers,
    decode_body,
    decode_query,
    encode,
    etag_of,
    is_known,
    negotiate,
    read_body,
    wants_html,
)
from bff.upstream.caller import Freshness

JSON, RESPONSE = MediaType.JSON, MediaType.RESPONSE
_DEEP = 100_000

# The form of the answer


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
def test_the_form_is_the_one_the_client_likes_best(accept: bytes | None, media: MediaType) -> None:
    """By quality, the most specific range counting (RFC 9110, section 12.5.1); wildcards and nothing mean plain JSON."""
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
def test_what_takes_neither_form_gets_none(accept: bytes) -> None:
    """Another type, a quality of zero or none that is one, another charset: 406 is for others to say."""
    assert negotiate(accept) is None


@given(st.binary(max_size=200))
def test_no_accept_whatsoever_raises(accept: bytes) -> None:
    """Any bytes are a form, or none."""
    assert negotiate(accept) in {JSON, RESPONSE, None}
    wants_html(accept)


@pytest.mark.parametrize("last", [b"*/*", b"text/html", b"application/graphql-response+json", b"application/json;q=0"])
def test_a_long_accept_is_disregarded(last: bytes) -> None:
    """Thousands of ranges are not looked at: a server may disregard the header (RFC 9110, section 12.5.1)."""
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
    """It names it; programs don't."""
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
def test_json_is_read(content_type: bytes, encoding: bytes | None) -> None:
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
def test_what_a_form_on_a_foreign_page_could_send_is_refused_as_such(content_type: bytes | None) -> None:
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
    """ASGI's receive; to ask for more than there is is a mistake."""
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
    """In however many parts it comes, up to the limit; what was declared matters only where it is too much."""
    assert await read_body(receiver(*messages), declared, 6) == b"abcdef"


async def test_no_body_is_an_empty_one() -> None:
    """ASGI may leave the member out."""
    assert await read_body(receiver({"type": "http.request"}), None, 6) == b""


@pytest.mark.parametrize("declared", [b"7", b"100000000", b"9" * 5000])
async def test_a_body_that_is_declared_too_long_is_not_read(declared: bytes) -> None:
    """Not a byte of it; the connection is of no more use."""
    with pytest.raises(BadRequest) as caught:
        await read_body(receiver(), declared, 6)
    assert (caught.value.status, caught.value.headers) == (413, ((b"connection", b"close"),))
    assert caught.value.message == "The body is longer than 6 bytes."


@pytest.mark.parametrize("messages", [[chunk(b"abcdefg")], [chunk(b"abcd", more=True), chunk(b"efg", more=True)]])
@pytest.mark.parametrize("declared", [None, b"6"])
async def test_a_body_that_turns_out_too_long_is_read_no_further(
    messages: list[dict[str, Any]], declared: bytes | None
) -> None:
    """Whatever was declared: chunked bodies declare nothing."""
    with pytest.raises(BadRequest) as caught:
        await read_body(receiver(*messages), declared, 6)
    assert caught.value.status == 413


async def test_a_client_that_hangs_up_is_gone() -> None:
    """Before the body, or in the middle of it."""
    gone = {"type": "http.disconnect"}
    for messages in ([gone], [chunk(b"abc", more=True), gone]):
        with pytest.raises(ClientDisconnected):
            await read_body(receiver(*messages), None, 6)


# A POST's request


def refused_body(body: bytes) -> str:
    """Why a body is refused: as a bad request, and nothing else."""
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
def test_a_body_is_a_request(body: bytes, request_: GraphQLRequest) -> None:
    """The members that the specification names; null is as left out, others are ignored, of two the last one counts."""
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
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """Nor what only Python reads, half a character, or brackets without end."""
    refused_body(body)


@pytest.mark.parametrize("body", [b"null", b"1", b'"{a}"', b"true"])
def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    """And said so."""
    assert "Expected `object`" in refused_body(body)


def test_a_list_of_requests_is_a_batch() -> None:
    """Within the limit; an empty one, and one that is longer, are refused with the figures."""
    one = GraphQLRequest(query="{a}")
    assert decode_body(b' \n[{"query":"{a}"}]', 2) == [one]
    assert decode_body(b'[{"query":"{a}"},{"query":"{a}"}]', 2) == [one, one]
    assert refused_body(b"[]") == "Requests in the batch: 0, allowed are 1 to 1."
    assert refused_body(b'[{"query":"{a}"},{"query":"{a}"}]') == "Requests in the batch: 2, allowed are 1 to 1."


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
    """So that whoever wrote the client finds it."""
    assert f"$.{member}" in refused_body(body)


@given(st.binary(max_size=100))
def test_no_body_whatsoever_raises_anything_else(body: bytes) -> None:
    """Any bytes are a request or a bad one."""
    try:
        decode_body(body)
    except BadRequest as error:
        encode({"message": error.message})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=10,
)


@given(_JSON)
def test_variables_come_as_they_were_sent(value: Any) -> None:
    """By POST and by GET alike."""
    body = json.dumps({"query": "{a}", "variables": {"v": value}}).encode()
    decoded = decode_body(body)
    assert isinstance(decoded, GraphQLRequest)
    assert decoded.variables == {"v": value}
    query_string = urlencode({"query": "{a}", "variables": json.dumps({"v": value})}).encode()
    assert decode_query(query_string).variables == {"v": value}


# A GET's request


def refused_query(query_string: bytes) -> str:
    """Why parameters are refused."""
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
def test_parameters_are_a_request(query_string: bytes, request_: GraphQLRequest) -> None:
    """The same members as a body's; variables and extensions are JSON; what is empty is left out."""
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
def test_parameters_that_cannot_be_read_are_refused(query_string: bytes) -> None:
    """Not UTF-8, given twice, or far too many."""
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
def test_a_parameter_that_is_no_object_is_named(name: str, text: str) -> None:
    """JSON of another kind, and what is no JSON."""
    assert refused_query(f"query=a&{name}={text}".encode()) == f"{name}: expected a JSON object."


@given(st.binary(max_size=100))
def test_no_parameters_whatsoever_raise_anything_else(query_string: bytes) -> None:
    """Any bytes are a request or a bad one."""
    try:
        decode_query(query_string)
    except BadRequest as error:
        encode({"message": error.message})


# Answers


@pytest.mark.parametrize("media", MediaType)
def test_an_answer_says_what_it_is(media: MediaType) -> None:
    """Its form with the charset, its length; it depends on who asks and is kept by nobody."""
    body = encode({"data": {"name": "é"}})
    assert orjson.loads(body) == {"data": {"name": "é"}}
    assert dict(content_headers(media, body)) == {
        b"content-type": f"{media.value}; charset=utf-8".encode(),
        b"content-length": str(len(body)).encode(),
        b"vary": b"Accept, Authorization, X-API-Key",
        b"cache-control": b"no-store",
        b"x-content-type-options": b"nosniff",
    }


@pytest.mark.parametrize(
    ("noted", "is_private", "expected"),
    [
        ([], False, b"no-store"),
        ([(30.9, True, True)], False, b"public, max-age=30"),
        ([(30.0, True, True)], True, b"private, max-age=30"),
        ([(30.0, True, True), (5.0, True, True)], False, b"public, max-age=5"),
        ([(30.0, True, True), (60.0, False, True)], False, b"private, max-age=30"),
        ([(30.0, True, True), (0.0, True, True)], False, b"public, no-cache"),
        ([(-3.0, False, True)], False, b"private, no-cache"),
        ([(30.0, True, True), (30.0, True, False)], False, b"no-store"),
    ],
)
def test_an_answer_may_be_kept_as_the_strictest_of_its_parts(
    noted: list[tuple[float, bool, bool]], is_private: bool, expected: bytes
) -> None:
    """For the shortest time, by the fewest; where nothing was asked, nothing is said of it."""
    freshness = Freshness()
    for left_s, is_shared, may_keep in noted:
        freshness.note(left_s, is_shared=is_shared, may_keep=may_keep)
    assert cache_control_of(freshness, is_private=is_private) == expected
    freshness.forbid()
    assert cache_control_of(freshness, is_private=is_private) == NO_STORE


def test_a_validator_is_that_of_the_bytes() -> None:
    """Equal where they are, strong, and compared weakly (RFC 9110, section 13.1.2)."""
    etag, other = etag_of(b"a"), etag_of(b"b")
    assert etag == etag_of(b"a") != other
    for header in (etag, b"W/" + etag, other + b", " + etag, other + b",W/" + etag, b"*", b" * "):
        assert is_known(etag, header)
    for known in (None, b"", other, etag[1:-1], b'"*"'):
        assert not is_known(etag, known)


def test_variables_are_the_same_in_any_order() -> None:
    """None at all and an empty object too; a number is no text."""
    assert canonical({"a": 1, "b": {"c": 2, "d": 3}}) == canonical({"b": {"d": 3, "c": 2}, "a": 1})
    assert canonical(None) == canonical({})
    assert canonical({"a": 1}) != canonical({"a": "1"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**70, b"1180591620717411303424"),
        (-(2**70), b"-1180591620717411303424"),
        (2**64 - 1, b"18446744073709551615"),
        ("half \ud83d of one", '"half \ufffd of one"'.encode()),
        ("whole \ud83d\ude00", '"whole \U0001f600"'.encode()),
        (
            {"a\udc00": [2**64, ("b\ud800", None, 0.5, True)]},
            '{"a\ufffd":[18446744073709551616,["b\ufffd",null,0.5,true]]}'.encode(),
        ),
        (float("inf"), b"null"),
    ],
)
def test_an_answer_is_encoded_whatever_is_in_it(value: object, text: bytes) -> None:
    """As JSON that any client can read."""
    assert encode({"data": value}) == b'{"data":' + text + b"}"
