"""An endpoint for tests of the request pipeline."""

from functools import cache

from bff.engine.plans import Plans
from bff.gate.access import ANYONE
from bff.gate.documents import Documents
from bff.gate.limits import LimitOptions
from bff.gate.manifests import TrustedDocuments
from bff.gate.rate import RateOptions
from bff.request.endpoint import Endpoint
from schema.variants import EVERYONE as VARIANTS
from tests.support.shop import schemas


@cache
def endpoint() -> Endpoint:
    """The variant web with default settings, without GraphiQL and response cache."""
    schema, limits = schemas()["web"], LimitOptions()
    plans = Plans(schema, limits, introspection=True)
    documents = Documents("web", "any", TrustedDocuments([]))
    return Endpoint(VARIANTS[0], schema, plans, limits, RateOptions(), ANYONE, documents, None, None)
