"""A variant as it is served: everything that is bound to its URL at start-up."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from graphql import GraphQLSchema

from bff.engine.plans import Plans
from bff.errors import Headers, RoleNeeded, VariantNotAllowed
from bff.gate.access import Entry
from bff.gate.documents import Documents
from bff.gate.limits import LimitOptions
from bff.gate.rate import OverallRateOptions, RateOptions
from bff.gate.response_cache import ResponseCache
from bff.graph.variants import Variant
from bff.request.deadlines import DEFAULT_DEADLINES, Deadlines
from bff.request.response import EncodedResponse

if TYPE_CHECKING:
    from bff.gate.auth import SignedIn
    from bff.gate.consumers import Consumer


@dataclass(frozen=True)
class Endpoint:
    """A variant with its schema, its limits and its caches.

    Attributes:
        entry: what a request must prove.
        response_cache: None if it is off.
        forwarded: the names of the client's headers that some source gets.
        varies_by_origin: whether pages of certain other origins may call.
        page: GraphiQL, for a browser that opens the endpoint's URL; None if it is off.
        deadlines: how long its requests may take.
        rate_of_address, rate_of_all: the limits of all users of an address, and of all clients; None if there are none.
    """

    variant: Variant
    schema: GraphQLSchema = field(repr=False)
    plans: Plans
    limits: LimitOptions
    rate: RateOptions
    entry: Entry
    documents: Documents
    response_cache: ResponseCache | None
    page: EncodedResponse | None = field(repr=False)
    forwarded: tuple[bytes, ...] = ()
    varies_by_origin: bool = False
    deadlines: Deadlines = DEFAULT_DEADLINES
    rate_of_address: OverallRateOptions | None = None
    rate_of_all: OverallRateOptions | None = None

    @cached_property
    def name(self) -> str:
        """The variant's name, under which requests are counted."""
        return self.variant.name

    def check(self, signed_in: "SignedIn | None", consumer: "Consumer | None") -> None:
        """Check that a request with this token and key may use the variant.

        Raises `VariantNotAllowed`, `TokenNeeded`, `KeyNeeded`, `KeyOrTokenNeeded`, `RoleNeeded`.
        """
        if consumer is not None and self.variant.name not in consumer.variants:
            raise VariantNotAllowed
        if signed_in is not None and not signed_in.may_use(self.variant.name):
            raise RoleNeeded
        if not self.entry.is_open:
            self.entry.check(signed_in, consumer)

    @cached_property
    def vary(self) -> Headers:
        """A further header `Vary`: the responses depend on what services get of the client's headers, and on the origin."""
        names = (*self.forwarded, b"origin") if self.varies_by_origin else self.forwarded
        return ((b"vary", b", ".join(names)),) if names else ()
