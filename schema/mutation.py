"""The mutation type. A write is sent once. Mistakes in the input are returned as `userErrors`."""

from typing import Any

import strawberry

from bff import (
    Access,
    BreakerState,
    Context,
    Info,
    NotAllowed,
    UserError,
    changes_of,
    computed,
    invalid,
    new_key,
    not_found,
    own_key,
    written,
)
from datasources.orders import Orders, OrderStatus
from datasources.products import Products
from datasources.users import Users
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
)
from schema.variants import ADMIN, EVERYONE, MOBILE, WEB

_LONGEST_KEY = 255
_MOST_USER_ERRORS = 50
_WRITE = 10
"""The cost of a write, on top of the object that it returns."""


@strawberry.type(description="All mutations.")
class Mutation:
    """The root type of mutations."""

    @computed(WEB, MOBILE, extensions=[Access()], weight=_WRITE, description="Place an order for the viewer.")
    async def place_order(self, info: Info, input: PlaceOrderInput) -> PlaceOrderPayload:
        """Raises `SignInNeeded`, `NotAllowed`, `SourceError`."""
        context = info.context
        user_id, sub = _own_user_id(context), context.signed_in().sub
        client_key = input.idempotency_key
        if client_key is not None and not 1 <= len(client_key) <= _LONGEST_KEY:
            message = f"Expected 1 to {_LONGEST_KEY} characters."
            return PlaceOrderPayload(order=None, user_errors=[invalid(["idempotencyKey"], message)])
        items, user_errors = [], []
        for number, item in enumerate(input.items):
            product_id = Products.read_id(item.product_id)
            if product_id is None:
                user_errors.append(invalid(["items", str(number), "productId"], "There is no such product."))
            else:
                items.append((product_id, item.quantity))
        if user_errors:
            return PlaceOrderPayload(order=None, user_errors=user_errors[:_MOST_USER_ERRORS])
        key = new_key() if client_key is None else own_key(sub, client_key)
        write = context.sources[Orders].place(context.caller, user_id, items, key=key)
        order, user_errors = await written(context, Orders, write, thing="order", is_keyed=client_key is not None)
        return PlaceOrderPayload(order=order, user_errors=user_errors)

    @computed(
        *EVERYONE,
        extensions=[Access()],
        weight=_WRITE,
        description="Cancel one of the viewer's orders. Staff may cancel any order.",
    )
    async def cancel_order(self, info: Info, id: strawberry.ID) -> CancelOrderPayload:
        """Raises `SignInNeeded`, `SourceError`."""
        context = info.context
        order_id = Orders.read_id(id)
        # Staff may change any order, so its owner need not be known.
        owner_id = None if context.variant.staff or order_id is None else await _own_order_of(context, order_id)
        if order_id is None or (owner_id is None and not context.variant.staff):
            return CancelOrderPayload(order=None, user_errors=[not_found("order", field=["id"])])
        write = context.sources[Orders].cancel(context.caller, order_id, key=new_key(), user_id=owner_id)
        order, user_errors = await written(context, Orders, write, thing="order", id_field=["id"])
        return CancelOrderPayload(order=order, user_errors=user_errors)

    @computed(WEB, MOBILE, extensions=[Access()], weight=_WRITE, description="Change the viewer's name or email address.")
    async def update_profile(self, info: Info, input: UpdateProfileInput) -> UpdateProfilePayload:
        """Raises `SignInNeeded`, `NotAllowed`, `SourceError`."""
        context = info.context
        user_id = _own_user_id(context)
        changes, user_errors = changes_of(input, never_null=("email",))
        if user_errors:
            return UpdateProfilePayload(user=None, user_errors=user_errors)
        write = context.sources[Users].update(context.caller, user_id, changes, key=new_key())
        user, user_errors = await written(context, Users, write, thing="user", id=user_id)
        return UpdateProfilePayload(user=user, user_errors=user_errors)

    @computed(ADMIN, extensions=[Access(role="admin")], weight=_WRITE, description="Change the status of an order.")
    async def update_order_status(self, info: Info, id: strawberry.ID, status: OrderStatus) -> UpdateOrderStatusPayload:
        """Raises `SourceError`."""
        context = info.context
        order_id = Orders.read_id(id)
        if order_id is None:
            return UpdateOrderStatusPayload(order=None, user_errors=[not_found("order", field=["id"])])
        write = context.sources[Orders].update_status(context.caller, order_id, status, key=new_key())
        order, user_errors = await written(context, Orders, write, thing="order", id_field=["id"])
        return UpdateOrderStatusPayload(order=order, user_errors=user_errors)

    @computed(ADMIN, extensions=[Access(role="admin")], weight=_WRITE, description="Change a product.")
    async def update_product(self, info: Info, id: strawberry.ID, input: UpdateProductInput) -> UpdateProductPayload:
        """Raises `SourceError`."""
        context = info.context
        product_id = Products.read_id(id)
        if product_id is None:
            return UpdateProductPayload(product=None, user_errors=[not_found("product", field=["id"])])
        changes, user_errors = changes_of(input, never_null=("name", "price", "stock"))
        if user_errors:
            return UpdateProductPayload(product=None, user_errors=user_errors)
        write = context.sources[Products].update(context.caller, product_id, changes, key=new_key())
        product, user_errors = await written(context, Products, write, thing="product", id=product_id, id_field=["id"])
        return UpdateProductPayload(product=product, user_errors=user_errors)

    @computed(
        ADMIN,
        extensions=[Access(role="admin")],
        description="Hold a source's breaker open or closed. Null ends that.",
    )
    def force_breaker(self, info: Info, source: str, state: BreakerState | None = None) -> ForceBreakerPayload:
        """Affects only the process that handles the request, until that process ends."""
        context = info.context
        named = context.sources.named(source)
        if named is None:
            error = UserError(field=["source"], message="There is no such source.", code="NOT_FOUND")
            return ForceBreakerPayload(source=None, user_errors=[error])
        if state is BreakerState.HALF_OPEN:
            return ForceBreakerPayload(source=None, user_errors=[invalid(["state"], "Expected OPEN, CLOSED or null.")])
        named.force_breaker(state)
        context.audit("force_breaker", source=source, state=state and state.value)
        shown: Any = named.status()
        return ForceBreakerPayload(source=shown, user_errors=[])

    @computed(
        ADMIN,
        extensions=[Access(role="admin")],
        description="Clear the cache of a source, or of all sources, and the response caches.",
    )
    def drop_cache(self, info: Info, source: str | None = None) -> DropCachePayload:
        """Affects only the process that handles the request."""
        context = info.context
        named = [each for each in context.sources if source in {None, each.name}]
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
        description="Reload the settings, as on SIGHUP, and apply those that can change while the gateway runs.",
    )
    async def reload_settings(self, info: Info) -> ReloadSettingsPayload:
        """Affects only the process that handles the request."""
        context = info.context
        if context.controls is None:
            return ReloadSettingsPayload(
                moved=[], changed=[], needs_restart=[], user_errors=[invalid(None, "There is nothing to reload.")]
            )
        reloaded = await context.controls.reload()
        moved, changed, needs_restart = list(reloaded.moved), list(reloaded.changed), list(reloaded.needs_restart)
        context.audit("reload_settings", changed=changed, needs_restart=needs_restart, failed=bool(reloaded.faults))
        return ReloadSettingsPayload(
            moved=moved,
            changed=changed,
            needs_restart=needs_restart,
            # Faults may contain host names, so they are only logged.
            user_errors=[invalid(None, "The settings can't be used: the log says why.")] if reloaded.faults else [],
        )


def _own_user_id(context: Context) -> int:
    user_id = Users.read_id(context.signed_in().sub)
    if user_id is None:
        raise NotAllowed("The signed-in user is not a user of this shop.")
    own: int = user_id
    return own


async def _own_order_of(context: Context, order_id: int) -> int | None:
    """The id of the order's user; None if there is no such order, or the viewer may not see it."""
    order = await context.load(Orders.by_id, order_id)
    return None if order is None else order.user_id
