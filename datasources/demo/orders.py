"""The orders service.

It reads users and products only to check new orders, from the same `DemoData`. It never calls the other services.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from starlette.applications import Starlette
from starlette.responses import Response

from bff import DemoOptions
from datasources.demo.data import DemoData, Order, OrderItem, Status
from datasources.demo.pages import found, one, page, parse_ids, parse_limit, several
from datasources.demo.problems import Faults, Problem, checked_changes, is_integer
from datasources.demo.rest import PRIVATE, Call, Methods, answer, service

MAX_ITEMS: Final = 100
MAX_QUANTITY: Final = 1000

# The allowed transitions. The same status is always allowed.
NEXT: Final = {
    Status.PENDING: {Status.PAID, Status.SHIPPED, Status.DELIVERED, Status.CANCELLED},
    Status.PAID: {Status.SHIPPED, Status.DELIVERED, Status.CANCELLED},
    Status.SHIPPED: {Status.DELIVERED},
    Status.DELIVERED: set[Status](),
    Status.CANCELLED: set[Status](),
}


def orders_app(data: DemoData, options: DemoOptions) -> Starlette:
    """The ASGI application of the orders service."""
    orders = _Orders(data)
    return service(
        {
            "/orders": Methods(get=orders.list, post=orders.place),
            "/orders/{id}": Methods(get=orders.one, patch=orders.change),
            "/orders/{id}/cancel": Methods(post=orders.cancel, body_optional=True),
        },
        PRIVATE,
        options,
    )


class _Orders:
    """The handlers of orders."""

    def __init__(self, data: DemoData) -> None:
        self._data = data
        self._orders = data.orders

    def list(self, call: Call) -> bytes:
        """The orders with the given ids, the newest ones of some users, or a page of all."""
        query = call.query
        if "ids" in query:
            return several(self._orders, parse_ids("ids", query["ids"]))
        status = _parse_status(query["status"]) if "status" in query else None
        if "userIds" in query:
            users, limit = parse_ids("userIds", query["userIds"]), parse_limit(query)
            newest = (id_ for user in users for id_ in islice(self._newest(user, status), limit))
            return several(self._orders, sorted(newest, reverse=True))
        ids = self._orders.ids if status is None else self._data.orders_in(status)
        return page(self._orders, ids, query, newest_first=True)

    def one(self, call: Call) -> bytes:
        """One order."""
        return one(self._orders, call.id)

    def place(self, call: Call) -> Response:
        """Place a new order at the current prices."""
        faults = Faults()
        user_id = call.body.get("userId")
        user = self._data.users.get(user_id) if is_integer(user_id) else None
        if user is None:
            faults.add("userId", "No such user.")
        items = list(self._checked_items(call.body.get("items"), faults))
        if user is None or faults:
            raise faults.problem()
        order = self._data.add_order(user.id, items)
        return answer(one(self._orders, order.id), 201, {"Location": f"/orders/{order.id}"})

    def change(self, call: Call) -> Response:
        """Change an order's status."""
        order = found(self._orders, call.id)
        return self._move(order, checked_changes(call.body, {"status": _checked_status})["status"])

    def cancel(self, call: Call) -> Response:
        """Cancel an order. Unlike a change to `cancelled`, a second time is a 409."""
        order = found(self._orders, call.id)
        if order.status is Status.CANCELLED:
            raise Problem(409, f"Order {order.id} is cancelled already.")
        return self._move(order, Status.CANCELLED)

    def _move(self, order: Order, status: Status) -> Response:
        if status is not order.status:
            if status not in NEXT[order.status]:
                raise Problem(409, f"Order {order.id} is {order.status}: it cannot become {status}.")
            self._data.set_status(order, status)
        return answer(one(self._orders, order.id))

    def _newest(self, user_id: int, status: Status | None) -> Iterator[int]:
        ids = reversed(self._data.orders_of(user_id))
        if status is None:
            return ids
        return (id_ for id_ in ids if found(self._orders, id_).status is status)

    def _checked_items(self, value: Any, faults: Faults) -> Iterator[OrderItem]:
        """The valid lines of a new order. Mistakes in the others are added to `faults`."""
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_ITEMS:
            faults.add("items", f"An order has 1 to {MAX_ITEMS} items.")
            return
        for index, line in enumerate(value):
            if not isinstance(line, dict):
                faults.add(f"items[{index}]", "An item is an object with productId and quantity.")
                continue
            product_id, quantity = line.get("productId"), line.get("quantity")
            product = self._data.products.get(product_id) if is_integer(product_id) else None
            if product is None:
                faults.add(f"items[{index}].productId", "No such product.")
            if not is_integer(quantity) or not 1 <= quantity <= MAX_QUANTITY:
                faults.add(f"items[{index}].quantity", f"A quantity is an integer from 1 to {MAX_QUANTITY}.")
            elif product is not None:
                yield OrderItem(product.id, quantity, product.price)


def _parse_status(text: str) -> Status:
    """The value of the parameter `status`. Raises `Problem` (400)."""
    try:
        return _checked_status(text)
    except ValueError as error:
        raise Problem(400, f"status: {error}") from error


def _checked_status(value: Any) -> Status:
    try:
        return Status(value)
    except ValueError as error:
        raise ValueError(f"A status is one of {', '.join(Status)}.") from error
