"""`bff dev --reload`, as real processes in a copy of the project, and what the watch over its files finds."""

import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from bff.server.reloaded import handed_down
from bff.server.reloader import FileWatch
from tests.support.processes import Command, bff

_ROOT = Path(__file__).parents[3]
_PATIENCE_S = 60


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the application and the gateway, which a test may change."""
    for name in ("bff", "schema", "datasources"):
        shutil.copytree(_ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture
def dev(project: Path) -> Iterator[Command]:
    """`bff dev --reload` in the copy."""
    with bff(project, "dev", "--port", "0", "--reload", environment={"PYTHONPATH": str(project)}) as command:
        command.wait_for("admin    ey")
        yield command


def url_of(dev: Command) -> str:
    """Where it serves."""
    found = re.search(r"(http://\S+)/web/graphql", dev.output())
    assert found is not None
    return found[1]


def page(url: str) -> str:
    """The GraphiQL page; waits for its answer while the child restarts."""
    return httpx.get(f"{url}/web/graphql", headers={"accept": "text/html"}, timeout=_PATIENCE_S, trust_env=False).text


def until(is_done: Callable[[], bool], what: str) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + _PATIENCE_S
    while not is_done():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """The running child processes of a process."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """Whether a process runs; one that waits only for its parent to read its exit code doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# The command


def test_a_change_is_served_and_named_and_no_request_fails(dev: Command, project: Path) -> None:
    """The port stays the same and open: requests in between wait. The URLs are not printed again."""
    url = url_of(dev)
    statuses: list[int] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            statuses.append(httpx.get(f"{url}/health", timeout=_PATIENCE_S, trust_env=False).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    example = project / "schema" / "examples" / "web" / "01-user-and-orders.graphql"
    example.write_text(example.read_text().replace("# User and orders", "# A new title"))
    until(lambda: "A new title" in page(url), "the new title on the page")
    answered = len(statuses)
    until(lambda: len(statuses) > answered, "another answer")
    is_over.set()
    asking.join(_PATIENCE_S)
    assert "Reloaded: schema/examples/web/01-user-and-orders.graphql\n" in dev.output()
    assert dev.output().count("/web/graphql\n") == 1
    assert set(statuses) == {200}
    assert dev.stop() == 0


def test_a_broken_file_leaves_it_down_until_the_next_change(dev: Command, project: Path) -> None:
    """The traceback is shown; a request meanwhile waits for the file to be mended."""
    url = url_of(dev)
    query = project / "schema" / "query.py"
    good = query.read_text()
    query.write_text(good + "\ndef (\n")
    output = dev.wait_for("Ended with exit code 1. It starts again when a file changes.")
    assert "SyntaxError" in output
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(page(url)))
    asking.start()
    query.write_text(good)
    asking.join(_PATIENCE_S)
    assert "User and orders" in answers[0]
    assert dev.output().count("Reloaded: schema/query.py") == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left(dev: Command, number: signal.Signals) -> None:
    """Neither the child nor the spare one outlives the parent, even if that is killed."""
    children = children_of(dev.process.pid)
    assert len(children) == 2
    url = url_of(dev)
    assert dev.stop(number) == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    until(lambda: not any(map(is_running, children)), "the end of all children")
    with pytest.raises(httpx.ConnectError):
        page(url)


def test_a_signal_to_the_whole_group_stops_it_in_order(dev: Command) -> None:
    """As Ctrl+C does: no traceback of an interrupted process is shown."""
    os.killpg(dev.process.pid, signal.SIGINT)
    assert dev.process.wait(_PATIENCE_S) == 0
    assert "Traceback" not in dev.output()


def test_without_a_parent_nothing_is_handed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain `bff dev` listens itself."""
    monkeypatch.delenv("_BFF_HANDED_DOWN", raising=False)
    assert handed_down() is None


# The files


def test_added_changed_and_removed_files_are_found(tmp_path: Path) -> None:
    """Once each, relative to the folder, in any of the three kinds."""
    nested = tmp_path / "schema" / "types"
    nested.mkdir(parents=True)
    (nested / "user.py").write_text("a")
    (tmp_path / "old.graphql").write_text("a")
    watch = FileWatch(tmp_path)
    assert watch.changed() == []
    (nested / "user.py").write_text("ab")
    (tmp_path / "old.graphql").unlink()
    (tmp_path / "bff.toml").write_text("")
    assert watch.changed() == ["bff.toml", "old.graphql", "schema/types/user.py"]
    assert watch.changed() == []


def test_a_change_of_the_same_size_and_time_is_found(tmp_path: Path) -> None:
    """An editor that writes another file and renames it, and a tool that keeps the time."""
    file = tmp_path / "a.py"
    file.write_text("a = 1")
    status = file.stat()
    watch = FileWatch(tmp_path)
    new = tmp_path / "a.py.new"
    new.write_text("a = 2")
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(file)
    assert watch.changed() == ["a.py"]


@pytest.mark.parametrize("folder", [".venv", ".git", "__pycache__", "node_modules", "build", "x.egg-info", "env"])
def test_folders_that_are_not_the_project_s_are_left_out(tmp_path: Path, folder: str) -> None:
    """Hidden ones, caches, and a virtual environment of any name. Other kinds of files are left out too."""
    (tmp_path / folder).mkdir()
    (tmp_path / "env").mkdir(exist_ok=True)
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    watch = FileWatch(tmp_path)
    (tmp_path / folder / "a.py").write_text("a")
    (tmp_path / "a.txt").write_text("a")
    assert watch.changed() == []


def test_a_link_to_a_folder_is_not_followed(tmp_path: Path) -> None:
    """A link to a parent would have no end."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "dangling.py").symlink_to(tmp_path / "nowhere")
    watch = FileWatch(tmp_path)
    (tmp_path / "a" / "x.py").write_text("a")
    assert watch.changed() == ["a/x.py"]


def test_the_number_of_entries_is_limited(tmp_path: Path) -> None:
    """The same files are watched each time, and it shows that some are not."""
    for number in range(5):
        (tmp_path / f"{number}.py").write_text("a")
    assert not FileWatch(tmp_path, 5).is_partial
    watch = FileWatch(tmp_path, 3)
    assert watch.is_partial
    for number in range(5):
        (tmp_path / f"{number}.py").write_text("ab")
    assert watch.changed() == ["0.py", "1.py", "2.py"]


def test_a_folder_that_disappears_is_no_error(tmp_path: Path) -> None:
    """Its files are removed files."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.py").write_text("a")
    watch = FileWatch(tmp_path / "a")
    shutil.rmtree(tmp_path / "a")
    assert watch.changed() == ["x.py"]
