"""A reader of the log can't block the gateway: a thread writes the lines, and lines that don't fit its queue are dropped."""

import fcntl
import json
import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.support.gateways import free_port
from tests.support.processes import bff, set_of
from tests.support.services import Tapped

_SMALL_PIPE = 4096


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_log_that_is_not_read_stops_nothing(tmp_path: Path, services: Tapped, workers: str) -> None:
    """All requests are answered. When the log is read again each line is whole. Then the gateway drains."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _SMALL_PIPE)
    port = free_port()
    arguments = ("serve", "--host", "127.0.0.1", "--port", str(port), "--workers", workers)
    with bff(tmp_path, *arguments, environment=set_of(services.urls), stdout=writing) as serve:
        os.close(writing)
        serve.wait_until_ready(url := f"http://127.0.0.1:{port}")
        ids = [f"request-{number}" for number in range(100)]
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            for each in ids:  # far more than the pipe takes
                answer = client.post("/web/graphql", json={"query": "{ __typename }"}, headers={"x-request-id": each})
                assert answer.status_code == 200
            assert client.get("/health").status_code == 200
            assert b"\nbff_log_lines_dropped_total 0.0\n" in client.get("/metrics").content
        serve.process.send_signal(signal.SIGTERM)
        with os.fdopen(reading, "rb") as log:
            lines = [json.loads(line) for line in log]
        assert serve.process.wait(30) == 0
    assert [line["request_id"] for line in lines if line.get("path") == "/web/graphql"] == ids


def test_a_gateway_whose_log_is_not_read_can_be_stopped(tmp_path: Path, services: Tapped) -> None:
    """It waits a short time for its last lines to be read, and ends."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _SMALL_PIPE)
    port = free_port()
    arguments = ("serve", "--host", "127.0.0.1", "--port", str(port))
    with bff(tmp_path, *arguments, environment=set_of(services.urls), stdout=writing) as serve:
        os.close(writing)
        serve.wait_until_ready(url := f"http://127.0.0.1:{port}")
        for _ in range(50):
            httpx.get(f"{url}/{'x' * 150}", trust_env=False, timeout=30)
        assert serve.stop() == 0
    os.close(reading)
