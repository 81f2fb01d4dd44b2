"""The settings of a variant: who may use it, and how much of it."""

from typing import Annotated

from pydantic import Field

from bff.gate.access import AccessMode
from bff.gate.documents import Mode as DocumentsMode
from bff.gate.limits import LimitOptions
from bff.gate.rate import OverallRateOptions, RateOptions
from bff.gate.response_cache import ResponseCacheOptions
from bff.runtime.options import FilePath
from bff.settings.edge import CorsSettings
from bff.settings.values import AS_LIST, AS_TABLE, Options

_OperationName = Annotated[str, Field(pattern=r"^[_A-Za-z][_0-9A-Za-z]{0,255}$")]


class VariantSettings(Options):
    """One variant. If `introspection`, `graphiql` or `openapi` is not set, it is on in `bff dev` and off in `bff serve`.

    `access` says who may come in; not set, it is `anyone`, or `signed_in` where a role is needed. `role` and `scopes` are
    needed besides the role that the application declares for the variant.

    `rate` is that of each client, `rate_of_address` that of all users of one address, `rate_of_all` that of all clients.

    `deadline_s` replaces `request.deadline_s`. `deadlines` are those of operations by name; only those of trusted documents
    can be longer.

    If `suggestions` is not set, it is as `introspection`. If `cors` is not set, the gateway's `cors` applies.
    """

    introspection: bool | None = None
    suggestions: bool | None = None
    graphiql: bool | None = None
    openapi: bool | None = None
    limits: LimitOptions = LimitOptions()
    rate: RateOptions = RateOptions()
    rate_of_address: OverallRateOptions | None = None
    rate_of_all: OverallRateOptions | None = None
    documents: DocumentsMode = "any"
    manifests: Annotated[tuple[FilePath, ...], AS_LIST] = ()
    answers: ResponseCacheOptions = ResponseCacheOptions()
    cors: CorsSettings | None = None
    access: AccessMode | None = None
    role: str | None = Field(default=None, min_length=1)
    scopes: Annotated[tuple[str, ...], AS_LIST] = ()
    deadline_s: float | None = Field(default=None, gt=0, le=300)
    deadlines: Annotated[dict[_OperationName, Annotated[float, Field(gt=0, le=300)]], AS_TABLE] = Field(
        default={}, max_length=1000
    )
