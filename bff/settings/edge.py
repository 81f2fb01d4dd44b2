"""The settings of HTTP itself: other origins, proxies in front, time limits."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork, model_validator

from bff.settings.values import Options, OriginPattern, read_list
from bff.upstream.headers import header_name

HeaderName = Annotated[str, AfterValidator(header_name)]


class CorsSettings(Options):
    """The origins of web pages that may send requests (CORS), and the headers that they may send besides the usual."""

    origins: Annotated[tuple[OriginPattern, ...], BeforeValidator(read_list), Field(max_length=1000)] = ()
    headers: Annotated[tuple[HeaderName, ...], BeforeValidator(read_list), Field(max_length=100)] = ()
    credentials: bool = False
    max_age_s: int = Field(default=600, ge=0, le=86_400)

    @model_validator(mode="after")
    def _check(self) -> "CorsSettings":
        """Any page could act as the user, if any origin could send cookies."""
        if self.credentials and "*" in self.origins:
            raise ValueError("credentials: expected origins other than *")
        return self


class RequestSettings(Options):
    """Requests to variants."""

    deadline_s: float = Field(default=10.0, gt=0, le=300)


class ProxySettings(Options):
    """The proxies whose `X-Forwarded-For` is trusted: addresses and networks."""

    trusted: Annotated[tuple[IPvAnyNetwork, ...], BeforeValidator(read_list)] = ()


class ReloadSettings(Options):
    """When the settings are read again, besides SIGHUP and an administrator's request.

    If `on_change` is on, the settings file and the manifests are looked at every `interval_s` seconds.
    """

    on_change: bool = False
    interval_s: float = Field(default=0.5, ge=0.1, le=3600)
