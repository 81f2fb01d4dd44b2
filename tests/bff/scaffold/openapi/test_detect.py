"""What is found in documents of quite different conventions."""

from typing import Any

import pytest

from bff.conventions import (
    Comma,
    Conventions,
    Cursor,
    ErrorObject,
    InHeader,
    LastId,
    LinkHeader,
    Offset,
    OneByOne,
    PageNumber,
    Posted,
    Repeated,
    snake,
)
from bff.scaffold.names import ScaffoldError, source_names
from bff.scaffold.openapi import findings as f
from bff.scaffold.openapi.application import Application, Known
from bff.scaffold.openapi.detect import detect
from tests.support.openapi import (
    STYLES,
    Document,
    by_cursor,
    by_offset,
    document,
    has_more,
    link_header,
    numbered_pages,
    parameter,
    ref,
    reply,
)

NOTHING = Application()


LIST = f.ListOf(f.Nested("PartX", (f.Member("a", "a", f.FLOAT, True),)))


def found_in(root: Document, name: str, path: str | None = None, application: Application = NOTHING) -> f.Findings:
    """What is found of a resource."""
    return detect(root, source_names(name, None), path, application)


def member(found: f.Findings, name: str) -> f.Member:
    """A member by its name."""
    return next(each for each in found.members if each.name == name)


def parts(
    schema: Document | None = None, parameters: list[Document] | None = None, body: Document | None = None, **more: Any
) -> Document:
    """A document of parts with an id and a name; `schema` has further properties."""
    properties = {"id": {"type": "integer"}, "name": {"type": "string"}, **(schema or {})}
    part = {"type": "object", "required": ["id"], "properties": properties}
    default = [parameter("offset"), parameter("limit", "integer", maximum=100)]
    listed: Document = {"parameters": default if parameters is None else parameters}
    listed |= {"responses": reply({"type": "array", "items": ref("Part")} if body is None else body)}
    one = {"parameters": [parameter("id", place="path")], "get": {"responses": reply(ref("Part"))}}
    return document({"/parts": {"get": listed}, "/parts/{id}": one, **more.pop("paths", {})}, {"Part": part}, **more)


def test_bare_arrays_and_the_header_link() -> None:
    """The page follows from `Link`; a parameter with a value that no object has is no exact filter."""
    found = found_in(link_header(), "issues")
    assert (found.path, found.is_snake, found.service_url) == ("/issues", True, "https://api.example.com")
    assert found.conventions == Conventions(items="", naming=snake, errors=ErrorObject("", code="status"))
    assert found.by_id == f.ReadOne(OneByOne())
    assert found.pages == f.ReadPages(LinkHeader("since", "per_page"), None, 100, filters=("state",))
    below = OneByOne(path="/projects/{key}/issues")
    assert found.lists == (f.ReadList("project", "project_id", below, "per_page"),)
    assert member(found, "state").type == f.Enumeration("IssueState", (("OPEN", "open"), ("CLOSED", "closed")))
    assert member(found, "n2fa") == f.Member("n2fa", "2fa", f.BOOLEAN, True)
    assert any("writes are not generated: POST /issues" in line for line in found.notes)


def test_has_more_and_starting_after() -> None:
    """The last id is the cursor; an id that may be expanded stays an id; secrets and maps are left out, with notes."""
    found = found_in(has_more(), "charges")
    assert found.path == "/v1/charges"
    assert found.conventions == Conventions(items="data", naming=snake, errors=ErrorObject())
    assert found.pages == f.ReadPages(LastId(), None, 100, exact=("customer_id",))
    assert found.lists == (f.ReadList("customer", "customer_id", OneByOne("customer"), "limit"),)
    assert member(found, "customer_id") == f.Member("customer_id", "customer", f.TEXT_ID, True)
    assert member(found, "created").type == f.INT
    assert [each.name for each in found.members] == [
        *("id", "object", "amount", "created", "currency", "customer_id", "status", "billing_details")
    ]
    assert {"charge.metadata: an object of any members: left out"} <= set(found.notes)
    assert {"charge.source: has no type, or several: left out"} <= set(found.notes)
    assert any('set sources.charges.headers with Authorization = "Basic …"' in line for line in found.notes)
    assert found.forwards_identity


def test_numbered_pages_in_envelopes_of_their_own() -> None:
    """Envelopes are named as the resource; the total stands in `meta`; parameters are referred to."""
    found = found_in(numbered_pages(), "droplets")
    errors = ErrorObject("", code="id")
    assert found.conventions == Conventions(one="droplet", items="droplets", naming=snake, errors=errors)
    assert found.pages == f.ReadPages(PageNumber(), "meta.total", 200, exact=("name",), filters=("tag_name",))
    assert found.lists == ()
    assert member(found, "memory").type == f.INT32
    networks = member(found, "networks").type
    assert isinstance(networks, f.Nested)
    assert networks.members[0].type == f.ListOf(
        f.Nested("DropletNetworksV4", (f.Member("ip_address", "ip_address", f.TEXT, True),))
    )
    assert not found.forwards_identity
    assert "credentials oauth: set sources.droplets.oauth2" in found.notes


def test_offsets_and_a_total_in_a_header() -> None:
    """Several ids in a repeated parameter: as many at once as a page without a limit has."""
    found = found_in(by_offset(), "parts")
    assert found.conventions == Conventions(items="")
    assert found.by_id == f.ReadOne(Repeated("id"), 20)
    exact, filters = ("in_stock", "maker_id"), ("q",)
    assert found.pages == f.ReadPages(Offset(), InHeader("X-Total-Count"), 50, exact, filters)
    assert found.lists == (f.ReadList("maker", "maker_id", OneByOne("makerId"), "limit", None, ("in_stock",), filters),)
    assert found.members[0] == f.Member("id", "id", f.UUID_ID)
    assert member(found, "class_value").json == "class"
    assert member(found, "weight").is_optional
    assert member(found, "size") == f.Member(
        "size", "size", f.Nested("PartSize", (f.Member("height", "height", f.FLOAT), f.Member("unit", "unit", f.TEXT))), True
    )
    assert "part.supplierToken: is a secret, or is only written: left out" in found.notes
    assert "header X-Tenant is required: set sources.parts.headers" in found.notes


def test_cursors() -> None:
    """The gateway's own defaults; a list of another shape has its own place of items."""
    found = found_in(by_cursor(), "notes")
    assert found.conventions == Conventions()
    assert found.by_id == f.ReadOne(Comma("ids"), 100)
    assert found.pages == f.ReadPages(Cursor(), "total", 200)
    assert found.lists == (f.ReadList("owner", "owner_id", OneByOne(path="/owners/{key}/notes"), "limit", ""),)


@pytest.mark.parametrize("style", STYLES)
def test_the_id_comes_first(style: str) -> None:
    """And no two members have one name."""
    name, make = STYLES[style]
    found = found_in(make(), name)
    names = [each.name for each in found.members]
    assert names[0] == "id"
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (
            "search",
            {"type": "object", "required": ["ids"], "properties": {"ids": {"type": "array"}}},
            Posted("/parts/search", "ids"),
        ),
        ("batch", {"type": "array", "items": {"type": "integer"}}, Posted("/parts/batch")),
        ("search", {"type": "object", "required": ["q"], "properties": {"ids": {"type": "array"}}}, OneByOne()),
    ],
)
def test_ids_in_the_body_of_a_post(path: str, body: Document, expected: object) -> None:
    """A POST is used if it takes nothing but ids, and returns what the list returns."""
    post = {
        "requestBody": {"content": {"application/json": {"schema": body}}},
        "responses": reply({"type": "array", "items": ref("Part")}),
    }
    found = found_in(parts(paths={f"/parts/{path}": {"post": post}}), "parts")
    assert found.by_id is not None
    assert found.by_id.many == expected


def test_without_a_path_of_one_object() -> None:
    """Objects are read as lists of one, if several can be requested."""
    root = parts(parameters=[parameter("ids"), parameter("offset"), parameter("limit", "integer", default=500)])
    del root["paths"]["/parts/{id}"]
    assert found_in(root, "parts").by_id == f.ReadOne(Comma("ids"), None, False)


def test_a_single_object_that_cannot_be_found_in_its_reply() -> None:
    """Objects are read as lists of one, if several can be requested; else not by id."""
    root = parts(parameters=[parameter("ids"), parameter("offset"), parameter("limit", "integer", default=500)])
    root["paths"]["/parts/{id}"]["get"]["responses"] = reply({"type": "object"})
    assert found_in(root, "parts").by_id == f.ReadOne(Comma("ids"), None, False)
    root["paths"]["/parts"]["get"]["parameters"].pop(0)
    assert found_in(root, "parts").by_id is None


def test_ordinary_names_stay_as_they_are() -> None:
    """Only names that the generated classes use for something else get a suffix."""
    found = found_in(
        parts({name: {"type": "string"} for name in ("type", "info", "field", "list", "count", "class")}), "parts"
    )
    assert [each.name for each in found.members[2:]] == ["type", "info", "field_value", "list_value", "count", "class_value"]


def test_the_path_s_parameter_names_the_id() -> None:
    """`/users/{username}` is asked with the username: that is the id."""
    user = {
        "type": "object",
        "required": ["username"],
        "properties": {"id": {"type": "integer"}, "username": {"type": "string"}},
    }
    root = document({"/users/{username}": {"get": {"responses": reply(user)}}}, {})
    assert found_in(root, "users").members[0] == f.Member("id", "username", f.TEXT_ID)


def test_members_that_lists_lack_are_left_out() -> None:
    """Objects of lists fill the loader by id: a member that they lack would be null for no reason."""
    root = parts()
    summary = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}
    root["paths"]["/parts"]["get"]["responses"] = reply({"type": "array", "items": summary})
    found = found_in(root, "parts")
    assert [each.name for each in found.members] == ["id"]
    assert "part.name: objects in lists lack it, or have it in another form: left out" in found.notes


def test_two_descriptions_of_the_id_are_refused() -> None:
    """A list with other ids can't fill the loader."""
    root = parts()
    other = {"type": "object", "properties": {"id": {"type": "string"}}}
    root["paths"]["/parts"]["get"]["responses"] = reply({"type": "array", "items": other})
    with pytest.raises(ScaffoldError, match="ids of two types"):
        found_in(root, "parts")


def test_a_list_that_needs_a_parameter_is_not_read() -> None:
    """The gateway can't know its value."""
    found = found_in(parts(parameters=[parameter("offset"), parameter("limit"), parameter("shop", required=True)]), "parts")
    assert found.pages is None
    assert "GET /parts needs the parameter shop: it is not read" in found.notes


def test_a_list_below_an_owner_with_other_objects() -> None:
    """Is left out: its objects would not fit the record."""
    item = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
    below = {
        "get": {"parameters": [parameter("id", "integer", "path")], "responses": reply({"type": "array", "items": item})}
    }
    found = found_in(parts(paths={"/makers/{id}/parts": below}), "parts")
    assert found.lists == ()
    assert any(line.startswith("GET /makers/{id}/parts: its objects are not those") for line in found.notes)


def test_a_list_below_an_owner_whose_id_objects_lack() -> None:
    """The member is added: it gets the owner's id."""
    below = {
        "get": {
            "parameters": [parameter("m", "integer", "path")],
            "responses": reply({"type": "array", "items": ref("Part")}),
        }
    }
    found = found_in(parts(paths={"/makers/{m}/parts": below}), "parts")
    assert found.lists == (f.ReadList("maker", "maker_id", OneByOne(path="/makers/{key}/parts"), None),)
    assert found.members[-1] == f.Member("maker_id", "maker_id", f.INT_ID, True)


@pytest.mark.parametrize(
    ("parameters", "properties", "expected"),
    [
        (["page", "size"], {"totalElements": "integer"}, (PageNumber("page", "size"), "totalElements")),
        (["skip", "take"], {}, (Offset("skip", "take"), None)),
        (["pageToken", "pageSize"], {"nextPageToken": "string"}, (Cursor("pageToken", "pageSize", "nextPageToken"), None)),
        (["page", "limit"], {"next_page": "string"}, (Cursor("page", "limit", "next_page"), None)),
        (["page", "limit"], {"count": "integer"}, (PageNumber("page", "limit"), "count")),
        (["cursor"], {"next": "string"}, None),
        (["limit"], {}, None),
        (["cursor", "limit"], {}, None),
        ([], {}, None),
    ],
)
def test_pages(parameters: list[str], properties: dict[str, str], expected: tuple[object, object] | None) -> None:
    """By the names of parameters and members; what can't be told is a note, and no connection."""
    members = {name: {"type": kind} for name, kind in properties.items()}
    body = {"type": "object", "properties": {"results": {"type": "array", "items": ref("Part")}, **members}}
    found = found_in(parts(parameters=[parameter(name) for name in parameters], body=body), "parts")
    assert (None if found.pages is None else (found.pages.by, found.pages.total)) == expected
    assert (expected is None) == any("no connection is written" in line for line in found.notes)


@pytest.mark.parametrize(
    ("schema", "is_url"),
    [({"format": "uri"}, True), ({"description": "The URL of the next page."}, True), ({"description": "A token."}, False)],
)
def test_a_next_page_may_be_a_url(schema: Document, is_url: bool) -> None:
    """As its format or its description says."""
    body = {
        "type": "object",
        "properties": {"data": {"type": "array", "items": ref("Part")}, "next": {"type": "string", **schema}},
    }
    found = found_in(parts(parameters=[parameter("cursor"), parameter("limit")], body=body), "parts")
    assert found.pages is not None
    assert found.pages.by == Cursor("cursor", "limit", "next", is_url)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"maximum": 50}, 50),
        ({"maximum": 1000}, 200),
        ({"description": "At most. Max: 75"}, 75),
        ({"description": "Between 1 and 30."}, 30),
        ({}, 100),
        ({"maximum": 5}, None),
    ],
)
def test_the_largest_page(more: Document, expected: int | None) -> None:
    """As the schema or the description says; else a hundred, with a note. Smaller ones than ten are too small."""
    found = found_in(parts(parameters=[parameter("offset"), parameter("limit", "integer", **more)]), "parts")
    assert (None if found.pages is None else found.pages.largest) == expected


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ([parameter("limit", "integer", maximum=50)], "takes a limit of at most 50"),
        ([parameter("page", "integer")], "only its first page is read"),
        ([parameter("limit", "integer", maximum=100)], None),
        ([], None),
    ],
)
def test_what_lists_by_owner_cannot_have(parameters: list[Document], expected: str | None) -> None:
    """A `first` that the service refuses, and items behind its first page: a note says so."""
    listed = reply({"type": "array", "items": ref("Part")})
    below = {"get": {"parameters": [parameter("m", "integer", "path"), *parameters], "responses": listed}}
    found = found_in(parts(paths={"/makers/{m}/parts": below}), "parts")
    lines = [line for line in found.notes if line.startswith("GET /makers")]
    assert len(lines) == (expected is not None)
    assert expected is None or expected in lines[0]


@pytest.mark.parametrize(
    ("schema", "first"), [({"default": 0}, 0), ({"minimum": 0}, 0), ({"default": 1, "minimum": 0}, 1), ({}, 1)]
)
def test_the_first_page(schema: Document, first: int) -> None:
    """Its number is the default, else the smallest."""
    found = found_in(parts(parameters=[parameter("page", "integer", **schema), parameter("size", "integer")]), "parts")
    assert found.pages is not None
    assert found.pages.by == PageNumber("page", "size", first)


def test_a_name_of_pages_that_is_a_filter() -> None:
    """`since` is a time, where another parameter says where a page begins."""
    names = ("page", "per_page", "since", "cursor")
    found = found_in(parts(parameters=[parameter(name) for name in names]), "parts")
    assert found.pages is not None
    assert (found.pages.by, found.pages.filters) == (PageNumber(), ("since",))


@pytest.mark.parametrize(
    "name", ["password", "userPassword", "client_secret", "apiKey", "accessToken", "privateKey", "refresh_token"]
)
def test_secrets_are_left_out(name: str) -> None:
    """By their names, too."""
    found = found_in(parts({name: {"type": "string"}}), "parts")
    assert [each.name for each in found.members] == ["id", "name"]
    assert any(line.endswith("is a secret, or is only written: left out") for line in found.notes)


def test_lists_of_objects_have_a_class_in_the_singular() -> None:
    """`tags` are of the class `PartTag`; a list of ids has ids."""
    tag = {"type": "object", "properties": {"label": {"type": "string"}}}
    listed = {"tags": {"type": "array", "items": tag}, "shop_ids": {"type": "array", "items": {"type": "integer"}}}
    found = found_in(parts(listed), "parts")
    assert member(found, "tags").type == f.ListOf(f.Nested("PartTag", (f.Member("label", "label", f.TEXT, True),)))
    assert member(found, "shop_ids").type == f.ListOf(f.INT_ID)


@pytest.mark.parametrize(
    ("schema", "value", "is_exact"),
    [
        ({"type": "string"}, {"type": "string"}, True),
        ({"type": "string"}, {"type": "string", "enum": ["all", "mine"]}, False),
        ({"type": "string", "enum": ["a", "b"]}, {"type": "string", "enum": ["a"]}, True),
        ({"type": "string", "enum": ["a", "b"]}, {"type": "string", "enum": ["a", "b", "all"]}, False),
        ({"type": "string", "enum": ["a", "b"]}, {"type": "string"}, False),
        ({"type": "integer"}, {"type": "string"}, False),
        ({"type": "boolean"}, {"type": "boolean"}, True),
        ({"type": "number"}, {"type": "number"}, False),
    ],
)
def test_a_filter_is_exact_if_each_item_must_have_its_value(schema: Document, value: Document, is_exact: bool) -> None:
    """Else the gateway would refuse the right answers: it leaves the others to the service."""
    own = {"name": "kind", "in": "query", "schema": value}
    found = found_in(parts({"kind": schema}, [parameter("offset"), parameter("limit"), own]), "parts")
    assert found.pages is not None
    assert (found.pages.exact, found.pages.filters) == ((("kind",), ()) if is_exact else ((), ("kind",)))


def test_bracketed_parameters() -> None:
    """`page[offset]` may be written as an object that is spread."""
    spread = parameter("page", "object", style="deepObject", properties={"offset": {}, "limit": {"maximum": 40}})
    found = found_in(parts(parameters=[spread]), "parts")
    assert found.pages == f.ReadPages(Offset("page[offset]", "page[limit]"), None, 40)


@pytest.mark.parametrize(
    ("body", "media_type", "expected"),
    [
        ({"properties": {"error": {"type": "string"}}}, "application/json", ErrorObject()),
        ({"properties": {"title": {}, "detail": {}}}, "application/json", None),
        ({"properties": {"message": {"type": "string"}}}, "application/problem+json", None),
        (
            {"properties": {"errors": {"type": "array", "items": {"properties": {"path": {}, "msg": {}}}}, "message": {}}},
            "application/json",
            ErrorObject("", "code", "message", "errors", "path", "msg"),
        ),
    ],
)
def test_errors(body: Document, media_type: str, expected: ErrorObject | None) -> None:
    """An object with a text, or problem details."""
    root = parts()
    failure = {"description": "", "content": {media_type: {"schema": {"type": "object", **body}}}}
    root["paths"]["/parts/{id}"]["get"]["responses"]["404"] = failure
    assert found_in(root, "parts").conventions.errors == (Conventions().errors if expected is None else expected)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "format": "int32"}, f.INT32),
        ({"type": "integer", "format": "int64"}, f.INT),
        ({"type": "integer", "maximum": 2**40}, f.INT),
        ({"type": "number"}, f.FLOAT),
        ({"type": ["string", "null"], "format": "date-time"}, f.TIMESTAMP),
        ({"type": "string", "format": "date"}, f.TEXT),
        ({"type": "string", "enum": ["", "a"]}, f.TEXT),
        ({"type": "string", "enum": ["a", "A"]}, f.TEXT),
        ({"const": "a"}, f.TEXT),
        ({"type": "string", "enum": ["1", "true"]}, f.Enumeration("PartX", (("N1", "1"), ("TRUE", "true")))),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, f.FLOAT),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, None),
        ({"type": ["integer", "string"]}, None),
        ({"type": "string", "format": "password"}, None),
        ({"type": "string", "writeOnly": True}, None),
        ({"type": "array", "items": {"type": "object", "properties": {"a": {"type": "number"}}}}, LIST),
        ({"type": "array", "items": {"type": "array"}}, None),
        ({"type": "array", "items": {"type": ["string", "null"]}}, None),
        ({"type": "object"}, None),
        ({}, None),
        ({"$ref": "https://elsewhere.example/x"}, None),
        ({"allOf": [{"type": "string"}, {"enum": ["a", "b"]}]}, f.Enumeration("PartX", (("A", "a"), ("B", "b")))),
    ],
)
def test_types_of_members(schema: Document, expected: f.Type | None) -> None:
    """What has no type that the gateway reads is left out, and a note says so."""
    found = found_in(parts({"x": schema}), "parts")
    assert next((each.type for each in found.members if each.name == "x"), None) == expected
    assert (expected is None) == any(line.startswith("part.x:") and "left out" in line for line in found.notes)


@pytest.mark.parametrize(
    "schema",
    [{"type": "string", "nullable": True}, {"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}],
)
def test_null_of_both_versions(schema: Document) -> None:
    """`nullable` is OpenAPI 3.0's, lists of types and null as an alternative are 3.1's."""
    root = parts({"x": schema})
    root["components"]["schemas"]["Part"]["required"].append("x")
    assert member(found_in(root, "parts"), "x").is_optional


def known(id_type: str, by_id: str = "by_id", type_module: str = "schema.types.maker") -> Application:
    """An application with makers."""
    return Application(
        {"maker": Known("datasources.makers", "Makers", "Maker", id_type, by_id, type_module)}, frozenset({"Maker"})
    )


def test_links_to_sources_of_the_application() -> None:
    """A member with the id of another source's object, and the list of an owner."""
    found = found_in(by_offset(), "parts", application=known("UUID"))
    assert [each.field for each in found.relations] == ["maker"]
    assert found.owners == (f.Owner("Maker", "schema.types.maker", "datasources.makers", "of_maker"),)


@pytest.mark.parametrize("application", [known("int"), known("UUID", by_id=""), known("UUID", type_module=""), NOTHING])
def test_no_link_is_guessed(application: Application) -> None:
    """Not if the ids have another type, or the other source can't be read so."""
    assert found_in(by_offset(), "parts", application=application).relations == ()


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("parts", "/v2/parts", "--path: expected a resource of the document"),
        ("orders", None, "has no GET /orders"),
        ("parts", "/parts/{id}", "--path: expected"),
    ],
)
def test_a_resource_that_is_not_there(name: str, path: str | None, expected: str) -> None:
    """The message lists those that are."""
    with pytest.raises(ScaffoldError, match=expected) as refused:
        found_in(parts(), name, path)
    assert "/parts" in str(refused.value)


def test_two_resources_of_one_name() -> None:
    """The one that has single objects; between two of them `--path` chooses."""
    root = parts()
    root["paths"]["/reports/parts"] = root["paths"]["/parts"]
    assert found_in(root, "parts").path == "/parts"
    root["paths"]["/v2/parts"] = root["paths"]["/parts"]
    root["paths"]["/v2/parts/{id}"] = root["paths"]["/parts/{id}"]
    with pytest.raises(ScaffoldError, match="parts may be \\(/parts, /v2/parts\\)"):
        found_in(root, "parts")
    assert found_in(root, "parts", "/v2/parts").path == "/v2/parts"


def test_nothing_that_can_be_read() -> None:
    """A resource without objects by id and without pages makes no source."""
    root = document(
        {"/parts": {"get": {"responses": reply({"type": "array", "items": {"properties": {"id": {"type": "string"}}}})}}}, {}
    )
    with pytest.raises(ScaffoldError, match="expected a way to read /parts"):
        found_in(root, "parts")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ("/v1", ""),
        ("https://{region}.example.com", ""),
        ("https://x.example/$(reboot)", ""),
        ("https://x.example/;reboot", ""),
    ],
)
def test_the_service_s_url(url: str, expected: str) -> None:
    """Only one that can be pasted into a shell; the others are in a note."""
    found = found_in(parts(servers=[{"url": url}]), "parts")
    assert found.service_url == expected
    assert bool(expected) != any(line.startswith("the service's URL:") for line in found.notes)


@pytest.mark.parametrize(
    ("scheme", "expected", "forwards"),
    [
        ({"type": "apiKey", "in": "header", "name": "X-Key"}, "set sources.parts.headers with X-Key", False),
        ({"type": "apiKey", "in": "query", "name": "key"}, "a key in the query can't be sent", False),
        ({"type": "http", "scheme": "bearer"}, 'Authorization = "Bearer …"', True),
        ({"type": "oauth2", "flows": {"clientCredentials": {}}}, "set sources.parts.oauth2", False),
        ({"type": "oauth2", "flows": {"authorizationCode": {}}}, "if forward_identity is true", True),
        ({"type": "openIdConnect"}, "if forward_identity is true", True),
        ({"type": "mutualTLS"}, "set sources.parts.tls.cert_file", False),
        ({}, "the document does not describe them", True),
    ],
)
def test_credentials(scheme: Document, expected: str, forwards: bool) -> None:
    """Which settings they need; the viewer's token isn't sent to a service that wants the gateway's own credentials."""
    root = parts(security=[{"key": []}])
    root["components"]["securitySchemes"] = {"key": scheme}
    found = found_in(root, "parts")
    assert any(line.startswith("credentials key:") and expected in line for line in found.notes)
    assert found.forwards_identity == forwards
