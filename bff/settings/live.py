"""Which settings can change while the gateway runs. All others take effect after a restart.

A setting that is not named here needs a restart: nothing changes by oversight.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

from bff.settings.model import Settings, url_name

_LIVE = (
    "auth",
    "consumers",
    "cors",
    "jwks_url",
    "jwt_audience",
    "jwt_issuer",
    "jwt_secret",
    "log",
    "log_level",
    "proxies",
    "rate",
    "request",
    "tiers",
    "variants",
)
"""Who may use the gateway, how much, and in which time."""

_LIVE_OF_SOURCES = ("headers", "forward_headers", "return_headers", "rate")
"""Of `sources.NAME`. The rest is built into a source's policies and connections when the gateway starts."""


def taken_over(running: Settings, read: Settings) -> Settings:
    """The settings that a running gateway takes over from those that were read again.

    A source without a URL keeps its instances: the gateway needs every source. The routes stay as they are if one of their
    own services has changed, since those are connected when the gateway starts.
    """
    changes = {name: getattr(read, name) for name in _LIVE}
    sources = {}
    for name in type(running.sources).model_fields:  # type: ignore[attr-defined] # see `settings_class`
        changes[url_name(name)] = read.instances(name) or running.instances(name)
        live = {each: getattr(read.source(name), each) for each in _LIVE_OF_SOURCES}
        sources[name] = running.source(name).model_copy(update=live)
    if _services(read) == _services(running):
        changes["routes"] = read.routes
    changes["sources"] = running.sources.model_copy(update=sources)  # type: ignore[attr-defined]
    return running.model_copy(update=changes)


def _services(settings: Settings) -> Mapping[str, Any]:
    return {name: (each.url, each.policy) for name, each in settings.routed_services().items()}


def differences(before: Settings, after: Settings) -> tuple[str, ...]:
    """The names of the settings that differ, as `sources.orders.timeout_s`. Never their values."""
    return tuple(_differences("", before, after))


def _differences(name: str, before: Any, after: Any) -> Iterator[str]:
    ours, theirs = _members(before), _members(after)
    if ours is None or theirs is None:
        if before != after:
            yield name
        return
    for member in (*ours, *(each for each in theirs if each not in ours)):
        path = f"{name}.{member}" if name else member
        yield from _differences(path, ours.get(member), theirs.get(member))


def _members(value: Any) -> Mapping[str, Any] | None:
    """The members of a group of settings; None for a single value."""
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    return value if isinstance(value, dict) else None
