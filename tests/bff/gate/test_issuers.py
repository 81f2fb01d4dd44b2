"""Tokens as identity providers issue them, accepted by the configuration that docs/identity.md gives for each."""

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bff.errors import InvalidToken, KeysUnavailable
from bff.gate.auth import Authenticator, SignedIn
from bff.gate.jwks import KeySet, KeySetPlace
from bff.gateway.tokens import authenticator_of, key_set_places
from bff.settings import Settings, load
from bff.upstream.wire import WireReply, WireRequest
from schema.app import app as shop_app
from tests.support.issuers import jwk

PAGE = Path(__file__).parents[3] / "docs" / "identity.md"
RSA = rsa.generate_private_key(65537, 2048)
NOW = int(time.time())
LIFE = {"iat": NOW, "exp": NOW + 3600}
TENANT = "72f988bf-0000-0000-0000-2d7cd011db47"

COGNITO = {
    "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    "cognito:groups": ["admin", "staff"],
    "iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example",
    "version": 2,
    "client_id": "web-client-id",
    "origin_jti": "x",
    "token_use": "access",
    "scope": "aws.cognito.signin.user.admin openid orders/read",
    "auth_time": NOW,
    "jti": "y",
    "username": "ann",
    **LIFE,
}
COGNITO_ID = {
    **{name: value for name, value in COGNITO.items() if name not in {"client_id", "scope", "username", "version"}},
    "aud": "web-client-id",
    "token_use": "id",
    "cognito:username": "ann",
    "email": "ann@example.com",
    "email_verified": True,
}
AUTH0 = {
    "https://shop.example.com/roles": ["admin"],
    "iss": "https://example.eu.auth0.com/",
    "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
    "aud": ["https://api.shop.example.com", "https://example.eu.auth0.com/userinfo"],
    "scope": "openid profile read:orders",
    "azp": "my-client-id",
    "gty": "password",
    **LIFE,
}
KEYCLOAK = {
    "jti": "0",
    "iss": "https://id.example.com/realms/shop",
    "aud": ["shop-api", "account"],
    "sub": "f9a1b2c3-0000-0000-0000-000000000000",
    "typ": "Bearer",
    "azp": "shop-web",
    "session_state": "s",
    "acr": "1",
    "realm_access": {"roles": ["admin", "offline_access", "uma_authorization"]},
    "resource_access": {"account": {"roles": ["manage-account"]}},
    "scope": "openid email profile",
    "preferred_username": "ann",
    **LIFE,
}
ENTRA = {
    "aud": "11111111-2222-3333-4444-555555555555",
    "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "nbf": NOW,
    "aio": "x",
    "azp": "66666666-2222-3333-4444-555555555555",
    "azpacr": "0",
    "oid": "77777777-2222-3333-4444-555555555555",
    "rh": "x",
    "roles": ["admin"],
    "scp": "orders.read access_as_user",
    "sub": "pairwise-for-this-app",
    "tid": TENANT,
    "uti": "x",
    "ver": "2.0",
    **LIFE,
}
OKTA = {
    "ver": 1,
    "jti": "AT.x",
    "iss": "https://example.okta.com/oauth2/default",
    "aud": "api://default",
    "cid": "0oa1",
    "uid": "00u1a2b3c4D5E6f7g8h9",
    "scp": ["openid", "orders"],
    "auth_time": NOW,
    "sub": "ann@example.com",
    "groups": ["Everyone", "admin"],
    **LIFE,
}
FIREBASE = {
    "role": "admin",
    "iss": "https://securetoken.google.com/shop-12345",
    "aud": "shop-12345",
    "auth_time": NOW,
    "user_id": "Zx1Yw2Vu3Ts4Rq5",
    "sub": "Zx1Yw2Vu3Ts4Rq5",
    "email": "ann@example.com",
    "firebase": {"identities": {"email": ["ann@example.com"]}, "sign_in_provider": "password"},
    **LIFE,
}


def settings_of(tmp_path: Path, heading: str) -> Settings:
    """The settings with that block alone."""
    found = re.search(rf"^## {heading}\n.*?```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None
    file = tmp_path / "bff.toml"
    file.write_text(found[1], encoding="utf-8")
    return load(shop_app, {}, file=file)


class Provider:
    """A wire to an identity provider: its metadata, and a key set without `alg`, as Entra's is."""

    def __init__(self, issuer: str, *, claimed: str | None = None, jwks_uri: str = "https://keys.example.com/jwks") -> None:
        self.metadata = {"issuer": claimed or issuer, "jwks_uri": jwks_uri, "authorization_endpoint": "https://a/b"}
        self.discovery_url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        self.asked: list[str] = []

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        self.asked.append(request.url)
        body: Any = (
            self.metadata if request.url == self.discovery_url else {"keys": [{**jwk("RS256", RSA, "k1"), "use": "sig"}]}
        )
        return WireReply(200, {}, json.dumps(body).encode())

    async def aclose(self) -> None:
        """Nothing to close."""


def authenticator_for(settings: Settings, wire: Provider) -> Authenticator:
    """What the gateway makes of these settings, with that wire."""
    sets = {name: KeySet(name, place, wire) for name, place in key_set_places(settings).items()}
    return authenticator_of(settings, sets)


async def signed_in(authenticator: Authenticator, claims: Mapping[str, Any]) -> SignedIn:
    """The bearer of a token with these claims, signed as providers sign them."""
    token = jwt.encode(dict(claims), RSA, "RS256", headers={"kid": "k1", "typ": "at+jwt"})
    found = await authenticator.authenticate([f"Bearer {token}".encode()])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("heading", "claims", "user_id", "roles", "scope"),
    [
        ("Amazon Cognito", COGNITO, COGNITO["sub"], {"admin", "staff"}, "orders/read"),
        ("Auth0", AUTH0, "auth0|5f7c8ec7c33c6c004bbafe82", {"admin"}, "read:orders"),
        ("Keycloak", KEYCLOAK, KEYCLOAK["sub"], {"admin", "offline_access", "uma_authorization"}, "email"),
        ("Microsoft Entra ID", ENTRA, ENTRA["oid"], {"admin"}, "orders.read"),
        ("Okta", OKTA, OKTA["uid"], {"Everyone", "admin"}, "orders"),
        ("Firebase", FIREBASE, "Zx1Yw2Vu3Ts4Rq5", {"admin"}, None),
    ],
    ids=["cognito", "auth0", "keycloak", "entra", "okta", "firebase"],
)
async def test_tokens_are_accepted_as_they_are_issued(
    tmp_path: Path, heading: str, claims: dict[str, Any], user_id: str, roles: set[str], scope: str | None
) -> None:
    """User's id, roles and scopes are found. A token for somebody else, or of another kind, is refused."""
    settings = settings_of(tmp_path, heading)
    ((name, issuer),) = settings.auth.issuers.items()
    assert issuer.issuer is not None
    wire = Provider(issuer.issuer)
    authenticator = authenticator_for(settings, wire)
    viewer = (await signed_in(authenticator, claims)).viewer
    assert viewer.sub == user_id
    assert viewer.roles == roles
    assert viewer.scopes is None if scope is None else scope in (viewer.scopes or ())
    is_discovered = issuer.jwks_url is None
    assert wire.asked == ([wire.discovery_url, wire.metadata["jwks_uri"]] if is_discovered else [issuer.jwks_url]), name
    wrong = [{"iss": "https://elsewhere.example.com"}]
    wrong += [{"aud": "another"}] if issuer.audience else []
    wrong += [{each: "another"} for each in issuer.required]
    for change in wrong:
        with pytest.raises(InvalidToken):
            await signed_in(authenticator, {**claims, **change})


async def test_a_cognito_id_token_is_refused_where_access_tokens_are_expected(tmp_path: Path) -> None:
    """It has the same signature and the same user, and is for the app. An app that uses ID tokens says so."""
    settings = settings_of(tmp_path, "Amazon Cognito")
    with pytest.raises(InvalidToken, match="token_use does not have the required value"):
        await signed_in(authenticator_for(settings, Provider(str(COGNITO["iss"]))), COGNITO_ID)
    file = tmp_path / "id.toml"
    file.write_text(
        f'[auth.issuers.cognito]\nissuer = "{COGNITO["iss"]}"\naudience = "web-client-id"\n'
        'required = { token_use = "id" }\nclaims = { roles = "cognito:groups" }\n'
    )
    ids = authenticator_for(load(shop_app, {}, file=file), Provider(str(COGNITO["iss"])))
    assert (await signed_in(ids, COGNITO_ID)).viewer.roles == {"admin", "staff"}


async def test_either_of_several_clients_may_have_asked_for_the_token(tmp_path: Path) -> None:
    """A list of values: one of them is enough."""
    authenticator = authenticator_for(settings_of(tmp_path, "Amazon Cognito"), Provider(str(COGNITO["iss"])))
    for client in ("web-client-id", "app-client-id"):
        assert (await signed_in(authenticator, {**COGNITO, "client_id": client})).viewer.sub == COGNITO["sub"]
    without = {name: value for name, value in COGNITO.items() if name != "client_id"}
    for claims in (without, {**COGNITO, "client_id": ["x"]}, {**COGNITO, "client_id": None}, {**COGNITO, "client_id": 1}):
        with pytest.raises(InvalidToken):
            await signed_in(authenticator, claims)


@pytest.mark.parametrize(
    ("claimed", "jwks_uri"),
    [
        ("https://else.example.com", "https://keys.example.com/jwks"),
        ("https://login.microsoftonline.com/{tenantid}/v2.0", "https://keys.example.com/jwks"),
        (None, "http://keys.example.com/jwks"),
        (None, "https://user@keys.example.com/jwks"),
        (None, "file:///etc/passwd"),
        (None, ""),
    ],
)
async def test_metadata_that_can_not_be_trusted(tmp_path: Path, claimed: str | None, jwks_uri: str) -> None:
    """Of another issuer, or with keys that anyone on the way could replace: no key is taken from there."""
    wire = Provider(str(AUTH0["iss"]), claimed=claimed, jwks_uri=jwks_uri)
    with pytest.raises(KeysUnavailable):
        await signed_in(authenticator_for(settings_of(tmp_path, "Auth0"), wire), AUTH0)
    assert wire.asked == [wire.discovery_url]


async def test_the_issuer_of_the_plain_settings_is_discovered_too() -> None:
    """`JWT_ISSUER` alone is enough."""
    settings = load(
        shop_app, {"JWT_ISSUER": str(AUTH0["iss"]), "JWT_AUDIENCE": "a, https://api.shop.example.com"}, default_file=None
    )
    assert key_set_places(settings) == {"default": KeySetPlace(issuer=str(AUTH0["iss"]))}


async def test_a_secret_is_replaced_without_a_gap() -> None:
    """Tokens of the new and of the previous secret are accepted, no others."""
    first, second, third = (f"secret number {number} that is long enough for HS256" for number in (1, 2, 3))
    settings = load(shop_app, {"JWT_SECRET": second, "BFF_AUTH__PREVIOUS_SECRETS": first}, default_file=None)
    authenticator = authenticator_of(settings, {})
    for secret in (second, first):
        token = jwt.encode({"sub": "1", **LIFE}, secret, "HS256")
        assert await authenticator.authenticate([f"Bearer {token}".encode()])
    for claims, secret in (({"sub": "1", **LIFE}, third), ({"sub": "1", "exp": NOW - 60}, first)):
        with pytest.raises(InvalidToken):
            await authenticator.authenticate([f"Bearer {jwt.encode(claims, secret, 'HS256')}".encode()])


@pytest.mark.parametrize(("given", "user_id"), [(7, "7"), (0, "0"), ("7", "7"), ("a|b", "a|b")])
async def test_an_own_claim_with_the_user_s_id_may_be_a_number(given: Any, user_id: str) -> None:
    """At a path, too. Text that is empty, fractions, booleans and negative numbers are no ids."""
    secret = "a secret of this test, long enough for HS256"
    environment = {"JWT_SECRET": secret, "BFF_AUTH__CLAIMS__USER_ID": "user.id"}
    authenticator = authenticator_of(load(shop_app, environment, default_file=None), {})

    async def taken(given_id: Any) -> str:
        token = jwt.encode({"sub": "another", "user": {"id": given_id}, **LIFE}, secret, "HS256")
        found = await authenticator.authenticate([f"Bearer {token}".encode()])
        assert found is not None
        return found.viewer.sub

    assert await taken(given) == user_id
    for bad in (True, 1.5, -1, "", None, [7], {"id": 7}, 2**70):
        with pytest.raises(InvalidToken, match=r"user\.id is missing or no text"):
            await taken(bad)


@pytest.mark.parametrize(
    ("algorithm", "curve"), [("ES256", ec.SECP256R1()), ("ES384", ec.SECP384R1()), ("ES512", ec.SECP521R1())]
)
async def test_a_key_s_curve_or_own_algorithm_decides(algorithm: str, curve: ec.EllipticCurve) -> None:
    """The token can't choose another one."""
    key = ec.generate_private_key(curve)
    member = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())), "kid": "k"}
    assert await _accepts(member, jwt.encode({"sub": "1", **LIFE}, key, algorithm, headers={"kid": "k"}))


async def test_an_rsa_key_with_an_algorithm_is_used_with_that_alone() -> None:
    """PS256 here. Without `alg` it is RS256 alone."""
    member = {**jwk("RS256", RSA, "k"), "alg": "PS256"}
    assert await _accepts(member, jwt.encode({"sub": "1", **LIFE}, RSA, "PS256", headers={"kid": "k"}))
    assert not await _accepts(member, jwt.encode({"sub": "1", **LIFE}, RSA, "RS256", headers={"kid": "k"}))
    plain = {name: value for name, value in member.items() if name != "alg"}
    assert not await _accepts(plain, jwt.encode({"sub": "1", **LIFE}, RSA, "PS256", headers={"kid": "k"}))


async def _accepts(member: dict[str, Any], token: str) -> bool:
    class Keys(Provider):
        async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
            return WireReply(200, {}, json.dumps({"keys": [member]}).encode())

    settings = load(shop_app, {"JWKS_URL": "https://keys.example.com"}, default_file=None)
    try:
        return await authenticator_for(settings, Keys("x")).authenticate([f"Bearer {token}".encode()]) is not None
    except InvalidToken:
        return False
