"""The deployment guide's configurations, run by the programs that they are for."""

import re
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.support.certificates import MadeCertificate, certificate
from tests.support.gateways import RunningGateway, free_port
from tests.support.programs import needs
from tests.support.proxies import place_of, running

ROOT = Path(__file__).parents[2]


def block(language: str) -> str:
    """The guide's block in that language."""
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


@pytest.mark.parametrize("has_http_2", [True, False])
def test_clients_speak_http_2_to_nginx(tmp_path: Path, gateway: RunningGateway, *, has_http_2: bool) -> None:
    """The guide's configuration, with a certificate and ports of the test's own."""
    needs("nginx")
    made, port = certificate(), free_port()
    made.write(tmp_path / "shop.pem", tmp_path / "shop.key")
    http = replaced(
        block("nginx"),
        ("/etc/nginx/tls", str(tmp_path)),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("127.0.0.1:8001", place_of(gateway.url)),
        ("    server 127.0.0.1:8002 max_fails=0;\n", ""),
    )
    temporary = "".join(f"{each}_temp_path {tmp_path}/{each};\n" for each in ("proxy", "fastcgi", "uwsgi", "scgi"))
    path = tmp_path / "nginx.conf"
    path.write_text(
        f"user root;\npid {tmp_path}/pid;\ndaemon off;\nevents {{}}\nhttp {{\naccess_log off;\n"
        f"client_body_temp_path {tmp_path}/body;\n{temporary}{http}}}\n",
        encoding="utf-8",
    )
    command = ["nginx", "-p", str(tmp_path), "-c", str(path), "-e", str(tmp_path / "error.log")]
    with running(command, port):
        assert answer_by(port, made, has_http_2=has_http_2) == ("HTTP/2" if has_http_2 else "HTTP/1.1")
        with client(made, has_http_2=has_http_2) as asking:
            for hidden in ("/metrics", "/ready", "/health"):
                assert asking.get(f"https://127.0.0.1:{port}{hidden}").status_code == 403


@pytest.mark.parametrize("has_http_2", [True, False])
def test_clients_speak_http_2_to_haproxy(tmp_path: Path, gateway: RunningGateway, *, has_http_2: bool) -> None:
    """The guide's configuration, with a certificate and ports of the test's own. It has no warnings."""
    needs("haproxy")
    made, port = certificate(), free_port()
    (tmp_path / "shop.pem").write_bytes(made.certificate + made.key)
    path = tmp_path / "haproxy.cfg"
    text = replaced(
        block("haproxy"),
        ("/etc/haproxy", str(tmp_path)),
        ("bind :443", f"bind 127.0.0.1:{port}"),
        ("127.0.0.1:8001", place_of(gateway.url)),
        ("    server two 127.0.0.1:8002\n", ""),
    )
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(["haproxy", "-c", "-f", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    with running(["haproxy", "-db", "-f", str(path)], port):
        assert answer_by(port, made, has_http_2=has_http_2) == ("HTTP/2" if has_http_2 else "HTTP/1.1")


def replaced(text: str, *replacements: tuple[str, str]) -> str:
    """The text with each of them, all of which must be in it."""
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text


def client(made: MadeCertificate, *, has_http_2: bool) -> httpx.Client:
    """A client that trusts that certificate."""
    context = ssl.create_default_context(cadata=made.certificate.decode())
    return httpx.Client(verify=context, http2=has_http_2, trust_env=False, timeout=30)


def answer_by(port: int, made: MadeCertificate, *, has_http_2: bool) -> str:
    """The version of HTTP by which an operation is answered."""
    with client(made, has_http_2=has_http_2) as asking:
        answer = asking.post(f"https://127.0.0.1:{port}/web/graphql", json={"query": '{ product(id: "1") { name } }'})
        assert answer.json() == {"data": {"product": {"name": "Product 1"}}}
        return answer.http_version
