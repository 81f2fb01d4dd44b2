"""Tokens signed with keys of a key set: algorithms, rotation, and an issuer that is unavailable."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bff.errors import InvalidToken, KeysUnavailable
from bff.gate.auth import Authenticator, Issuer
from bff.gate.claims import ClaimOptions
from bff.gate.jwks import LEAST_REFRESH_S, MOST_REFRESH_S, REFRESH_S, KeySet, KeySetPlace, refresh_s
from bff.upstream.wire import NotConnected, WireReply, WireRequest

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
ALGORITHMS: dict[str, Any] = {"RS256": RSA, "ES256": EC, "EdDSA": ED}


def jwk(algorithm: str, key: Any, kid: str | None, **more: Any) -> dict[str, Any]:
    """A public key as a member of a key set."""
    kinds: dict[str, Any] = {
        "RS256": jwt.algorithms.RSAAlgorithm,
        "ES256": jwt.algorithms.ECAlgorithm,
        "EdDSA": jwt.algorithms.OKPAlgorithm,
    }
    told: dict[str, Any] = json.loads(kinds[algorithm].to_jwk(key.public_key()))
    return {**told, **({"kid": kid} if kid else {}), **more}


class FakeIssuer:
    """A wire that answers with a key set."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.reply: WireReply | None = None
        self.is_up = True

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        self.asked += 1
        await asyncio.sleep(0)
        if not self.is_up:
            raise NotConnected
        return self.reply or WireReply(200, {}, json.dumps({"keys": self.keys}).encode())

    async def aclose(self) -> None:
        """Nothing to close."""


ALL = [jwk(algorithm, key, algorithm.lower()) for algorithm, key in ALGORITHMS.items()]


class Rig:
    """An authenticator with one issuer, and a clock that is set by hand."""

    def __init__(self, wire: FakeIssuer, **options: Any) -> None:
        self.at = 0.0
        self.issuer = wire
        self.keys = KeySet("test", KeySetPlace("http://issuer/keys"), wire, self._forget, clock=lambda: self.at)
        self.authenticator = Authenticator([Issuer(keys=self.keys, **options)])

    def _forget(self) -> None:
        self.authenticator.forget()

    async def sub(self, token: str) -> str:
        """The `sub` of an accepted token."""
        signed_in = await self.authenticator.authenticate([f"Bearer {token}".encode()])
        assert signed_in is not None
        return signed_in.viewer.sub

    async def refused(self, token: str) -> str:
        """The reason for which a token is refused."""
        with pytest.raises(InvalidToken) as caught:
            await self.sub(token)
        return caught.value.message


def token(algorithm: str, kid: str | None = None, key: Any = None, **claims: Any) -> str:
    """A token signed by the algorithm's key."""
    usual = {"sub": "1", "exp": int(time.time()) + 600}
    headers = {"kid": kid or algorithm.lower()} if kid != "" else {}
    return jwt.encode({**usual, **claims}, key or ALGORITHMS[algorithm], algorithm=algorithm, headers=headers)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_each_algorithm_works_with_its_own_key(algorithm: str) -> None:
    """The set is fetched once for all of them."""
    rig = Rig(FakeIssuer(*ALL))
    assert await rig.sub(token(algorithm)) == "1"
    assert await rig.sub(token(algorithm, sub="2")) == "2"
    assert rig.issuer.asked == 1


async def test_a_public_key_is_no_secret() -> None:
    """HS256 signed with the public key, in any of its encodings, is refused: also if the issuer has a secret as well."""
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    rig = Rig(FakeIssuer(*ALL))
    both = Rig(FakeIssuer(*ALL), secrets=("s" * 40,))
    for key in (pem, json.dumps(ALL[0]).encode(), ALL[0]["n"].encode()):

        def part(data: bytes) -> str:
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

        head = part(json.dumps({"alg": "HS256", "kid": "rs256"}).encode())
        body = part(json.dumps({"sub": "1", "exp": int(time.time()) + 600}).encode())
        forged = f"{head}.{body}." + part(hmac.new(key, f"{head}.{body}".encode(), hashlib.sha256).digest())
        assert "signature or form" in await rig.refused(forged)
        assert "signature or form" in await both.refused(forged)
    assert await both.sub(jwt.encode({"sub": "9", "exp": int(time.time()) + 60}, "s" * 40, algorithm="HS256")) == "9"


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: token("RS256", kid="es256"), "key is not known"),
        (lambda: token("RS256", kid="nobody"), "key is not known"),
        (lambda: token("RS256", key=rsa.generate_private_key(65537, 2048)), "signature or form"),
        (lambda: jwt.encode({"sub": "1"}, RSA, algorithm="RS512", headers={"kid": "rs256"}), "key is not known"),
        (lambda: jwt.encode({"sub": "1"}, RSA, algorithm="PS256", headers={"kid": "rs256"}), "key is not known"),
        (lambda: jwt.encode({"sub": "1"}, "", algorithm="none", headers={"kid": "rs256"}), "signature or form"),
        (lambda: token("ES256", exp=int(time.time()) - 600), "expired"),
        (lambda: token("ES256", nbf=int(time.time()) + 600), "not valid yet"),
        (lambda: token("ES256", iss="other"), "another issuer"),
        (lambda: token("ES256", aud="other"), "another audience"),
        (lambda: token("ES256", sub=None), "sub is missing"),
    ],
)
async def test_bad_tokens_are_refused(made: Any, reason: str) -> None:
    """Each for its own reason."""
    rig = Rig(
        FakeIssuer(*ALL),
        issuer="me" if reason == "another issuer" else None,
        audience="us" if reason == "another audience" else None,
    )
    assert reason in await rig.refused(made())


async def test_without_a_key_id_the_only_fitting_key_is_used() -> None:
    """If two keys fit, the token is refused."""
    rig = Rig(FakeIssuer(*ALL))
    assert await rig.sub(token("ES256", kid="")) == "1"
    two = Rig(FakeIssuer(*ALL, jwk("ES256", ec.generate_private_key(ec.SECP256R1()), "another")))
    assert "key is not known" in await two.refused(token("ES256", kid=""))


async def test_keys_rotate_without_a_restart() -> None:
    """A token with an unknown key makes the set be fetched. A token of a removed key is refused, even if it was cached."""
    issuer = FakeIssuer(jwk("ES256", EC, "old"))
    rig = Rig(issuer)
    old = token("ES256", kid="old")
    assert await rig.sub(old) == "1"
    new_key = ec.generate_private_key(ec.SECP256R1())
    issuer.keys = [jwk("ES256", new_key, "new")]
    assert await rig.sub(old) == "1"
    rig.at += 10
    assert await rig.sub(token("ES256", kid="new", key=new_key, sub="2")) == "2"
    assert "key is not known" in await rig.refused(old)


async def test_unknown_key_ids_cause_one_fetch_in_ten_seconds() -> None:
    """For any number of tokens."""
    rig = Rig(FakeIssuer(*ALL))
    refusals = await asyncio.gather(*(rig.refused(token("ES256", kid=f"k{number}")) for number in range(50)))
    assert all("key is not known" in each for each in refusals)
    assert rig.issuer.asked == 1
    rig.at += 9.9
    await rig.refused(token("ES256", kid="later"))
    assert rig.issuer.asked == 1
    rig.at += 0.2
    await rig.refused(token("ES256", kid="later"))
    assert rig.issuer.asked == 2


@pytest.mark.parametrize(
    "reply",
    [
        None,
        WireReply(500, {}, b""),
        WireReply(200, {}, b"<html>"),
        WireReply(200, {}, b'{"keys": 1}'),
        WireReply(200, {}, b'{"keys": []}'),
        WireReply(200, {}, b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'),
        WireReply(200, {}, b'{"keys": [{"kty": "EC", "crv": "P-256", "x": 1, "y": []}]}'),
        WireReply(200, {}, b"[" * 100_000),
    ],
)
async def test_while_the_issuer_is_unavailable_the_last_good_keys_are_used(
    reply: WireReply | None, caplog: pytest.LogCaptureFixture
) -> None:
    """For any kind of failure. The log line names no host."""
    issuer = FakeIssuer(*ALL)
    rig = Rig(issuer)
    assert await rig.sub(token("ES256")) == "1"
    issuer.reply, issuer.is_up = reply, reply is not None
    rig.at += 100
    assert "key is not known" in await rig.refused(token("ES256", kid="new"))
    assert await rig.sub(token("RS256", sub="2")) == "2"
    (record,) = [each for each in caplog.records if each.message == "key set not fetched"]
    assert "issuer/keys" not in str(record.__dict__)


async def test_without_any_keys_the_answer_is_503() -> None:
    """It is not 401, since the token may be good."""
    issuer = FakeIssuer()
    issuer.is_up = False
    rig = Rig(issuer)
    with pytest.raises(KeysUnavailable):
        await rig.sub(token("ES256"))


async def test_weak_keys_and_keys_for_other_uses_are_ignored() -> None:
    """RSA keys of less than 2048 bits, keys for encryption, and keys whose `alg` doesn't fit their kind."""
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - which is what is tested
    keys = [
        jwk("RS256", weak, "weak"),
        jwk("ES256", EC, "enc", use="enc"),
        jwk("ES256", EC, "sign", key_ops=["sign"]),
        jwk("ES256", EC, "other", alg="ES384"),
        jwk("ES256", EC, "good"),
    ]
    rig = Rig(FakeIssuer(*keys))
    assert await rig.sub(token("ES256", kid="good")) == "1"
    for kid in ("enc", "sign", "other"):
        assert "key is not known" in await rig.refused(token("ES256", kid=kid))
    assert repr(rig.keys) == "<KeySet test: 1 keys>"


async def test_each_issuer_s_tokens_are_checked_with_its_own_keys() -> None:
    """An issuer can't sign tokens of another issuer."""
    mine, theirs = FakeIssuer(jwk("ES256", EC, "k")), FakeIssuer(jwk("EdDSA", ED, "k"))
    claims = ClaimOptions(roles="realm.roles", role="none", scopes="scp")
    keys, other_keys = KeySet("mine", KeySetPlace("http://a"), mine), KeySet("theirs", KeySetPlace("http://b"), theirs)
    issuers = [
        Issuer(keys=keys, issuer="mine", claims=claims),
        Issuer(keys=other_keys, issuer="theirs", audience=("shop",), claims=claims),
    ]
    authenticator = Authenticator(issuers)

    async def taken(made: str) -> Any:
        return await authenticator.authenticate([f"Bearer {made}".encode()])

    good = await taken(token("ES256", kid="k", iss="mine", realm={"roles": ["admin"]}, scp="read write"))
    assert good.viewer.roles == {"admin"}
    assert good.viewer.scopes == {"read", "write"}
    other = await taken(token("EdDSA", kid="k", iss="theirs", aud=["shop", "more"]))
    assert (other.viewer.roles, other.viewer.scopes) == (frozenset(), None)
    for bad in (
        token("EdDSA", kid="k", iss="mine"),
        token("ES256", kid="k", iss="theirs", aud="shop"),
        token("EdDSA", kid="k", iss="theirs"),
        token("ES256", kid="k", iss="nobody"),
        token("ES256", kid="k"),
    ):
        with pytest.raises(InvalidToken):
            await taken(bad)


async def test_run_fetches_at_once() -> None:
    """Before the first token arrives."""
    issuer = FakeIssuer(*ALL)
    keys = KeySet("test", KeySetPlace("http://issuer"), issuer)
    task = asyncio.create_task(keys.run())
    async with asyncio.timeout(30):
        while repr(keys) != "<KeySet test: 3 keys>":  # noqa: ASYNC110 - it is on the loop's next turns
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_fetching_is_retried_after_any_number_of_failures() -> None:
    """The interval is doubled each time, up to a minute."""
    issuer = FakeIssuer(*ALL)
    issuer.is_up = False
    keys = KeySet("test", KeySetPlace("http://issuer"), issuer)
    delays = []
    for _ in range(1200):
        await keys._fetch_once()
        delays.append(keys.delay_s())
    assert delays[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert set(delays[6:]) == {60}
    issuer.is_up = True
    await keys._fetch_once()
    assert keys.delay_s() == REFRESH_S


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, REFRESH_S),
        ({"cache-control": "public"}, REFRESH_S),
        ({"cache-control": "max-age=soon"}, REFRESH_S),
        ({"cache-control": "public, max-age=90"}, 90),
        ({"cache-control": "max-age=90", "age": "30"}, 60),
        ({"cache-control": "max-age=90", "age": "junk"}, 90),
        ({"cache-control": "max-age=0"}, LEAST_REFRESH_S),
        ({"cache-control": "no-cache"}, LEAST_REFRESH_S),
        ({"cache-control": "no-store, max-age=900"}, LEAST_REFRESH_S),
        ({"cache-control": "max-age=86400"}, MOST_REFRESH_S),
        ({"cache-control": "max-age=" + "9" * 50}, REFRESH_S),
    ],
)
async def test_a_set_is_fetched_again_when_it_is_no_longer_fresh(headers: dict[str, str], seconds: float) -> None:
    """Within limits. The upper one is how long a withdrawn key may be accepted."""
    assert refresh_s(headers) == seconds
    issuer = FakeIssuer(*ALL)
    issuer.reply = WireReply(200, headers, json.dumps({"keys": ALL}).encode())
    keys = KeySet("test", KeySetPlace("http://issuer"), issuer)
    await keys._fetch_once()
    assert keys.delay_s() == seconds


async def until(what: Callable[[], bool]) -> None:
    """Wait until the condition is true."""
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


async def test_an_administrator_can_have_the_set_fetched_at_once() -> None:
    """Also during a fetch, whose reply may be older than the request."""
    issuer = FakeIssuer(*ALL)
    keys = KeySet("test", KeySetPlace("http://issuer"), issuer)
    task = asyncio.create_task(keys.run())
    for number in (1, 2):
        await until(lambda number=number: issuer.asked == number and keys._fetching is None)  # type: ignore[misc]
        keys.refresh()
    await until(lambda: issuer.asked == 3)
    assert keys._fetching is not None
    keys.refresh()
    await until(lambda: issuer.asked == 4 and keys._fetching is None)
    for _ in range(20):
        await asyncio.sleep(0)
    assert issuer.asked == 4, "one request makes one fetch"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
