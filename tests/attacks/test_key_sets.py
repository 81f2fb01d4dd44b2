"""A key that its issuer has withdrawn: how long tokens that were signed with it are still taken."""

import time
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bff.gate import jwks
from tests.conftest import StartGateway
from tests.support.gateways import RunningGateway
from tests.support.issuers import jwk, running_issuer

STOLEN, NEXT = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
ME = {"query": "{ me { id } }"}


def token(key: ec.EllipticCurvePrivateKey, kid: str) -> str:
    """A token of that key."""
    return jwt.encode({"sub": "1", "exp": int(time.time()) + 3600}, key, "ES256", headers={"kid": kid})


def status(gateway: RunningGateway, made: str) -> int:
    """Of an answer to it."""
    return gateway.post("web", ME, headers={"authorization": f"Bearer {made}"}).status_code


def wait_for(what: Callable[[], bool]) -> None:
    """Until it is so."""
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_key_is_gone_after_any_number_of_failures(start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """The issuer is away for as long as it takes to fail thousands of times, and comes back with another key."""
    with running_issuer(jwk("ES256", STOLEN, "stolen")) as issuer:
        gateway = start_gateway(JWKS_URL=issuer.url)
        wait_for(lambda: status(gateway, token(STOLEN, "stolen")) == 200)
        keys = gateway.app.services.authenticator._default.keys  # type: ignore[union-attr]
        assert keys is not None
        monkeypatch.setattr(jwks, "_LONGEST_RETRY_S", 0.001)
        keys._failures = 5000
        issuer.is_up = False
        before = issuer.asked
        keys._refresh_s = 0.0
        gateway.app.reload()
        wait_for(lambda: issuer.asked > before + 3)
        issuer.keys = [jwk("ES256", NEXT, "next")]
        issuer.is_up = True
        stolen = token(STOLEN, "stolen")
        wait_for(lambda: status(gateway, stolen) == 401)
        assert status(gateway, token(NEXT, "next")) == 200


def test_an_administrator_ends_a_stolen_key(start_gateway: StartGateway) -> None:
    """The tokens that were signed with it are refused as soon as the set has been fetched again, known ones too."""
    with running_issuer(jwk("ES256", STOLEN, "stolen"), jwk("ES256", NEXT, "next")) as issuer:
        gateway = start_gateway(JWKS_URL=issuer.url)
        stolen, good = token(STOLEN, "stolen"), token(NEXT, "next")
        wait_for(lambda: status(gateway, stolen) == 200)
        issuer.keys = [jwk("ES256", NEXT, "next")]
        assert status(gateway, stolen) == 200, "it doesn't know yet"
        told = gateway.ask("admin", "mutation { reloadSettings { userErrors { code } } }")
        assert "errors" not in told
        wait_for(lambda: status(gateway, stolen) == 401)
        assert status(gateway, good) == 200
