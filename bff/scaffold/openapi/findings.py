"""What was found in a document, as frozen values. Conventions are the gateway's own: `bff.conventions`."""

from dataclasses import dataclass, field

from bff.conventions import Conventions, InHeader
from bff.scaffold.names import SourceNames
from bff.upstream.conventions import Many, Paging


@dataclass(frozen=True, slots=True)
class Scalar:
    """A plain value. `record` is its type in the record, `graph` the one in the graph."""

    record: str
    graph: str


INT = Scalar("int", "float")
"""An integer that may not fit GraphQL's `Int`. `Float` has integers up to 2^53 exactly."""
INT32 = Scalar("Int32", "int")
FLOAT = Scalar("float", "float")
TEXT = Scalar("str", "str")
BOOLEAN = Scalar("bool", "bool")
TIMESTAMP = Scalar("Timestamp", "datetime")
INT_ID = Scalar("int", "strawberry.ID")
TEXT_ID = Scalar("str", "strawberry.ID")
UUID_ID = Scalar("UUID", "strawberry.ID")


@dataclass(frozen=True, slots=True)
class Enumeration:
    """A text out of a few. `values` are pairs of Python's name and the text."""

    name: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Nested:
    """An object inside of a record."""

    name: str
    members: tuple["Member", ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list."""

    item: "Scalar | Enumeration | Nested"


Type = Scalar | Enumeration | Nested | ListOf


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object: its name in Python, its name in JSON, its type, and whether it may be missing or null."""

    name: str
    json: str
    type: Type
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class ReadOne:
    """How objects are read by id."""

    many: Many
    most: int | None = None
    one: bool = True


@dataclass(frozen=True, slots=True)
class ReadList:
    """How an owner's list is read. `owner` is the owner's name in the singular, as `maker`."""

    owner: str
    member: str
    many: Many
    limit: str | None
    items: str | None = None
    exact: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()

    @property
    def attribute(self) -> str:
        """The read's name in the source's class."""
        return f"of_{self.owner}"


@dataclass(frozen=True, slots=True)
class ReadPages:
    """How pages are read."""

    by: Paging
    total: str | InHeader | None
    largest: int
    exact: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Relation:
    """A link to a source of the application.

    Attributes:
        member: the record's member with the other's id.
        field: the field's name in the graph, in Python's form.
        source: the other source's class, of `module`.
        read: its read by id.
        type: the other's type, of `type_module`.
    """

    member: str
    field: str
    source: str
    module: str
    read: str
    type: str
    type_module: str


@dataclass(frozen=True, slots=True)
class Owner:
    """A type of the application that gets a list: the type, its module, the module of its source, and the list's read."""

    type: str
    type_module: str
    source_module: str
    read: str


@dataclass(frozen=True, slots=True)
class Findings:
    """A resource of a document.

    Attributes:
        names: of the source.
        path: of the resource, below the service's URL.
        members: of an object; the id first.
        is_snake: whether members are named in JSON as in Python.
        forwards_identity: whether reads carry the viewer's token and id.
        service_url: the URL of the service that the document names; empty if it names none.
    """

    names: SourceNames
    path: str
    members: tuple[Member, ...]
    is_snake: bool
    conventions: Conventions
    by_id: ReadOne | None = None
    lists: tuple[ReadList, ...] = ()
    pages: ReadPages | None = None
    relations: tuple[Relation, ...] = ()
    owners: tuple[Owner, ...] = ()
    forwards_identity: bool = True
    service_url: str = ""
    notes: tuple[str, ...] = field(default=(), compare=False)
