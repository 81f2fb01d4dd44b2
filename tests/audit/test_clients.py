"""docs/clients.md: its JavaScript runs, as it stands there, against a gateway. Only the endpoint is another.

`clients/` has the packages, what the page leaves to the reader (`session.js`), and the programs that use the page's files.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.faults import Fault, json_answer
from tests.support.gateways import RunningGateway
from tests.support.issuers import running_issuer
from tests.support.node_apps import PATIENCE_S, NodeApp
from tests.support.pages import DOCS
from tests.support.programs import needs
from tests.support.services import Tapped

pytestmark = pytest.mark.audit

ROOT = DOCS.parent
PACKAGES = Path(__file__).with_name("clients")
ENDPOINT = "https://gateway.example.com/web/graphql"
KEY = "6f2f4a1e-3f0c-4f61-8d0a-0c9b7a3e5d21"
_OLDEST_NODE = 20

StartGateway = Callable[..., RunningGateway]


@pytest.fixture(scope="module")
def packages() -> Path:
    """The packages, installed."""
    needs("node", "npm")
    version = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout
    if int(version.strip().removeprefix("v").partition(".")[0]) < _OLDEST_NODE:
        pytest.skip(f"node {_OLDEST_NODE} or newer is needed, this is {version}")
    subprocess.run(["npm", "ci", "--silent"], cwd=PACKAGES, check=True, timeout=PATIENCE_S)
    return PACKAGES / "node_modules"


@pytest.fixture
def app(packages: Path, tmp_path: Path) -> NodeApp:
    """An app without the page's files."""
    (tmp_path / "node_modules").symlink_to(packages)
    for file in (*PACKAGES.glob("*.js"), *PACKAGES.glob("*.ts"), PACKAGES / "package.json"):
        shutil.copy(file, tmp_path)
    return NodeApp(tmp_path)


def endpoint_of(gateway: RunningGateway) -> dict[str, str]:
    """The change of a page's file that names a gateway."""
    return {ENDPOINT: f"{gateway.url}/web/graphql"}


def degrade(services: Tapped) -> None:
    """Let the products service send one product, which may be shown if the service fails, and then fail."""
    product = {
        "id": 9, "sku": "S", "name": "P", "description": "", "price": 8.7, "currency": "USD", "stock": 7,
        "category": "toys", "imageUrl": "https://cdn.example.com/9.jpg", "updatedAt": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    body = json.dumps(product).encode()
    answers = [json_answer(body, "cache-control: public, max-age=0, stale-if-error=300")]
    services.ports["products"].custom = lambda _: answers.pop() if answers else json_answer(b"{}", status="500 Error")


def token_of_issuer() -> str:
    """A token that only the issuer's keys can verify."""
    key = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode({"sub": "1", "exp": int(time.time()) + 3600}, key, "ES256", headers={"kid": "k"})


class TestApollo:
    """apollo.js and place-order.js."""

    @pytest.fixture
    def shop(self, app: NodeApp, gateway: RunningGateway) -> NodeApp:
        """An app in front of a gateway."""
        app.take("apollo.js", **endpoint_of(gateway))
        app.take("place-order.js")
        return app

    def test_a_token_that_is_refused_is_renewed_once(self, shop: NodeApp, gateway: RunningGateway) -> None:
        """The request is sent again with the new one. Both have only the hash until the gateway asks for the document."""
        found = shop.run("run-apollo.js", "signedIn", TOKEN="expired", RENEWED=gateway.token("1"))["signedIn"]
        assert found["data"] == {"me": {"name": "User 1", "__typename": "User"}}
        assert found["renewals"] == ["expired"]
        assert found["requests"] == [
            {"method": "GET", "status": 401},
            {"method": "GET", "status": 400},
            {"method": "POST", "status": 200},
        ]

    def test_a_token_that_stays_refused_ends_in_an_error(self, shop: NodeApp) -> None:
        """It is renewed once, and not for ever."""
        found = shop.run("run-apollo.js", "refused", TOKEN="expired", RENEWED="expired too")["refused"]
        assert (found["data"], found["codes"]) == (None, ["UNAUTHENTICATED"])
        assert [each["status"] for each in found["requests"]] == [401, 401]

    def test_pages_are_appended(self, shop: NodeApp) -> None:
        """By the type policy."""
        assert shop.run("run-apollo.js", "pages")["pages"] == ["1", "2", "3", "4"]

    def test_data_comes_with_the_errors(self, shop: NodeApp, gateway: RunningGateway) -> None:
        """And the cache keeps the null without its error, as the page warns."""
        found = shop.run("run-apollo.js", "partial", TOKEN=gateway.token("1"))["partial"]
        assert found["data"]["product"]["name"] == "Product 1"
        assert found["data"]["user"] is None
        assert found["codes"] == [[["user"], "FORBIDDEN"]]
        assert found["fromCache"] == {"data": found["data"], "error": None, "requests": [], "waits": []}

    def test_old_values_are_noted(self, shop: NodeApp, services: Tapped) -> None:
        """With the operation's name."""
        degrade(services)
        found = shop.run("run-apollo.js", "degraded")["degraded"]
        assert found["data"]["product"]["price"] == 8.7
        assert found["error"] is None
        ((operation, (entry,)),) = found["warnings"]
        assert (operation, entry["path"], entry["source"]) == ("Price", ["product"], "products")

    def test_a_write_of_unknown_outcome_is_sent_again_with_its_key(
        self, shop: NodeApp, gateway: RunningGateway, services: Tapped
    ) -> None:
        """What the user can correct is not."""
        orders = services.ports["orders"]
        was_lost: list[bytes] = []

        def answer(request: bytes) -> bytes:
            if b'"quantity":2' in request:
                was_lost.append(request)
                orders.custom = None
                return json_answer(b"{}", status="500 Error")
            problem = b'{"errors":[{"field":"items[0].quantity","message":"Too few."}]}'
            return json_answer(problem, status="422 Unprocessable Content")

        orders.custom = answer
        found = shop.run("run-apollo.js", "placed", TOKEN=gateway.token("1"), KEY=KEY)["placed"]
        assert found["mistaken"] == ["INVALID"]
        assert found["placed"]["order"]["status"] == "PENDING"
        assert found["waits"] == [1000]
        (lost,) = was_lost
        keys = {headers["idempotency-key"] for headers in services.headers if "idempotency-key" in headers}
        assert keys == set(re.findall(r"(?i)idempotency-key: (\w+)", lost.decode()))

    def test_what_has_run_is_not_repeated(self, shop: NodeApp, gateway: RunningGateway, services: Tapped) -> None:
        """Though the code of its error is one of a refusal: a service has refused the token, maybe after a write."""
        services.fail("orders", Fault.STATUS_401)
        environment = {"TOKEN": gateway.token("1"), "RENEWED": gateway.token("1")}
        found = shop.run("run-apollo.js", "failedAtAService", **environment)["failedAtAService"]
        assert found["codes"] == ["UNAUTHENTICATED"]
        assert found["renewals"] == []
        assert [each["status"] for each in found["requests"]] == [400, 200]

    def test_a_refusal_that_will_pass_is_repeated_once(
        self, app: NodeApp, services: Tapped, start_gateway: StartGateway
    ) -> None:
        """Here no key set can be had, so that no token can be checked."""
        with running_issuer() as issuer:
            issuer.is_up = False
            gateway = start_gateway(JWKS_URL=issuer.url, JWT_SECRET="")
            app.take("apollo.js", **endpoint_of(gateway))
            app.take("place-order.js")
            found = app.run("run-apollo.js", "refused", TOKEN=token_of_issuer())["refused"]
        assert found["codes"] == ["SERVICE_UNAVAILABLE"]
        assert [each["status"] for each in found["requests"]] == [503, 503]
        (wait,) = found["waits"]
        assert 1000 <= wait < 1500

    def test_a_long_wait_is_not_waited_for(self, app: NodeApp, start_gateway: StartGateway) -> None:
        """A limit that is used up for the hour is an error at once."""
        gateway = start_gateway(BFF_RATE__ENABLED="true", BFF_VARIANTS__WEB__RATE__ANY_HOUR="1")
        gateway.ask("web", "{ __typename }", sub="1")
        app.take("apollo.js", **endpoint_of(gateway))
        app.take("place-order.js")
        found = app.run("run-apollo.js", "refused", TOKEN=gateway.token("1"))["refused"]
        assert found["codes"] == ["RATE_LIMITED"]
        assert [each["status"] for each in found["requests"]] == [429]

    def test_without_a_connection_queries_alone_are_repeated(self, shop: NodeApp) -> None:
        """A mutation may have taken effect."""
        found = shop.run("run-apollo.js", "unreachable")["unreachable"]
        assert found == {"ofQuery": 3, "ofMutation": 1, "answered": False}


class TestUrql:
    """urql.js."""

    @pytest.fixture
    def shop(self, app: NodeApp, gateway: RunningGateway) -> NodeApp:
        """An app in front of a gateway."""
        app.take("urql.js", **endpoint_of(gateway))
        return app

    def test_a_token_that_is_refused_is_renewed_once(self, shop: NodeApp, gateway: RunningGateway) -> None:
        """As with Apollo Client."""
        found = shop.run("run-urql.js", "signedIn", TOKEN="expired", RENEWED=gateway.token("1"))["signedIn"]
        assert found["data"]["me"]["name"] == "User 1"
        assert found["renewals"] == ["expired"]
        assert [each["status"] for each in found["requests"]] == [401, 400, 200]

    def test_data_comes_with_the_errors(self, shop: NodeApp, gateway: RunningGateway) -> None:
        """The cache keeps both; the network is asked on demand."""
        found = shop.run("run-urql.js", "partial", TOKEN=gateway.token("1"))["partial"]
        assert found["data"]["product"]["name"] == "Product 1"
        assert found["codes"] == [[["user"], "FORBIDDEN"]]
        assert found["fromCache"] == {"codes": found["codes"], "requests": [], "waits": []}
        assert found["network"] == 1

    def test_old_values_are_in_the_result(self, shop: NodeApp, services: Tapped) -> None:
        """In its extensions."""
        degrade(services)
        found = shop.run("run-urql.js", "degraded")["degraded"]
        assert found["error"] is None
        assert found["extensions"]["degraded"][0]["path"] == ["product"]

    def test_a_refusal_that_will_pass_is_repeated(self, app: NodeApp, start_gateway: StartGateway) -> None:
        """Three attempts in all."""
        with running_issuer() as issuer:
            issuer.is_up = False
            gateway = start_gateway(JWKS_URL=issuer.url, JWT_SECRET="")
            app.take("urql.js", **endpoint_of(gateway))
            found = app.run("run-urql.js", "refused", TOKEN=token_of_issuer())["refused"]
        assert found["codes"] == [[None, "SERVICE_UNAVAILABLE"]]
        assert [each["status"] for each in found["requests"]] == [503, 503, 503]

    def test_without_a_connection_queries_alone_are_repeated(self, shop: NodeApp) -> None:
        """A mutation may have taken effect."""
        assert shop.run("run-urql.js", "unreachable")["unreachable"] == {"ofQuery": 3, "ofMutation": 1}


def test_trusted_documents_of_apollo_and_of_code_generation(app: NodeApp, start_gateway: StartGateway) -> None:
    """The tools' manifests are read, the types fit, and the clients send ids that the gateway knows. Nothing else runs."""
    shutil.copytree(ROOT / "schema" / "sdl", app.folder / "schema" / "sdl")
    app.take("codegen.ts", "src/account.ts")
    app.call("graphql-codegen")
    app.call("tsc", "--noEmit", "--strict", "--skipLibCheck", "--module", "preserve", "src/account.ts")
    shutil.copy(PACKAGES / "product.js", app.folder / "src" / "product.js")
    app.call("generate-persisted-query-manifest")
    manifests = [app.folder / "persisted-query-manifest.json", app.folder / "src" / "gql" / "persisted-documents.json"]
    gateway = start_gateway(
        BFF_VARIANTS__WEB__DOCUMENTS="trusted", BFF_VARIANTS__WEB__MANIFESTS=",".join(map(str, manifests))
    )
    app.take("trusted-link.js", "trusted-exchange.js")
    apollo = {"new PersistedQueryLink({ sha256, useGETForHashedQueries: true })": "trusted"}
    urql = {'persistedExchange({ preferGetForPersistedQueries: "within-url-limit" })': "trusted"}
    app.take("apollo.js", **apollo, **endpoint_of(gateway))
    app.take("urql.js", **urql, **endpoint_of(gateway))
    app.write("apollo.js", 'import { trusted } from "./trusted-link.js";\n' + (app.folder / "apollo.js").read_text())
    app.write("urql.js", 'import { trusted } from "./trusted-exchange.js";\n' + (app.folder / "urql.js").read_text())
    found = app.run("run-trusted.ts", runtime="jiti", TOKEN=gateway.token("1"))
    assert found["apollo"]["data"]["product"]["name"] == "Product 1"
    assert found["apollo"]["requests"] == [{"method": "GET", "status": 200}]
    assert found["urql"]["error"] is None
    assert found["urql"]["data"]["me"]["name"] == "User 1"
    assert found["urql"]["data"]["me"]["__typename"] == "User"
    assert found["urql"]["requests"] == [{"method": "GET", "status": 200}]
    assert "data" not in found["untrusted"]


class TestRelay:
    """environment.js, with what the compiler makes of src/Account.js."""

    @pytest.fixture
    def shop(self, app: NodeApp, start_gateway: StartGateway) -> NodeApp:
        """An app in front of a gateway that takes the compiler's manifest and nothing else."""
        shutil.copytree(ROOT / "schema" / "sdl", app.folder / "schema" / "sdl")
        app.take("relay.config.json", "src/Account.js")
        app.write("persisted.json", "{}")
        app.call("relay-compiler")
        manifest = str(app.folder / "persisted.json")
        gateway = start_gateway(BFF_VARIANTS__WEB__DOCUMENTS="trusted", BFF_VARIANTS__WEB__MANIFESTS=manifest)
        app.take("environment.js", **endpoint_of(gateway))
        return app

    def test_fields_and_pages(self, shop: NodeApp, gateway: RunningGateway) -> None:
        """A token is renewed; a caught field has its value; a connection has a page; an invalid request has its code."""
        found = shop.run("run-relay.js", TOKEN="expired", RENEWED=gateway.token("1"))
        assert found["account"]["me"]["orders"] == {"ok": True, "value": [{"id": "9001", "total": 317.3}]}
        assert [each["status"] for each in found["requests"]] == [401, 200]
        assert found["renewals"] == ["expired"]
        assert found["names"] == ["Product 1", "Product 2"]
        assert found["invalid"] == ["BAD_USER_INPUT"]

    def test_a_caught_field_has_the_code_of_its_error(
        self, shop: NodeApp, gateway: RunningGateway, services: Tapped
    ) -> None:
        """The other fields are there."""
        services.ports["orders"].custom = lambda _: json_answer(b"{}", status="500 Error")
        me = shop.run("run-relay.js", TOKEN=gateway.token("1"))["account"]["me"]
        assert me["name"] == "User 1"
        assert me["orders"]["ok"] is False
        assert me["orders"]["errors"][0]["extensions"]["code"] == "UPSTREAM_ERROR"
