"""Metrics: events are counted, and clients don't choose any label."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bff.observe.metrics import CONTENT_TYPE, Metrics
from bff.upstream.events import (
    BreakerChanged,
    BreakerState,
    CacheResult,
    CallCached,
    CallEnded,
    CallRefused,
    CallRetried,
    CallShared,
    InstanceChanged,
    InstanceState,
)

SOURCES = ("users", "orders", "products")


@pytest.fixture
def metrics() -> Metrics:
    """A process's metrics."""
    return Metrics(SOURCES)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """A sample's value."""
    return metrics.registry.get_sample_value(name, labels)


def test_requests_are_counted_by_variant_and_outcome(metrics: Metrics) -> None:
    """And how long they took, by variant."""
    metrics.request("web", "ok", 0.004)
    metrics.request("web", "ok", 0.3)
    metrics.request("mobile", "refused", 0.001)
    assert value(metrics, "bff_requests_total", variant="web", outcome="ok") == 2
    assert value(metrics, "bff_requests_total", variant="mobile", outcome="refused") == 1
    assert value(metrics, "bff_requests_total", variant="web", outcome="refused") is None
    assert value(metrics, "bff_request_seconds_count", variant="web") == 2
    assert value(metrics, "bff_request_seconds_sum", variant="web") == pytest.approx(0.304)
    assert value(metrics, "bff_request_seconds_bucket", variant="web", le="0.005") == 1


def test_documents_are_counted_as_known_or_new(metrics: Metrics) -> None:
    """By variant."""
    for known in (False, True, True):
        metrics.document("web", known=known)
    assert value(metrics, "bff_documents_total", variant="web", result="known") == 2
    assert value(metrics, "bff_documents_total", variant="web", result="new") == 1


def test_calls_are_counted_by_source_and_outcome(metrics: Metrics) -> None:
    """Calls that were sent also with their duration, and calls that were refused without it."""
    metrics.on_event(CallEnded("users", "/users/{id}", "GET", 1, "ok", 0.02, "r"))
    metrics.on_event(CallEnded("users", "/users/{id}", "GET", 2, "timeout", 2.0, "r"))
    metrics.on_event(CallRefused("users", "/users/{id}", "breaker_open", "r"))
    outcomes = {
        name: value(metrics, "bff_upstream_calls_total", source="users", outcome=name)
        for name in ("ok", "timeout", "breaker_open")
    }
    assert outcomes == {"ok": 1, "timeout": 1, "breaker_open": 1}
    assert value(metrics, "bff_upstream_call_seconds_count", source="users") == 2


def test_cache_sharing_and_retries_are_counted(metrics: Metrics) -> None:
    """Reads by the cache's result, reads that shared a call, and repeated calls by reason."""
    for result in (CacheResult.HIT, CacheResult.HIT, CacheResult.STALE):
        metrics.on_event(CallCached("products", "/products", result))
    metrics.on_event(CallShared("products", "/products"))
    metrics.on_event(CallRetried("products", "/products", "busy", 0.1, "r"))
    metrics.on_event(CallRetried("products", "/products", "hedge", 0.1, "r"))
    cached = {name: value(metrics, "bff_upstream_cache_total", source="products", result=name) for name in ("hit", "stale")}
    assert cached == {"hit": 2, "stale": 1}
    assert value(metrics, "bff_upstream_shared_total", source="products") == 1
    for outcome in ("busy", "hedge"):
        assert value(metrics, "bff_upstream_retries_total", source="products", outcome=outcome) == 1


def test_an_instance_is_in_one_state(metrics: Metrics) -> None:
    """Instances are labelled by their number."""
    metrics.on_event(InstanceChanged("users", 2, InstanceState.EJECTED, 10.0))
    states = {
        each.value: value(metrics, "bff_instance_state", source="users", instance="2", state=each.value)
        for each in InstanceState
    }
    assert states == {"in": 0, "ejected": 1, "unhealthy": 0}


def test_a_route_s_breaker_has_a_metric_of_its_own(metrics: Metrics) -> None:
    """If routes have breakers of their own."""
    metrics.on_event(BreakerChanged("users", BreakerState.CLOSED, BreakerState.OPEN, "GET /users"))
    labels = {"source": "users", "state": "open"}
    assert value(metrics, "bff_route_breaker_state", route="GET /users", **labels) == 1
    assert value(metrics, "bff_breaker_state", **labels) == 0


@pytest.mark.parametrize("state", BreakerState)
def test_a_breaker_is_in_one_state(metrics: Metrics, state: BreakerState) -> None:
    """1 for its state, 0 for the others. Each source's breaker is closed at the start."""

    def states(source: str) -> dict[str, float | None]:
        return {each.value: value(metrics, "bff_breaker_state", source=source, state=each.value) for each in BreakerState}

    assert states("orders") == {"closed": 1, "open": 0, "half_open": 0}
    metrics.on_event(BreakerChanged("orders", BreakerState.CLOSED, state))
    assert states("orders") == {each.value: float(each is state) for each in BreakerState}
    assert states("users") == {"closed": 1, "open": 0, "half_open": 0}


def test_the_text_is_in_prometheus_s_format(metrics: Metrics) -> None:
    """With the format's media type."""
    metrics.request("web", "ok", 0.1)
    families = {family.name: family.type for family in text_string_to_metric_families(metrics.text().decode())}
    assert families["bff_requests"] == "counter"
    assert families["bff_request_seconds"] == "histogram"
    assert families["bff_breaker_state"] == "gauge"
    assert CONTENT_TYPE == b"text/plain; version=0.0.4; charset=utf-8"


def test_a_call_s_labels_are_source_and_outcome(metrics: Metrics) -> None:
    """No request id, route or address, so the number of series is bounded."""
    before = None
    for number in range(50):
        metrics.on_event(CallEnded("users", f"/users/{number}", "GET", number, "ok", 0.1, f"request-{number}"))
        lines = len(metrics.text().splitlines())
        assert before in {None, lines}
        before = lines


def test_two_gateways_in_one_process_count_separately() -> None:
    """Each has its own registry."""
    one, other = Metrics(SOURCES), Metrics(SOURCES)
    one.document("web", known=True)
    assert value(other, "bff_documents_total", variant="web", result="known") is None


def test_consumers_are_counted_by_name_up_to_a_limit() -> None:
    """Beyond a thousand names, which only reloads of the settings can bring, they are counted together."""
    metrics = Metrics(("users",))
    for number in range(1005):
        metrics.request("web", "ok", 0.1, f"consumer-{number}")
    metrics.request("web", "ok", 0.1, "consumer-3")
    metrics.route("/v1", "2xx", 0.1, "consumer-1004")
    metrics.gone("web", None, "consumer-1")
    assert value(metrics, "bff_requests_total", variant="web", outcome="ok", consumer="consumer-3") == 2
    assert value(metrics, "bff_requests_total", variant="web", outcome="ok", consumer="(others)") == 5
    assert value(metrics, "bff_requests_total", variant="web", outcome="ok", consumer="consumer-1004") is None
    assert value(metrics, "bff_route_requests_total", route="/v1", outcome="2xx", consumer="(others)") == 1
    assert value(metrics, "bff_requests_total", variant="web", outcome="client_gone", consumer="consumer-1") == 1
