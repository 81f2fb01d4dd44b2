"""One operation that a client has requested: what is known of it from its preparation to its response.

Shorter-lived than the exchange that it came in, which holds several in a batch, and than the prepared `Operation`, which
is shared by all requests for it.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from bff.engine.operation import Operation, Ready
from bff.gate.response_cache import ResponseCache
from bff.request.exchange import Exchange
from bff.request.http import GraphQLRequest


@dataclass(frozen=True, slots=True)
class CacheSlot:
    """An operation's place in the response cache. `generation`: the cache's, before anything was read for the response."""

    cache: ResponseCache
    key: Hashable
    generation: int

    def get(self) -> tuple[bytes, float] | None:
        """The cached response, with the seconds for which it may still be used; None if there is none."""
        return self.cache.get(self.key)

    def put(self, body: bytes, left_s: float) -> None:
        """Cache an encoded response for `left_s` seconds, unless the cache was cleared since the operation began."""
        self.cache.put(self.key, body, left_s, self.generation)


@dataclass(slots=True)
class RequestedOperation:
    """An operation that may be run: prepared, allowed by the request's method, and within the variant's cost limit.

    Attributes:
        exchange: the HTTP request that it came in.
        request: the GraphQL request, as it was sent.
        operation: the prepared operation.
        cost: its estimated cost, in the units of the variant's cost limit.
        cache_slot: None if its response must not be cached.
        is_in_batch: whether it came in a batch. If so, the batch watches whether the client disconnects.
        ready: its plan, if a step needed it before the run.
    """

    exchange: Exchange
    request: GraphQLRequest
    operation: Operation
    cost: int
    cache_slot: CacheSlot | None
    is_in_batch: bool
    ready: Ready | None = None
