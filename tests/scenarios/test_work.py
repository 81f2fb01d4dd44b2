"""Limits on the upstream calls and waves of an operation, over whole requests."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bff import Viewer
from bff.testing import Answer, InMemoryGateway, Scripted, running
from schema.app import app

ACCOUNT = "{ me { orders(first: 10) { items { product { id } } } } }"
ONE = Viewer("1")


@asynccontextmanager
async def limited(limits: Mapping[str, int], **more: Any) -> AsyncIterator[InMemoryGateway]:
    """The shop with its demo services and these limits in web."""
    settings = {"variants": {"web": {"limits": dict(limits), **more}}, "rate": {"enabled": False}}
    async with running(app, settings=settings, viewer=ONE) as gateway:
        yield gateway


def refusal(answer: Answer) -> str:
    """The message of the only error, of a request that was refused as a whole."""
    assert answer.codes == {"": "QUERY_TOO_COMPLEX"}
    assert "data" not in answer.body
    message: str = answer.errors[0]["message"]
    return message


async def test_an_operation_beyond_a_limit_is_refused_before_any_call() -> None:
    """With the limit's name, the operation's figure and the limit. One at the limit runs; other variants have no limit."""
    async with limited({"calls": 2}) as gateway:
        answer = await gateway.ask("web", ACCOUNT)
        assert refusal(answer) == "The document's upstream calls: 3, allowed are 2."
        assert gateway.calls == []
        assert (await gateway.ask("mobile", ACCOUNT)).errors == []
    async with limited({"waves": 1}) as gateway:
        answer = await gateway.ask("web", ACCOUNT)
        assert refusal(answer) == "The document's waves of upstream calls: 2, allowed are 1."
        assert gateway.calls == []
    async with limited({"calls": 3, "waves": 2}) as gateway:
        for _ in range(3):  # compiled, compiled again and kept
            answer = await gateway.ask("web", ACCOUNT)
            assert (answer.errors, len(answer.data["me"]["orders"]) > 0) == ([], True)


async def test_retries_count_for_no_limit() -> None:
    """They have a budget of their own."""
    user = {"id": 1, "name": "A", "email": "a@b.c", "tier": "plus", "createdAt": "2026-01-01T00:00:00Z"}
    users = Scripted({"/users/1": user})
    users.fail(503, times=1)
    settings = {"variants": {"web": {"limits": {"calls": 1}}}, "rate": {"enabled": False}}
    async with running(app, {"users": users}, settings, viewer=ONE) as gateway:
        answer = await gateway.ask("web", "{ me { name } }")
        assert (answer.data, len(answer.calls)) == ({"me": {"name": "A"}}, 2)


async def test_calls_of_resolvers_are_stopped_at_the_limit() -> None:
    """No plan knows them: the field has an error, and the call is not made. Here the order is read, and not cancelled."""
    async with limited({"calls": 1}) as gateway:
        orders = await gateway.ask("web", "{ me { id } }")
        assert orders.errors == []
        answer = await gateway.ask("web", 'mutation { cancelOrder(id: "9001") { order { id } } }')
        assert set(answer.codes.values()) == {"QUERY_TOO_COMPLEX"}
        assert "more upstream calls than the 1 that are allowed" in answer.errors[0]["message"]
        assert {method for _, method, _ in answer.calls} == {"GET"}


async def test_an_operation_without_a_plan_is_bounded_too() -> None:
    """By its depth before it runs, by its calls while it runs."""
    query = "query ($a: Boolean = true) { me { name orders @include(if: $a) { items { product { id } } } } }"
    async with limited({"waves": 3}) as gateway:
        message = refusal(await gateway.ask("web", query, {"a": None}))
        assert message == "The document's waves of upstream calls: 5, allowed are 3."
    names = [f"v{number}" for number in range(5)]
    declared = ", ".join(f"${name}: Boolean!" for name in names)
    fields = " ".join(f'{name}: product(id: "1") @include(if: ${name}) {{ name }}' for name in names)
    async with limited({"calls": 1}) as gateway:
        document = f"query ({declared}) {{ me {{ id orders {{ id items {{ product {{ id }} }} }} }} {fields} }}"
        for number in range(40):  # more than 16 combinations: the others run without a plan
            chosen = {name: bool(number >> place & 1) for place, name in enumerate(names)}
            answer = await gateway.ask("web", document, chosen)
            assert set(answer.codes.values()) == {"QUERY_TOO_COMPLEX"}, number
            assert len(answer.calls) <= 1


async def test_each_operation_of_a_batch_has_its_own_limit() -> None:
    """One that is refused, or uses up its calls, takes none from the others."""
    async with limited({"calls": 1}) as gateway:
        queries = ["{ me { id } }", ACCOUNT, '{ product(id: "1") { id } }', "{ me { name } }"]
        headers = {"content-type": "application/json", **gateway.bearer(ONE)}
        body = json.dumps([{"query": query} for query in queries]).encode()
        reply = await gateway.request("POST", "/web/graphql", headers=headers, body=body)
        assert ["errors" in each for each in reply.json] == [False, True, False, False]


async def test_a_refused_operation_is_not_charged() -> None:
    """Its cost is not, as it runs nothing."""
    rate = {"cost_per_minute": 100, "cost_burst": 100}
    settings = {"variants": {"web": {"limits": {"calls": 1}, "rate": rate}}}
    async with running(app, settings=settings, viewer=ONE) as gateway:
        for _ in range(20):
            assert "upstream calls" in refusal(await gateway.ask("web", ACCOUNT))
        assert (await gateway.ask("web", "{ me { id } }")).errors == []


@pytest.mark.parametrize("query", ["query ($id: ID!) { user(id: $id) { id } }"])
async def test_invalid_variables_are_the_client_s_mistake(query: str) -> None:
    """Also where calls are limited."""
    async with limited({"calls": 1}) as gateway:
        assert (await gateway.ask("web", query)).codes == {"": "BAD_USER_INPUT"}


async def test_a_cached_response_needs_no_calls() -> None:
    """So it is served also where the limit would refuse the operation. An explanation is never refused."""
    query = "query ($n: Int) { products(first: $n) { nodes { name } } }"
    async with limited({"calls": 1}, answers={"enabled": True}, graphiql=True) as gateway:
        for calls in (1, 0):
            answer = await gateway.ask("web", query, {"n": 2}, viewer=None)
            assert (answer.errors, len(answer.calls)) == ([], calls)
        body = json.dumps({"query": ACCOUNT, "extensions": {"explain": True}}).encode()
        reply = await gateway.request("POST", "/web/graphql", headers={"content-type": "application/json"}, body=body)
        assert "allowed are 1 call: it is refused" in reply.json["extensions"]["explain"]["text"]
