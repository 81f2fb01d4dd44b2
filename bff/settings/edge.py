"""The settings of HTTP itself: other origins, proxies in front, time limits."""

from typing import Annotated

from pydantic import BeforeValidator, Field, IPvAnyNetwork

from bff.settings.values import Options, Origin, read_list


class CorsSettings(Options):
    """The origins of web pages that may send requests (CORS)."""

    origins: Annotated[tuple[Origin, ...], BeforeValidator(read_list)] = ()


class RequestSettings(Options):
    """Requests to variants. A client can ask for less time than `deadline_s`, but not for less than `min_deadline_s`."""

    deadline_s: float = Field(default=10.0, gt=0, le=300)
    min_deadline_s: float = Field(default=0.05, gt=0, le=300)


class ProxySettings(Options):
    """The proxies whose `X-Forwarded-For` is trusted: addresses and networks."""

    trusted: Annotated[tuple[IPvAnyNetwork, ...], BeforeValidator(read_list)] = ()


class ReloadSettings(Options):
    """When the settings are read again, besides SIGHUP and an administrator's request.

    If `on_change` is on, the settings file and the manifests are looked at every `interval_s` seconds.
    """

    on_change: bool = False
    interval_s: float = Field(default=0.5, ge=0.1, le=3600)
