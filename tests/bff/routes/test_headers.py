"""Headers: what passes, and what never does."""

from functools import partial

import pytest

from bff.routes.headers import forwarding_headers, public_url, returned_headers, sent_headers
from bff.routes.paths import public

to_public = partial(public, route="/api/users", rewrite="/users")
URLS = ("http://users:8000", "http://users-2:8000")


def sent(*headers: tuple[bytes, bytes], connection: tuple[bytes, ...] = (), cookies: bool = False) -> list[bytes]:
    """The names that the service gets."""
    return [name for name, _ in sent_headers(headers, connection, (), cookies=cookies)]


@pytest.mark.parametrize(
    "name",
    [
        b"connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"proxy-connection",
        b"proxy-authorization",
        b"host",
        b"content-length",
        b"expect",
        b"authorization",
        b"cookie",
        b"x-user-id",
        b"x_user_id",
        b"x-user_id",
        b"x-api-key",
        b"x-real-ip",
        b"x-http-method-override",
        b"x-original-url",
        b"x-rewrite-url",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-anything",
        b"x-request-id",
        b"traceparent",
    ],
)
def test_what_is_the_gateways_own_business_is_not_sent(name: bytes) -> None:
    """A client can't say who it is, nor frame another message."""
    assert sent((name, b"x"), (b"accept", b"*/*")) == [b"accept"]


def test_what_connection_names_is_not_sent() -> None:
    """RFC 9110, section 7.6.1."""
    assert sent((b"x-mine", b"1"), (b"x-other", b"2"), connection=(b"close, X-Mine",)) == [b"x-other"]


def test_connection_can_not_remove_what_the_gateway_adds() -> None:
    """Otherwise a client could remove its own address."""
    added = ((b"x-forwarded-for", b"1.2.3.4"),)
    assert sent_headers([], (b"x-forwarded-for",), added, cookies=False) == added


def test_cookies_pass_only_where_the_route_says_so() -> None:
    """Cookies are credentials too."""
    assert sent((b"cookie", b"a=b"), cookies=True) == [b"cookie"]


def test_repeated_headers_stay_repeated() -> None:
    """Their order and number is the client's."""
    assert sent((b"accept", b"a"), (b"accept", b"b")) == [b"accept", b"accept"]


def test_what_an_untrusted_peer_says_of_others_is_dropped() -> None:
    """A client could claim any address."""
    given = {
        b"x-forwarded-for": [b"6.6.6.6"],
        b"x-forwarded-proto": [b"https"],
        b"host": [b"shop"],
        b"x-forwarded-host": [b"x"],
    }
    found = dict(forwarding_headers(given, "1.2.3.4", "http", b"/api", is_trusted=False))
    assert found == {
        b"x-forwarded-for": b"1.2.3.4",
        b"x-forwarded-proto": b"http",
        b"x-forwarded-host": b"shop",
        b"x-forwarded-prefix": b"/api",
        b"via": b"1.1 bff",
    }


def test_a_trusted_proxy_is_appended() -> None:
    """The service sees the whole way."""
    given = {
        b"x-forwarded-for": [b"6.6.6.6"],
        b"x-forwarded-proto": [b"https"],
        b"host": [b"inner"],
        b"x-forwarded-host": [b"shop"],
    }
    found = dict(forwarding_headers(given, "10.0.0.1", "http", b"", is_trusted=True))
    assert found[b"x-forwarded-for"] == b"6.6.6.6, 10.0.0.1"
    assert (found[b"x-forwarded-proto"], found[b"x-forwarded-host"]) == (b"https", b"shop")


def returned(*headers: tuple[bytes, bytes], cookies: bool = False, status: int = 200) -> list[tuple[bytes, bytes]]:
    """What the client gets."""
    return returned_headers(headers, lambda: URLS, to_public, cookies=cookies, status=status)


def test_headers_of_the_connection_are_not_returned() -> None:
    """Nor those that it names, the service's date, and where else it could be reached."""
    dropped = [
        (b"connection", b"x-mine"),
        (b"x-mine", b"1"),
        (b"transfer-encoding", b"chunked"),
        (b"alt-svc", b"h3"),
        (b"date", b"x"),
    ]
    assert returned(*dropped, (b"server", b"x"), (b"etag", b'"1"')) == [(b"server", b"x"), (b"etag", b'"1"')]


def test_cookies_are_returned_only_where_the_route_says_so() -> None:
    """Each as a header of its own."""
    cookies = ((b"set-cookie", b"a=b"), (b"set-cookie", b"c=d"))
    assert returned(*cookies) == []
    assert returned(*cookies, cookies=True) == list(cookies)


def test_an_answer_without_body_has_no_length() -> None:
    """The server would wait for that body."""
    assert returned((b"content-length", b"5"), status=304) == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://users:8000/users/7?a=b#c", "/api/users/7?a=b#c"),
        ("http://users-2:8000/users/7", "/api/users/7"),
        ("HTTP://USERS:8000/users/7", "/api/users/7"),
        ("//users:8000/users/7", "/api/users/7"),
        ("https://users:8000/users/7", "/api/users/7"),
        ("https://users/users/7", "/api/users/7"),
        ("http://users:9000/users/7", "http://users:9000/users/7"),
        ("http://users:8000/internal", "/internal"),
        ("http://users:8000", "/"),
        ("/users/7", "/api/users/7"),
        ("/elsewhere", "/elsewhere"),
        ("7", "7"),
        ("http://users:8000.evil.example/users/7", "http://users:8000.evil.example/users/7"),
        ("http://shop.example/users/7", "http://shop.example/users/7"),
        ("http://[", "http://["),
    ],
)
def test_urls_of_the_service_become_the_gateways(url: str, expected: str) -> None:
    """Its host is never shown; URLs of others stay."""
    assert public_url(url, URLS, to_public) == expected


def test_the_base_path_of_the_service_is_removed() -> None:
    """It is no part of the gateway's paths."""
    assert public_url("http://users/base/users/7", ("http://users/base",), to_public) == "/api/users/7"
    assert public_url("/base/users/7", ("http://users/base",), to_public) == "/api/users/7"


def test_links_are_rewritten_too() -> None:
    """A page's links (RFC 8288) would show the host as well."""
    link = b'<http://users:8000/users?page=2>; rel="next", <https://docs.example/x>; rel="help"'
    assert returned((b"link", link)) == [(b"link", b'</api/users?page=2>; rel="next", <https://docs.example/x>; rel="help"')]
    assert returned((b"refresh", b"0; url=http://users:8000/users/7")) == [(b"refresh", b"0; url=/api/users/7")]
