"""docs/your-own-services.md, followed from the empty folder to the answer: its files, its commands, what they print."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.background import Background
from tests.support.gateways import free_port
from tests.support.issuers import jwk
from tests.support.processes import bff
from tests.support.services import running_app
from tests.support.workshop import Workshop, uuid

PAGE = (Path(__file__).parents[2] / "docs" / "your-own-services.md").read_text(encoding="utf-8")
ROOT = Path(__file__).parents[2]
KEY = rsa.generate_private_key(65537, 2048)
INVENTORY, GATEWAY = "https://inventory.internal", "http://127.0.0.1:8000"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def token(*groups: str) -> str:
    """An access token as Cognito issues it."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "sub": "7f2c1a52-5d3e-4f6b-9a1c-0d4e8b7a6c01",
        "iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Workshop",
        "cognito:groups": list(groups),
        "client_id": "staff-app",
        "token_use": "access",
        "exp": now + 3600,
    }
    return jwt.encode(claims, KEY, "RS256", headers={"kid": "k1"})


@dataclass
class Reader:
    """Somebody who does what the page says."""

    folder: Path
    inventory: str
    port: int
    asked: list[str]  # what the inventory was asked for, so far
    environment: dict[str, str]
    opened: ExitStack = field(default_factory=ExitStack)
    calls: dict[str, list[str]] = field(default_factory=dict)  # what each command made the inventory do

    def placed(self, text: str) -> str:
        """The text with the addresses of this machine."""
        return text.replace(INVENTORY, self.inventory).replace(GATEWAY, f"http://127.0.0.1:{self.port}")

    def follow(self, language: str, text: str) -> None:
        """Do what a block says."""
        if language == "sh":
            for name, value in re.findall(r"^export (\w+)='(.*)'$", text, re.MULTILINE):
                self.environment[name] = value
        elif language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                self.run(command, printed.strip())
        else:
            name, _, content = text.removeprefix("# ").partition("\n")
            file = self.folder / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(self.placed(content), encoding="utf-8")

    def run(self, command: str, expected: str) -> None:
        """Run a command, which prints what the page shows below it."""
        before = len(self.asked)
        if command == "bff serve":
            serve = self.opened.enter_context(
                bff(self.folder, "serve", "--port", str(self.port), "--host", "127.0.0.1", environment=self.environment)
            )
            serve.wait_until_ready(f"http://127.0.0.1:{self.port}")
            return
        done = subprocess.run(
            ["bash", "-c", self.placed(command)],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        self.calls[command] = sorted(self.asked[before:])
        printed = (done.stdout + done.stderr).strip()
        if "pytest" in command:
            assert expected in printed
        else:
            assert sorted(printed.splitlines()) == sorted(expected.splitlines()), command
        assert done.returncode == (1 if "not asked" in expected else 0), command


@pytest.fixture
def reader(tmp_path: Path, own_background: Background) -> Iterator[Reader]:
    """With an empty folder, `bff` and `python` as commands, and the inventory on this machine."""
    workshop = Workshop({"keys": [jwk("RS256", KEY, "k1")]})
    inventory = own_background.enter(running_app(workshop.app))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, arguments in (("bff", "-m bff"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        (programs / name).chmod(0o755)
    folder = tmp_path / "workshop"
    folder.mkdir()
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "BFF_AUTH__ISSUERS__COGNITO__JWKS_URL": f"{inventory}/jwks",
        "STAFF_TOKEN": token("staff"),
    }
    made = Reader(folder, inventory, free_port(), workshop.asked, environment)
    with made.opened:
        yield made


def test_the_page_leads_to_its_end(reader: Reader) -> None:
    """From nothing: every file, every command, what each prints, and the calls that a page of parts takes."""
    for language, text in _BLOCK.findall(PAGE):
        reader.follow(language, text)
    assert len(reader.calls) >= 12
    (of_the_list,) = (calls for command, calls in reader.calls.items() if "curl" in command and "inStock" in command)
    assert of_the_list == [f"/v2/makers/{uuid(1, number)}" for number in (1, 2, 3)] + ["/v2/parts?limit=3&offset=0"]
    (without_id,) = (calls for command, calls in reader.calls.items() if "part(id: 7)" in command)
    (signed_out,) = (calls for command, calls in reader.calls.items() if "parts { totalCount }" in command)
    assert without_id == signed_out == []
