"""Tokens over real requests: with a real key set that rotates, and every kind of bad token."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.conftest import StartGateway
from tests.support.gateways import SECRET, RunningGateway
from tests.support.issuers import Issuer, jwk, running_issuer
from tests.support.services import Tapped

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
STRANGER = rsa.generate_private_key(65537, 2048)
PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
ISSUER, AUDIENCE = "https://login.example.com", "shop"
ORDER = """
query ($id: ID!) { order(id: $id) { id } mine: order(id: "1") { id } theirs: order(id: "2") { id } user(id: "2") { id } }
"""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer with a key of each kind."""
    with running_issuer(jwk("RS256", RSA, "rsa"), jwk("ES256", EC, "ec"), jwk("EdDSA", ED, "ed")) as issuer:
        yield issuer


@pytest.fixture
def gateway(start_gateway: StartGateway, issuer: Issuer) -> RunningGateway:
    """A gateway that accepts tokens by secret and by key set, of one issuer for one audience."""
    gateway = start_gateway(JWKS_URL=issuer.url, JWT_ISSUER=ISSUER, JWT_AUDIENCE=AUDIENCE)
    until = time.monotonic() + 30
    while not issuer.asked or asked(gateway, made("ed", ED, "EdDSA"), "{ __typename }")[0] == 503:
        assert time.monotonic() < until
        time.sleep(0.02)
    return gateway


def claims(**changed: Any) -> dict[str, Any]:
    """The claims of a good token. None removes a claim."""
    usual = {"sub": "1", "exp": int(time.time()) + 600, "iss": ISSUER, "aud": AUDIENCE}
    return {name: value for name, value in {**usual, **changed}.items() if value is not None}


def made(kid: str | None, key: Any, algorithm: str, **changed: Any) -> str:
    """A signed token."""
    return jwt.encode(claims(**changed), key, algorithm, headers={"kid": kid} if kid else None)


def part(value: Any) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def asked(gateway: RunningGateway, token: str, query: str = "{ me { id } }", **more: Any) -> tuple[int, Any]:
    """Status and answer."""
    response = gateway.post("web", {"query": query, **more}, headers={"authorization": f"Bearer {token}".strip()})
    assert not token or token not in response.text
    return response.status_code, response.json()


@pytest.mark.parametrize(
    ("kid", "key", "algorithm"),
    [("rsa", RSA, "RS256"), ("ec", EC, "ES256"), ("ed", ED, "EdDSA"), (None, SECRET, "HS256")],
)
def test_each_kind_of_key_is_accepted(gateway: RunningGateway, kid: str | None, key: Any, algorithm: str) -> None:
    """With its own algorithm."""
    assert asked(gateway, made(kid, key, algorithm)) == (200, {"data": {"me": {"id": "1"}}})


def hmac_by_public_key() -> str:
    """HS256 with the public key as the secret. Made by hand, since the library refuses to."""
    signed = f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{part(claims())}"
    signature = hmac.new(PEM, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def with_payload(payload: dict[str, Any]) -> str:
    """A token with other claims than its signature is for."""
    head, _, signature = made("rsa", RSA, "RS256").split(".")
    return f"{head}.{part(payload)}.{signature}"


def with_own_key() -> str:
    """A token whose header has the key to check it with."""
    headers = {"kid": "rsa", "jwk": jwk("RS256", STRANGER, "rsa"), "jku": "http://127.0.0.1:9/keys"}
    return jwt.encode(claims(), STRANGER, "RS256", headers=headers)


BAD: dict[str, Callable[[], str]] = {
    "expired": lambda: made("rsa", RSA, "RS256", exp=int(time.time()) - 60),
    "without an end": lambda: made("rsa", RSA, "RS256", exp=None),
    "not yet": lambda: made("rsa", RSA, "RS256", nbf=int(time.time()) + 60),
    "another issuer's": lambda: made("rsa", RSA, "RS256", iss="https://evil.example.com"),
    "nobody's": lambda: made("rsa", RSA, "RS256", iss=None),
    "for another audience": lambda: made("rsa", RSA, "RS256", aud="bank"),
    "for no audience": lambda: made("rsa", RSA, "RS256", aud=None),
    "without a bearer": lambda: made("rsa", RSA, "RS256", sub=None),
    "by a stranger's key": lambda: made("rsa", STRANGER, "RS256"),
    "by an unknown key": lambda: made("other", STRANGER, "RS256"),
    "by a wrong secret": lambda: made(None, "x" * 40, "HS256"),
    "by the public key as a secret": hmac_by_public_key,
    "another algorithm by the same key": lambda: made("rsa", RSA, "RS512"),
    "PSS by the same key": lambda: made("rsa", RSA, "PS256"),
    "alg none": lambda: f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims())}.",
    "alg None": lambda: f"{part({'alg': 'None', 'kid': 'rsa'})}.{part(claims())}.",
    "alg none with a signature": lambda: f"{part({'alg': 'none', 'kid': 'rsa'})}.{part(claims())}.c2ln",
    "cut off": lambda: made("rsa", RSA, "RS256")[:-10],
    "with another payload": lambda: with_payload(claims(roles=["admin"])),
    "with its own key": with_own_key,
    "empty": lambda: "",
    "two dots": lambda: "..",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tokens_are_refused(gateway: RunningGateway, services: Tapped, name: str) -> None:
    """With 401, before any call. None counts as anonymous."""
    status, answer = asked(gateway, BAD[name]())
    assert (status, answer["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
    assert "data" not in answer
    assert services.calls == []


def test_two_tokens_are_refused(gateway: RunningGateway, services: Tapped) -> None:
    """Proxies and services could read the other one."""
    good = ("authorization", f"Bearer {made('rsa', RSA, 'RS256')}")
    response = gateway.http.post(f"{gateway.url}/web/graphql", json={"query": "{ me { id } }"}, headers=[good, good])
    assert response.status_code == 401
    assert services.calls == []


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"roles": []},
        {"roles": ["Admin"]},
        {"roles": ["admin "]},
        {"roles": "administrator"},
        {"roles": ["administrator", "user"]},
        {"roles": {"admin": True}},
        {"roles": [["admin"]]},
        {"role": "Admin"},
        {"scope": "admin"},
        {"admin": True},
        {"https://shop/roles": ["admin"]},
    ],
)
def test_only_the_role_makes_an_administrator(gateway: RunningGateway, services: Tapped, changed: dict[str, Any]) -> None:
    """No other claim, header, variable or document does."""
    headers = {
        "authorization": f"Bearer {made('rsa', RSA, 'RS256', **changed)}",
        "x-roles": "admin",
        "x-user-id": "2",
        "x-forwarded-user": "admin",
    }
    body = {"query": "{ users { nodes { email } } }", "variables": {"role": "admin"}, "extensions": {"role": "admin"}}
    response = gateway.post("admin", body, headers=headers)
    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")
    web = gateway.post("web", {"query": "{ me { id } }"}, headers=headers)
    assert web.json() == {"data": {"me": {"id": "1"}}}
    assert services.count() == {"users": 1}


def test_another_user_s_order_can_not_be_read(gateway: RunningGateway) -> None:
    """By its id, an alias, a variable, or through an object that the viewer may see."""
    token = made("rsa", RSA, "RS256")
    status, answer = asked(gateway, token, ORDER, variables={"id": "2"})
    assert status == 200
    assert answer["data"] == {"order": None, "mine": {"id": "1"}, "theirs": None, "user": None}
    _, through = asked(gateway, token, "{ me { orders { user { id } } } mine: order(id: 1) { user { id orders { id } } } }")
    assert {order["user"]["id"] for order in through["data"]["me"]["orders"]} == {"1"}
    _, batch = asked(gateway, token, 'query { a: order(id: "2") { total } b: order(id: "3") { total } }')
    assert batch["data"] == {"a": None, "b": None}


def test_keys_rotate_without_a_restart(gateway: RunningGateway, issuer: Issuer) -> None:
    """An unknown `kid` causes a fetch, at most one in ten seconds. While the issuer is unavailable the old keys are used."""
    issuer.is_up = False
    before = issuer.asked
    for number in range(50):
        assert asked(gateway, made(f"made-up-{number}", STRANGER, "RS256"))[0] == 401
    assert issuer.asked - before <= 2
    assert asked(gateway, made("rsa", RSA, "RS256"))[0] == 200
