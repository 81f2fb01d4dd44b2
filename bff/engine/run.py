"""Runs a plan: walks as far as what is at hand goes, asks for all that was met on the way at once, and goes on.

A level's keys go to their loader as one batch. Loads don't wait for each other: whoever has come goes on by himself, and
what is asked for in one turn of the event loop goes out together. Once the operation is over nothing of it is left running.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import strawberry
from graphql import GraphQLError, GraphQLResolveInfo
from graphql.execution.values import VariableValues
from graphql.pyutils import Path, gather_with_cancel
from graphql.pyutils.is_awaitable import is_awaitable
from graphql.type import GraphQLResolveInfoHelpers

from bff.engine.arguments import NO_VARIABLES
from bff.engine.located import located
from bff.engine.places import PENDING, PendingLoads, Place, Root
from bff.engine.plan import FieldPlan, Method, Plan
from bff.graph.loaded import is_fresh
from bff.runtime.loop import running_loop
from bff.upstream.reads import Read

Later = tuple[Awaitable[Any], Callable[[Any], Any], Place]


class Run:
    """One run of a plan. `data` and `errors` are the answer once `start`, or what it returns, is done."""

    def __init__(
        self,
        plan: Plan,
        root: Root,
        context: Any,
        coerced: Mapping[str, Any],
        given: Mapping[str, Any],
        root_value: Any = None,
    ) -> None:
        self._plan = plan
        self._root = root
        self._root_value = root_value
        self._coerced = coerced
        self._given = given
        self._values: VariableValues | None = None
        self._arguments: dict[int, Any] = {}
        self.pending: dict[Read, PendingLoads] = {}
        self.is_asking = False
        self._later: list[Later] = []
        self._lost: list[Place] = []
        self._nulls_to_propagate: list[tuple[GraphQLError, Place]] = []
        self._tasks: dict[asyncio.Task[None], Place | None] = {}
        self._settled: asyncio.Future[None] | None = None
        self._fault: BaseException | None = None
        self.context = context
        self.data: dict[str, Any] | None = root.template.copy()
        self.errors: list[GraphQLError] = []

    # The drive

    def start(self) -> Awaitable[None] | None:
        """Begin. None when all is done already, else what to wait for."""
        if self._plan.serially:
            return self._serially(iter(self._root.steps))
        self._walk(self._root.steps)
        return self._drive() if self._is_waiting() else None

    def _is_waiting(self) -> bool:
        """Whether anything is to come that will be shown."""
        if self._lost or self.data is None:
            self._drop()
        return self.is_asking or bool(self._later)

    def _drop(self) -> None:
        """Give up what would not be shown any more. What only a hint asked for stays."""
        for pending in self.pending.values():
            kept = {key: links for key, links in pending.asked.items() if not links or not all(map(self._is_lost, links))}
            pending.asked = kept if self.data is not None else {}
        self.is_asking = any(pending.asked for pending in self.pending.values())
        self.abandon(awaitable for awaitable, _, place in self._later if self._is_lost(place))
        self._later = [each for each in self._later if not self._is_lost(each[2])]

    def _walk(self, steps: Any) -> None:
        try:
            for step in steps:
                step(self._root_value, None, self.data, self)
        except GraphQLError as error:
            self._null_out_data(error)

    def _serially(self, steps: Any) -> Awaitable[None] | None:
        for step in steps:
            if self.data is None:
                break
            self._walk((step,))
            if self._is_waiting():
                return self._after(steps)
        return None

    async def _after(self, steps: Any) -> None:
        await self._drive()
        rest = self._serially(steps)
        if rest is not None:
            await rest

    async def _drive(self) -> None:
        """Until nothing is to come any more. What is under way ends with it, however it ends."""
        try:
            await self._follow()
            if self._tasks and self.data is not None:
                self._settled = running_loop().create_future()
                await self._settled
            if self._fault is not None:
                raise self._fault
        finally:
            self._settled = None
            for task in self._tasks:
                task.cancel()
            self._tasks.clear()
            self.pending.clear()
            self.is_asking = False
            self.abandon(awaitable for awaitable, _, _ in self._later)
            self._later.clear()

    async def _follow(self) -> None:
        """Go on with what was asked for: the first load of it here, all else in tasks beside."""
        while self._is_waiting():
            if self._tasks:
                # Others are under way: what they ask for in this very turn goes out together with it.
                await asyncio.sleep(0)
            jobs = self._jobs()
            if not jobs:
                return
            # What is for one at may be lost while it is waited for: then it is cancelled, and we must not be.
            here = None if jobs[0].place is not None and (len(jobs) > 1 or self._tasks) else jobs.pop(0)
            for job in jobs:
                self._beside(job)
            if here is None:
                return
            await here.run()
            if self._nulls_to_propagate:
                await self._propagate_nulls()

    def _jobs(self) -> "list[_Job]":
        jobs: list[_Job] = []
        if self.is_asking:
            self.is_asking = False
            for name, pending in self.pending.items():
                if pending.asked:
                    asked, pending.asked = pending.asked, {}
                    pending.in_flight.update(asked)
                    jobs.append(_Job(partial(self._load, name, pending, list(asked)), None))
        if self._later:
            later, self._later = self._later, []
            jobs += [_Job(partial(self._resume, *each), each[2]) for each in later]
        return jobs

    def _beside(self, job: "_Job") -> None:
        task = running_loop().create_task(self._run(job))
        self._tasks[task] = job.place
        task.add_done_callback(self._done)

    async def _run(self, job: "_Job") -> None:
        await job.run()
        if self._nulls_to_propagate:
            await self._propagate_nulls()
        await self._follow()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled():
            self._fault = self._fault or task.exception()
        loaded = self._settled
        if loaded is not None and not loaded.done() and (not self._tasks or self.data is None or self._fault):
            loaded.set_result(None)

    async def _propagate_nulls(self) -> None:
        """Let nulls go up, two turns after they came: what comes in the meantime has its say, as with graphql-core."""
        for _ in range(2):
            await asyncio.sleep(0)
        rising, self._nulls_to_propagate = self._nulls_to_propagate, []
        for error, place in rising:
            if not self._lost or not self._is_lost(place):
                at: Place | None = place
                while at is not None and not at[3].nullable:
                    at = at[0]
                if at is None:
                    self._null_out_data(error)
                else:
                    at[2][at[1]] = None
                    self._mark_lost(error, at)
        for task, awaited in tuple(self._tasks.items()):
            if awaited is not None and task is not asyncio.current_task() and self._is_lost(awaited):
                task.cancel()

    async def _load(self, name: Read, pending: PendingLoads, keys: list[Any]) -> None:
        try:
            found = await self.context.loaders[name].load_batch(keys)
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            found = dict.fromkeys(keys, _Cancelled(error))
        in_flight = pending.in_flight
        for key in keys:
            value = found[key]
            slot, shown = None, None
            for place in in_flight.pop(key):
                if self._lost and self._is_lost(place):
                    continue
                if shown is not None and place[3] is slot:
                    place[2][place[1]] = shown
                    continue
                slot = place[3]
                slot.arrive(value, place, self)  # type: ignore[misc] # a spot that is wanted for takes it
                shown = place[2][place[1]] if slot.shares and is_fresh(value) else None

    async def _resume(self, awaitable: Awaitable[Any], then: Callable[[Any], Any], place: Place) -> None:
        try:
            value = await awaitable
            if self._lost and self._is_lost(place):
                return
            completed = then(value)
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            self.failed_late(_Cancelled(error), place)
            return
        except Exception as error:  # noqa: BLE001 - whatever a resolver raises is its field's error
            if not self._lost or not self._is_lost(place):
                self.failed_late(error, place)
            return
        if completed is not PENDING:
            place[2][place[1]] = completed

    # What the closures ask of it

    def pending_for(self, loader: Read) -> PendingLoads:
        """What is known and wanted of a loader that was not looked at so far."""
        pending = self.pending[loader] = PendingLoads(self.context.loaders[loader].loaded)
        return pending

    def hint(self, loader: Read, key: Any) -> None:
        """Ask for a key that will be wanted: nobody waits for it yet."""
        pending = self.pending.get(loader) or self.pending_for(loader)
        if key not in pending.in_flight and key not in pending.loaded and key not in pending.asked:
            pending.asked[key] = []
            self.is_asking = True

    def later(self, awaitable: Awaitable[Any], then: Callable[[Any], Any], place: Place) -> None:
        """When the awaitable has come, `then` makes of it what stands at `place`."""
        self._later.append((awaitable, then, place))

    def failed(self, error: Exception, place: Place) -> None:
        """A field's error: noted, where null may stand at `place`. Raises it, located, where it may not."""
        located = self._located(error, place)
        if not place[3].nullable:
            raise located
        self._mark_lost(located, place)

    def failed_late(self, error: Exception, place: Place) -> None:
        """The same, once all around it is made: the null goes up to where it may stand."""
        located = self._located(error, place)
        if place[3].nullable:
            place[2][place[1]] = None
            self._mark_lost(located, place)
        else:
            self._nulls_to_propagate.append((located, place))

    def abandon(self, awaitables: Iterable[Awaitable[Any]]) -> None:
        """Nobody waits for these any more; they come to their end by themselves."""
        left = list(awaitables)
        if not left:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            for each in left:
                if asyncio.iscoroutine(each):
                    each.close()
        else:
            _track(left)

    def arguments(self, field: FieldPlan) -> Mapping[str, Any]:
        """The field's arguments with this run's variables: worked out once, whatever the number of objects."""
        known = field.arguments.constant
        if known is None:
            known = self._arguments.get(id(field))
            if known is None:
                known = self._arguments[id(field)] = field.arguments.of(self._coerced, self.values)
        return known

    def renamed(self, field: FieldPlan, method: Method) -> dict[str, Any]:
        """The same as a method takes them that needs no more than their names in Python."""
        known: dict[str, Any] | None = self._arguments.get(-id(field))
        if known is None:
            known = self._arguments[-id(field)] = method.convert(self.arguments(field), None)
        return known

    def values(self) -> VariableValues:
        """The variables as graphql-core has them."""
        if self._values is None:
            self._values = self._plan.variables.values(self._given) if self._coerced or self._given else NO_VARIABLES
        return self._values

    def path_of(self, place: Place) -> Callable[[], list[str | int]]:
        """What gives the path of a at."""
        return partial(path_of, place)

    def info(self, place: Place) -> GraphQLResolveInfo[Any]:
        """graphql-core's word for where a resolver is."""
        field = self._field_at(place)
        return GraphQLResolveInfo(
            field.name,
            list(field.nodes),
            field.type,
            field.parent,
            _path(place),
            self._plan.schema,
            dict(self._plan.fragments),
            self._root_value,
            self._plan.operation,
            self.values(),
            self.context,
            is_awaitable,
            None,
            GraphQLResolveInfoHelpers(gather=_gather, track=_track),
        )

    def strawberry_info(self, place: Place, definition: Any) -> "Info":
        """Strawberry's, of which most resolvers want the context alone."""
        return Info(self, place, definition)

    @staticmethod
    def _field_at(place: Place) -> FieldPlan:
        return place[3].field

    # Nulls and errors

    @staticmethod
    def _located(error: Exception, place: Place) -> GraphQLError:
        return located(error, place[3].nodes, path_of(place))

    def _mark_lost(self, error: GraphQLError, place: Place) -> None:
        self.errors.append(error)
        self._lost.append(place)

    def _null_out_data(self, error: GraphQLError) -> None:
        self.errors.append(error)
        self.data = None

    def _is_lost(self, place: Place) -> bool:
        """Whether null stands at the at or somewhere above it."""
        if self.data is None:
            return True
        lost = {id(each) for each in self._lost}
        at: Place | None = place
        while at is not None:
            if id(at) in lost:
                return True
            at = at[0]
        return False


class _Job(NamedTuple):
    """Something to wait for. `place`: the one at that it is for, where there is just one."""

    run: Callable[[], Awaitable[None]]
    place: Place | None


class _Cancelled(Exception):
    """What was waited for was cancelled, and we were not: an error as any other."""


def _is_cancelled() -> bool:
    """Whether it is the running task itself that shall stop."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Info(strawberry.Info[Any, Any]):
    """Strawberry's `Info`, of which all but the context is made when it is asked for."""

    def __init__(self, run: Run, place: Place, definition: Any) -> None:
        self._run = run
        self._link = place
        self._field = definition
        self._made: GraphQLResolveInfo[Any] | None = None

    @property
    def _raw_info(self) -> GraphQLResolveInfo[Any]:  # type: ignore[override] # Strawberry's is a member
        if self._made is None:
            self._made = self._run.info(self._link)
        return self._made

    @property
    def context(self) -> Any:
        """The operation's."""
        return self._run.context


def path_of(place: Place | None) -> list[str | int]:
    """A at's path in the answer."""
    path: list[str | int] = []
    while place is not None:
        path.append(place[1])
        place = place[0]
    path.reverse()
    return path


def _path(place: Place) -> Path:
    above = place[0]
    return Path(None if above is None else _path(above), place[1], place[3].typename)


def _gather(values: Any) -> Awaitable[list[Any]]:
    return gather_with_cancel(*values)


def _track(values: Any) -> None:
    awaitables = [value for value in values if is_awaitable(value)]
    if awaitables:
        asyncio.gather(*awaitables, return_exceptions=True)
