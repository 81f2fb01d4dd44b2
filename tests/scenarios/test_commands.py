"""The commands as processes: how they start, refuse to, and stop."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from bff.gate.consumers import digest_of
from tests.support.gateways import SECRET, free_port
from tests.support.processes import bff
from tests.support.services import Tapped


def environment_of(services: Tapped) -> dict[str, str]:
    """The environment of `bff serve`."""
    return {"JWT_SECRET": SECRET, **{f"{name.upper()}_SERVICE_URL": url for name, url in services.urls.items()}}


def ask(url: str, query: str, results: list[httpx.Response | Exception]) -> None:
    """Send one request, and put its answer or failure into `results`."""
    try:
        results.append(httpx.post(f"{url}/web/graphql", json={"query": query}, timeout=30, trust_env=False))
    except httpx.TransportError as error:
        results.append(error)


def test_dev_runs_services_and_gateway(tmp_path: Path) -> None:
    """It prints three URLs and two tokens, with which the graph answers at once. SIGINT ends it with 0."""
    with bff(tmp_path, "dev", "--port", "0") as dev:
        output = dev.wait_for("admin    ey")
        urls = {line.split()[0]: line.split()[1] for line in output.splitlines() if "/graphql" in line}
        assert list(urls) == ["web", "mobile", "admin"]
        user, admin = (
            line.split()[-1] for line in output.splitlines() if line.split()[-1:] and line.split()[-1].startswith("ey")
        )
        base = urls["web"].removesuffix("/web/graphql")
        dev.wait_until_ready(base)
        query = {"query": '{ user(id: "1") { id email name orders { id total status } } }'}
        for variant, token in (("web", user), ("mobile", user), ("admin", admin)):
            answer = httpx.post(
                urls[variant], json=query, headers={"authorization": f"Bearer {token}"}, trust_env=False
            ).json()
            assert len(answer["data"]["user"]["orders"]) == 10
        assert "request method=POST path=/web/graphql" in dev.wait_for("variant=admin")
        assert dev.stop(signal.SIGINT) == 0


def test_serve_names_all_missing_settings(tmp_path: Path) -> None:
    """It doesn't start without services or a secret."""
    with bff(tmp_path, "serve") as serve:
        assert serve.process.wait(60) == 2
        assert "JWT_SECRET" in serve.output()
    with bff(tmp_path, "serve", environment={"JWT_SECRET": SECRET, "USERS_SERVICE_URL": "http://127.0.0.1:1"}) as serve:
        assert serve.process.wait(60) == 2
        assert "ORDERS_SERVICE_URL" in serve.output()
        assert "PRODUCTS_SERVICE_URL" in serve.output()
        assert "USERS_SERVICE_URL" not in serve.output()


@pytest.mark.parametrize(
    "unfit", [{"BFF_SOURCES__ORDERS__TIMEOUT": "1"}, {"BFF_SOURCES__ORDERS__TIMEOUT_S": "0"}, {"BFF_NONSENSE": "1"}]
)
def test_invalid_settings_stop_the_start(tmp_path: Path, services: Tapped, unfit: dict[str, str]) -> None:
    """The message names the setting, and has no secret."""
    with bff(tmp_path, "serve", environment={**environment_of(services), **unfit}) as serve:
        assert serve.process.wait(60) == 2
        assert next(iter(unfit)) in serve.output()
        assert SECRET not in serve.output()
        assert "Traceback" not in serve.output()


def test_a_port_in_use_is_reported(tmp_path: Path, services: Tapped) -> None:
    """In one line, with exit code 2."""
    port = services.ports["users"].url.rpartition(":")[2]
    with bff(tmp_path, "serve", "--host", "127.0.0.1", "--port", port, environment=environment_of(services)) as serve:
        assert serve.process.wait(60) == 2
        assert f"can't listen on 127.0.0.1:{port}" in serve.output()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_drains(tmp_path: Path, services: Tapped, workers: str) -> None:
    """Running requests are finished, `/ready` is 503 meanwhile, and the exit code is 0."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    slow = {
        **environment_of(services),
        "BFF_SOURCES__PRODUCTS__TIMEOUT_S": "60",
        "BFF_REQUEST__DEADLINE_S": "60",
        "BFF_DRAIN__DELAY_S": "3",
    }
    may_answer = threading.Event()
    services.ports["products"].custom = slowly(may_answer)
    with bff(tmp_path, "serve", "--host", "127.0.0.1", "--port", str(port), "--workers", workers, environment=slow) as serve:
        serve.wait_until_ready(url)
        finished: list[httpx.Response | Exception] = []
        in_flight = threading.Thread(target=ask, args=(url, '{ product(id: "1") { name } }', finished))
        in_flight.start()
        while services.ports["products"].requests == 0:
            time.sleep(0.01)
        serve.process.send_signal(signal.SIGTERM)
        serve.wait_for('"draining"')
        with httpx.Client(trust_env=False) as client:  # one connection, so one worker
            status, answer = 200, httpx.Response(200)
            while status == 200:  # with several workers another one may not have taken in its signal yet
                answer = client.get(f"{url}/ready")
                status = answer.status_code
        assert (status, answer.json()["status"]) == (503, "draining")
        may_answer.set()
        in_flight.join(30)
        (response,) = finished
        assert isinstance(response, httpx.Response)
        assert response.json() == {"data": {"product": {"name": "Product 1"}}}
        assert serve.process.wait(60) == 0
        lines = [json.loads(line) for line in serve.output().splitlines()]
        assert {"draining", "request"} <= {line["message"] for line in lines}


def slowly(may_answer: threading.Event) -> Callable[[bytes], bytes]:
    """A service that answers product 1 when the test allows it."""

    def answer(_: bytes) -> bytes:
        may_answer.wait(30)  # in the thread of the test's services: the gateway is another process
        product = (
            b'{"id":1,"sku":"SKU-00001","name":"Product 1","description":"d","price":8.7,"currency":"USD","stock":7,'
            b'"category":"garden","imageUrl":"https://cdn.example.com/1.jpg","updatedAt":"2026-01-01T00:00:00Z"}'
        )
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(product), product)

    return answer


def test_a_worker_that_dies_is_replaced(tmp_path: Path, services: Tapped) -> None:
    """The others go on, a new one is started, and the log says so."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ("serve", "--host", "127.0.0.1", "--port", str(port), "--workers", "2")
    with bff(tmp_path, *arguments, environment=environment_of(services)) as serve:
        serve.wait_until_ready(url)
        children = Path(f"/proc/{serve.process.pid}/task/{serve.process.pid}/children")
        first, second = children.read_text().split()
        os.kill(int(first), signal.SIGKILL)
        serve.wait_for("worker replaced")
        until = time.monotonic() + 30
        while len(now := children.read_text().split()) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        assert second in now
        assert first not in now
        assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
        assert serve.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_instances_change_without_a_restart(tmp_path: Path, services: Tapped, workers: str) -> None:
    """On SIGHUP the settings file is read again, and calls go to the new instances. An invalid file changes nothing."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {**environment_of(services), "BFF_SOURCES__USERS__CACHE__ENABLED": "false"}
    del environment["PRODUCTS_SERVICE_URL"]
    file = tmp_path / "bff.toml"
    file.write_text('products_service_url = "http://127.0.0.1:9"\n')
    arguments = ("serve", "--host", "127.0.0.1", "--port", str(port), "--workers", workers)
    with bff(tmp_path, *arguments, environment=environment) as serve:
        serve.wait_until_ready(url)
        answers: list[httpx.Response | Exception] = []
        ask(url, '{ product(id: "1") { name } }', answers)
        for text, line in (
            ("products_service_url = 7\n", "settings not reloaded"),
            (f'products_service_url = "{services.urls["products"]}"\n', "settings reloaded"),
        ):
            file.write_text(text)
            serve.process.send_signal(signal.SIGHUP)
            until = time.monotonic() + 30
            while serve.output().count(line) < int(workers):
                assert time.monotonic() < until, serve.output()
                time.sleep(0.02)
        for _ in range(4):
            ask(url, '{ product(id: "1") { name } }', answers)
        first, *rest = [answer.json() for answer in answers if isinstance(answer, httpx.Response)]
        assert first["data"] == {"product": None}
        assert [answer["data"] for answer in rest] == [{"product": {"name": "Product 1"}}] * 4
        assert serve.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_leaked_key_is_gone_when_the_file_changes(tmp_path: Path, services: Tapped, workers: str) -> None:
    """With `reload.on_change`, no signal is needed: all workers read the file again."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    file = tmp_path / "bff.toml"

    def write(key: str) -> None:
        own = f'[consumers.partner]\nkey_sha256 = ["{digest_of(key)}"]\nvariants = ["web"]\n'
        file.write_text(f"[reload]\non_change = true\ninterval_s = 0.1\n{own}")

    def status(key: str) -> int:
        headers = {"x-api-key": key, "connection": "close"}
        body = {"query": "{ __typename }"}
        return httpx.post(f"{url}/web/graphql", json=body, headers=headers, trust_env=False).status_code

    write("leaked")
    arguments = ("serve", "--host", "127.0.0.1", "--port", str(port), "--workers", workers)
    with bff(tmp_path, *arguments, environment=environment_of(services)) as serve:
        serve.wait_until_ready(url)
        assert status("leaked") == 200
        write("new")
        until = time.monotonic() + 30
        while serve.output().count("settings reloaded") < int(workers):
            assert time.monotonic() < until, serve.output()
            time.sleep(0.02)
        for _ in range(8):  # each connection may come to another worker
            assert (status("leaked"), status("new")) == (401, 200)
        assert serve.stop() == 0


def test_demo_services_alone(tmp_path: Path) -> None:
    """They print their URLs as the settings that a gateway needs."""
    with bff(tmp_path, "demo-services", "--port", "0") as demo:
        output = demo.wait_for("PRODUCTS_SERVICE_URL=")
        settings = dict(line.split("=", 1) for line in output.splitlines())
        assert httpx.get(settings["USERS_SERVICE_URL"] + "/users/1", trust_env=False).json()["name"] == "User 1"
        assert demo.stop() == 0
