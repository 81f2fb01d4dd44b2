"""`bff dev` and `bff demo-services`: the gateway and demo services on one machine."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import click

from bff.app import App, DemoOptions
from bff.commands import token
from bff.commands.demo import ports_from, running
from bff.gateway import create, with_cors
from bff.graphiql.page import DemoViewer
from bff.server.reloaded import APP_VARIABLE, handed_down
from bff.server.reloader import Reloader
from bff.server.server import Server, listen
from bff.server.sockets import url_of
from bff.server.worker import WorkerServer
from bff.settings import Settings
from bff.upstream.traffic.balance import InstanceOptions

_DAYS_30_S = 30 * 86_400


async def run(app: App, settings: Settings, load_again: Callable[[], Settings]) -> None:
    """Run the gateway, and demo services for the sources without a URL in the settings, until a signal.

    Raises `SettingsError` if a source has neither a URL nor a demo service.
    """
    places: dict[str, tuple[InstanceOptions, ...]] = {}
    async with AsyncExitStack() as stack:
        from_parent = handed_down()  # with --reload
        listener = listen(settings.host or "127.0.0.1", settings.port) if from_parent is None else from_parent.listener
        stack.callback(listener.close)
        missing = [name for name in app.source_names if settings.instances(name) is None]
        if missing and app.demo is not None:
            services = {name: each for name, each in app.demo_services(DemoOptions()).items() if name in missing}
            ports = {name: port for name, port in ports_from(app.source_names).items() if name in services}
            urls = await stack.enter_async_context(running(services, ports, fall_back=True))
            places = {name: (InstanceOptions(url),) for name, url in urls.items()}
            settings = settings.with_instances(places)

        def again() -> Settings:
            found = load_again()
            return found.with_instances({name: at for name, at in places.items() if found.instances(name) is None})

        tokens = tokens_of(app, settings)
        gateway = create(app, settings, "dev", again, viewers=viewers_of(settings, tokens))
        if from_parent is None or not from_parent.is_restart:
            _greet(app, settings, url_of(listener), tokens)
        served = (with_cors(gateway), gateway, settings.connections, settings.drain)
        # With a parent, a signal may come twice: from the terminal, and passed on by the parent.
        server = Server(*served) if from_parent is None else WorkerServer(*served, is_last=lambda: False)
        await server.serve(sockets=[listener])


def tokens_of(app: App, settings: Settings) -> dict[str, str]:
    """A token for each demo viewer, by its label."""
    return {
        name: token.make(settings, sub=viewer.sub, roles=sorted(viewer.roles), ttl_s=_DAYS_30_S)
        for name, viewer in app.demo_viewers.items()
    }


def viewers_of(settings: Settings, tokens: Mapping[str, str]) -> tuple[DemoViewer, ...]:
    """The viewers whom GraphiQL offers: those of the tokens, by label.

    None if the secret is one of the user's own: then a token is worth something, and not for everybody who opens the page.
    """
    secret = settings.jwt_secret
    if secret is None or secret.get_secret_value() != token.DEV_SECRET:
        return ()
    return tuple(DemoViewer(name, text) for name, text in tokens.items())


def run_reloading(settings: Settings, arguments: Sequence[str]) -> None:
    """Run `bff ARGUMENTS`, which is a `bff dev`, until a signal. Restart it when a file below the working folder changes."""
    os.environ[APP_VARIABLE] = settings.app
    with listen(settings.host or "127.0.0.1", settings.port) as listener:
        Reloader(arguments, Path.cwd(), listener, stop_s=settings.drain.stop_s, say=click.echo).run()


async def run_services(app: App, host: str, first_port: int, options: DemoOptions) -> None:
    """Run the demo services on consecutive ports until a signal. Raises `AppError` if there are none."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    services = app.demo_services(options)
    async with running(services, ports_from(services, first_port), host=host) as urls:
        for name, url in urls.items():
            click.echo(f"{name.upper()}_SERVICE_URL={url}")
        await stop.wait()


def _greet(app: App, settings: Settings, gateway_url: str, tokens: Mapping[str, str]) -> None:
    width = max(map(len, (*app.variant_names, *app.source_names, *app.demo_viewers)))
    click.echo("\nThe gateway runs. Open one of these in a browser, or POST to it:\n")
    for variant in app.variants:
        click.echo(f"  {variant.name:{width}} {gateway_url}{variant.path}")
    click.echo("\nin front of\n")
    for name in app.source_names:
        instances = settings.instances(name) or ()
        click.echo(f"  {name:{width}} {', '.join(instance.url for instance in instances)}")
    if tokens:
        click.echo("\nTokens for 30 days, for the header  Authorization: Bearer …\n")
    for name, text in tokens.items():
        click.echo(f"  {name:{width}} {text}")
    click.echo()
