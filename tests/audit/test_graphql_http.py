"""The graphql-http project's own audit of GraphQL over HTTP, run by node against a gateway on a real socket."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.gateways import RunningGateway

pytestmark = pytest.mark.audit

_FOLDER = Path(__file__).parent
_AUDITS = 61


@pytest.fixture(scope="module")
def audits(dev_gateway: RunningGateway) -> dict[str, dict[str, str]]:
    """Every audit's outcome by its name."""
    subprocess.run(["npm", "ci", "--silent"], cwd=_FOLDER, check=True)
    command = ["node", "audit.mjs", f"{dev_gateway.url}/web/graphql"]
    done = subprocess.run(command, cwd=_FOLDER, check=True, capture_output=True, timeout=120)
    return {audit["name"]: audit for audit in json.loads(done.stdout)}


def test_every_audit_ran(audits: dict[str, dict[str, str]]) -> None:
    """The audit has as many checks as it is known to have: none was left out."""
    assert len(audits) == _AUDITS


def test_all_audits_are_content(audits: dict[str, dict[str, str]]) -> None:
    """No audit ends in an error, a warning or a notice: no MUST, SHOULD or MAY of the specification is missed."""
    assert [audit for audit in audits.values() if audit["status"] != "ok"] == []
