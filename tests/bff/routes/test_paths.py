"""Paths: what is refused, what the service gets, and how its paths become the gateway's."""

import pytest

from bff.routes.paths import UnsafePath, prefix_of, public, rewritten, segments_of

AMBIGUOUS = [
    b"",
    b"*",
    b"api",
    b"/api/../x",
    b"/api/..",
    b"/api/.",
    b"/./api",
    b"/api/%2e%2e/x",
    b"/api/.%2E/x",
    b"/api/%2e/x",
    b"/api//x",
    b"//api",
    b"/api/x//",
    b"/api%2fx",
    b"/api%2Fx",
    b"/api%5cx",
    b"/api\\x",
    b"/api;x/y",
    b"/api%3bx",
    b"/api/%00",
    b"/api/%0d%0aX:1",
    b"/api/%7f",
    b"/api/%",
    b"/api/%2",
    b"/api/%zz",
    b"/api/ x",
    b"/api/\x80",
    b"/api/x?y",
    b"/api/x#y",
]


@pytest.mark.parametrize("path", AMBIGUOUS)
def test_a_path_that_servers_read_differently_is_refused(path: bytes) -> None:
    """No request reaches a service by another path than the one that was checked."""
    with pytest.raises(UnsafePath):
        segments_of(path)


def test_encoded_characters_are_decoded_for_the_match() -> None:
    """An encoded letter doesn't lead past a stricter route."""
    assert segments_of(b"/api/%61dmin") == (b"api", b"admin")
    assert segments_of(b"/api/caf%C3%A9/%7Eann") == (b"api", "café".encode(), b"~ann")


def test_a_double_encoding_stays_one_segment() -> None:
    """It is decoded once, as by the service."""
    assert segments_of(b"/api/%252e%252e") == (b"api", b"%2e%2e")


@pytest.mark.parametrize(("path", "expected"), [(b"/", ()), (b"/a", (b"a",)), (b"/a/", (b"a", b"")), (b"/a...", (b"a...",))])
def test_segments(path: bytes, expected: tuple[bytes, ...]) -> None:
    """A slash at the end is kept."""
    assert segments_of(path) == expected


@pytest.mark.parametrize("path", ["api", "", "/api/", "/a//b", "/a%20b", "/a/../b", "/ä", "/a;b", "/a?b"])
def test_a_route_has_a_plain_path(path: str) -> None:
    """Others could never match, or would be ambiguous."""
    with pytest.raises(ValueError, match="expected a path such as"):
        prefix_of(path)


@pytest.mark.parametrize(
    ("path", "prefix", "rewrite", "expected"),
    [
        (b"/api/v1/users/7", "/api/v1/users", None, "/api/v1/users/7"),
        (b"/api/v1/users/7", "/api/v1/users", "/users", "/users/7"),
        (b"/api/v1/users", "/api/v1/users", "/users", "/users"),
        (b"/api/v1/users/", "/api/v1/users", "/users", "/users/"),
        (b"/%61pi/x%20y", "/api", "/users", "/users/x%20y"),
        (b"/api/x", "/api", "/", "/x"),
        (b"/api", "/api", "/", "/"),
        (b"/", "/", "/users", "/users"),
        (b"/x", "/", "/users", "/users/x"),
        (b"/x/", "/", None, "/x/"),
    ],
)
def test_the_prefix_is_replaced_and_the_rest_stays_as_it_came(
    path: bytes, prefix: str, rewrite: str | None, expected: str
) -> None:
    """Nothing is decoded or encoded."""
    assert rewritten(path, prefix_of(prefix), rewrite) == expected


@pytest.mark.parametrize(
    ("path", "route", "rewrite", "expected"),
    [
        ("/users/7?a=b", "/api/users", "/users", "/api/users/7?a=b"),
        ("/users", "/api/users", "/users", "/api/users"),
        ("/users?a", "/api/users", "/users", "/api/users?a"),
        ("/usersother", "/api/users", "/users", None),
        ("/x", "/api", "/", "/api/x"),
        ("/", "/api", "/", "/api/"),
        ("/api/x", "/api", None, "/api/x"),
        ("/other", "/api", None, None),
        ("/users/7", "/", "/users", "/7"),
    ],
)
def test_a_path_of_the_service_becomes_the_gateways(
    path: str, route: str, rewrite: str | None, expected: str | None
) -> None:
    """Where no path of the route leads there, there is none."""
    assert public(path, route, rewrite) == expected
