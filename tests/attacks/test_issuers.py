"""One of several issuers claims more than it may: roles, scopes, variants, subjects of another issuer."""

import time
from typing import Any

import jwt

from tests.conftest import StartGateway
from tests.support.gateways import RunningGateway

SECRET = "the secret of a partner's issuer, long enough"
PARTNER = {
    "BFF_AUTH__ISSUERS__PARTNER__ISSUER": "https://partner.example",
    "BFF_AUTH__ISSUERS__PARTNER__SECRET": SECRET,
}
ME = {"query": "{ me { id email } }"}


def bearer(**claims: Any) -> dict[str, str]:
    """The header of a token that the partner's issuer has signed."""
    usual = {"iss": "https://partner.example", "sub": "1", "exp": int(time.time()) + 600}
    return {"authorization": "Bearer " + jwt.encode({**usual, **claims}, SECRET, algorithm="HS256")}


def status(gateway: RunningGateway, variant: str, body: dict[str, Any], **claims: Any) -> int:
    """The status of the answer to such a token."""
    return gateway.post(variant, body, headers=bearer(**claims)).status_code


def test_a_confined_issuer_grants_no_other_roles(start_gateway: StartGateway) -> None:
    """With any confinement it can't make administrators, unless the setting allows the role."""
    users = {"query": "{ users(first: 1) { nodes { email } } }"}
    assert status(start_gateway(**PARTNER), "admin", users, roles=["admin"]) == 200, "not confined"
    for confined in ({"SUBJECT_PREFIX": "1"}, {"VARIANTS": "web,admin"}, {"SCOPES": "read"}, {"ROLES": "clerk"}):
        gateway = start_gateway(
            **PARTNER, **{f"BFF_AUTH__ISSUERS__PARTNER__{name}": value for name, value in confined.items()}
        )
        assert status(gateway, "admin", users, roles=["admin"]) == 403
        assert status(gateway, "admin", users, role="admin") == 403
        assert gateway.post("admin", users, headers=gateway.bearer("1", "admin")).status_code == 200
    allowed = start_gateway(
        **PARTNER, BFF_AUTH__ISSUERS__PARTNER__ROLES="admin", BFF_AUTH__ISSUERS__PARTNER__VARIANTS="admin"
    )
    assert status(allowed, "admin", users, roles=["admin"]) == 200
    assert status(allowed, "web", ME) == 403
    assert status(allowed, "mobile", ME) == 403


def test_an_issuer_can_not_claim_another_issuer_s_users(start_gateway: StartGateway) -> None:
    """With a prefix such a token is refused. With a namespace it names another user."""
    prefixed = start_gateway(**PARTNER, BFF_AUTH__ISSUERS__PARTNER__SUBJECT_PREFIX="p-")
    assert status(prefixed, "web", ME, sub="1") == 401
    assert prefixed.post("web", ME, headers=bearer(sub="p-1")).json() == {"data": {"me": None}}
    spaced = start_gateway(**PARTNER, BFF_AUTH__ISSUERS__PARTNER__SUBJECT_NAMESPACE="partner:")
    assert spaced.post("web", ME, headers=bearer(sub="1")).json() == {"data": {"me": None}}
    assert spaced.post("web", ME, headers=spaced.bearer("1")).json()["data"]["me"]["id"] == "1"
