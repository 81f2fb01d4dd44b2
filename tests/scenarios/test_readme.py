"""The README's command lines, executed as they are written."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.processes import bff

ROOT = Path(__file__).parents[2]


def console_sessions(text: str) -> list[tuple[str, str]]:
    """The commands of the ```console blocks, each with the output below it."""
    sessions: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            sessions.append((command, printed.strip()))
    return sessions


def test_each_command_prints_the_output_below_it(tmp_path: Path) -> None:
    """The output is that of the README."""
    sessions = console_sessions((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(sessions) >= 5
    with bff(tmp_path, "dev", "--port", "0") as dev:
        output = dev.wait_for("admin    ey")
        base = re.search(r"http://127\.0\.0\.1:\d+", output)
        assert base is not None
        dev.wait_until_ready(base[0])
        program = f"{sys.executable} -m bff"
        script = ["set -euo pipefail", f"export PYTHONPATH={ROOT}"]
        for command, _ in sessions:
            here = command.replace("http://127.0.0.1:8000", base[0]).replace(".venv/bin/bff", program)
            script += [here, "echo", "echo ---"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("JWT_", "BFF_"))}
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        printed = [part.strip() for part in done.stdout.split("---\n")][: len(sessions)]
        assert printed == [expected for _, expected in sessions]


def files_in(text: str) -> dict[str, str]:
    """The Python blocks that begin with the name of a file, by that name."""
    return dict(re.findall(r"^```python\n# ([\w/]+\.py)\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


def write_application(folder: Path) -> dict[str, str]:
    """Write the README's application to a folder, with its tests. Returns its files."""
    files = files_in((ROOT / "README.md").read_text(encoding="utf-8"))
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        (file.parent / "__init__.py").touch()
        file.write_text(content, encoding="utf-8")
    return files


def run_in(folder: Path, *arguments: str) -> str:
    """What a Python program prints that runs in a folder. Fails the test if it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JWT_", "BFF_"))}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_application_has_the_graph_that_the_text_says(tmp_path: Path) -> None:
    """Both variants have a schema; `stock` is in that of staff only."""
    assert {"datasources/books.py", "schema/app.py"} <= write_application(tmp_path).keys()
    assert "stock: Int!" in run_in(tmp_path, "bff", "schema", "export", "staff")
    assert "stock" not in run_in(tmp_path, "bff", "schema", "export", "web")


def test_the_application_passes_its_test(tmp_path: Path) -> None:
    """The one that the README shows."""
    assert "tests/test_books.py" in write_application(tmp_path)
    assert "1 passed" in run_in(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "tests")


def test_every_linked_file_exists() -> None:
    """For all links of the docs."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page, target)
