"""Wires what identifies clients: the issuers of tokens and the consumers with API keys."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from bff.gate.auth import SHORTEST_SAFE_SECRET, Authenticator, Confinement, Issuer
from bff.gate.consumers import Consumer, Consumers
from bff.gate.jwks import KeySet
from bff.runtime.background import Background
from bff.runtime.clock import Clock
from bff.runtime.log import Log
from bff.settings import Settings
from bff.upstream.wire import Wire, WireOptions

_log = Log("bff.app")


@dataclass(frozen=True, slots=True)
class TokenChecks:
    """The authenticator, its key sets, and their HTTP clients."""

    authenticator: Authenticator
    sets: Sequence[tuple[str, KeySet]]
    wires: Sequence[Wire]

    def refresh(self) -> None:
        """Fetch all key sets now."""
        for _, keys in self.sets:
            keys.refresh()

    @asynccontextmanager
    async def running(self, background: Background) -> AsyncIterator[None]:
        """Keep the key sets up to date while the context is open."""
        try:
            async with background.beside((f"keys {name}", keys.run) for name, keys in self.sets):
                yield
        finally:
            await asyncio.gather(*(wire.aclose() for wire in self.wires))


def token_checks(settings: Settings, wire: Callable[[WireOptions], Wire], clock: Clock) -> TokenChecks:
    """What checks the tokens of all issuers."""
    sets: list[tuple[str, KeySet]] = []
    wires: list[Wire] = []

    def issuer(
        name: str,
        secret: SecretStr | None,
        url: str | None,
        issuer: str | None,
        audience: str | None,
        confinement: Confinement | None = None,
    ) -> Issuer:
        keys = None
        if url is not None:
            wires.append(wire(WireOptions(max_connections=2, connect_timeout_s=3.0)))
            keys = KeySet(name, url, wires[-1], lambda: authenticator.forget(), clock=clock)  # noqa: PLW0108 - made below
            sets.append((name, keys))
        text = None if secret is None else secret.get_secret_value()
        if text is not None and len(text.encode()) < SHORTEST_SAFE_SECRET:
            _log.warning("JWT_SECRET is short", issuer=name, bytes_wanted=SHORTEST_SAFE_SECRET)
        return Issuer(text, keys, issuer, audience, confinement)

    issuers = [
        issuer(name, each.secret, each.jwks_url, each.issuer, each.audience, each.confinement())
        for name, each in settings.auth.issuers.items()
    ]
    if settings.jwt_secret is not None or settings.jwks_url is not None:
        own = (settings.jwt_secret, settings.jwks_url, settings.jwt_issuer, settings.jwt_audience)
        issuers.append(issuer("default", *own))
    authenticator = Authenticator(issuers, settings.auth.claims)
    return TokenChecks(authenticator, sets, wires)


def consumers_of(settings: Settings) -> Consumers:
    """The consumers by their keys, each with the rate of its tier."""
    by_digest = {}
    for name, each in settings.consumers.items():
        rate = settings.tiers[each.tier] if each.tier is not None else each.rate
        consumer = Consumer(name, frozenset(each.variants), frozenset(each.scopes), rate)
        by_digest.update(dict.fromkeys(each.key_sha256, consumer))
    return Consumers(by_digest)
