"""A key that its issuer has withdrawn: how long its tokens are still accepted."""

import time
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bff.gate import jwks
from tests.conftest import StartGateway
from tests.support.background import Background
from tests.support.gateways import RunningGateway
from tests.support.issuers import jwk, running_issuer

STOLEN, NEXT = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
ME = {"query": "{ me { id } }"}


def token(key: ec.EllipticCurvePrivateKey, kid: str) -> str:
    """A token that is signed with that key."""
    return jwt.encode({"sub": "1", "exp": int(time.time()) + 3600}, key, "ES256", headers={"kid": kid})


def status(gateway: RunningGateway, made: str) -> int:
    """The status of the answer to that token."""
    return gateway.post("web", ME, headers={"authorization": f"Bearer {made}"}).status_code


def wait_for(what: Callable[[], bool]) -> None:
    """Wait until the condition is true."""
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_withdrawn_key_is_refused_after_any_number_of_failures(
    start_gateway: StartGateway, own_background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The issuer fails thousands of times, and then has another key."""
    with running_issuer(jwk("ES256", STOLEN, "stolen")) as issuer:
        gateway = start_gateway(JWKS_URL=issuer.url)
        wait_for(lambda: status(gateway, token(STOLEN, "stolen")) == 200)
        keys = gateway.app.served.services.authenticator._default.keys  # type: ignore[union-attr]
        assert keys is not None
        monkeypatch.setattr(jwks, "_LONGEST_RETRY_S", 0.001)
        keys._failures = 5000
        issuer.is_up = False
        before = issuer.asked
        keys._refresh_s = 0.0
        own_background.run(gateway.app.reload())
        wait_for(lambda: issuer.asked > before + 3)
        issuer.keys = [jwk("ES256", NEXT, "next")]
        issuer.is_up = True
        stolen = token(STOLEN, "stolen")
        wait_for(lambda: status(gateway, stolen) == 401)
        assert status(gateway, token(NEXT, "next")) == 200


def test_an_administrator_can_have_a_stolen_key_refused(start_gateway: StartGateway) -> None:
    """Its tokens are refused once the set was fetched again, also cached ones."""
    with running_issuer(jwk("ES256", STOLEN, "stolen"), jwk("ES256", NEXT, "next")) as issuer:
        gateway = start_gateway(JWKS_URL=issuer.url)
        stolen, good = token(STOLEN, "stolen"), token(NEXT, "next")
        wait_for(lambda: status(gateway, stolen) == 200)
        issuer.keys = [jwk("ES256", NEXT, "next")]
        assert status(gateway, stolen) == 200, "the gateway has not fetched the set again"
        answer = gateway.ask("admin", "mutation { reloadSettings { userErrors { code } } }")
        assert "errors" not in answer
        wait_for(lambda: status(gateway, stolen) == 401)
        assert status(gateway, good) == 200
