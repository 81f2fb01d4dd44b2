"""Real proxies in front of the gateway: nginx and HAProxy, as separate processes with their own configuration."""

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.gateways import free_port
from tests.support.programs import needs

_PATIENCE_S = 20


def place_of(url: str) -> str:
    """A URL's host and port."""
    return urlsplit(url).netloc


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[str]:
    """Run a proxy that listens on the port. Returns its URL once it does."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, process.stdout and process.stdout.read().decode()
                assert time.monotonic() < until, "the proxy does not start"
                time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(_PATIENCE_S)
        if process.stdout is not None:
            process.stdout.close()


_NGINX = """
user root;
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000;
    {http}
    upstream gateways {{
        {servers}
        keepalive 64;
        keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://gateways;
            proxy_http_version 1.1;
            {location}
        }}
    }}
}}
"""
_WEBSOCKETS = "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }"
_WEBSOCKETS_HERE = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;"


@contextmanager
def nginx(folder: Path, gateways: Sequence[str], *, websockets: bool = False, options: str = "") -> Iterator[str]:
    """Run nginx in front of gateways, with persistent connections to them. Yields its URL.

    `websockets` forwards requests to upgrade, as in nginx's documentation. `options` are appended to each server's address.
    """
    needs("nginx")
    port = free_port()
    servers = " ".join(f"server {place_of(url)} {options};" for url in gateways)
    config = _NGINX.format(
        folder=folder,
        port=port,
        servers=servers,
        http=_WEBSOCKETS if websockets else "",
        location=_WEBSOCKETS_HERE if websockets else 'proxy_set_header Connection "";',
    )
    path = folder / "nginx.conf"
    path.write_text(config, encoding="utf-8")
    with running(["nginx", "-p", str(folder), "-c", str(path), "-e", str(folder / "error.log")], port) as url:
        yield url


_HAPROXY = """
global
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    http-reuse always
frontend clients
    bind 127.0.0.1:{port}
    option forwardfor
    default_backend gateways
backend gateways
{servers}
"""


@contextmanager
def haproxy(folder: Path, gateways: Mapping[str, str]) -> Iterator[str]:
    """Run HAProxy in front of gateways (name → URL). It adds the client's address to `X-Forwarded-For`. Yields its URL."""
    needs("haproxy")
    port = free_port()
    servers = "\n".join(f"    server {name} {place_of(url)}" for name, url in gateways.items())
    path = folder / "haproxy.cfg"
    path.write_text(_HAPROXY.format(port=port, servers=servers), encoding="utf-8")
    with running(["haproxy", "-f", str(path), "-db"], port) as url:
        yield url
