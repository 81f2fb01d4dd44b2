"""The command line. No logic of its own: it reads settings, calls, prints, and turns errors into exit codes.

Exit codes: 0 done, 1 a check found something, 2 it could not begin.
"""

import gc
import json
import os
import re
import sys
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from socket import socket
from typing import IO, Any

import click
import uvloop

from bff import __version__
from bff.commands import dev
from bff.commands import documents as checking
from bff.commands import explain as explaining
from bff.commands import schema as sdl
from bff.commands import token as tokens
from bff.gate import consumers
from bff.gateway import create, with_cors
from bff.graph.variants import VARIANTS
from bff.observe import logs
from bff.server import worker
from bff.server.host import Gateway
from bff.server.server import Server, listen
from bff.server.sockets import allow_many
from bff.server.supervisor import Supervisor, Ties
from bff.settings import NAME, Settings, SettingsError, load

_GC_THRESHOLDS = (100_000, 50, 100)
"""A request makes thousands of objects and next to no cycles (tests/bench/README.md has the figures)."""

_STOP_GRACE_S = 3.0
"""Seconds that workers have after the drain time to close their connections."""

_VARIANT_NAMES = [variant.name for variant in VARIANTS]


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that several commands take, and errors as one line each."""

    @click.option("--host", help="The address to listen on.")
    @click.option("--port", type=int, help="The port to listen on; 0 is any free one.")
    @click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The settings file (bff.toml).")
    @wraps(command)
    def run(**options: Any) -> Any:
        return _told(lambda: command(**options))

    return run


def _told(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except SettingsError as error:
        for line in str(error).splitlines():
            click.echo(f"bff: {line}", err=True)
    except OSError as error:
        click.echo(f"bff: {error.strerror or error}", err=True)
    sys.exit(2)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bff")
def main() -> None:
    """A GraphQL gateway for REST services, with a variant of the graph for each kind of client."""


@main.command()
@_common
@click.option("--workers", type=int, help="How many processes serve.")
def serve(host: str | None, port: int | None, config: Path | None, workers: int | None) -> None:
    """The gateway alone, in production mode, in front of the services that the settings name."""
    given = {"host": host, "port": port, "workers": workers}
    read = partial(load, os.environ, file=config, command_line=given)
    settings = read()
    logs.configure(settings.log_level, settings.log_format or "json")
    gateway = create(settings, load_again=read)
    allow_many()
    with listen(settings.host or "0.0.0.0", settings.port) as listener:  # noqa: S104 - a server's default, by contract
        # What is made at start-up lives as long as the process: the collector need not look at it again, and several
        # processes can share it.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        if settings.workers == 1:
            uvloop.run(Server(with_cors(gateway, settings), gateway, settings).serve(sockets=[listener]))
        else:
            _supervise(gateway, settings, listener)


def _supervise(gateway: Gateway, settings: Settings, listener: socket) -> None:
    options, drain = settings.supervisor, settings.drain

    def work(ties: Ties) -> None:
        server = worker.WorkerServer(with_cors(gateway, settings), gateway, settings, is_last=ties.is_over)
        uvloop.run(worker.serve(server, listener, ties, options.unresponsive_s))

    stop_s = drain.delay_s + drain.timeout_s + _STOP_GRACE_S
    # The port closes when all processes have closed it, so the supervisor closes its copy too.
    Supervisor(settings.workers, work, options, stop_s=stop_s, on_stop=listener.close).run()


@main.command(name="dev")
@_common
@click.option("--reload", is_flag=True, help="Restart when a .py, .graphql or .toml file below the working folder changes.")
def dev_(host: str | None, port: int | None, config: Path | None, reload: bool) -> None:
    """The whole thing on one machine: three demo services, and the gateway in front of them."""
    read = partial(load, os.environ, file=config, command_line={"host": host, "port": port})
    settings = read()
    if reload:
        dev.run_reloading(settings, [argument for argument in sys.argv[1:] if argument != "--reload"])
        return
    logs.configure(settings.log_level, settings.log_format or "console")
    uvloop.run(dev.run(tokens.with_secret(settings), lambda: tokens.with_secret(read())))


@main.command(name="demo-services")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535 - 2),
    default=8101,
    show_default=True,
    help="The first of three ports; 0 is any free ones.",
)
@click.option("--latency-ms", type=click.FloatRange(0, 60_000), default=0, help="How long each answer takes.")
@click.option("--no-store", is_flag=True, help="Say of every answer that it must not be cached.")
def demo_services(host: str, port: int, latency_ms: float, no_store: bool) -> None:
    """The three demo services alone."""
    _told(lambda: uvloop.run(dev.run_services(host, port, latency_s=latency_ms / 1000, no_store=no_store)))


@main.command()
@click.option("--sub", required=True, help="Whose token it is: a user's id.")
@click.option("--role", help="A role, as admin.")
@click.option("--ttl-s", type=click.IntRange(1, 10 * 365 * 86_400), default=86_400, show_default=True)
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The settings file (bff.toml).")
def token(sub: str, role: str | None, ttl_s: int, config: Path | None) -> None:
    """A development token, signed with JWT_SECRET, or with the secret of `bff dev` where there is none."""
    settings = tokens.with_secret(_told(lambda: load(os.environ, file=config)))
    click.echo(tokens.make(settings, sub=sub, role=role, ttl_s=ttl_s))


@main.command()
@click.argument("variant", type=click.Choice(_VARIANT_NAMES))
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--operation", help="Which operation, where the document has several.")
@click.option("--variables", default="{}", help="The variables as a JSON object.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--plan", is_flag=True, help="The plan as well: each field and where its value comes from.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The settings file (bff.toml).")
def explain(
    variant: str, file: IO[str], operation: str | None, variables: str, as_json: bool, plan: bool, config: Path | None
) -> None:
    """The upstream calls that the operation in FILE will make on VARIANT, wave by wave. FILE - is standard input."""
    settings = _told(lambda: load(os.environ, file=config))
    try:
        told = explaining.explained(settings, variant, file.read(), operation, variables)
    except explaining.NotExplained as error:
        for line in error.lines:
            click.echo(f"bff: {line}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(told.as_json(), indent=2))
    else:
        click.echo(told.as_text() + (f"\n{told.plan}" if plan else ""), nl=False)


@main.group()
def keys() -> None:
    """API keys of consumers."""


@keys.command()
@click.argument("name")
@click.option("--variant", "variants", multiple=True, type=click.Choice(_VARIANT_NAMES), help="Where it may come in; all.")
@click.option("--scope", "scopes", multiple=True, help="What it may ask for beyond what needs none.")
def new(name: str, variants: tuple[str, ...], scopes: tuple[str, ...]) -> None:
    """Make a key for the consumer NAME. It is shown this once; the settings file holds its hash."""
    if not re.match(NAME, name):
        click.echo("bff: NAME: expected lower-case letters, digits, - and _, 63 at most", err=True)
        sys.exit(2)
    key = consumers.new_key()
    click.echo(f"The key of {name}, for the header X-API-Key. It is not shown again:\n", err=True)
    click.echo(key)
    click.echo("\nFor the settings file:\n", err=True)
    click.echo(f"[consumers.{name}]", err=True)
    click.echo(f"key_sha256 = {json.dumps([consumers.digest_of(key)])}", err=True)
    click.echo(f"variants = {json.dumps(list(variants or _VARIANT_NAMES))}", err=True)
    click.echo(f"scopes = {json.dumps(list(scopes))}", err=True)


@main.group()
def documents() -> None:
    """Trusted documents: those that apps were built with."""


@documents.command(name="check")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The settings file (bff.toml).")
def check_documents(config: Path | None) -> None:
    """Validate the documents of all manifests against the graph; exit with 1 where one would break."""
    settings = _told(lambda: load(os.environ, file=config))
    report = _told(lambda: checking.check(settings))
    for line in report.faults:
        click.echo(line, err=True)
    if report.faults:
        click.echo(f"Of {report.checked} documents, {report.broken} would break.", err=True)
        sys.exit(1)
    click.echo(f"{report.checked} documents fit the graph.")


@main.group()
def schema() -> None:
    """The schema definition language of the variants."""


@schema.command()
@click.argument("variant", type=click.Choice(_VARIANT_NAMES), required=False)
def export(variant: str | None) -> None:
    """Print the SDL of VARIANT, or of all."""
    for name in [variant] if variant else _VARIANT_NAMES:
        click.echo(sdl.current(name), nl=False)


@schema.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The settings file (bff.toml).")
def check(config: Path | None) -> None:
    """Compare the graph with the committed SDL and the trusted documents; exit with 1 where they don't fit."""
    drifts = sdl.check()
    for drift in drifts:
        click.echo(drift, err=True)
    if drifts:
        click.echo("The committed SDL has drifted. Where the change is meant: make sdl, and commit.", err=True)
    report = _told(lambda: checking.check(load(os.environ, file=config)))
    for line in report.faults:
        click.echo(line, err=True)
    if drifts or report.faults:
        sys.exit(1)
    click.echo("The committed SDL is that of the graph.")
