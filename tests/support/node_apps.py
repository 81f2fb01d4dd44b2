"""The app of a reader of docs/clients.md: a folder with the page's files, whose programs node runs."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.pages import DOCS, blocks_of

FILES = {block.file: block.text for block in blocks_of(DOCS / "clients.md") if block.file is not None}
PATIENCE_S = 240


@dataclass(frozen=True, slots=True)
class NodeApp:
    """The folder of an app that is made of the page's files."""

    folder: Path

    def write(self, name: str, text: str) -> None:
        """Write a file below the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def take(self, *names: str, **changes: str) -> None:
        """Take files from the page, with some texts replaced."""
        for name in names:
            text = FILES[name]
            for old, new in changes.items():
                assert old in text
                text = text.replace(old, new)
            self.write(name, text)

    def call(self, *command: str, environment: Mapping[str, str] | None = None) -> str:
        """Run a program, of the app's packages if it is one of them, and return what it writes."""
        tools = self.folder / "node_modules" / ".bin"
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "NO_PROXY": "*", **(environment or {})}
        done = subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, program: str, *steps: str, runtime: str = "node", **environment: str) -> Any:
        """Run a program of `clients/`, and return what it found."""
        return json.loads(self.call(runtime, program, *steps, environment=environment))
