"""The root of all writing. A write goes out once; what a person can mend comes back as `userErrors`."""

import re
from collections.abc import Awaitable
from dataclasses import fields
from hashlib import sha256
from math import isfinite
from typing import Any
from uuid import uuid4

import strawberry

from bff.graph.context import Context, Info, as_id
from bff.graph.errors import NotAllowed
from bff.graph.rules import Access
from bff.graph.tags import ADMIN, EVERYONE, MOBILE, WEB, computed
from bff.upstream.errors import Rejected
from bff.upstream.events import BreakerState
from bff.upstream.traffic.call import Stale
from datasources.orders import Order as OrderRecord
from datasources.orders import OrderStatus
from schema.types.payloads import (
    CancelOrderPayload,
    DropCachePayload,
    ForceBreakerPayload,
    PlaceOrderInput,
    PlaceOrderPayload,
    ReloadSettingsPayload,
    UpdateOrderStatusPayload,
    UpdateProductInput,
    UpdateProductPayload,
    UpdateProfileInput,
    UpdateProfilePayload,
    UserError,
)

_LONGEST_KEY = 255
_WRITE = 10
"""What a write costs, on top of the object that it brings back."""
_MOST_USER_ERRORS = 50
_LONGEST_MESSAGE = 500


@strawberry.type(description="What can be changed.")
class Mutation:
    """Everything that can be written."""

    @computed(WEB, MOBILE, extensions=[Access()], weight=_WRITE, description="Order for oneself.")
    async def place_order(self, info: Info, input: PlaceOrderInput) -> PlaceOrderPayload:
        """Raises `SignInNeeded`, `NotAllowed`, `SourceError`."""
        context = info.context
        user_id, sub = _own_user_id(context), context.signed_in().sub
        client_key = input.idempotency_key
        if client_key is not None and not 1 <= len(client_key) <= _LONGEST_KEY:
            message = f"Expected 1 to {_LONGEST_KEY} characters."
            return PlaceOrderPayload(order=None, user_errors=[_invalid(["idempotencyKey"], message)])
        items, user_errors = [], []
        for number, item in enumerate(input.items):
            product_id = as_id(item.product_id)
            if product_id is None:
                user_errors.append(_invalid(["items", str(number), "productId"], "There is no such product."))
            else:
                items.append((product_id, item.quantity))
        if user_errors:
            return PlaceOrderPayload(order=None, user_errors=user_errors[:_MOST_USER_ERRORS])
        key = new_key() if client_key is None else own_key(sub, client_key)
        write = context.sources.orders.place(context.caller, user_id, items, key=key)
        order, user_errors = await _order_written(context, write, by_id=False, keyed=client_key is not None)
        return PlaceOrderPayload(order=order, user_errors=user_errors)

    @computed(*EVERYONE, extensions=[Access()], weight=_WRITE, description="Cancel an order of one's own; staff, any.")
    async def cancel_order(self, info: Info, id: strawberry.ID) -> CancelOrderPayload:
        """Raises `SignInNeeded`, `SourceError`."""
        context = info.context
        order_id = as_id(id)
        # Staff may change any order, so its owner need not be known.
        owner_id = None if context.variant.staff or order_id is None else await _own_order_of(context, order_id)
        if order_id is None or (owner_id is None and not context.variant.staff):
            return CancelOrderPayload(order=None, user_errors=[_not_found("order")])
        write = context.sources.orders.cancel(context.caller, order_id, key=new_key(), user_id=owner_id)
        order, user_errors = await _order_written(context, write)
        return CancelOrderPayload(order=order, user_errors=user_errors)

    @computed(WEB, MOBILE, extensions=[Access()], weight=_WRITE, description="Change one's own name or address.")
    async def update_profile(self, info: Info, input: UpdateProfileInput) -> UpdateProfilePayload:
        """Raises `SignInNeeded`, `NotAllowed`, `SourceError`."""
        context = info.context
        user_id = _own_user_id(context)
        changes, user_errors = _changes(input, never_null=("email",))
        if user_errors:
            return UpdateProfilePayload(user=None, user_errors=user_errors)
        write = context.sources.users.update(context.caller, user_id, changes, key=new_key())
        try:
            user, user_errors = await _written(write, "user", by_id=False)
        finally:  # however it ended, the write may have taken effect
            context.loaders.user.clear(user_id)
        return UpdateProfilePayload(user=user, user_errors=user_errors)

    @computed(ADMIN, extensions=[Access(role="admin")], weight=_WRITE, description="Move an order on.")
    async def update_order_status(self, info: Info, id: strawberry.ID, status: OrderStatus) -> UpdateOrderStatusPayload:
        """Raises `SourceError`."""
        context = info.context
        order_id = as_id(id)
        if order_id is None:
            return UpdateOrderStatusPayload(order=None, user_errors=[_not_found("order")])
        write = context.sources.orders.update_status(context.caller, order_id, status, key=new_key())
        order, user_errors = await _order_written(context, write)
        return UpdateOrderStatusPayload(order=order, user_errors=user_errors)

    @computed(ADMIN, extensions=[Access(role="admin")], weight=_WRITE, description="Change a product.")
    async def update_product(self, info: Info, id: strawberry.ID, input: UpdateProductInput) -> UpdateProductPayload:
        """Raises `SourceError`."""
        context = info.context
        product_id = as_id(id)
        if product_id is None:
            return UpdateProductPayload(product=None, user_errors=[_not_found("product")])
        changes, user_errors = _changes(input, never_null=("name", "price", "stock"))
        if user_errors:
            return UpdateProductPayload(product=None, user_errors=user_errors)
        write = context.sources.products.update(context.caller, product_id, changes, key=new_key())
        try:
            product, user_errors = await _written(write, "product")
        finally:  # however it ended, the write may have taken effect
            context.loaders.product.clear(product_id)
            context.loaders.products_page.clear_all()
        return UpdateProductPayload(product=product, user_errors=user_errors)

    @computed(
        ADMIN,
        extensions=[Access(role="admin")],
        description="Hold a source's breaker open or closed; with null it goes by its own rule again.",
    )
    def force_breaker(self, info: Info, source: str, state: BreakerState | None = None) -> ForceBreakerPayload:
        """In the process that answers, until it ends."""
        context = info.context
        named = {each.name: each for each in context.sources.all()}.get(source)
        if named is None:
            error = UserError(field=["source"], message="There is no such source.", code="NOT_FOUND")
            return ForceBreakerPayload(source=None, user_errors=[error])
        if state is BreakerState.HALF_OPEN:
            return ForceBreakerPayload(source=None, user_errors=[_invalid(["state"], "Expected OPEN, CLOSED or null.")])
        named.force_breaker(state)
        context.audit("force_breaker", source=source, state=state and state.value)
        shown: Any = named.status()
        return ForceBreakerPayload(source=shown, user_errors=[])

    @computed(
        ADMIN,
        extensions=[Access(role="admin")],
        description="Forget what is kept of a source's answers; without a source, of all. Whole answers too.",
    )
    def drop_cache(self, info: Info, source: str | None = None) -> DropCachePayload:
        """In the process that answers."""
        context = info.context
        named = [each for each in context.sources.all() if source in {None, each.name}]
        if not named:
            error = UserError(field=["source"], message="There is no such source.", code="NOT_FOUND")
            return DropCachePayload(sources=[], user_errors=[error])
        for each in named:
            each.drop_cache()
        if context.controls is not None:
            context.controls.drop_answers()
        context.audit("drop_cache", source=source)
        shown: Any = [each.status() for each in named]
        return DropCachePayload(sources=shown, user_errors=[])

    @computed(
        ADMIN,
        extensions=[Access(role="admin")],
        description="Read the settings again, as on SIGHUP, and take over where the services are.",
    )
    def reload_settings(self, info: Info) -> ReloadSettingsPayload:
        """In the process that answers."""
        context = info.context
        if context.controls is None:
            return ReloadSettingsPayload(
                moved=[], needs_restart=[], user_errors=[_invalid(None, "There is nothing to reload.")]
            )
        reloaded = context.controls.reload()
        moved, needs_restart = list(reloaded.moved), list(reloaded.needs_restart)
        context.audit("reload_settings", moved=moved, needs_restart=needs_restart, failed=bool(reloaded.faults))
        return ReloadSettingsPayload(
            moved=moved,
            needs_restart=needs_restart,
            # What stands in the settings may hold a host: the log has it.
            user_errors=[_invalid(None, "The settings can't be used: the log says why.")] if reloaded.faults else [],
        )


def new_key() -> str:
    """A key for a write whose client gave none: no two writes share it."""
    return uuid4().hex


def own_key(sub: str, key: str) -> str:
    """A client's key made its viewer's own: services keep keys by path alone, and two people may choose the same."""
    return sha256(f"{len(sub)}:{sub}:{key}".encode("utf-8", "surrogatepass")).hexdigest()


def _own_user_id(context: Context) -> int:
    user_id = context.signed_in().user_id
    if user_id is None:
        raise NotAllowed("Whoever is signed in is no user of this shop.")
    return user_id


async def _own_order_of(context: Context, order_id: int) -> int | None:
    """The id of the order's user; None if there is no such order, or the viewer may not see it."""
    order = await context.loaders.order.load(order_id)
    if isinstance(order, Stale):
        order = order.value
    return order.user_id if order is not None and context.may_see_user(order.user_id) else None


def _changes(given: Any, never_null: tuple[str, ...]) -> tuple[dict[str, Any], list[UserError]]:
    """The members that were given, by the service's names (which are the graph's), or what is wrong with them."""
    names = [field.name for field in fields(given)]
    changes = {name: value for name in names if (value := getattr(given, name)) is not strawberry.UNSET}
    if not changes:
        return {}, [_invalid(None, f"Expected at least one of {', '.join(names)}.")]
    missing = [name for name in never_null if name in changes and changes[name] is None]
    # 1e400 is a Float by its spelling; JSON has no infinity, and would say null.
    endless = [name for name, value in changes.items() if isinstance(value, float) and not isfinite(value)]
    errors = [_invalid([name], "Expected a value, got null.") for name in missing]
    return changes, errors + [_invalid([name], "Expected a number, got one too large.") for name in endless]


async def _order_written(
    context: Context, write: Awaitable[OrderRecord], *, by_id: bool = True, keyed: bool = False
) -> tuple[Any, list[UserError]]:
    """As `_written`, for an order. However the write ended, orders that this request has loaded are loaded anew."""
    try:
        order, user_errors = await _written(write, "order", by_id=by_id, keyed=keyed)
    finally:
        context.loaders.order.clear_all()
        context.loaders.user_orders.clear_all()
        context.loaders.orders_page.clear_all()
    if order is not None:
        context.loaders.order.prime(order.id, order)
    return order, user_errors


async def _written(
    write: Awaitable[Any], thing: str, *, by_id: bool = True, keyed: bool = False
) -> tuple[Any, list[UserError]]:
    """What was written, or what the person can mend.

    `by_id`: whether the client named it by an argument `id`; `keyed`: whether the client chose the idempotency key.
    """
    try:
        return await write, []
    except Rejected as error:
        if error.status == 404:
            return None, [_not_found(thing, by_id=by_id)]
        if error.status == 409 and keyed:
            message = "This idempotency key was used for something else."
            return None, [UserError(field=["idempotencyKey"], message=message, code="IDEMPOTENCY_KEY_REUSED")]
        if error.status == 409:
            message = f"The {thing} does not allow this in its present state."
            return None, [UserError(field=None, message=message, code="CONFLICT")]
        if error.status == 422:
            return None, _invalid_members(error)
        raise


def _invalid_members(error: Rejected) -> list[UserError]:
    members = [
        _invalid(path_of(problem.field), problem.message[:_LONGEST_MESSAGE] or "This is not valid.")
        for problem in error.problem.errors[:_MOST_USER_ERRORS]
    ]
    return members or [_invalid(None, "This is not valid.")]


def path_of(member: str) -> list[str] | None:
    """A service's `items[0].productId` as a path: `["items", "0", "productId"]`; None where it names nothing."""
    return [part for part in re.split(r"[.\[\]]+", member) if part] or None


def _invalid(field: list[str] | None, message: str) -> UserError:
    return UserError(field=field, message=message, code="INVALID")


def _not_found(thing: str, *, by_id: bool = True) -> UserError:
    return UserError(field=["id"] if by_id else None, message=f"There is no such {thing}.", code="NOT_FOUND")
