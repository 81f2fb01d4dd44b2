"""What applications' tests are written with: the whole way in memory, canned answers, time moved by hand."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from bff import App, ById, CursorPages, Record, Source, Variant, Viewer, connection, field, lookup, one, testing_plugin
from bff.graph.connections import Connection
from bff.settings import SettingsError
from bff.testing import BlockingGateway, Clock, NotScripted, Reply, Request, Scripted, ServingGateway, running, serving

import strawberry  # isort: skip

gateway, serving_fixture = testing_plugin.gateway, testing_plugin.serving
settings, viewer, clock = testing_plugin.settings, testing_plugin.viewer, testing_plugin.clock
"""The plugin's fixtures, by name: those of this project's `conftest.py` would hide them."""

ROOT = Path(__file__).parents[2]
INSIDE, OUTSIDE = Variant("inside", role="keeper", staff=True), Variant("outside")
HIVES = {"/hives/1": {"id": 1, "name": "Linden", "keeperId": 7}, "/hives/2": {"id": 2, "name": "Heath", "keeperId": 7}}
KEEPERS = {"/keepers/7": {"id": 7, "name": "Ann"}}
LINDEN = '{ hive(id: "1") { name keeper { name } } }'


class KeeperRecord(Record, frozen=True, kw_only=True):
    id: int
    name: str


class HiveRecord(Record, frozen=True, kw_only=True):
    id: int
    name: str
    keeper_id: int


class Keepers(Source[KeeperRecord]):
    path = "/keepers"
    by_id = ById()


class Hives(Source[HiveRecord]):
    path = "/hives"
    by_id = ById()
    page = CursorPages()


@strawberry.type
class Keeper:
    name: str = field(INSIDE, OUTSIDE)


@strawberry.type
class Hive:
    id: strawberry.ID = field(INSIDE, OUTSIDE)
    name: str = field(INSIDE, OUTSIDE)
    keeper: Keeper | None = one(INSIDE, OUTSIDE, read=Keepers.by_id, key="keeper_id")


@strawberry.type
class Query:
    hive: Hive | None = lookup(INSIDE, OUTSIDE, read=Hives.by_id)
    hives: Connection[Hive] | None = connection(INSIDE, OUTSIDE, read=Hives.page)


APIARY = App(query=Query, sources=(Hives, Keepers), variants=(INSIDE, OUTSIDE))


@pytest.fixture
def app() -> App:
    """The application that the plugin's fixtures run."""
    return APIARY


@pytest.fixture
def services() -> dict[str, Scripted]:
    """Its services."""
    return both()


def both() -> dict[str, Scripted]:
    """Two hives and their keeper."""
    return {"hives": Scripted(HIVES), "keepers": Scripted(KEEPERS)}


async def test_operation_is_answered_with_what_was_sent_for_it() -> None:
    """An answer has the data, the status, the headers and the calls of its operation alone."""
    async with running(APIARY, both()) as gateway:
        first = await gateway.ask("outside", LINDEN)
        second = await gateway.ask("outside", '{ hive(id: "2") { name } }')
    assert first.data == {"hive": {"name": "Linden", "keeper": {"name": "Ann"}}}
    assert (first.status, first.errors, first.codes) == (200, [], {})
    assert first.headers["content-type"].partition(";")[0] == "application/json"
    assert first.calls == [("hives", "GET", "/hives/1"), ("keepers", "GET", "/keepers/7")]
    assert second.calls == [("hives", "GET", "/hives/2")]
    assert gateway.calls == first.calls + second.calls


async def test_operation_takes_variables_and_a_name() -> None:
    """Variables and the operation's name are sent."""
    document = "query A { __typename } query B($id: ID!) { hive(id: $id) { name } }"
    async with running(APIARY, both()) as gateway:
        answer = await gateway.ask("outside", document, {"id": "2"}, operation="B")
    assert answer.data == {"hive": {"name": "Heath"}}


async def test_operation_has_the_codes_of_its_errors_by_their_path() -> None:
    """A service that fails costs its field; `codes` says so by the field's path."""
    services = both()
    services["keepers"].fail(500)
    async with running(APIARY, services) as gateway:
        answer = await gateway.ask("outside", LINDEN)
    assert answer.data == {"hive": {"name": "Linden", "keeper": None}}
    assert list(answer.codes) == ["hive.keeper"]


async def test_operation_is_for_a_variant_of_the_application() -> None:
    """A variant that does not exist is an error that names those that do."""
    async with running(APIARY, both()) as gateway:
        with pytest.raises(ValueError, match="expected inside, outside, got web"):
            await gateway.ask("web", LINDEN)


async def test_viewer_has_a_token_that_the_gate_checks() -> None:
    """Without a token a variant with a role is closed; with one of another role too."""
    async with running(APIARY, both()) as gateway:
        nobody = await gateway.ask("inside", LINDEN)
        guest = await gateway.ask("inside", LINDEN, viewer=Viewer("7", frozenset({"guest"})))
        keeper = await gateway.ask("inside", LINDEN, viewer=Viewer("7", frozenset({"keeper"})))
    assert [nobody.status, guest.status, keeper.status] == [401, 403, 200]
    assert keeper.data["hive"]["name"] == "Linden"


async def test_viewer_may_be_the_same_for_all_operations() -> None:
    """The viewer of `running` asks, unless the operation names another or nobody."""
    services = both()
    async with running(APIARY, services, viewer=Viewer("7")) as gateway:
        await gateway.ask("outside", LINDEN)
        await gateway.ask("outside", '{ hive(id: "2") { name } }', viewer=None)
    users = [request.headers.get("x-user-id") for request in services["hives"].requests]
    assert users == ["7", None]


async def test_viewer_carries_scopes() -> None:
    """A token has the viewer's scopes in the claim that the settings name."""
    async with running(APIARY, both(), {"auth": {"claims": {"scopes": "allowed"}}}) as gateway:
        token = gateway.token(Viewer("7", scopes=frozenset({"b", "a"})))
    payload = token.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(payload + "=="))["allowed"] == ["a", "b"]


async def test_scripted_service_fails_the_test_when_it_has_no_answer() -> None:
    """The test fails at the end, and says what was asked and what is scripted."""
    answers = []
    with pytest.raises(NotScripted, match=r"hives: GET /hives/3 is not scripted; scripted are: GET /hives/1, "):
        async with running(APIARY, both()) as gateway:
            answers.append(await gateway.ask("outside", '{ hive(id: "3") { name } }'))
    assert answers[0].data == {"hive": None}
    assert list(answers[0].codes) == ["hive"]


async def test_scripted_service_adds_a_note_to_the_error_of_a_test() -> None:
    """A test that fails by itself fails with its own error; what was not scripted stands beside it."""
    with pytest.raises(ZeroDivisionError) as caught:  # noqa: PT012 - the error is raised inside the context
        async with running(APIARY, both()) as gateway:
            await gateway.ask("outside", '{ hive(id: "3") { name } }')
            _ = 1 / 0
    assert any("GET /hives/3 is not scripted" in note for note in caught.value.__notes__)


async def test_scripted_service_answers_by_method_and_path_and_query() -> None:
    """A script with a query is for that query in any order; one without is for every other."""
    page: dict[str, Any] = {"items": [], "nextCursor": None, "total": 0}
    hives = Scripted().on("GET", "/hives?ids=2,1", {"items": []}).on("GET", "/hives", page)
    async with running(APIARY, {"hives": hives}) as gateway:
        answer = await gateway.ask(
            "outside", '{ a: hive(id: "2") { name } b: hive(id: "1") { name } hives(first: 3) { totalCount } }'
        )
    assert answer.data == {"a": None, "b": None, "hives": {"totalCount": 0}}
    assert sorted(hives.asked) == ["GET /hives?ids=2,1", "GET /hives?limit=3"]


async def test_scripted_service_answers_with_what_a_function_makes_of_the_request() -> None:
    """A script may be a function: it sees the query, the headers and the body."""
    seen: list[Request] = []

    def page(request: Request) -> Any:
        seen.append(request)
        return Reply.of({"items": [], "nextCursor": None, "total": 4}, headers={"Cache-Control": "max-age=60"})

    async with running(APIARY, {"hives": Scripted({"/hives": page})}) as gateway:
        answer = await gateway.ask("outside", "{ hives(first: 5) { totalCount } }", headers={"x-request-id": "mine"})
    assert answer.data == {"hives": {"totalCount": 4}}
    assert seen[0].query == {"limit": "5"}
    assert seen[0].headers["x-request-id"] == answer.headers["x-request-id"] == "mine"


async def test_scripted_service_refuses_connections_for_as_long_as_it_is_told() -> None:
    """A refused connection is retried, as by the settings, and never reaches the service."""
    services = both()
    services["hives"].refuse(times=1)
    async with running(APIARY, services) as gateway:
        answer = await gateway.ask("outside", '{ hive(id: "1") { name } }')
    assert answer.data == {"hive": {"name": "Linden"}}
    assert answer.calls == [("hives", "GET", "/hives/1")] * 2


async def test_scripted_service_hangs_until_the_gateway_gives_up() -> None:
    """A service that hangs costs the timeout of its source."""
    services = both()
    services["hives"].hang()
    settings = {"sources": {"hives": {"timeout_s": 0.05, "retry": {"attempts": 1}}}}
    async with running(APIARY, services, settings) as gateway:
        answer = await gateway.ask("outside", '{ hive(id: "1") { name } }')
    assert answer.codes == {"hive": "UPSTREAM_TIMEOUT"}


async def test_scripted_service_is_for_a_source_of_the_application() -> None:
    """A service that belongs to no source is a mistake of the test."""
    with pytest.raises(ValueError, match=r"expected names of sources \(hives, keepers\), got bees"):
        async with running(APIARY, {"bees": Scripted()}):
            pass


def test_scripted_service_has_paths_that_begin_with_a_slash() -> None:
    """A target that no request can have is a mistake of the test."""
    with pytest.raises(ValueError, match="target: expected a path"):
        Scripted({"hives/1": {}})


async def test_clock_opens_and_closes_a_breaker() -> None:
    """A breaker opens after failures, refuses without a call, and probes once its time has passed."""
    services, clock = both(), Clock()
    settings = {"sources": {"hives": {"breaker": {"open_s": 30}, "retry": {"attempts": 1}}}}
    async with running(APIARY, services, settings, clock=clock) as gateway:
        services["hives"].fail(500)
        for _ in range(5):
            await gateway.ask("outside", LINDEN)
        services["hives"].recover()
        open_ = await gateway.ask("outside", LINDEN)
        clock.advance(29)
        still_open = await gateway.ask("outside", LINDEN)
        clock.advance(2)
        closed = await gateway.ask("outside", LINDEN)
    assert [open_.calls, still_open.calls] == [[], []]
    assert open_.data == {"hive": None}
    assert closed.data["hive"]["name"] == "Linden"


async def test_clock_ages_what_is_cached() -> None:
    """A cached answer is used for as long as it is fresh, by the same clock."""
    reply = Reply.of(HIVES["/hives/1"], headers={"cache-control": "max-age=60"})
    clock = Clock()
    async with running(APIARY, {"hives": Scripted({"/hives/1": reply})}, clock=clock) as gateway:
        calls = []
        for pause in (0, 59, 2):
            clock.advance(pause)
            calls.append(len((await gateway.ask("outside", '{ hive(id: "1") { name } }')).calls))
    assert calls == [1, 0, 1]


async def test_clock_refills_rates() -> None:
    """A client that has used up its rate may come again later."""
    settings = {"variants": {"outside": {"rate": {"per_minute": 60, "burst": 1}}}}
    clock = Clock()
    async with running(APIARY, both(), settings, clock=clock) as gateway:
        statuses = []
        for pause in (0, 0, 1.5):
            clock.advance(pause)
            statuses.append((await gateway.ask("outside", "{ __typename }")).status)
    assert statuses == [200, 429, 200]


def test_clock_goes_forward_only() -> None:
    """Time that goes back is a mistake of the test."""
    with pytest.raises(ValueError, match="expected 0 or more"):
        Clock().advance(-1)


async def test_running_serves_what_is_no_operation() -> None:
    """Any HTTP request may be sent: the probes too."""
    async with running(APIARY, both()) as gateway:
        ready = await gateway.request("GET", "/ready")
    assert (ready.status, ready.json["status"]) == (200, "ready")


async def test_running_refuses_an_unknown_setting() -> None:
    """Settings are checked as those of `serve` are."""
    with pytest.raises(SettingsError, match=r"sources\.bees"):
        async with running(APIARY, both(), {"sources": {"bees": {}}}):
            pass


async def test_running_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test is the same on every machine."""
    monkeypatch.setenv("BFF_SOURCES__HIVES__TIMEOUT_S", "nonsense")
    async with running(APIARY, both()) as gateway:
        assert gateway.settings.source("hives").timeout_s == 2.0


async def test_the_same_services_answer_over_sockets() -> None:
    """`serving` has the gateway and the services on real ports."""
    async with serving(APIARY, both()) as gateway, httpx.AsyncClient(trust_env=False) as client:
        headers = gateway.bearer(Viewer("7", frozenset({"keeper"})))
        answer = await client.post(f"{gateway.url}/inside/graphql", json={"query": LINDEN}, headers=headers)
        assert answer.json() == {"data": {"hive": {"name": "Linden", "keeper": {"name": "Ann"}}}}
        assert set(gateway.service_urls) == {"hives", "keepers"}


def test_fixtures_ask_in_plain_functions(gateway: BlockingGateway) -> None:
    """The fixture `gateway` needs no plugin for asyncio."""
    assert gateway.ask("outside", LINDEN).data["hive"]["keeper"] == {"name": "Ann"}
    assert gateway.request("GET", "/health").status == 200
    assert len(gateway.calls) == 2


def test_fixtures_serve_on_sockets(serving_fixture: ServingGateway) -> None:
    """The fixture `serving` answers in a thread of its own: a blocking client may ask."""
    with httpx.Client(trust_env=False) as client:
        answer = client.post(f"{serving_fixture.url}/outside/graphql", json={"query": LINDEN})
    assert answer.json()["data"]["hive"]["name"] == "Linden"


def test_fixtures_fail_a_test_whose_service_is_not_scripted(tmp_path: Path) -> None:
    """Pytest reports it as an error of the test, with what was asked."""
    file = tmp_path / "test_it.py"
    file.write_text(
        "import pytest\n"
        "from tests.bff.test_testing import APIARY, both\n"
        "pytest_plugins = ['bff.testing_plugin']\n"
        "@pytest.fixture\n"
        "def app(): return APIARY\n"
        "@pytest.fixture\n"
        "def services(): return both()\n"
        "def test_it(gateway): gateway.ask('outside', '{ hive(id: \"3\") { name } }')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:warnings", str(file)]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "1 passed, 1 error" in ended.stdout
    assert "hives: GET /hives/3 is not scripted; scripted are: GET /hives/1, GET /hives/2" in ended.stdout


async def test_operations_that_run_together_have_their_own_calls() -> None:
    """Calls are told apart by the request that they were sent for."""
    services = {"hives": Scripted({**HIVES, "/hives": {"items": [], "nextCursor": None, "total": 2}})}
    async with running(APIARY, services) as gateway:
        first, second = await asyncio.gather(
            gateway.ask("outside", '{ hive(id: "1") { name } }'),
            gateway.ask("outside", "{ hives(first: 1) { totalCount } }"),
        )
    assert (first.calls, second.calls) == ([("hives", "GET", "/hives/1")], [("hives", "GET", "/hives?limit=1")])
