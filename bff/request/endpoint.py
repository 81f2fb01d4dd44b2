"""A mounted variant: all that is bound at start-up for one endpoint."""

from dataclasses import dataclass, field

from graphql import GraphQLSchema

from bff.engine.plans import Plans
from bff.gate.documents import Documents
from bff.gate.limits import LimitOptions
from bff.gate.rate import RateOptions
from bff.gate.response_cache import ResponseCache
from bff.graph.variants import Variant
from bff.graphiql.page import GraphiQLPage
from bff.operations.calls import TrustedOperations


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One of `/web/graphql`, `/mobile/graphql`, `/admin/graphql`, with its trusted operations below `/{variant}/api/`.

    `page` is None where GraphiQL is off, `answers` where no whole answers are kept.
    """

    variant: Variant
    schema: GraphQLSchema = field(repr=False)
    plans: Plans
    limits: LimitOptions
    rate: RateOptions
    documents: Documents
    calls: TrustedOperations
    answers: ResponseCache | None
    page: GraphiQLPage | None = field(repr=False)
