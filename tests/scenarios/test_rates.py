"""Rates beyond each client's own: of all clients, of an address, by the tier in a token. And who used how much."""

import time
from typing import Any

import httpx
import jwt
import pytest

from bff.errors import RateLimited
from bff.gate.consumers import digest_of
from bff.settings import SettingsError
from tests.conftest import StartGateway
from tests.support.gateways import SECRET, RunningGateway

ASK = {"query": "{ __typename }"}
KEY = "bff_partner"
MANY = {"BFF_RATE__ENABLED": "true", "BFF_VARIANTS__WEB__RATE__BURST": "1000"}
TRUSTED = {"BFF_PROXIES__TRUSTED": "127.0.0.1"}


def asked(gateway: RunningGateway, variant: str = "web", **headers: str) -> httpx.Response:
    """The answer to the simplest operation."""
    return gateway.post(variant, ASK, headers={name.replace("_", "-"): value for name, value in headers.items()})


def token(sub: str, **claims: Any) -> dict[str, str]:
    """The header with a token."""
    now = int(time.time())
    made = jwt.encode({"sub": sub, "exp": now + 600, **claims}, SECRET, algorithm="HS256")
    return {"authorization": f"Bearer {made}"}


def consumer(key: str = KEY, **more: str) -> dict[str, str]:
    """The settings of a consumer."""
    return {"BFF_CONSUMERS__PARTNER__KEY_SHA256": digest_of(key), "BFF_CONSUMERS__PARTNER__VARIANTS": "web,mobile", **more}


def metric(gateway: RunningGateway, line: str) -> float:
    """The value of a metric with these labels; 0 if there is none."""
    for each in gateway.http.get(f"{gateway.url}/metrics").text.splitlines():
        name, _, value = each.rpartition(" ")
        if name == line:
            return float(value)
    return 0


def test_all_clients_together_have_a_limit(start_gateway: StartGateway) -> None:
    """Of one variant. What others use is not told; the message of a refusal names the limit."""
    gateway = start_gateway(**MANY, BFF_VARIANTS__WEB__RATE_OF_ALL__ANY_MINUTE="3")
    answers = [asked(gateway, **token(str(number))) for number in range(5)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
    assert "all-" not in answers[0].headers["ratelimit"] + answers[0].headers["ratelimit-policy"]
    (error,) = answers[3].json()["errors"]
    assert "all-requests-minute" in error["message"]
    assert error["extensions"]["code"] == RateLimited.code
    assert 50 <= int(answers[3].headers["retry-after"]) <= 61
    assert asked(gateway, "mobile").status_code == 200
    assert metric(gateway, 'bff_rate_refused_total{kind="all",limit="all-requests-minute",variant="web"}') == 2


def test_whoever_is_refused_does_not_use_it_up(start_gateway: StartGateway) -> None:
    """Neither with a bad token, nor beyond a limit of one's own."""
    gateway = start_gateway(
        **{**MANY, "BFF_VARIANTS__WEB__RATE__BURST": "2", "BFF_VARIANTS__WEB__RATE__PER_MINUTE": "1"},
        BFF_VARIANTS__WEB__RATE_OF_ALL__ANY_HOUR="3",
    )
    assert [asked(gateway, authorization="Bearer x").status_code for _ in range(4)] == [401, 401, 429, 429]
    assert [asked(gateway, **token("1")).status_code for _ in range(4)] == [200, 200, 429, 429]
    assert [asked(gateway, **token("2")).status_code for _ in range(2)] == [200, 429]


def test_all_users_of_an_address_have_a_limit(start_gateway: StartGateway) -> None:
    """Whoever signs in there. A program with an API key has its own; with a user's token it counts for the address."""
    gateway = start_gateway(**MANY, **TRUSTED, **consumer(), BFF_VARIANTS__WEB__RATE_OF_ADDRESS__PER_MINUTE="2")
    here, there = {"x_forwarded_for": "192.0.2.1"}, {"x_forwarded_for": "192.0.2.2"}
    assert [asked(gateway, **here, **token(sub)).status_code for sub in ("1", "2", "3")] == [200, 200, 429]
    assert asked(gateway, **here).status_code == 429
    assert asked(gateway, **here, **token("4"), x_api_key=KEY).status_code == 429
    for _ in range(3):
        assert asked(gateway, **here, x_api_key=KEY).status_code == 200
    answer = asked(gateway, **there, **token("1"))
    assert answer.status_code == 200
    assert '"address-requests";r=1' in answer.headers["ratelimit"]
    assert '"address-requests";q=2;w=60' in answer.headers["ratelimit-policy"]
    refused = 'bff_rate_refused_total{kind="address_of_all",limit="address-requests",variant="web"}'
    assert metric(gateway, refused) == 3


def test_a_token_names_the_tier_of_its_user(start_gateway: StartGateway) -> None:
    """In place of the variant's rate. A tier that doesn't exist, and a value that is no name, are ignored."""
    few = {**MANY, "BFF_VARIANTS__WEB__RATE__BURST": "1", "BFF_VARIANTS__WEB__RATE__PER_MINUTE": "1"}
    tiers = {"BFF_TIERS__GOLD__BURST": "3", "BFF_TIERS__GOLD__PER_MINUTE": "1", "BFF_AUTH__CLAIMS__TIER": "app.plan"}
    gateway = start_gateway(**few, **tiers)
    assert [asked(gateway, **token("1", app={"plan": "gold"})).status_code for _ in range(4)] == [200, 200, 200, 429]
    for number, plan in enumerate(("silver", None, 7, ["gold"], "gold" * 1000)):
        sub = f"other {number}"
        assert [asked(gateway, **token(sub, app={"plan": plan})).status_code for _ in range(2)] == [200, 429]


def test_a_confined_issuer_grants_no_tier_that_is_not_listed(start_gateway: StartGateway) -> None:
    """As with roles."""
    few = {**MANY, "BFF_VARIANTS__WEB__RATE__BURST": "1", "BFF_VARIANTS__WEB__RATE__PER_MINUTE": "1"}
    tiers = {
        f"BFF_TIERS__{name}__{option}": value
        for name in ("GOLD", "SILVER")
        for option, value in (("BURST", "3"), ("PER_MINUTE", "1"))
    }
    gateway = start_gateway(
        **few,
        **tiers,
        BFF_AUTH__CLAIMS__TIER="plan",
        BFF_AUTH__ISSUERS__PARTNER__ISSUER="https://partner.example.com",
        BFF_AUTH__ISSUERS__PARTNER__SECRET=SECRET,
        BFF_AUTH__ISSUERS__PARTNER__TIERS="silver",
    )
    for plan, granted in (("gold", 1), ("silver", 3)):
        header = token(f"their {plan}", iss="https://partner.example.com", plan=plan)
        assert [asked(gateway, **header).status_code for _ in range(4)].count(200) == granted


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"BFF_AUTH__CLAIMS__TIER": "plan"}, "auth.claims.tier: expected tiers as well"),
        (
            {
                "BFF_TIERS__GOLD__BURST": "1",
                "BFF_AUTH__ISSUERS__P__ISSUER": "p",
                "BFF_AUTH__ISSUERS__P__SECRET": SECRET,
                "BFF_AUTH__ISSUERS__P__TIERS": "gold,silver",
            },
            "auth.issuers.p.tiers: there is no tier of the name silver",
        ),
    ],
)
def test_a_tier_that_does_not_exist_stops_the_start(
    start_gateway: StartGateway, settings: dict[str, str], message: str
) -> None:
    """The message names it."""
    with pytest.raises(SettingsError, match=message):
        start_gateway(**settings)


def test_requests_are_counted_by_consumer(start_gateway: StartGateway) -> None:
    """With its name, where there is an API key."""
    gateway = start_gateway(**consumer())
    for _ in range(3):
        asked(gateway, x_api_key=KEY)
    asked(gateway, **token("1"))
    asked(gateway, x_api_key="wrong")
    assert metric(gateway, 'bff_requests_total{consumer="partner",outcome="ok",variant="web"}') == 3
    assert metric(gateway, 'bff_requests_total{outcome="ok",variant="web"}') == 1
    assert metric(gateway, 'bff_requests_total{outcome="refused",variant="web"}') == 1


def test_what_shared_caches_may_keep_has_no_counts(start_gateway: StartGateway) -> None:
    """They are those of the client that asked first."""
    gateway = start_gateway(**MANY)
    url, query = f"{gateway.url}/web/graphql", "{ product(id: 1) { name } }"
    got = gateway.http.get(url, params={"query": query})
    assert got.headers["cache-control"].startswith("public")
    assert "ratelimit" not in got.headers
    assert "ratelimit" in gateway.http.post(url, json={"query": query}).headers
    own = gateway.http.get(url, params={"query": query}, headers=token("1"))
    assert own.headers["cache-control"].startswith("private")
    assert "ratelimit" in own.headers
