"""Clients with many names, as addresses: they reset no count and fill no memory."""

import pytest

from tests.conftest import StartGateway

QUERY = {"query": "{ __typename }"}
FEW = 50


def test_many_addresses_evict_no_used_up_count(start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that has used up its burst is still refused after ten times as many other clients as counts fit."""
    monkeypatch.setattr("bff.gate.counts._MOST_COUNTS", FEW)
    gateway = start_gateway(
        BFF_RATE__ENABLED="true",
        BFF_PROXIES__TRUSTED="127.0.0.1",
        BFF_VARIANTS__WEB__RATE__BURST="3",
        BFF_VARIANTS__WEB__RATE__PER_MINUTE="1",
    )

    def ask(address: str) -> int:
        return gateway.post("web", QUERY, headers={"x-forwarded-for": address}).status_code

    assert [ask("192.0.2.1") for _ in range(4)] == [200, 200, 200, 429]
    assert {ask(f"2001:db8:{number:x}::1") for number in range(10 * FEW)} == {200}
    assert ask("192.0.2.1") == 429
