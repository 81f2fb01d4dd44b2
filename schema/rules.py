"""Which records of the shop a viewer may see. The rules apply to every field that shows such a record."""

from collections.abc import Callable

from bff import Context, Record, RecordRule, Variant, Viewer
from datasources.orders import Order
from datasources.users import User, Users


def viewer_id(context: Context) -> int | None:
    """The id of the signed-in user; None if the request is anonymous, or if the viewer is not a user of the shop."""
    return user_id_of(context.viewer)


def user_id_of(viewer: Viewer | None) -> int | None:
    """The user id of a viewer; None for an anonymous one, or one who is not a user of the shop."""
    if viewer is None:
        return None
    user_id: int | None = Users.read_id(viewer.sub)
    return user_id


def own_orders(variant: Variant, viewer: Viewer | None) -> Callable[[Order], bool] | None:
    """Staff see every order, others their own."""
    if variant.staff:
        return None
    own = user_id_of(viewer)
    return lambda order: own is not None and order.user_id == own


def own_user(variant: Variant, viewer: Viewer | None) -> Callable[[User], bool] | None:
    """Staff see every user, others themselves."""
    if variant.staff:
        return None
    own = user_id_of(viewer)
    return lambda user: own is not None and user.id == own


RULES: dict[type[Record], RecordRule] = {Order: own_orders, User: own_user}
