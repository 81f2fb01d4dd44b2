"""Wires the sources: a stack of policies and an HTTP client for each."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bff.app import App
from bff.graph.sources import Sources
from bff.runtime.background import Background
from bff.runtime.clock import Clock
from bff.settings import Settings, SettingsError
from bff.settings.sources import SourceSettings
from bff.upstream.client_credentials import ClientCredentials
from bff.upstream.events import Listener
from bff.upstream.source import Source
from bff.upstream.traffic.stack import Stack
from bff.upstream.wire import Wire, WireOptions


@dataclass(frozen=True, slots=True)
class Sourced:
    """The sources, with their stacks by name and their HTTP clients. The clients are closed at the end."""

    sources: Sources
    stacks: Mapping[str, Stack]
    wires: Sequence[Wire]
    identities: Mapping[str, ClientCredentials]

    def take_over(self, before: Settings, after: Settings) -> None:
        """Change what has changed: the instances of services, and the rules for headers."""
        for source in self.sources:
            source.set_headers(after.source(source.name).header_rules(source.headers.credentials))
        for name, stack in self.stacks.items():
            instances = after.instances(name)
            if instances and instances != before.instances(name):
                stack.set_instances(instances)

    @asynccontextmanager
    async def running(self, background: Background) -> AsyncIterator[None]:
        """Run the health checks of the stacks while the context is open."""
        stacks = self.stacks.values()
        try:
            checks = ((f"health {name}", stack.run) for name, stack in self.stacks.items() if stack.checks)
            identities = ((f"credentials {name}", each.run) for name, each in self.identities.items())
            async with background.beside((*checks, *identities)):
                yield
        finally:
            await asyncio.gather(*(stack.aclose() for stack in stacks))
            await asyncio.gather(*(wire.aclose() for wire in self.wires))


def bound_sources(
    app: App, settings: Settings, emit: Listener, wire: Callable[[WireOptions], Wire], clock: Clock
) -> Sourced:
    """The application's sources, each bound to its service. Raises `SettingsError` if a certificate can't be read."""
    stacks: dict[str, Stack] = {}
    wires: list[Wire] = []

    identities: dict[str, ClientCredentials] = {}

    def own_identity(name: str, options: SourceSettings) -> ClientCredentials | None:
        if options.oauth2 is None:
            return None
        wires.append(wire(WireOptions(max_connections=2, connect_timeout_s=3.0, tls=options.tls)))
        identities[name] = ClientCredentials(name, options.oauth2.options(), wires[-1], clock=clock)
        return identities[name]

    def bound(source: type[Source[Any]]) -> Source[Any]:
        options = settings.source(source.name)
        try:
            wires.append(wire(options.wire()))
        except OSError as error:
            raise SettingsError(f"sources.{source.name}.tls: {error.strerror or error}") from None
        instances = settings.instances(source.name) or ()
        stack = stacks[source.name] = Stack(source.name, instances, options.traffic(), wires[-1], emit, clock)
        made = source(stack, forward_identity=options.forward_identity)
        made.set_headers(options.header_rules(own_identity(source.name, options)))
        return made

    return Sourced(Sources(bound(source) for source in app.sources), stacks, wires, identities)
