"""The GraphiQL page in a real browser, in front of a gateway in dev mode with the demo services."""

import base64
import json
import time
from typing import Protocol

import pytest
from playwright.async_api import expect

from bff.commands.token import DEV_SECRET
from tests.support.background import Background
from tests.support.browser import Visit
from tests.support.gateways import RunningGateway, running_gateway
from tests.support.services import Tapped

pytestmark = pytest.mark.browser

_VARIANTS = ("web", "mobile", "admin")
_HOUR_S = 3600


class Gateway(Protocol):
    """What these tests need of the fixture `dev_gateway`."""

    url: str

    def token(self, sub: str = "1", role: str | None = None) -> str: ...


def _unsigned(claims: dict[str, object]) -> str:
    """A token as the page can read it, though no gateway would take it."""
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({}, claims))
    return f"{head}.{body}.signature"


@pytest.mark.parametrize("variant", _VARIANTS)
async def test_newcomer_runs_an_example(dev_gateway: Gateway, visit: Visit, variant: str) -> None:
    """With a token pasted, an example answers; nothing left the host, and no error came up."""
    page = visit.page
    await page.goto(f"{dev_gateway.url}/{variant}/graphql")
    await expect(page).to_have_title(f"{variant.capitalize()} graph · GraphiQL")
    await expect(page.locator("#who")).to_have_text("nobody signed in")
    if variant == "admin":
        await expect(page.locator("#notice")).to_contain_text("This graph needs an administrator's token")
        assert all("401" in complaint for complaint in visit.complaints), visit.complaints
        visit.complaints.clear()  # the browser's own line about the refusal

    token = dev_gateway.token("1", "admin" if variant == "admin" else None)
    await page.get_by_label("Bearer token").fill(f"Bearer {token}\n")
    await expect(page.locator("#who")).to_contain_text("admin 1, expires in" if variant == "admin" else "user 1, expires in")
    await expect(page.locator("#notice")).to_be_empty()
    await visit.run("User and orders")
    await visit.expect_answer('"User 1"')

    assert visit.complaints == []
    assert [url for url in visit.requests if not url.startswith((dev_gateway.url, "data:"))] == []


@pytest.mark.parametrize("variant", _VARIANTS)
async def test_token_stays_in_the_session(dev_gateway: Gateway, visit: Visit, variant: str) -> None:
    """The token goes along to the other variants in the same tab, and is never in local storage, a cookie or a URL."""
    page = visit.page
    token = dev_gateway.token("1", "admin")
    await page.goto(f"{dev_gateway.url}/{variant}/graphql")
    await page.get_by_label("Bearer token").fill(token)
    await visit.run("User and orders")
    await visit.expect_answer('"User 1"')
    other = _VARIANTS[_VARIANTS.index(variant) - 1]
    await page.get_by_role("link", name=other.capitalize()).click()
    await expect(page.locator("#who")).to_contain_text("admin 1")
    await page.wait_for_function("localStorage.length > 0")

    assert await page.evaluate("Object.values(sessionStorage)") == [token]
    kept = await page.evaluate("JSON.stringify(localStorage)")
    assert all(part not in kept for part in token.split("."))
    assert await page.context.cookies() == []
    assert all(token not in url for url in [page.url, *visit.requests])


async def test_schema_is_fetched_anew_for_each_token(dev_gateway: Gateway, visit: Visit) -> None:
    """The admin graph's schema comes with the right token, and goes again with it: the page says why each time."""
    page = visit.page
    await page.goto(f"{dev_gateway.url}/admin/graphql")
    notice = page.locator("#notice")
    await expect(notice).to_contain_text("needs an administrator's token: paste one above")
    await page.get_by_label("Bearer token").fill(dev_gateway.token("1"))
    await expect(notice).to_contain_text("needs an administrator's token; the one above is of user 1")
    await page.get_by_label("Bearer token").fill(dev_gateway.token("1", "admin"))
    await expect(notice).to_be_empty()
    await page.get_by_role("button", name="Show Documentation Explorer").click()
    await expect(page.locator(".graphiql-plugin")).to_contain_text("SourceInstance")
    await page.get_by_role("button", name="Clear", exact=True).click()
    await expect(notice).to_contain_text("needs an administrator's token: paste one above")
    await expect(page.locator(".graphiql-plugin")).not_to_contain_text("SourceInstance")


@pytest.mark.parametrize(
    ("token", "hint"),
    [
        pytest.param("", "nobody signed in", id="none"),
        pytest.param("nonsense", "not a token", id="nonsense"),
        pytest.param("zażółć.gęślą.jaźń", "not a token", id="three parts of nonsense"),
    ],
)
async def test_hint_for_what_is_no_token(dev_gateway: Gateway, visit: Visit, token: str, hint: str) -> None:
    """Whatever stands in the field, the hint says if it is no token at all."""
    await visit.page.goto(f"{dev_gateway.url}/web/graphql")
    await visit.page.get_by_label("Bearer token").fill(token)
    await expect(visit.page.locator("#who")).to_have_text(hint)


@pytest.mark.parametrize(
    ("claims", "expires_in_s", "hint"),
    [
        pytest.param({"sub": "7"}, _HOUR_S, "user 7, expires in 60 min", id="user"),
        pytest.param({"sub": "7", "role": "admin"}, 3 * _HOUR_S, "admin 7, expires in 3 h", id="role"),
        pytest.param({"sub": "7", "roles": ["a", "admin"]}, _HOUR_S, "admin 7, expires in 60 min", id="roles"),
        pytest.param({"sub": "7", "roles": "admin", "role": "Admin"}, _HOUR_S, "user 7, expires in 60 min", id="exact"),
        pytest.param({"sub": "7"}, -1, "user 7, expired", id="expired"),
        pytest.param({"sub": "7"}, None, "user 7, never expires: the gateway refuses such a token", id="for ever"),
        pytest.param({"sub": "<b>zoë</b>"}, -1, "user <b>zoë</b>, expired", id="markup"),
    ],
)
async def test_hint_tells_whose_token_it_is(
    dev_gateway: Gateway, visit: Visit, claims: dict[str, object], expires_in_s: int | None, hint: str
) -> None:
    """The hint says who the token is of and how long it holds, by the rules of the gateway, and takes no markup."""
    lifetime = {} if expires_in_s is None else {"exp": time.time() + expires_in_s}
    await visit.page.goto(f"{dev_gateway.url}/web/graphql")
    await visit.page.get_by_label("Bearer token").fill(_unsigned({**claims, **lifetime}))
    await expect(visit.page.locator("#who")).to_have_text(hint)
    assert await visit.page.locator("#who > *").count() == 0


async def test_operation_that_needs_a_token_says_so(dev_gateway: Gateway, visit: Visit) -> None:
    """Whoever runs somebody's own query without a token is told what is missing, not only by a code in the answer."""
    page = visit.page
    await page.goto(f"{dev_gateway.url}/web/graphql")
    await visit.run("User and orders")
    await expect(page.locator("#notice")).to_contain_text("This operation needs a token")
    await visit.run("Catalogue page")
    await visit.expect_answer('"totalCount"')
    await expect(page.locator("#notice")).to_be_empty()


async def test_images_in_answers_are_not_fetched(dev_gateway: Gateway, visit: Visit) -> None:
    """Hovering over the address of an image in an answer sends nothing to that host."""
    page = visit.page
    await page.goto(f"{dev_gateway.url}/web/graphql")
    await visit.run("Catalogue page")
    await page.locator(".result-window .cm-string", has_text="https://").first.hover()
    await page.wait_for_timeout(500)  # the preview would open after 200 ms
    assert [url for url in visit.requests if not url.startswith((dev_gateway.url, "data:"))] == []
    assert visit.complaints == []


async def test_work_is_still_there_on_the_next_visit(dev_gateway: Gateway, visit: Visit) -> None:
    """Examples open in tabs of their own, once each, with their variables; the tabs outlast a reload."""
    page = visit.page
    tabs = page.locator(".graphiql-tab-button")
    await page.goto(f"{dev_gateway.url}/web/graphql")
    await expect(tabs).to_have_text(["User"])
    for _ in range(2):
        await visit.run("Catalogue page")
        await expect(tabs).to_have_text(["User", "Catalogue"])
        await expect(page.get_by_label("Variables").locator(".CodeMirror")).to_contain_text('"toys"')
        await page.get_by_role("button", name="User and orders").click()
    await page.wait_for_timeout(1000)  # GraphiQL writes down what changed half a second later
    await page.reload()
    await expect(tabs).to_have_text(["User", "Catalogue"])


async def test_an_operation_is_explained_without_being_run(dev_gateway: Gateway, visit: Visit) -> None:
    """The panel shows the waves of what stands in the editor, and the services hear nothing of it."""
    page = visit.page
    await page.goto(f"{dev_gateway.url}/web/graphql")
    await expect(page.locator('.examples button[aria-pressed="true"]')).to_have_count(1)
    await page.get_by_role("button", name="Show Plan").click()
    await page.get_by_role("button", name="Explain", exact=True).click()
    shown = page.locator(".plan pre")
    await expect(shown).to_contain_text("wave 1")
    await expect(shown).to_contain_text("cost ")
    assert visit.complaints == []


@pytest.fixture
def demo_gateway(own_background: Background, services: Tapped) -> RunningGateway:
    """A gateway as `bff dev` starts it without settings: with the secret that everybody knows, and the demo viewers."""
    return own_background.enter(running_gateway(services.urls, {"JWT_SECRET": DEV_SECRET}, mode="dev", has_viewers=True))


@pytest.mark.parametrize(
    ("variant", "who", "text"),
    [("web", "user 1", '"User 1"'), ("mobile", "user 1", '"User 1"'), ("admin", "admin 1", '"nodes"')],
)
async def test_the_first_play_answers(demo_gateway: RunningGateway, visit: Visit, variant: str, who: str, text: str) -> None:
    """In `bff dev`, without a token pasted and without a click: the page begins as a viewer who may use the variant."""
    page = visit.page
    await page.goto(f"{demo_gateway.url}/{variant}/graphql")
    await expect(page.locator("#who")).to_contain_text(f"{who}, expires in")
    await expect(page.locator('.examples button[aria-pressed="true"]')).to_have_count(1)
    await page.get_by_role("button", name="Execute query").click()
    await visit.expect_answer(text)
    await expect(page.locator(".result-window")).not_to_contain_text("errors")
    await expect(page.locator("#notice")).to_be_empty()
    assert visit.complaints == []


async def test_a_click_changes_the_viewer(demo_gateway: RunningGateway, visit: Visit) -> None:
    """The choice stays in the tab, also that for nobody; another variant needs one click at most."""
    page = visit.page
    await page.goto(f"{demo_gateway.url}/web/graphql")
    viewers = page.get_by_role("group", name="Demo viewers").get_by_role("button")
    await expect(viewers).to_have_text(["user 1", "admin"])
    await page.get_by_role("button", name="user 1", exact=True).click()
    await page.goto(f"{demo_gateway.url}/admin/graphql")
    await expect(page.locator("#notice")).to_contain_text("choose a demo viewer above")
    await page.get_by_role("button", name="admin", exact=True).click()
    await expect(page.locator("#notice")).to_be_empty()
    await expect(page.locator("#who")).to_contain_text("admin 1, expires in")
    await visit.run("User and orders")
    await visit.expect_answer('"User 1"')
    await page.get_by_role("button", name="Clear", exact=True).click()
    await page.goto(f"{demo_gateway.url}/web/graphql")
    await expect(page.locator("#who")).to_have_text("nobody signed in")
