"""The products service: search, categories, changes to a product."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _all(products: httpx.AsyncClient, **params: str) -> tuple[list[int], set[int]]:
    """The ids on all pages of a search, and the totals of the pages."""
    ids: list[int] = []
    totals: set[int] = set()
    cursor: str | None = None
    while True:
        response = await products.get("/products", params={**params, "limit": "7"} | ({"cursor": cursor} if cursor else {}))
        assert response.status_code == 200
        ids += [item["id"] for item in response.json()["items"]]
        totals.add(response.json()["total"])
        cursor = response.json()["nextCursor"]
        if cursor is None:
            return ids, totals


async def test_search_is_a_substring_of_the_name_in_any_case(products: httpx.AsyncClient) -> None:
    """On all pages, and `total` counts the matches."""
    expected = [p for p in range(1, 501) if "ct 4" in f"product {p}"]
    assert await _all(products, search="CT 4") == (expected, {len(expected)})


async def test_category_is_exact(products: httpx.AsyncClient) -> None:
    """An unknown category has no products."""
    assert await _all(products, category="toys") == (list(range(4, 501, 5)), {100})
    assert await _all(products, category="cars") == ([], {0})


async def test_filters_are_combined_with_and(products: httpx.AsyncClient) -> None:
    """Of `search` and `category`."""
    expected = [p for p in range(1, 501) if p % 5 == 0 and "7" in str(p)]
    assert await _all(products, search="7", category="books") == (expected, {len(expected)})


async def test_an_empty_search_finds_all(products: httpx.AsyncClient) -> None:
    """Every name contains the empty text."""
    assert (await products.get("/products", params={"search": ""})).json()["total"] == 500


async def test_search_is_not_a_pattern(products: httpx.AsyncClient) -> None:
    """Special characters of SQL and of regular expressions are plain text."""
    for text in ("%", ".*", "Product_1", "\\"):
        assert (await products.get("/products", params={"search": text})).json()["total"] == 0


async def test_a_product_is_changed(products: httpx.AsyncClient) -> None:
    """The response is the product with a new `updatedAt` and entity tag. It is found by its new name."""
    before = await products.get("/products/41")
    response = await products.patch("/products/41", json={"price": 12.35, "stock": 0, "name": "Zebra"})
    assert response.status_code == 200
    changed = response.json()
    moved = datetime.fromisoformat(changed["updatedAt"])
    assert timedelta() <= datetime.now(UTC) - moved < timedelta(minutes=1)
    assert changed == {**before.json(), "price": 12.35, "stock": 0, "name": "Zebra", "updatedAt": changed["updatedAt"]}
    after = await products.get("/products/41", headers={"If-None-Match": before.headers["ETag"]})
    assert (after.status_code, after.json()) == (200, changed)
    assert (await products.get("/products", params={"search": "zEBr"})).json()["items"] == [changed]


async def test_a_change_to_the_same_values_changes_nothing(products: httpx.AsyncClient) -> None:
    """`updatedAt` stays the same."""
    before = await products.get("/products/42")
    response = await products.patch("/products/42", json={"stock": before.json()["stock"], "name": "Product 42"})
    assert response.json() == before.json()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"0", 0),
        (b"-0.0", 0),
        (b"7", 7),
        (b"0.1", 0.1),
        (b"0.29", 0.29),
        (b"1.10", 1.1),
        (b"8.700", 8.7),
        (b"1.2e1", 12),
        (b"100000000", 100_000_000),
        (b"99999999.99", 99_999_999.99),
    ],
)
async def test_prices_are_exact_to_the_cent(products: httpx.AsyncClient, sent: bytes, kept: float) -> None:
    """A price with at most two decimals is returned as the same number."""
    response = await products.patch(
        "/products/43", content=b'{"price":%b}' % sent, headers={"Content-Type": "application/json"}
    )
    assert (response.status_code, response.json()["price"]) == (200, kept)
    digits = response.text.split('"price":')[1].split(",")[0]
    assert len(digits.partition(".")[2]) <= 2
    assert "e" not in digits.lower()


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ('{"price":-0.01}', ["price"]),
        ('{"price":1.005}', ["price"]),
        ('{"price":1.00000000000000000000000000000000001}', ["price"]),
        ('{"price":1e-999999}', ["price"]),
        ('{"price":1e400}', ["price"]),
        ('{"price":100000000.01}', ["price"]),
        ('{"price":"8.70"}', ["price"]),
        ('{"price":true}', ["price"]),
        ('{"price":null}', ["price"]),
        ('{"stock":-1}', ["stock"]),
        ('{"stock":1.0}', ["stock"]),
        ('{"stock":"1"}', ["stock"]),
        ('{"stock":true}', ["stock"]),
        ('{"stock":2147483648}', ["stock"]),
        ('{"stock":123456789012345678901234567890}', ["stock"]),
        ('{"name":""}', ["name"]),
        ('{"price":-1,"stock":-1,"name":7}', ["price", "stock", "name"]),
    ],
)
async def test_invalid_changes_are_422(products: httpx.AsyncClient, body: str, fields: list[str]) -> None:
    """Every invalid member is named, and nothing is changed."""
    before: dict[str, Any] = (await products.get("/products/44")).json()
    response = await products.patch("/products/44", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422, response.text
    assert [error["field"] for error in response.json()["errors"]] == fields
    assert (await products.get("/products/44")).json() == before
