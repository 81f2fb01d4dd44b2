"""The variants: each has only its own fields, types and values, in every place where clients can see them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    execute_sync,
    get_introspection_query,
    graphql_sync,
    parse,
    print_schema,
    print_type,
    specified_directives,
    validate,
)

import schema
from bff.graph.derive import UntaggedError, derive
from bff.graph.sdl import DIRECTIVES as OWN_DIRECTIVES
from bff.graph.sdl import sdl
from bff.graph.tags import computed, enum, field, tagged
from schema.app import app as shop_app
from schema.variants import ADMIN, EVERYONE, MOBILE, WEB
from schema.variants import EVERYONE as VARIANTS
from tests.support.shop import schemas

NAMES = ("web", "mobile", "admin")

OBJECTS = """
Query
  wma  me: User
  wma  user(id: ID!): User
  a    users(first: Int = 20, after: String): UserConnection
  wma  order(id: ID!): Order
  a    orders(first: Int = 20, after: String, status: OrderStatus): OrderConnection
  wma  product(id: ID!): Product
  wma  products(first: Int = 20, after: String, search: String, category: String): ProductConnection
  a    sources: [Source!]!
  m    home: Home
User
  wma  id: ID!
  wma  name: String
  wma  email: String!
  wma  tier: Tier!
  wa   createdAt: DateTime!
  wma  orders(first: Int = 20, status: OrderStatus): [Order!]
Order
  wma  id: ID!
  wma  total: Float!
  wma  currency: String!
  wma  status: OrderStatus!
  wma  createdAt: DateTime!
  wma  items: [OrderItem!]!
  m    itemCount: Int!
  wa   user: User
OrderItem
  wma  quantity: Int!
  wma  unitPrice: Float!
  wma  lineTotal: Float!
  wma  product: Product
Product
  wma  id: ID!
  wma  name: String!
  wma  price: Float!
  wma  currency: String!
  wma  inStock: Boolean!
  wma  imageUrl(width: Int): String!
  wa   description: String!
  wa   category: String!
  a    sku: String!
  a    stock: Int!
  a    updatedAt: DateTime!
Home
  m    user: User
  m    recentOrders: [Order!]
  m    products: [Product!]
Source
  a    name: String!
  a    breaker: BreakerState!
  a    forced: Boolean!
  a    instances: [SourceInstance!]!
SourceInstance
  a    number: Int!
  a    healthy: Boolean!
  a    weight: Int!
  a    state: InstanceState!
UserConnection
  a    edges: [UserEdge!]!
  a    nodes: [User]!
  a    pageInfo: PageInfo!
  a    totalCount: Int!
UserEdge
  a    cursor: String!
  a    node: User
OrderConnection
  a    edges: [OrderEdge!]!
  a    nodes: [Order]!
  a    pageInfo: PageInfo!
  a    totalCount: Int!
OrderEdge
  a    cursor: String!
  a    node: Order
ProductConnection
  wma  edges: [ProductEdge!]!
  wma  nodes: [Product]!
  wma  pageInfo: PageInfo!
  wma  totalCount: Int!
ProductEdge
  wma  cursor: String!
  wma  node: Product
PageInfo
  wma  hasNextPage: Boolean!
  wma  hasPreviousPage: Boolean!
  wma  startCursor: String
  wma  endCursor: String
Mutation
  wm   placeOrder(input: PlaceOrderInput!): PlaceOrderPayload!
  wma  cancelOrder(id: ID!): CancelOrderPayload!
  wm   updateProfile(input: UpdateProfileInput!): UpdateProfilePayload!
  a    updateOrderStatus(id: ID!, status: OrderStatus!): UpdateOrderStatusPayload!
  a    updateProduct(id: ID!, input: UpdateProductInput!): UpdateProductPayload!
  a    forceBreaker(source: String!, state: BreakerState): ForceBreakerPayload!
  a    dropCache(source: String): DropCachePayload!
  a    reloadSettings: ReloadSettingsPayload!
PlaceOrderPayload
  wm   order: Order
  wm   userErrors: [UserError!]!
CancelOrderPayload
  wma  order: Order
  wma  userErrors: [UserError!]!
UpdateProfilePayload
  wm   user: User
  wm   userErrors: [UserError!]!
UpdateOrderStatusPayload
  a    order: Order
  a    userErrors: [UserError!]!
UpdateProductPayload
  a    product: Product
  a    userErrors: [UserError!]!
DropCachePayload
  a    sources: [Source!]!
  a    userErrors: [UserError!]!
ReloadSettingsPayload
  a    moved: [String!]!
  a    changed: [String!]!
  a    needsRestart: [String!]!
  a    userErrors: [UserError!]!
ForceBreakerPayload
  a    source: Source
  a    userErrors: [UserError!]!
UserError
  wma  field: [String!]
  wma  message: String!
  wma  code: String!
"""
"""The object types with their fields, and the variants of each field."""

INPUTS = """
PlaceOrderInput
  wm   items: [OrderItemInput!]!
  wm   idempotencyKey: String
OrderItemInput
  wm   productId: ID!
  wm   quantity: Int!
UpdateProfileInput
  wm   name: String
  wm   email: String
UpdateProductInput
  a    name: String
  a    price: Float
  a    stock: Int
"""

ENUMS = """
Tier
  wma  FREE
  wma  PLUS
  wma  PRO
OrderStatus
  wma  PENDING
  wma  PAID
  wma  SHIPPED
  wma  DELIVERED
  wma  CANCELLED
BreakerState
  a    CLOSED
  a    OPEN
  a    HALF_OPEN
InstanceState
  a    IN
  a    EJECTED
  a    UNHEALTHY
"""

SCALARS = {"ID", "String", "Int", "Float", "Boolean", "DateTime"}


DIRECTIVES = (*specified_directives, *OWN_DIRECTIVES)


def _of(table: str, variant: str) -> dict[str, set[str]]:
    """A table's part for a variant, without types that have no members there."""
    found: dict[str, set[str]] = {}
    type_ = ""
    for line in table.strip().splitlines():
        if not line.startswith(" "):
            type_ = line
            continue
        letters, _, member = line.strip().partition(" ")
        if variant[0] in letters:
            found.setdefault(type_, set()).add(member.strip())
    return found


def _members(type_: Any) -> set[str]:
    """The members of a type in SDL, without descriptions."""
    if isinstance(type_, GraphQLEnumType):
        return set(type_.values)
    if isinstance(type_, GraphQLInputObjectType):
        return {f"{name}: {field.type}{_default(field)}" for name, field in type_.fields.items()}
    return {
        name
        + (f"({', '.join(f'{key}: {arg.type}{_default(arg)}' for key, arg in field.args.items())})" if field.args else "")
        + f": {field.type}"
        for name, field in type_.fields.items()
    }


def _default(element: Any) -> str:
    return "" if element.default_value is Undefined else f" = {element.default_value}"


def _shown(graph: GraphQLSchema, *kinds: type) -> dict[str, set[str]]:
    return {
        name: _members(type_)
        for name, type_ in graph.type_map.items()
        if isinstance(type_, kinds) and not name.startswith("__")
    }


@pytest.mark.parametrize("variant", NAMES)
def test_a_variant_has_exactly_its_fields_and_arguments(variant: str) -> None:
    """Object types, fields, arguments, defaults and types."""
    assert _shown(schemas()[variant], GraphQLObjectType) == _of(OBJECTS, variant)


@pytest.mark.parametrize("variant", NAMES)
def test_a_variant_has_exactly_its_input_types(variant: str) -> None:
    """Without input types that no argument uses."""
    assert _shown(schemas()[variant], GraphQLInputObjectType) == _of(INPUTS, variant)


@pytest.mark.parametrize("variant", NAMES)
def test_a_variant_has_exactly_its_enums(variant: str) -> None:
    """With their values."""
    assert _shown(schemas()[variant], GraphQLEnumType) == _of(ENUMS, variant)


@pytest.mark.parametrize("variant", NAMES)
def test_a_variant_has_no_other_types(variant: str) -> None:
    """All other types are scalars."""
    tables = _of(OBJECTS, variant) | _of(INPUTS, variant) | _of(ENUMS, variant)
    types = {name for name in schemas()[variant].type_map if not name.startswith("__")}
    assert types - set(tables) <= SCALARS


def test_the_shop_s_variants() -> None:
    """Three. Only admin is for staff and needs a role."""
    assert [(v.name, v.path, v.staff, v.role) for v in VARIANTS] == [
        ("web", "/web/graphql", False, None),
        ("mobile", "/mobile/graphql", False, None),
        ("admin", "/admin/graphql", True, "admin"),
    ]


@pytest.mark.parametrize("variant", NAMES)
def test_the_committed_sdl_is_that_of_the_graph(variant: str) -> None:
    """The diff of schema/sdl is what reviewers read. If this fails, run `bff schema export --write`."""
    file = Path(schema.__file__).parent / "sdl" / f"{variant}.graphql"
    assert file.read_text(encoding="utf-8") == sdl(schemas()[variant])


def test_no_other_sdl_is_committed() -> None:
    """When a variant is removed, its SDL must be removed too."""
    assert {file.stem for file in (Path(schema.__file__).parent / "sdl").iterdir()} == set(NAMES)


def _lacking(variant: str) -> Iterator[tuple[str, str]]:
    """(type, field) of the fields that are in the whole graph and not in the variant."""
    whole, own = shop_app.graph, schemas()[variant]
    for name, type_ in whole.type_map.items():
        if isinstance(type_, GraphQLObjectType | GraphQLInputObjectType) and not name.startswith("__"):
            there: Any = own.type_map.get(name)
            yield from ((name, field) for field in type_.fields if there is None or field not in there.fields)


@pytest.mark.parametrize("variant", NAMES)
def test_introspection_does_not_show_other_variants(variant: str) -> None:
    """Neither their fields nor their types."""
    answer = graphql_sync(schemas()[variant], get_introspection_query(input_value_deprecation=True))
    assert answer.data is not None
    shown = {type_["name"]: type_ for type_ in answer.data["__schema"]["types"]}
    lacking = list(_lacking(variant))
    assert lacking
    for name, member in lacking:
        members = (shown.get(name) or {}).get("fields") or (shown.get(name) or {}).get("inputFields") or ()
        assert member not in {each["name"] for each in members}
    gone = {name for name, _ in lacking} - set(schemas()[variant].type_map)
    assert not gone & set(shown)
    text = json.dumps(answer.data)
    assert not any(f'"{name}"' in text for name in gone)


@pytest.mark.parametrize("variant", NAMES)
def test_suggestions_do_not_show_other_variants(variant: str) -> None:
    """Validation errors with "did you mean" never name another variant's field, however similar it is."""
    own = schemas()[variant]
    gone = {name for name, _ in _lacking(variant)} - set(own.type_map)
    said: list[str] = []
    for name, member in _lacking(variant):
        on_type = name if isinstance(own.type_map.get(name), GraphQLObjectType) else "Query"
        there: Any = own.type_map[on_type]
        document = parse(f"{{ __typename ...A ...B }} fragment A on {on_type} {{ {member}x }} fragment B on {name}x {{ a }}")
        for error in validate(own, document):
            said.append(error.message)
            suggested = error.message.partition("Did you mean")[2]
            assert member in there.fields or f"'{member}'" not in suggested
            assert not any(f"'{type_}'" in suggested for type_ in gone)
    assert any("Did you mean" in message for message in said)


def test_deriving_a_variant_does_not_change_the_others() -> None:
    """The graph and the variants share nothing mutable, and the order of derivation does not matter."""
    graph = shop_app.graph
    before = print_schema(graph)
    first = {audience: derive(graph, audience, DIRECTIVES) for audience in EVERYONE}
    second = {audience: derive(graph, audience, DIRECTIVES) for audience in reversed(EVERYONE)}
    assert print_schema(graph) == before
    for audience in EVERYONE:
        assert sdl(first[audience]) == sdl(second[audience]) == sdl(schemas()[audience.name])
    kinds = (GraphQLObjectType, GraphQLInterfaceType, GraphQLInputObjectType, GraphQLEnumType)
    made = [graph, *first.values(), *second.values()]
    types = [type_ for one in made for name, type_ in one.type_map.items() if isinstance(type_, kinds) and name[0] != "_"]
    assert len({id(type_) for type_ in types}) == len(types)


def test_applications_share_no_schema() -> None:
    """Even if they have the same types."""
    other = replace(shop_app)
    for name in NAMES:
        assert shop_app.schemas[name] is not other.schemas[name]
        assert shop_app.schemas[name].type_map["User"] is not other.schemas[name].type_map["User"]


# A graph with every kind of element that can have a tag


@enum(hidden={"SECRET": (ADMIN,)})
class Level(Enum):
    OPEN = 1
    SECRET = 2


@strawberry.interface
class Titled:
    title: str = field(*EVERYONE)


@strawberry.interface
class Audited:
    audited_by: str = field(ADMIN)


@strawberry.type
class Book(Titled, Audited):
    pages: int = field(*EVERYONE)


@strawberry.type
class Magazine(Titled):
    """No field refers to it, only its interface."""

    issue: int = field(*EVERYONE)


@strawberry.type
class Ledger(Audited):
    sums: int = field(ADMIN)


@strawberry.type
class Vault:
    code: int = field(ADMIN)


@strawberry.input
class Filter:
    text: str | None = strawberry.field(default=None, metadata=tagged(*EVERYONE))
    internal: int | None = strawberry.field(default=None, metadata=tagged(ADMIN))


@strawberry.input
class Hidden:
    text: str


Found = Annotated[Book | Ledger, strawberry.union("Found")]


@strawberry.type
class Library:
    @computed(*EVERYONE)
    def search(
        self,
        filter: Filter | None = None,
        debug: Annotated[bool, strawberry.argument(metadata=tagged(ADMIN))] = False,
        hidden: Annotated[Hidden | None, strawberry.argument(metadata=tagged(ADMIN))] = None,
    ) -> list[Found]:
        return [Book(title=f"{filter and filter.text} {debug} {hidden}", audited_by="x", pages=3)]

    @computed(*EVERYONE)
    def level(self) -> Level:
        return Level.SECRET

    @computed(*EVERYONE)
    def titled(self) -> Titled:
        return Magazine(title="M", issue=7)

    @computed(ADMIN)
    def vault(self) -> Vault:
        return Vault(code=1)

    @computed(MOBILE)
    def shelf(self) -> str:
        return "top"


def _library() -> GraphQLSchema:
    return strawberry.Schema(query=Library, types=[Magazine])._schema


WEB_LIBRARY = """\
type Library {
  search(filter: Filter): [Found!]!
  level: Level!
  titled: Titled!
}

union Found = Book

type Book implements Titled {
  title: String!
  pages: Int!
}

interface Titled {
  title: String!
}

input Filter {
  text: String
}

enum Level {
  OPEN
}

type Magazine implements Titled {
  title: String!
  issue: Int!
}"""


def _printed(graph: GraphQLSchema) -> str:
    names = [name for name, type_ in graph.type_map.items() if name[0] != "_" and name not in SCALARS]
    return "\n\n".join(print_type(graph.type_map[name]) for name in names)


def test_elements_without_the_variant_s_tag_are_removed() -> None:
    """Arguments, enum values, input fields, interfaces, union members, and types that only they refer to."""
    shown = derive(_library(), WEB)
    assert sorted(_printed(shown).split("\n\n")) == sorted(WEB_LIBRARY.replace(" = null", "").split("\n\n"))


def test_elements_with_the_variant_s_tag_are_kept() -> None:
    """In the variant with all tags."""
    admin = derive(_library(), ADMIN)
    assert {"Audited", "Ledger", "Vault", "Hidden", "Magazine"} <= set(admin.type_map)
    library: Any = admin.query_type
    assert set(library.fields) == {"search", "level", "titled", "vault"}
    assert set(library.fields["search"].args) == {"filter", "debug", "hidden"}
    union: Any = admin.type_map["Found"]
    assert {type_.name for type_ in union.types} == {"Book", "Ledger"}
    assert {interface.name for interface in admin.type_map["Book"].interfaces} == {"Titled", "Audited"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("query", "data"),
    [
        (
            '{ search(filter: {text: "a"}) { ... on Book { title pages } } }',
            {"search": [{"title": "a False None", "pages": 3}]},
        ),
        (
            "{ titled { __typename title ... on Magazine { issue } } }",
            {"titled": {"__typename": "Magazine", "title": "M", "issue": 7}},
        ),
    ],
)
def test_operations_run_in_a_derived_variant(query: str, data: Any) -> None:
    """Resolvers, unions and interfaces work. A hidden argument has its default."""
    web = derive(_library(), WEB)
    document = parse(query)
    assert validate(web, document) == []
    assert execute_sync(web, document) == (data, None)


def test_a_hidden_enum_value_is_an_error() -> None:
    """If a resolver returns it. It is not shown."""
    web = execute_sync(derive(_library(), WEB), parse("{ level }"))
    assert web.data is None
    assert execute_sync(derive(_library(), ADMIN), parse("{ level }")).data == {"level": "SECRET"}


@pytest.mark.parametrize(
    "document",
    [
        "{ search(debug: true) { __typename } }",
        "{ search(filter: {internal: 1}) { __typename } }",
        '{ search(hidden: {text: "a"}) { __typename } }',
        "{ search { ... on Ledger { sums } } }",
        "{ search { ... on Book { auditedBy } } }",
        "{ search { ... on Audited { auditedBy } } }",
        "{ vault { code } }",
        "{ shelf }",
    ],
)
def test_hidden_elements_cannot_be_requested(document: str) -> None:
    """They are validation errors, like unknown elements."""
    assert validate(derive(_library(), WEB), parse(document))


def test_a_field_without_a_tag_is_an_error() -> None:
    """The error names the field."""

    @strawberry.type
    class Query:
        tagged: int = field(*EVERYONE)
        forgotten: int

    with pytest.raises(UntaggedError, match=r"Query\.forgotten: expected a field with variants"):
        derive(strawberry.Schema(query=Query)._schema, WEB)


def test_a_field_whose_type_is_empty_in_the_variant_is_an_error() -> None:
    """The error names the type."""

    @strawberry.type
    class Empty:
        secret: int = field(ADMIN)

    @strawberry.type
    class Query:
        empty: Empty | None = field(*EVERYONE)

    with pytest.raises(TypeError, match="Empty"):
        derive(strawberry.Schema(query=Query)._schema, WEB)


def test_an_empty_root_type_is_left_out() -> None:
    """A variant without mutations has no mutation type."""

    @strawberry.type
    class Query:
        a: int = field(*EVERYONE)

    @strawberry.type
    class Mutation:
        @computed(ADMIN)
        def b(self) -> int:
            return 1

    graph = strawberry.Schema(query=Query, mutation=Mutation)._schema
    assert derive(graph, WEB).mutation_type is None
    assert derive(graph, ADMIN).mutation_type is not None
