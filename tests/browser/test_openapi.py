"""The page of the trusted operations in a real browser."""

import json
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support.background import Background
from tests.support.browser import Visit
from tests.support.gateways import RunningGateway, running_gateway
from tests.support.services import Tapped

pytestmark = pytest.mark.browser


async def test_newcomer_calls_an_operation(
    own_background: Background, services: Tapped, tmp_path: Path, visit: Visit
) -> None:
    """With a token, from the page itself; nothing leaves the host, and no error comes up."""
    documents = {
        "1": "query Account($first: Int = 3) { me { name orders(first: $first) { total } } }",
        "2": "query Product($id: ID!) { product(id: $id) { name } }",
        "3": "mutation Place($input: PlaceOrderInput!) { placeOrder(input: $input) { order { id } } }",
    }
    (tmp_path / "app.json").write_text(json.dumps(documents))
    hidden = {f"BFF_VARIANTS__{name}__OPENAPI": "false" for name in ("MOBILE", "ADMIN")}
    environment = {"BFF_VARIANTS__WEB__MANIFESTS": str(tmp_path), **hidden}
    gateway = own_background.enter(running_gateway(services.urls, environment, mode="dev"))
    page = visit.page
    await page.goto(f"{gateway.url}/docs")
    await expect(page.locator(".opblock")).to_have_count(5)
    await page.get_by_role("button", name="Authorize").click()
    dialog = page.locator(".modal-ux")
    await dialog.locator("input").first.fill(gateway.token("1"))
    await dialog.get_by_role("button", name="Apply given credentials").or_(dialog.locator("button.authorize")).first.click()
    await dialog.locator("button.btn-done").first.click()
    block = page.locator("#operations-web-web_Account_get")
    await block.locator(".opblock-summary").click()
    await block.get_by_role("button", name="Try it out").click()
    await block.locator("tr[data-param-name=first] input").fill("1")
    await block.get_by_role("button", name="Execute").click()
    await expect(block.locator(".live-responses-table")).to_contain_text("User 1")
    await page.screenshot(path=str(tmp_path / "page.png"), full_page=True)
    assert visit.complaints == []
    assert [url for url in visit.requests if not url.startswith((gateway.url, "data:"))] == []


async def test_dev_shows_the_examples(dev_gateway: RunningGateway, visit: Visit) -> None:
    """Without a manifest, so that the page is not empty; each example can be called."""
    page = visit.page
    await page.goto(f"{dev_gateway.url}/docs")
    await expect(page.locator("#operations-web-web_Catalogue_get")).to_be_visible()
    assert visit.complaints == []
