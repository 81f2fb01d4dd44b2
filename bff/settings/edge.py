"""The settings of HTTP itself: other origins, proxies in front, time limits."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, IPvAnyNetwork, SecretStr, model_validator

from bff.runtime.options import FilePath
from bff.settings.values import AS_LIST, Options, OriginPattern
from bff.upstream.headers import header_name

HeaderName = Annotated[str, AfterValidator(header_name)]


class CorsSettings(Options):
    """The origins of web pages that may send requests (CORS), and the headers that they may send besides the usual."""

    origins: Annotated[tuple[OriginPattern, ...], AS_LIST, Field(max_length=1000)] = ()
    headers: Annotated[tuple[HeaderName, ...], AS_LIST, Field(max_length=100)] = ()
    credentials: bool = False
    max_age_s: int = Field(default=600, ge=0, le=86_400)

    @model_validator(mode="after")
    def _check(self) -> "CorsSettings":
        """Any page could act as the user, if any origin could send cookies."""
        if self.credentials and "*" in self.origins:
            raise ValueError("credentials: expected origins other than *")
        return self


class TlsSettings(Options):
    """HTTPS for clients. Without `key_file` the private key is in `cert_file`.

    With `hsts_max_age_s` answers tell browsers to use nothing but HTTPS for so many seconds.
    """

    cert_file: FilePath | None = None
    key_file: FilePath | None = None
    key_password: SecretStr | None = None
    hsts_max_age_s: int | None = Field(default=None, ge=0, le=10 * 365 * 86_400)
    hsts_subdomains: bool = False

    @model_validator(mode="after")
    def _check(self) -> "TlsSettings":
        if self.cert_file is None and self.model_fields_set - {"cert_file"}:
            raise ValueError("expected cert_file as well: without a certificate the gateway speaks HTTP")
        return self


class ManagementSettings(Options):
    """A second port for operators: metrics, the state of the services, and the variants that are served there alone."""

    port: int | None = Field(default=None, ge=0, le=65_535)
    host: str = "127.0.0.1"
    variants: Annotated[tuple[str, ...], AS_LIST] = ()

    @model_validator(mode="after")
    def _check(self) -> "ManagementSettings":
        if self.port is None and self.variants:
            raise ValueError("variants: expected port as well: without one they would be served nowhere")
        return self


class RequestSettings(Options):
    """Requests to variants. A client can ask for less time than `deadline_s`, but not for less than `min_deadline_s`."""

    deadline_s: float = Field(default=10.0, gt=0, le=300)
    min_deadline_s: float = Field(default=0.05, gt=0, le=300)


class ProxySettings(Options):
    """The proxies whose `X-Forwarded-For` is trusted: addresses and networks."""

    trusted: Annotated[tuple[IPvAnyNetwork, ...], AS_LIST] = ()


LogField = Literal["ip", "response_length", "trace_id", "user_id"]


class LogSettings(Options):
    """Further fields of the access log.

    `user_id` is a digest of the user's id, keyed by `user_id_key`. Without a key each process has its own, so that the
    digests of two processes can't be compared.
    """

    fields: Annotated[tuple[LogField, ...], AS_LIST] = ()
    user_id_key: SecretStr | None = Field(default=None, min_length=16)


class ReloadSettings(Options):
    """When the settings are read again, besides SIGHUP and an administrator's request.

    If `on_change` is on, the settings file and the manifests are looked at every `interval_s` seconds.
    """

    on_change: bool = False
    interval_s: float = Field(default=0.5, ge=0.1, le=3600)
