"""The demo data of the three REST services, by the formulas of their contract.

The benchmark keeps its own copy of the formulas, so that the expected answers do not come from the code they check.
Amounts are worked out in whole tenths: every price has one decimal, so nothing is ever rounded.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

USERS = 1000
PRODUCTS = 500
ORDERS = 10_000

TIERS = ("free", "plus", "pro")
CATEGORIES = ("books", "garden", "kitchen", "music", "toys")
STATUSES = ("pending", "paid", "shipped", "delivered", "cancelled")

Record = dict[str, Any]


def _minutes_after(start: datetime, minutes: int) -> str:
    return (start + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _price_tenths(product_id: int) -> int:
    return 50 + product_id * 37 % 1000


def user(i: int) -> Record:
    """User `i`, 1 to `USERS`, as the users service answers it."""
    return {
        "id": i,
        "name": f"User {i}",
        "email": f"user{i}@example.com",
        "tier": TIERS[i % 3],
        "createdAt": _minutes_after(datetime(2026, 1, 1, tzinfo=UTC), i),
    }


def product(p: int) -> Record:
    """Product `p`, 1 to `PRODUCTS`, as the products service answers it."""
    return {
        "id": p,
        "sku": f"SKU-{p:05d}",
        "name": f"Product {p}",
        "description": f"The one and only product {p}.",
        "price": _price_tenths(p) / 10,
        "currency": "USD",
        "stock": p * 7 % 100,
        "category": CATEGORIES[p % 5],
        "imageUrl": f"https://cdn.example.com/products/{p}.jpg",
        "updatedAt": "2026-01-01T00:00:00Z",
    }


def order(o: int) -> Record:
    """Order `o`, 1 to `ORDERS`, as the orders service answers it."""
    items = [((o * 7 + k * 13) % 500 + 1, (o + k) % 3 + 1) for k in range(o % 4 + 1)]
    return {
        "id": o,
        "userId": (o - 1) % 1000 + 1,
        "status": STATUSES[o % 5],
        "currency": "USD",
        "total": sum(quantity * _price_tenths(product_id) for product_id, quantity in items) / 10,
        "createdAt": _minutes_after(datetime(2026, 2, 1, tzinfo=UTC), o),
        "items": [
            {"productId": product_id, "quantity": quantity, "unitPrice": _price_tenths(product_id) / 10}
            for product_id, quantity in items
        ],
    }
