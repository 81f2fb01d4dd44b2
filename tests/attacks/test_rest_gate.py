"""Trusted operations as REST pass every step of the gate, also steps that are added to it."""

import json
from pathlib import Path

import pytest

from bff.errors import BadRequest
from bff.operations import gate as rest
from bff.request import pipeline
from bff.request.exchange import Exchange, Response
from tests.conftest import StartGateway


async def refuse(exchange: Exchange, _: pipeline.Services) -> Response | None:
    """A further step, which refuses."""
    if exchange.header(b"x-odd") is not None:
        raise BadRequest("Odd.", status=403)
    return None


def test_a_step_of_the_gate_applies_to_rest_too(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is added only to the gate's list."""
    manifest = tmp_path / "app.json"
    manifest.write_text(json.dumps({"a1": "query Kind { __typename }"}))
    for steps in ((refuse, *pipeline.GATE), (*pipeline.GATE[:-1], refuse, pipeline.GATE[-1])):
        with monkeypatch.context() as patched:
            patched.setattr(pipeline, "GATE", steps)
            patched.setattr(rest, "GATE", rest.gate())
            gateway = start_gateway(BFF_VARIANTS__WEB__MANIFESTS=str(manifest))
            url = f"{gateway.url}/web/api/Kind"
            assert gateway.http.get(url).json() == {"data": {"__typename": "Query"}}
            assert gateway.http.get(url, headers={"x-odd": "1"}).status_code == 403


def test_a_derived_list_keeps_each_step_in_its_place() -> None:
    """A step that is to be replaced must exist."""
    assert (pipeline.admit, rest.accept, pipeline.authenticate, pipeline.charge, rest.read) == rest.GATE
    with pytest.raises(ValueError, match="refuse"):
        pipeline.replaced(pipeline.GATE, {refuse: rest.read})
