"""Small OpenAPI documents that imitate the conventions of well-known services. Each call makes a new one."""

from collections.abc import Callable
from typing import Any

Document = dict[str, Any]


def parameter(name: str, type_: str = "string", place: str = "query", **more: Any) -> Document:
    """A parameter; `more` is of its schema, but for `required`, `description`, `explode` and `style`."""
    found: Document = {"name": name, "in": place, **({"required": True} if place == "path" else {})}
    found |= {key: more.pop(key) for key in ("required", "description", "explode", "style") if key in more}
    return found | {"schema": {"type": type_, **more}}


def reply(schema: Document, headers: tuple[str, ...] = (), media_type: str = "application/json") -> Document:
    """The replies of an operation with that schema at status 200."""
    found: Document = {"description": "OK", "content": {media_type: {"schema": schema}}}
    if headers:
        found["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return {"200": found}


def ref(name: str) -> Document:
    """A reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def document(paths: Document, schemas: Document, version: str = "3.0.3", **more: Any) -> Document:
    """A document."""
    info = {"title": "A service", "version": "1"}
    return {"openapi": version, "info": info, "paths": paths, "components": {"schemas": schemas}, **more}


def link_header() -> Document:
    """Bare arrays, pages by the header `Link`, `since` and `per_page`, snake case, integer ids."""
    issue = {
        "type": "object",
        "required": ["id", "node_id", "title", "state", "comments", "created_at", "labels", "user", "locked"],
        "properties": {
            "id": {"type": "integer", "format": "int64"},
            "node_id": {"type": "string"},
            "title": {"type": "string", "example": 'It\'s "broken"'},
            "body": {"type": "string", "nullable": True},
            "state": {"type": "string", "enum": ["open", "closed"]},
            "comments": {"type": "integer"},
            "locked": {"type": "boolean"},
            "created_at": {"type": "string", "format": "date-time"},
            "closed_at": {"type": "string", "format": "date-time", "nullable": True},
            "labels": {"type": "array", "items": {"oneOf": [{"type": "string"}, ref("label")]}},
            "user": ref("simple-user"),
            "milestone": {"nullable": True, "allOf": [ref("milestone")]},
            "reactions": {"type": "object", "properties": {"+1": {"type": "integer"}, "heart": {"type": "integer"}}},
            "project_id": {"type": "integer"},
            "2fa": {"type": "boolean"},
        },
    }
    schemas = {
        "issue": issue,
        "label": {"type": "object", "properties": {"name": {"type": "string"}}},
        "milestone": {"type": "object", "required": ["number"], "properties": {"number": {"type": "integer"}}},
        "simple-user": {
            "type": "object",
            "required": ["login", "id"],
            "properties": {"login": {"type": "string"}, "id": {"type": "integer", "format": "int64"}},
        },
        "basic-error": {
            "type": "object",
            "properties": {
                "message": {"type": "string"},
                "documentation_url": {"type": "string"},
                "status": {"type": "string"},
            },
        },
    }
    pages = [
        parameter("since", "integer", description="Only objects with an id greater than this one."),
        parameter("per_page", "integer", default=30, description="The number of results per page (max 100)."),
    ]
    failure = {"description": "Not found", "content": {"application/json": {"schema": ref("basic-error")}}}
    state = parameter("state", enum=["open", "closed", "all"], default="open")
    issues = reply({"type": "array", "items": ref("issue")}, ("Link",))
    paths = {
        "/issues": {"get": {"parameters": [*pages, state], "responses": issues}, "post": {"responses": reply(ref("issue"))}},
        "/issues/{issue_id}": {
            "parameters": [parameter("issue_id", "integer", "path")],
            "get": {"responses": {**reply(ref("issue")), "404": failure}},
        },
        "/projects/{project_id}/issues": {
            "get": {"parameters": [parameter("project_id", "integer", "path"), *pages], "responses": issues}
        },
        "/users/{username}/repos/{repo}/issues": {"get": {"responses": issues}},
    }
    return document(paths, schemas, servers=[{"url": "https://api.example.com"}])


def has_more() -> Document:
    """`data` and `has_more`, `starting_after`, ids as text, ids that may be expanded, an error object, basic credentials."""
    charge = {
        "type": "object",
        "required": ["id", "object", "amount", "created", "currency", "customer", "metadata", "status"],
        "properties": {
            "id": {"type": "string", "maxLength": 5000},
            "object": {"type": "string", "enum": ["charge"]},
            "amount": {"type": "integer"},
            "created": {"type": "integer", "format": "unix-time"},
            "currency": {"type": "string", "format": "currency"},
            "customer": {"anyOf": [{"type": "string", "maxLength": 5000}, ref("customer")], "nullable": True},
            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
            "status": {"type": "string", "enum": ["failed", "pending", "succeeded"]},
            "billing_details": ref("billing_details"),
            "source": {"anyOf": [ref("customer"), ref("billing_details")]},
        },
    }
    address = {"type": "object", "properties": {"city": {"type": "string", "nullable": True}, "line1": {"type": "string"}}}
    schemas = {
        "charge": charge,
        "customer": {
            "type": "object",
            "required": ["id"],
            "properties": {"id": {"type": "string"}, "name": {"type": "string"}},
        },
        "billing_details": {
            "type": "object",
            "properties": {"address": {"anyOf": [ref("address")], "nullable": True}, "email": {"type": "string"}},
        },
        "address": address,
        "error": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "properties": {"code": {"type": "string"}, "message": {"type": "string"}, "type": {"type": "string"}},
                }
            },
        },
    }

    def listed(name: str) -> Document:
        body = {
            "type": "object",
            "required": ["data", "has_more", "object", "url"],
            "properties": {
                "data": {"type": "array", "items": ref(name)},
                "has_more": {"type": "boolean"},
                "object": {"type": "string", "enum": ["list"]},
                "url": {"type": "string"},
            },
        }
        size = parameter("limit", "integer", description="Limit can range between 1 and 100, and the default is 10.")
        pages = [size, parameter("starting_after"), parameter("ending_before"), parameter("expand", "array", items={})]
        own = [parameter("customer"), parameter("created", "object", style="deepObject")] if name == "charge" else []
        failure = {"description": "Error", "content": {"application/json": {"schema": ref("error")}}}
        return {"get": {"parameters": [*pages, *own], "responses": {**reply(body), "default": failure}}}

    def one(name: str) -> Document:
        failure = {"description": "Error", "content": {"application/json": {"schema": ref("error")}}}
        return {
            "parameters": [parameter(name, place="path")],
            "get": {"responses": {**reply(ref(name)), "default": failure}},
        }

    paths = {
        "/v1/charges": listed("charge"),
        "/v1/charges/{charge}": one("charge"),
        "/v1/customers": listed("customer"),
        "/v1/customers/{customer}": one("customer"),
    }
    return document(
        paths,
        schemas,
        servers=[{"url": "https://api.example.com/"}],
        security=[{"basicAuth": []}, {"bearerAuth": []}],
    ) | {
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "basicAuth": {"type": "http", "scheme": "basic"},
                "bearerAuth": {"type": "http", "scheme": "bearer"},
            },
        }
    }


def numbered_pages() -> Document:
    """Envelopes named as the resource, `meta.total`, `links.pages.next`, `page` and `per_page`, `allOf`."""
    droplet = {
        "type": "object",
        "required": ["id", "name", "memory", "status", "region", "networks", "tags"],
        "properties": {
            "id": {"type": "integer"},
            "name": {"type": "string"},
            "memory": {"type": "integer", "maximum": 1000000},
            "status": {"type": "string", "enum": ["new", "active", "off", "archive"]},
            "region": {"type": "object", "required": ["slug"], "properties": {"slug": {"type": "string"}}},
            "networks": {
                "type": "object",
                "properties": {
                    "v4": {
                        "type": "array",
                        "items": {"type": "object", "properties": {"ip_address": {"type": "string", "format": "ipv4"}}},
                    }
                },
            },
            "tags": {"type": "array", "items": {"type": "string"}},
            "vpc_uuid": {"type": "string"},
        },
    }
    links = {
        "type": "object",
        "properties": {
            "links": {
                "type": "object",
                "properties": {"pages": {"type": "object", "properties": {"next": {"type": "string"}}}},
            }
        },
    }
    total = {"type": "object", "required": ["total"], "properties": {"total": {"type": "integer"}}}
    meta = {"type": "object", "required": ["meta"], "properties": {"meta": total}}
    listed = {
        "allOf": [{"type": "object", "properties": {"droplets": {"type": "array", "items": ref("droplet")}}}, links, meta]
    }
    one = {"type": "object", "properties": {"droplet": ref("droplet")}}
    error = {
        "type": "object",
        "required": ["id", "message"],
        "properties": {"id": {"type": "string"}, "message": {"type": "string"}},
    }
    failure = {"description": "Not found", "content": {"application/json": {"schema": error}}}
    pages = [
        {"$ref": "#/components/parameters/per_page"},
        {"$ref": "#/components/parameters/page"},
        parameter("tag_name"),
        parameter("name"),
    ]
    paths = {
        "/v2/droplets": {"get": {"parameters": pages, "responses": {**reply(listed, ("ratelimit-limit",)), "404": failure}}},
        "/v2/droplets/{droplet_id}": {
            "get": {
                "parameters": [parameter("droplet_id", "integer", "path")],
                "responses": {**reply(one), "404": failure},
            }
        },
    }
    parameters = {
        "per_page": parameter("per_page", "integer", default=20, minimum=1, maximum=200),
        "page": parameter("page", "integer", default=1, minimum=1),
    }
    made = document(paths, {"droplet": droplet})
    made["components"] |= {
        "parameters": parameters,
        "securitySchemes": {"oauth": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://x.example"}}}},
    }
    return made | {"security": [{"oauth": []}], "servers": [{"url": "https://api.example.com/base"}]}


def by_offset() -> Document:
    """OpenAPI 3.1, camel case, UUIDs, ids in a repeated parameter, offsets, the total in a header, problem details."""
    part = {
        "type": "object",
        "required": ["id", "displayName", "makerId", "size", "prices", "inStock"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "displayName": {"type": "string"},
            "makerId": {"type": "string", "format": "uuid"},
            "weight": {"type": ["number", "null"]},
            "size": {"anyOf": [ref("Size"), {"type": "null"}]},
            "prices": {"type": "array", "items": {"type": "number"}},
            "inStock": {"type": "boolean"},
            "class": {"type": "string"},
            "address1": {"type": "string"},
            "supplierToken": {"type": "string", "writeOnly": True},
        },
    }
    maker = {
        "type": "object",
        "required": ["id", "name"],
        "properties": {"id": {"type": "string", "format": "uuid"}, "name": {"type": "string"}},
    }
    problem = {"description": "Not found", "content": {"application/problem+json": {"schema": {"type": "object"}}}}

    def listed(name: str) -> Document:
        items = reply({"type": "array", "items": ref(name)}, ("X-Total-Count",))
        parameters = [
            parameter("offset", "integer", minimum=0, default=0),
            parameter("limit", "integer", minimum=1, maximum=50, default=20),
            parameter("id", "array", items={"type": "string", "format": "uuid"}, maxItems=40),
            *(
                [parameter("inStock", "boolean"), parameter("makerId", format="uuid"), parameter("q")]
                if name == "Part"
                else []
            ),
        ]
        return {"get": {"parameters": parameters, "responses": {**items, "400": problem}}}

    def one(name: str, variable: str) -> Document:
        own = [parameter(variable, place="path", format="uuid"), parameter("X-Tenant", place="header", required=True)]
        return {"parameters": own, "get": {"responses": {**reply(ref(name)), "404": problem}}}

    size = {
        "type": "object",
        "required": ["height", "unit"],
        "properties": {"height": {"type": "number"}, "unit": {"const": "mm"}},
    }
    paths = {
        "/makers": listed("Maker"),
        "/makers/{makerId}": one("Maker", "makerId"),
        "/parts": listed("Part"),
        "/parts/{partId}": one("Part", "partId"),
        "/makers/{makerId}/parts": {
            "get": {
                "parameters": [parameter("makerId", place="path", format="uuid")],
                "responses": reply({"type": "array", "items": ref("Part")}),
            }
        },
    }
    return document(paths, {"Part": part, "Maker": maker, "Size": size}, "3.1.0")


def by_cursor() -> Document:
    """Ids joined by commas, `items`, `nextCursor`, `total`: as the gateway's own demo services."""
    task = {
        "type": "object",
        "required": ["id", "title", "ownerId"],
        "properties": {"id": {"type": "integer"}, "title": {"type": "string"}, "ownerId": {"type": "integer"}},
    }
    page = {
        "type": "object",
        "required": ["items", "nextCursor", "total"],
        "properties": {
            "items": {"type": "array", "items": ref("Note")},
            "nextCursor": {"type": "string", "nullable": True},
            "total": {"type": "integer"},
        },
    }
    parameters = [
        parameter("ids", "array", items={"type": "integer"}, explode=False),
        parameter("cursor"),
        parameter("limit", "integer", maximum=200, default=100),
    ]
    paths = {
        "/notes": {"get": {"parameters": parameters, "responses": reply(page)}},
        "/notes/{id}": {"get": {"parameters": [parameter("id", "integer", "path")], "responses": reply(ref("Note"))}},
        "/owners/{ownerId}/notes": {
            "get": {
                "parameters": [parameter("ownerId", "integer", "path"), parameter("limit", "integer")],
                "responses": reply({"type": "array", "items": ref("Note")}),
            }
        },
    }
    return document(paths, {"Note": task})


STYLES: dict[str, tuple[str, Callable[[], Document]]] = {
    "link_header": ("issues", link_header),
    "has_more": ("charges", has_more),
    "numbered_pages": ("droplets", numbered_pages),
    "by_offset": ("parts", by_offset),
    "by_cursor": ("notes", by_cursor),
}
"""The documents by their names, each with a resource in it."""
