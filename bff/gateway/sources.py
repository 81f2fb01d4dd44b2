"""Wires the services of sources and of routes: a stack of policies and an HTTP client for each."""

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
from bff.settings.sources import ServiceSettings
from bff.upstream.client_credentials import ClientCredentials
from bff.upstream.events import Listener
from bff.upstream.source import Source
from bff.upstream.traffic.balance import InstanceOptions
from bff.upstream.traffic.stack import Stack
from bff.upstream.wire import Wire, WireOptions


@dataclass(frozen=True, slots=True)
class Sourced:
    """The sources, with the stacks and HTTP clients of their services and of those of routes.

    The clients are closed at the end.
    """

    sources: Sources
    stacks: Mapping[str, Stack]
    wires: Sequence[Wire]
    identities: Mapping[str, ClientCredentials]

    def take_over(self, before: Settings, after: Settings) -> None:
        """Change what has changed: the instances of services, and the rules for headers."""
        for source in self.sources:
            source.set_headers(after.source(source.name).header_rules(source.headers.credentials))
            instances = after.instances(source.name)
            if instances and instances != before.instances(source.name):
                self.stacks[source.name].set_instances(instances)

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
    """The application's sources, each bound to its service, and the services of routes.

    Raises `SettingsError` if a certificate can't be read.
    """
    binding = _Binding(emit, wire, clock)

    def bound(source: type[Source[Any]]) -> Source[Any]:
        options = settings.source(source.name)
        stack = binding.stack(source.name, f"sources.{source.name}", options, settings.instances(source.name) or ())
        made = source(stack, forward_identity=options.forward_identity)
        made.set_headers(options.header_rules(binding.identity(source.name, options)))
        return made

    sources = Sources(bound(source) for source in app.sources)
    for name, route in settings.routed_services().items():
        stack = binding.stack(name, f"routes: {name}: policy", route.policy, route.url or ())
        stack.set_headers(route.policy.header_rules(binding.identity(name, route.policy)))
    return Sourced(sources, binding.stacks, binding.wires, binding.identities)


class _Binding:
    """Makes the stacks, and collects what must be run and closed."""

    def __init__(self, emit: Listener, wire: Callable[[WireOptions], Wire], clock: Clock) -> None:
        self._emit = emit
        self._wire = wire
        self._clock = clock
        self.stacks: dict[str, Stack] = {}
        self.wires: list[Wire] = []
        self.identities: dict[str, ClientCredentials] = {}

    def stack(self, name: str, path: str, options: ServiceSettings, instances: Sequence[InstanceOptions]) -> Stack:
        """The policies of a service, with an HTTP client. `path` is that of its settings. Raises `SettingsError`."""
        try:
            self.wires.append(self._wire(options.wire()))
        except OSError as error:
            raise SettingsError(f"{path}.tls: {error.strerror or error}") from None
        stack = Stack(name, instances, options.traffic(), self.wires[-1], self._emit, self._clock)
        self.stacks[name] = stack
        return stack

    def identity(self, name: str, options: ServiceSettings) -> ClientCredentials | None:
        """The gateway's own identity for a service; None if it has none."""
        if options.oauth2 is None:
            return None
        self.wires.append(self._wire(WireOptions(max_connections=2, connect_timeout_s=3.0, tls=options.tls)))
        self.identities[name] = ClientCredentials(name, options.oauth2.options(), self.wires[-1], clock=self._clock)
        return self.identities[name]
