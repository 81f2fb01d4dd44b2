"""The shop's variants. They are also the tags of fields."""

from bff import Variant

WEB = Variant("web")
MOBILE = Variant("mobile")
ADMIN = Variant(
    "admin",
    role="admin",
    staff=True,
    defaults={"introspection": True, "graphiql": True, "limits": {"cost": 20_000}},
)
EVERYONE = (WEB, MOBILE, ADMIN)
