"""docs/clients.md: its table has every error code, and its examples are what the gateway answers.

`tests/audit/test_clients.py` runs the page's JavaScript.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import GraphQLObjectType, parse, validate

from bff import errors
from bff.errors import GatewayError
from bff.graph.errors import GraphError
from bff.server import cors
from bff.upstream.errors import SourceError
from schema.app import app
from tests.support.faults import Fault, json_answer
from tests.support.gateways import RunningGateway
from tests.support.pages import DOCS, blocks_of
from tests.support.services import Tapped

PAGE = DOCS / "clients.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = blocks_of(PAGE)
GRAPHQL = [block.text for block in BLOCKS if block.language == "graphql"]
JSON = [json.loads(block.text) for block in BLOCKS if block.language == "json" and block.file is None]
WEB = app.schemas["web"]


def rows_after(header: str) -> list[list[str]]:
    """The cells of each row of the table with this header."""
    table = TEXT.partition(header)[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def codes_below(root: type[Any]) -> Iterator[str]:
    """The codes of an error and of the gateway's own that inherit from it. The root of the graph's errors has none."""
    if "code" in vars(root):
        yield root.code
    for each in root.__subclasses__():
        if each.__module__.startswith("bff."):  # other tests define errors of their own
            yield from codes_below(each)


def codes_of_documents() -> set[str]:
    """The codes that the preparation of a document raises, by its text."""
    source = Path(errors.__file__).with_name("engine") / "prepare.py"
    return set(re.findall(r'DocumentError\("(\w+)"', source.read_text(encoding="utf-8")))


def query_named(name: str) -> str:
    """The page's operation of that name."""
    (text,) = [each for each in GRAPHQL if re.search(rf"\b{name}\b", each.partition("{")[0])]
    return text


def answer_with(member: str) -> Any:
    """The page's response that has this member, anywhere."""
    (found,) = [each for each in JSON if f'"{member}":' in json.dumps(each) and "data" in each]
    return found


def test_the_table_has_every_error_code_and_no_other() -> None:
    """A code that is added, renamed or removed changes the page too."""
    documented = [row[0].strip("`") for row in rows_after("| code | when | status | what to do |")]
    exist = {code for root in (GatewayError, GraphError, SourceError) for code in codes_below(root)}
    assert len(documented) == len(set(documented))
    assert set(documented) == exist | codes_of_documents() | {errors.INTERNAL}


def statuses_of(error: type[GatewayError]) -> set[str]:
    """The statuses in the row of an error's code."""
    (row,) = [row for row in rows_after("| code | when | status | what to do |") if row[0] == f"`{error.code}`"]
    return set(re.findall(r"\d{3}", row[2]))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidToken("expired"), 401),
        (errors.InvalidApiKey(), 401),
        (errors.RoleNeeded(), 403),
        (errors.RateLimited("requests", 1, 1, 1, 1), 429),
        (errors.CsrfPrevented("Expected JSON.", status=415), 415),
        (errors.KeysUnavailable(), 503),
        (errors.Draining(), 503),
        (errors.TooManyDocuments(), 503),
        (errors.OperationNotAllowed(), None),
        (errors.PersistedQueryNotFound(), None),
        (errors.TooComplex("depth", 13, 12), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_a_refusal_has_the_status_of_its_row(error: GatewayError, status: int | None) -> None:
    """None stands for 400, as the page says."""
    assert error.status == status
    assert str(status or 400) in statuses_of(type(error))


def test_the_row_of_bad_requests_has_every_status() -> None:
    """Those that the code raises `BadRequest` with."""
    raised = {"400"}
    for path in Path(errors.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "BadRequest":
                raised |= {ast.unparse(each.value) for each in node.keywords if each.arg == "status"}
    assert statuses_of(errors.BadRequest) == raised


def test_the_table_has_every_code_of_a_user_error() -> None:
    """Those that the SDL lists."""
    documented = {row[0].strip("`") for row in rows_after("| `code` of a user error | what to do |")}
    user_error = WEB.type_map["UserError"]
    assert isinstance(user_error, GraphQLObjectType)
    assert documented == set(re.findall(r"[A-Z_]{4,}", user_error.fields["code"].description or ""))


@pytest.mark.parametrize("text", GRAPHQL)
def test_an_operation_of_the_page_fits_the_web_graph(text: str) -> None:
    """Also those in blocks of other languages, which the tools of the clients check when they are run."""
    assert validate(WEB, parse(text)) == []


def test_the_partial_response_is_what_the_gateway_answers(
    services: Tapped, start_gateway: Callable[..., RunningGateway]
) -> None:
    """With the orders service busy for seven seconds."""
    gateway = start_gateway()
    services.fail("orders", Fault.STATUS_503)
    assert gateway.ask("web", query_named("Account"), sub="1") == answer_with("errors")


def test_the_old_value_is_what_the_gateway_answers(services: Tapped, start_gateway: Callable[..., RunningGateway]) -> None:
    """The service allows a stale reply if it fails. Its age is the one member that differs."""
    products = services.ports["products"]
    product = httpx.get(f"{products.behind}/products/1", trust_env=False).content
    answers = [json_answer(product, "cache-control: public, max-age=0, stale-if-error=300")]
    products.custom = lambda _: answers.pop() if answers else json_answer(b"{}", status="500 Error")
    gateway = start_gateway()
    query = query_named("Price")
    assert "extensions" not in gateway.ask("web", query)
    answer = gateway.ask("web", query)
    documented = answer_with("degraded")
    assert answer["extensions"]["degraded"][0].keys() == documented["extensions"]["degraded"][0].keys()
    answer["extensions"]["degraded"][0]["age"] = documented["extensions"]["degraded"][0]["age"]
    assert answer == documented


def test_the_user_error_is_what_the_gateway_answers(start_gateway: Callable[..., RunningGateway]) -> None:
    """To the page's own variables."""
    (variables,) = [each for each in JSON if "input" in each]
    answer = start_gateway().ask("web", query_named("PlaceOrder"), variables, sub="1")
    assert answer == answer_with("userErrors")


def test_a_failed_write_leaves_no_data(services: Tapped, start_gateway: Callable[..., RunningGateway]) -> None:
    """Also not that of a write before it. The error says whether its outcome is known."""
    services.ports["orders"].custom = lambda _: json_answer(b"{}", status="500 Error")
    place = 'placeOrder(input: {items: [{productId: "1", quantity: 1}]}) { order { id } }'
    change = 'updateProfile(input: {name: "Ann"}) { user { name } }'
    answer = start_gateway().ask("web", f"mutation {{ {change} {place} }}", sub="1")
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"] == {"code": "UPSTREAM_ERROR", "source": "orders", "outcome": "unknown"}


def test_pages_of_other_origins_may_send_and_read_the_headers_of_the_page() -> None:
    """`Accept` needs no permission, and `Accept-Encoding` is set by the browser itself."""
    sent = {name.lower() for row in rows_after("| header | use |") for name in re.findall(r"`([\w-]+)[`:]", row[0])}
    assert sent - {"accept", "accept-encoding"} <= set(cors.USUAL_HEADERS)
    (sentence,) = re.findall(r"and read\n(.*?)\.\n", TEXT)
    read = {name.lower() for name in re.findall(r"`([\w-]+)`", sentence)}
    assert len(read) == 5
    assert read <= set(cors._EXPOSED)
