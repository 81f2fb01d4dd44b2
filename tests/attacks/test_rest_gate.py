"""Trusted operations as REST pass every step of the gate, also those that are added to it."""

import json
from pathlib import Path

import pytest

from bff.errors import BadRequest
from bff.operations.gate import pipeline_of
from bff.request import pipeline
from bff.request.exchange import Exchange
from bff.request.gate_steps import admit, decode, negotiate
from bff.request.services import Services
from tests.conftest import StartGateway


async def refuse(exchange: Exchange, _: Services) -> None:
    """A further step of the gate."""
    if exchange.header(b"x-odd") is not None:
        raise BadRequest("Odd.", status=403)


def test_a_step_of_the_gate_applies_to_rest_too(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is added to the gate's list and nowhere else."""
    manifest = tmp_path / "app.json"
    manifest.write_text(json.dumps({"a1": "query Kind { __typename }"}))
    for steps in ((refuse, *pipeline.GATE), (*pipeline.GATE, refuse)):
        with monkeypatch.context() as patched:
            patched.setattr(pipeline, "GATE", steps)
            gateway = start_gateway(BFF_VARIANTS__WEB__MANIFESTS=str(manifest))
            url = f"{gateway.url}/web/api/Kind"
            assert gateway.http.get(url).json() == {"data": {"__typename": "Query"}}
            assert gateway.http.get(url, headers={"x-odd": "1"}).status_code == 403
            assert gateway.http.get(f"{gateway.url}/web/api/Nothing", headers={"x-odd": "1"}).status_code == 403


def test_only_negotiation_and_decoding_differ() -> None:
    """Each step of the gate is in its place; an operation's steps are the same."""
    derived = pipeline_of(None)
    assert len(derived.gate) == len(pipeline.GATE)
    pairs = zip(derived.gate, pipeline.GATE, strict=True)
    assert [step for own, step in pairs if own is not step] == [negotiate]
    assert derived.decode is not decode
    assert derived.operation is pipeline.OPERATION


def test_only_a_step_of_the_list_can_be_replaced() -> None:
    """Otherwise a renamed step would silently stay in the derived list."""
    with pytest.raises(ValueError, match="refuse"):
        pipeline.replaced(pipeline.GATE, {refuse: admit})
