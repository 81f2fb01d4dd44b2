"""An application as a user of the package writes it, with every name of `bff.__all__`. mypy --strict has nothing to say.

`assert_type` holds what an editor shows for the values that an application works with.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, assert_type
from uuid import UUID

import strawberry
from starlette.applications import Starlette
from starlette.types import ASGIApp

from bff import (
    Access,
    App,
    BadUserInput,
    BreakerState,
    ById,
    Caller,
    Connection,
    Context,
    CursorPages,
    DemoOptions,
    Info,
    InstanceState,
    Int32,
    ListBy,
    Loaded,
    LoadedList,
    NotAllowed,
    Pages,
    Prefetch,
    Record,
    RecordRule,
    Rejected,
    SignInNeeded,
    Source,
    SourceError,
    SourceStatus,
    Timestamp,
    UncountedConnection,
    UserError,
    Variant,
    Viewer,
    __version__,
    changes_of,
    computed,
    connection,
    enum,
    field,
    invalid,
    lookup,
    many,
    new_key,
    nodes_of,
    not_found,
    one,
    own_key,
    written,
)
from bff.conventions import Conventions, PageNumber, Repeated

OUTSIDE = Variant("outside")
INSIDE = Variant("inside", role="keeper", staff=True, defaults={"limits": {"cost": 20_000}})
BOTH = (OUTSIDE, INSIDE)


class Kind(StrEnum):
    """What a hive is built of."""

    STRAW = "straw"
    WOOD = "wood"


enum({"STRAW": (INSIDE,)}, description="What a hive is built of.")(Kind)


class KeeperRecord(Record, frozen=True, kw_only=True):
    """A beekeeper."""

    id: str
    name: str


class HiveRecord(Record, frozen=True, kw_only=True):
    """A hive."""

    id: UUID
    keeper_id: str
    kind: Kind
    frames: Int32
    built_at: Timestamp
    is_secret: bool = False


class Keepers(Source[KeeperRecord], forward_identity=False):
    """`/keepers`."""

    path = "/keepers"
    by_id = ById(Repeated("id"))
    page = Pages(PageNumber(), total=None)
    conventions = Conventions(items="data", statuses={410: 404})


class Hives(Source[HiveRecord]):
    """`/hives`."""

    path = "/hives"
    by_id = ById("ids", most=50)
    of_keeper = ListBy("keeper_id", exact=("kind",))
    page = CursorPages(exact=("kind",), filters=("search",))

    async def change(self, caller: Caller, id: UUID, changes: Mapping[str, Any], *, key: str) -> HiveRecord:
        """Change a hive. Raises `Rejected`, `SourceError`."""
        hive = await self.write(caller, "PATCH", "/hives/{id}", changes, key=key, id=id, is_it=lambda it: it.frames > 0)
        assert_type(hive, HiveRecord)
        return hive

    async def frames_of(self, caller: Caller, id: UUID) -> int:
        """A hive's frames; 0 if it can't be known."""
        found = (await self.by_id.load(caller, [id])).get(id)
        if isinstance(found, HiveRecord):
            return found.frames
        if isinstance(found, Rejected):
            assert_type(found.status, int)
        elif isinstance(found, SourceError):
            assert_type(found.service, str)
        return 0


@strawberry.type(description="A beekeeper.")
class Keeper:
    """Resolved from `KeeperRecord`."""

    id: strawberry.ID = field(*BOTH)
    name: str = field(*BOTH)
    hives: "list[Hive] | None" = many(*BOTH, read=Hives.of_keeper, description="The newest first.")


@strawberry.type(description="A hive.")
class Hive:
    """Resolved from `HiveRecord`."""

    keeper_id: strawberry.Private[str]
    id: strawberry.ID = field(*BOTH)
    kind: Kind = field(*BOTH)
    built_at: datetime = field(INSIDE, description="When it was built.")
    keeper: Keeper | None = one(*BOTH, read=Keepers.by_id, key="keeper_id")

    @computed(*BOTH, description="How many frames it has, rounded down to tens.")
    def about(self: HiveRecord, info: Info, step: int = 10) -> int:
        """The frames."""
        if step < 1:
            raise BadUserInput(f"step: expected 1 or more, got {step}.")
        return self.frames // step * step

    @computed(*BOTH, type=Keeper | None, extensions=[Access(), Loaded(Keepers.by_id, prefetch=None)])
    def again(self) -> str:
        """The key of the keeper."""
        return self.keeper_id


@strawberry.type(description="The root type of queries.")
class Query:
    """The root of reads."""

    hive: Hive | None = lookup(*BOTH, read=Hives.by_id)
    secret: Hive | None = lookup(INSIDE, read=Hives.by_id, access=Access(role="keeper", scopes=("hives",)))
    keepers: UncountedConnection[Keeper] | None = connection(*BOTH, read=Keepers.page)
    hives: Connection[Hive] | None = connection(*BOTH, read=Hives.page, size=20)

    @computed(*BOTH, type=list[Hive] | None, extensions=[LoadedList(Hives.of_keeper, prefetch=Prefetch())], size=10)
    def mine(self, info: Info) -> Any:
        """The key of the viewer's hives."""
        context: Context = info.context
        if context.viewer is None:
            raise SignInNeeded
        if "drone" in context.viewer.roles:
            raise NotAllowed("Drones have no hives.")
        assert_type(context.signed_in(), Viewer)
        return Hives.of_keeper.key(context.viewer.sub, 10, kind=None)

    @computed(OUTSIDE, type=list[Hive | None] | None, extensions=[Loaded(Hives.page, show=nodes_of)], size=3)
    def first(self) -> Any:
        """The key of the first page, shown as a plain list."""
        return Hives.page.key(3)


@strawberry.input
class HiveInput:
    """What to change of a hive."""

    kind: Kind | None = strawberry.UNSET


@strawberry.type
class HivePayload:
    """The hive as changed."""

    hive: Hive | None = field(INSIDE)
    user_errors: list[UserError] = field(INSIDE)


@strawberry.type(description="What can be changed.")
class Mutation:
    """The root of writes."""

    @computed(INSIDE, extensions=[Access(role="keeper")], weight=10)
    async def change_hive(
        self, info: Info, id: strawberry.ID, input: HiveInput, idempotency_key: str | None = None
    ) -> HivePayload:
        """Raises `SourceError`."""
        context = info.context
        hive_id = Hives.read_id(id)
        if hive_id is None:
            return HivePayload(hive=None, user_errors=[not_found("hive", field=["id"])])
        changes, user_errors = changes_of(input, never_null=("kind",))
        assert_type(changes, dict[str, Any])
        if user_errors:
            return HivePayload(hive=None, user_errors=user_errors)
        if idempotency_key == "":
            error: UserError = invalid(["idempotencyKey"], "Expected at least one character.")
            return HivePayload(hive=None, user_errors=[error])
        key = new_key() if idempotency_key is None else own_key(context.signed_in().sub, idempotency_key)
        write = context.sources[Hives].change(context.caller, hive_id, changes, key=key)
        hive, user_errors = await written(context, Hives, write, thing="hive", id=hive_id, id_field=["id"])
        return HivePayload(hive=hive, user_errors=user_errors)


def no_secrets(variant: Variant, viewer: Viewer | None) -> Callable[[HiveRecord], bool] | None:
    """Staff see every hive, others those that are not secret."""
    return None if variant.staff else lambda hive: not hive.is_secret


def services(options: DemoOptions) -> Mapping[str, ASGIApp]:
    """Demo services that have nothing."""
    assert_type(options.latency_s, float)
    return {"keepers": Starlette(), "hives": Starlette()}


RULE: RecordRule = no_secrets


def is_well(status: SourceStatus) -> bool:
    """Whether a source gets calls, with all of its instances."""
    is_closed = status.breaker is BreakerState.CLOSED
    return is_closed and all(each.state is InstanceState.IN for each in status.instances)


SOURCES: Sequence[type[Source[Any]]] = (Keepers, Hives)

app = App(
    query=Query,
    mutation=Mutation,
    sources=(Keepers, Hives),
    variants=BOTH,
    rules={HiveRecord: no_secrets},
    demo="tests.typing.public_face:services",
    demo_viewers={"ann": Viewer("ann"), "keeper": Viewer("mo", roles=frozenset({"keeper"}), scopes=frozenset({"hives"}))},
)

assert_type(app.source_names, tuple[str, ...])
assert_type(__version__, str)
