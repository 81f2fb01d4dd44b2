"""`bff dev` and `bff demo-services`: everything on one machine, with nothing else installed."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import click

from bff.commands import token as tokens
from bff.gateway import create, with_cors
from bff.graph.variants import VARIANTS
from bff.server.reloaded import handed_down
from bff.server.reloader import Reloader
from bff.server.server import Server, listen
from bff.server.sockets import url_of
from bff.server.worker import WorkerServer
from bff.settings import SOURCES, Settings
from bff.upstream.traffic.balance import InstanceOptions
from datasources.demo.options import DemoOptions
from datasources.demo.serve import DEFAULT_PORTS, running

_DAYS_30_S = 30 * 86_400
_STOP_GRACE_S = 3.0
"""Seconds that the child of `--reload` has after the drain time to close its connections."""


async def run(settings: Settings, load_again: Callable[[], Settings]) -> None:
    """The demo services for those sources that the settings don't place elsewhere, and the gateway. Until a signal."""
    places: dict[str, tuple[InstanceOptions, ...]] = {}
    async with AsyncExitStack() as stack:
        from_parent = handed_down()  # with --reload
        listener = listen(settings.host or "127.0.0.1", settings.port) if from_parent is None else from_parent.listener
        stack.callback(listener.close)
        missing = [name for name in SOURCES if settings.instances(name) is None]
        if missing:
            urls = await stack.enter_async_context(running(fall_back=True))
            places = {f"{name}_service_url": (InstanceOptions(urls[name]),) for name in missing}
            settings = settings.model_copy(update=places)

        def again() -> Settings:
            found = load_again()
            unplaced = {name: place for name, place in places.items() if getattr(found, name) is None}
            return found.model_copy(update=unplaced)

        gateway = create(settings, "dev", again)
        if from_parent is None or not from_parent.is_restart:
            _greet(settings, url_of(listener))
        if from_parent is None:
            server = Server(with_cors(gateway, settings), gateway, settings)
        else:  # the parent may pass on a signal that this process got from the terminal as well
            server = WorkerServer(with_cors(gateway, settings), gateway, settings, is_last=lambda: False)
        await server.serve(sockets=[listener])


def run_reloading(settings: Settings, arguments: Sequence[str]) -> None:
    """Run `bff ARGUMENTS`, a `bff dev`, and restart it when a file below the working folder changes. Until a signal."""
    stop_s = settings.drain.delay_s + settings.drain.timeout_s + _STOP_GRACE_S
    with listen(settings.host or "127.0.0.1", settings.port) as listener:
        Reloader(arguments, Path.cwd(), listener, stop_s=stop_s, say=click.echo).run()


async def run_services(host: str, first_port: int, *, latency_s: float, no_store: bool) -> None:
    """The three demo services on ports that follow one another. Until a signal."""
    ports = {name: first_port and first_port + number for number, name in enumerate(DEFAULT_PORTS)}
    options = DemoOptions(latency_s=latency_s, no_store=no_store)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(options, ports=ports, host=host) as urls:
        for name, url in urls.items():
            click.echo(f"{name.upper()}_SERVICE_URL={url}")
        await stop.wait()


def _greet(settings: Settings, gateway_url: str) -> None:
    click.echo("\nThe gateway runs. Open one of these in a browser, or POST to it:\n")
    for variant in VARIANTS:
        click.echo(f"  {variant.name:8} {gateway_url}{variant.path}")
    click.echo("\nin front of\n")
    for name in SOURCES:
        instances = settings.instances(name) or ()
        click.echo(f"  {name:8} {', '.join(instance.url for instance in instances)}")
    click.echo("\nTokens for 30 days, for the header  Authorization: Bearer …\n")
    click.echo(f"  user 1   {tokens.make(settings, sub='1', ttl_s=_DAYS_30_S)}")
    click.echo(f"  admin    {tokens.make(settings, sub='1', role='admin', ttl_s=_DAYS_30_S)}\n")
