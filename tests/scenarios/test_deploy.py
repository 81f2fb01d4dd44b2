"""The deployment guide's configurations, checked by the programs that read them."""

import re
import subprocess
from pathlib import Path

from tests.support.programs import needs

ROOT = Path(__file__).parents[2]


def block(language: str) -> str:
    """The guide's block in that language."""
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    """With a certificate of the test's own."""
    needs("nginx", "openssl")
    for name in ("shop.key", "shop.pem"):
        assert f"/etc/nginx/tls/{name}" in block("nginx")
    made = ["-keyout", str(tmp_path / "shop.key"), "-out", str(tmp_path / "shop.pem")]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=shop.example.com", *made]
    subprocess.run(make, check=True, capture_output=True)
    http = block("nginx").replace("/etc/nginx/tls", str(tmp_path))
    path = tmp_path / "nginx.conf"
    path.write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{http}}}\n", encoding="utf-8")
    command = ["nginx", "-t", "-p", str(tmp_path), "-c", str(path), "-e", str(tmp_path / "error.log")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_haproxy_accepts_the_configuration(tmp_path: Path) -> None:
    """Without a warning."""
    needs("haproxy")
    path = tmp_path / "haproxy.cfg"
    path.write_text(block("haproxy"), encoding="utf-8")
    done = subprocess.run(["haproxy", "-c", "-f", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
