"""The command line. It reads settings, calls functions, prints results and turns errors into exit codes.

Exit codes: 0 success, 1 a check found faults, 2 the command could not start.
"""

import gc
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from socket import socket
from typing import IO, Any

import click
import uvloop

from bff.app import App, AppError, DemoOptions, find_app
from bff.commands import check as check_command
from bff.commands import dev
from bff.commands import documents as documents_command
from bff.commands import explain as explain_command
from bff.commands import schema as schema_command
from bff.commands import token as token_command
from bff.commands.demo import FIRST_PORT
from bff.commands.new import new
from bff.gate import consumers
from bff.gateway import create
from bff.gateway.ports import Ports, ports_of
from bff.observe import logs
from bff.runtime.log import Log
from bff.runtime.version import VERSION
from bff.server import worker
from bff.server.host import Gateway
from bff.server.server import Server, listen
from bff.server.sockets import allow_many, url_of
from bff.server.supervisor import Supervisor, SupervisorLink
from bff.settings import NAME, Settings, SettingsError, app_named, load
from bff.settings.json_schema import json_schema
from bff.upstream.caller import Identity

_PORTS = 65_536
_log = Log("bff.app")
_GC_THRESHOLDS = (100_000, 50, 100)
"""A request makes thousands of objects and very few cycles (figures: tests/bench/README.md)."""


@dataclass(frozen=True, slots=True)
class Place:
    """An application and its settings file, from `--app` and `--config`, the environment, or defaults."""

    app_name: str | None = None
    config: Path | None = None

    def app(self) -> App:
        """The application. Raises `SettingsError`, `AppError`."""
        name = app_named(os.environ, file=self.config, given=self.app_name)
        return find_app(name, Path.cwd())

    def load(self, app: App, **given: Any) -> Settings:
        """The application's settings. `given` are those of the command line. Raises `SettingsError`."""
        return load(app, os.environ, file=self.config, command_line={"app": self.app_name, **given})


def _with_place(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--app` and `--config`, pass them to the command as `place`, and print errors in one line each."""

    @click.option("--app", "app_name", help="The application, as module:name; schema.app:app by default.")
    @click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The settings file (bff.toml).")
    @wraps(command)
    def run(app_name: str | None, config: Path | None, **options: Any) -> Any:
        return _with_errors(lambda: command(place=Place(app_name, config), **options))

    return run


def _with_address(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--host` and `--port`."""

    @click.option("--host", help="The address to listen on.")
    @click.option("--port", type=int, help="The port to listen on; 0 is any free one.")
    @wraps(command)
    def run(**options: Any) -> Any:
        return command(**options)

    return run


def _with_errors(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (SettingsError, AppError) as error:
        for line in str(error).splitlines():
            click.echo(f"bff: {line}", err=True)
    except OSError as error:
        click.echo(f"bff: {error.strerror or error}", err=True)
    sys.exit(2)


def _variants(app: App, names: Sequence[str]) -> Sequence[str]:
    """The names, or all variants if there are none. Exits with 2 if one is not a variant."""
    for name in names:
        if name not in app.variant_names:
            click.echo(f"bff: VARIANT: expected {', '.join(app.variant_names)}, got {name}", err=True)
            sys.exit(2)
    return names or app.variant_names


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="bff")
def main() -> None:
    """A GraphQL gateway for REST services, with a variant of the graph for each kind of client."""


main.add_command(new)


@main.command()
@_with_address
@_with_place
@click.option("--workers", type=int, help="The number of worker processes.")
def serve(place: Place, host: str | None, port: int | None, workers: int | None) -> None:
    """Run the gateway in production mode, in front of the services in the settings."""
    app = place.app()
    read = partial(place.load, app, host=host, port=port, workers=workers)
    settings = read()
    logs.configure(settings.log_level, settings.log_format or "json")
    gateway = create(app, settings, load_again=read)
    ports = ports_of(gateway, settings)
    allow_many()
    for event, fields in gateway.describe():
        _log.info(event, **fields)
    with _listeners(settings) as listeners:
        # Objects made at start-up live as long as the process. Frozen, they are not collected, and forked workers
        # share their memory.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        if settings.workers == 1:
            server = Server(
                ports.app,
                gateway,
                settings.connections,
                settings.drain,
                certificate=ports.certificate,
                management=ports.management,
            )
            uvloop.run(server.serve(sockets=listeners))
        else:
            _supervise(gateway, ports, settings, listeners)


@contextmanager
def _listeners(settings: Settings) -> Iterator[list[socket]]:
    """The listening sockets: for clients, and for operators if they have a port of their own. Raises `OSError`."""
    management = settings.management
    addresses = [(settings.host or "0.0.0.0", settings.port)]  # noqa: S104 - a server's default, by contract
    if management.port is not None:
        addresses.append((management.host, management.port))
    with ExitStack() as stack:
        listeners = [stack.enter_context(listen(host, port)) for host, port in addresses]
        scheme = "http" if settings.tls.cert_file is None else "https"
        urls = [url_of(each) for each in listeners]
        _log.info("listening", url=urls[0].replace("http", scheme, 1), management_url=urls[1] if len(urls) > 1 else None)
        yield listeners


def _supervise(gateway: Gateway, ports: Ports, settings: Settings, listeners: list[socket]) -> None:
    options, drain = settings.supervisor, settings.drain

    def work(link: SupervisorLink) -> None:
        server = worker.WorkerServer(
            ports.app,
            gateway,
            settings.connections,
            drain,
            certificate=ports.certificate,
            management=ports.management,
            is_last=link.is_stopping,
        )
        uvloop.run(worker.serve(server, listeners, link, options.unresponsive_s))

    def close() -> None:
        for listener in listeners:
            listener.close()

    # A port closes when all processes have closed it, so the supervisor closes its copy too.
    Supervisor(settings.workers, work, options, stop_s=drain.stop_s, on_stop=close).run()


@main.command(name="dev")
@click.option("--reload", is_flag=True, help="Restart when a .py, .graphql or .toml file below the working folder changes.")
@_with_address
@_with_place
def dev_(place: Place, host: str | None, port: int | None, reload: bool) -> None:
    """Run the demo services and the gateway in front of them on one machine."""
    app = place.app()
    read = partial(place.load, app, host=host, port=port)
    settings = read()
    if reload:
        dev.run_reloading(settings, [argument for argument in sys.argv[1:] if argument != "--reload"])
        return
    logs.configure(settings.log_level, settings.log_format or "console")
    uvloop.run(dev.run(app, token_command.with_secret(settings), lambda: token_command.with_secret(read())))


@main.command(name="demo-services")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=FIRST_PORT,
    show_default=True,
    help="The port of the first service; those of the others follow. 0: any free ports.",
)
@click.option("--latency-ms", type=click.FloatRange(0, 60_000), default=0, help="The delay of each response.")
@click.option("--no-store", is_flag=True, help="Send Cache-Control: no-store with every response.")
@_with_place
def demo_services(place: Place, host: str, port: int, latency_ms: float, no_store: bool) -> None:
    """Run only the demo services."""
    app = place.app()
    if port + len(app.sources) > _PORTS:
        click.echo(f"bff: --port: expected at most {_PORTS - len(app.sources)}, got {port}", err=True)
        sys.exit(2)
    uvloop.run(dev.run_services(app, host, port, DemoOptions(latency_ms / 1000, no_store)))


@main.command()
@click.option("--sub", required=True, help="The user's id.")
@click.option("--role", help="A role, as admin.")
@click.option("--ttl-s", type=click.IntRange(1, 10 * 365 * 86_400), default=86_400, show_default=True)
@_with_place
def token(place: Place, sub: str, role: str | None, ttl_s: int) -> None:
    """Print a development token, signed with JWT_SECRET or, if it is not set, with the secret of `bff dev`."""
    settings = token_command.with_secret(place.load(place.app()))
    click.echo(token_command.make(settings, sub=sub, role=role, ttl_s=ttl_s))


@main.command()
@click.argument("variant")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--operation", help="The operation's name, if the document has several.")
@click.option("--variables", default="{}", help="The variables as a JSON object.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--plan", is_flag=True, help="Also print the plan: each field and how its value is resolved.")
@_with_place
def explain(
    place: Place, variant: str, file: IO[str], operation: str | None, variables: str, as_json: bool, plan: bool
) -> None:
    """Print the upstream calls of the operation in FILE on VARIANT, wave by wave. FILE - is standard input."""
    app = place.app()
    _variants(app, [variant])
    try:
        explanation = explain_command.explained(app, place.load(app), variant, file.read(), operation, variables)
    except explain_command.NotExplained as error:
        for line in error.lines:
            click.echo(f"bff: {line}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(explanation.as_json(), indent=2))
    else:
        click.echo(explanation.as_text() + (f"\n{explanation.plan}" if plan else ""), nl=False)


@main.command(name="check")
@click.argument("sources", nargs=-1)
@click.option("--id", "ids", multiple=True, help="An object that exists, as SOURCE=ID. By default objects of a page.")
@click.option("--user-id", help="Ask as this user: X-User-ID.")
@click.option("--authorization", default="", help="The user's Authorization header.")
@_with_place
def check_services(
    place: Place, sources: tuple[str, ...], ids: tuple[str, ...], user_id: str | None, authorization: str
) -> None:
    """Ask the services of SOURCES, or all, what the application expects, and print what does not fit. Sends reads only.

    Exits with 1 if something does not fit.
    """
    app = place.app()
    settings = place.load(app)
    names = sources or app.source_names
    if unknown := [name for name in names if name not in app.source_names]:
        raise SettingsError(f"SOURCES: expected {', '.join(app.source_names)}, got {', '.join(unknown)}")
    if missing := [name for name in names if not settings.instances(name)]:
        raise SettingsError("\n".join(f"{name}_service_url ({name.upper()}_SERVICE_URL): missing" for name in missing))
    try:
        known = check_command.ids_from(ids, app)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    identity = None if user_id is None else Identity(user_id, authorization)
    faults = 0

    async def run() -> None:
        nonlocal faults
        async for finding in check_command.check(app, settings, names, known, identity):
            click.echo(str(finding), err=bool(finding.fault))
            faults += bool(finding.fault)

    uvloop.run(run())
    sys.exit(1 if faults else 0)


@main.group()
def keys() -> None:
    """API keys of consumers."""


@keys.command(name="new")
@click.argument("name")
@click.option("--variant", "variants", multiple=True, help="A variant that the consumer may use; by default all.")
@click.option("--scope", "scopes", multiple=True, help="A scope of the consumer.")
@_with_place
def new_key(place: Place, name: str, variants: tuple[str, ...], scopes: tuple[str, ...]) -> None:
    """Make an API key for the consumer NAME. It is shown only once: the settings contain its hash."""
    if not re.match(NAME, name):
        click.echo("bff: NAME: expected lower-case letters, digits, - and _, 63 at most", err=True)
        sys.exit(2)
    chosen = _variants(place.app(), variants)
    key = consumers.new_key()
    click.echo(f"The key of {name}, for the header X-API-Key. It is not shown again:\n", err=True)
    click.echo(key)
    click.echo("\nFor the settings file:\n", err=True)
    click.echo(f"[consumers.{name}]", err=True)
    click.echo(f"key_sha256 = {json.dumps([consumers.digest_of(key)])}", err=True)
    click.echo(f"variants = {json.dumps(list(chosen))}", err=True)
    click.echo(f"scopes = {json.dumps(list(scopes))}", err=True)


@main.group(name="settings")
def settings_() -> None:
    """The settings file."""


@settings_.command(name="schema")
@_with_place
def settings_schema(place: Place) -> None:
    """Print a JSON schema of bff.toml, with which editors complete and check it."""
    click.echo(json.dumps(json_schema(place.app()), indent=2))


@main.group()
def documents() -> None:
    """Trusted documents: the operations of released apps."""


@documents.command(name="check")
@_with_place
def check_documents(place: Place) -> None:
    """Validate the documents of all manifests against the graph. Exits with 1 if one is invalid."""
    app = place.app()
    report = documents_command.check(app, place.load(app))
    for line in report.faults:
        click.echo(line, err=True)
    if report.faults:
        click.echo(f"{report.broken} of {report.checked} documents are invalid.", err=True)
        sys.exit(1)
    click.echo(f"{report.checked} documents fit the graph.")


@main.group()
def schema() -> None:
    """The schema definition language of the variants."""


@schema.command()
@click.argument("variant", required=False)
@click.option("--write", is_flag=True, help="Write the application's sdl folder instead of printing.")
@_with_place
def export(place: Place, variant: str | None, write: bool) -> None:
    """Print the SDL of VARIANT, or of all variants."""
    app = place.app()
    for name in _variants(app, [variant] if variant else []):
        if write:
            click.echo(f"wrote {schema_command.write(app, name)}")
        else:
            click.echo(schema_command.current(app, name), nl=False)


@schema.command()
@_with_place
def check(place: Place) -> None:
    """Compare the graph with the committed SDL and the trusted documents. Exits with 1 if they don't match."""
    app = place.app()
    differences = schema_command.check(app)
    for difference in differences:
        click.echo(difference, err=True)
    if differences:
        click.echo(
            "The committed SDL differs from the graph. If this is intended: bff schema export --write, and commit.", err=True
        )
    report = documents_command.check(app, place.load(app))
    for line in report.faults:
        click.echo(line, err=True)
    if differences or report.faults:
        sys.exit(1)
    click.echo("The committed SDL matches the graph.")
