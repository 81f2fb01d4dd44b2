"""Runs a plan: schedules the loads and the other awaitables of one operation.

A run resolves what is available, collects the loader keys that it meets, and loads them in one batch per loader. Loads don't
wait for each other: a loaded value's fields are resolved as soon as it arrives. Keys that are met in the same iteration of
the event loop go out in the same batch. When the operation ends, by success, error or cancellation, no task of it is left.
"""

import asyncio
from collections.abc import Awaitable, Hashable, Iterable, Iterator
from functools import partial
from typing import Any

from graphql import GraphQLError

from bff.engine.arguments import CoercedVariables
from bff.engine.jobs import Job, load, resume
from bff.engine.places import Deferred, FieldWriter, PendingLoads, Place, Root, WriteLater
from bff.engine.plan import LoaderKey, Plan
from bff.engine.resolver_inputs import ResolverInputs, run_to_end
from bff.engine.response import Response
from bff.graph.context import Context
from bff.runtime.loop import running_loop


class Run:
    """One run of a plan. The functions of the plan read its attributes and call its methods.

    Attributes:
        context: the operation's context.
        response: complete as soon as `start`, or the awaitable that it returns, is done.
        inputs: what resolvers receive.
        pending: the loads of each loader that was used so far.
        has_asked: whether any loader has keys for the next batch.
    """

    __slots__ = (
        "_all_done",
        "_deferred",
        "_error",
        "_is_serial",
        "_root",
        "_root_value",
        "_tasks",
        "context",
        "has_asked",
        "inputs",
        "pending",
        "response",
    )

    def __init__(
        self, plan: Plan, root: Root, context: Context, variables: CoercedVariables, root_value: Any = None
    ) -> None:
        self.context = context
        self.response = Response(root.template.copy())
        self.inputs = ResolverInputs(plan, variables, context, root_value)
        self.pending: dict[LoaderKey, PendingLoads] = {}
        self.has_asked = False
        self._is_serial = plan.is_serial
        self._root = root
        self._root_value = root_value
        self._deferred: list[Deferred] = []
        self._tasks: dict[asyncio.Task[None], Place | None] = {}
        self._all_done: asyncio.Future[None] | None = None
        self._error: BaseException | None = None

    def start(self) -> Awaitable[None] | None:
        """Begin. Returns None if the response is complete, otherwise an awaitable that ends when it is."""
        if self._is_serial:
            return self._write_serially(iter(self._root.writers))
        self._write(self._root.writers)
        return self._drive() if self._is_waiting() else None

    # Called by the plan's functions

    def pending_for(self, loader: LoaderKey) -> PendingLoads:
        """Begin the pending loads of a loader that `pending` doesn't have."""
        pending = self.pending[loader] = PendingLoads(self.context.loaders[loader])
        return pending

    def prefetch(self, loader: LoaderKey, key: Hashable) -> None:
        """Add a key to the next batch, though no place waits for it yet."""
        pending = self.pending.get(loader) or self.pending_for(loader)
        if key not in pending.in_flight and key not in pending.loaded and key not in pending.asked:
            pending.asked[key] = []
            self.has_asked = True

    def wait_for(self, awaitable: Awaitable[Any], then: WriteLater, place: Place) -> None:
        """Await it in the next round. `then` completes its result, which is written to `place`."""
        self._deferred.append((awaitable, then, place))

    def abandon(self, awaitables: Iterable[Awaitable[Any]]) -> None:
        """Give up awaitables whose results are not needed: they run to their end, or are closed if there is no loop."""
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
            run_to_end(left)

    # The root fields

    def _write(self, writers: Iterable[FieldWriter]) -> None:
        data = self.response.data
        if data is None:
            return
        try:
            for write in writers:
                write(self._root_value, None, data, self)
        except GraphQLError as error:
            self.response.null_out_data(error)

    def _write_serially(self, writers: Iterator[FieldWriter]) -> Awaitable[None] | None:
        """Write one root field after another. Each begins when the one before is complete."""
        for write in writers:
            if self.response.data is None:
                break
            self._write((write,))
            if self._is_waiting():
                return self._drive_serially(writers)
        return None

    async def _drive_serially(self, writers: Iterator[FieldWriter]) -> None:
        await self._drive()
        rest = self._write_serially(writers)
        if rest is not None:
            await rest

    # Scheduling

    def _is_waiting(self) -> bool:
        """Whether anything that will be shown is still to be loaded or awaited."""
        if self.response.nulled or self.response.data is None:
            self._drop_removed()
        return self.has_asked or bool(self._deferred)

    def _drop_removed(self) -> None:
        """Drop keys and awaitables of removed places only. Prefetched keys, which have no places, stay."""
        is_removed, is_data_null = self.response.is_removed, self.response.data is None
        self.has_asked = False
        for pending in self.pending.values():
            kept = {key: places for key, places in pending.asked.items() if not places or not all(map(is_removed, places))}
            pending.asked = {} if is_data_null else kept
            self.has_asked = self.has_asked or bool(pending.asked)
        self.abandon(awaitable for awaitable, _, place in self._deferred if is_removed(place))
        self._deferred = [each for each in self._deferred if not is_removed(each[2])]

    async def _drive(self) -> None:
        """Run until the response is complete. Everything that is still running then is cancelled."""
        try:
            await self._run_rounds()
            if self._tasks and self.response.data is not None:
                self._all_done = running_loop().create_future()
                await self._all_done
            if self._error is not None:
                raise self._error
        finally:
            self._all_done = None
            for task in self._tasks:
                task.cancel()
            self._tasks.clear()
            self.pending.clear()
            self.has_asked = False
            self.abandon(awaitable for awaitable, _, _ in self._deferred)
            self._deferred.clear()

    async def _run_rounds(self) -> None:
        """Run jobs until none is left, including those that they add: one in this task, the others in tasks of their own."""
        while self._is_waiting():
            if self._tasks:
                # Other tasks are running: keys that they add in this iteration of the loop join the same batch.
                await asyncio.sleep(0)
            jobs = self._take_jobs()
            if not jobs:
                return
            # A job for a single place may be cancelled when a null removes that place, so it gets its own task. If nothing
            # else is running, nothing can remove the place.
            own = None if jobs[0][1] is not None and (len(jobs) > 1 or self._tasks) else jobs.pop(0)
            for job in jobs:
                self._start_task(job)
            if own is None:
                return
            await own[0]()
            if self.response.late_errors:
                await self._propagate_nulls()

    def _take_jobs(self) -> list[Job]:
        """One job for each loader that has keys, and one for each awaitable."""
        jobs: list[Job] = []
        if self.has_asked:
            self.has_asked = False
            for pending in self.pending.values():
                if pending.asked:
                    asked, pending.asked = pending.asked, {}
                    pending.in_flight.update(asked)
                    jobs.append((partial(load, self, pending, list(asked)), None))
        if self._deferred:
            deferred, self._deferred = self._deferred, []
            jobs += [(partial(resume, self, *each), each[2]) for each in deferred]
        return jobs

    def _start_task(self, job: Job) -> None:
        task = running_loop().create_task(self._run_job(job))
        self._tasks[task] = job[1]
        task.add_done_callback(self._on_task_done)

    async def _run_job(self, job: Job) -> None:
        await job[0]()
        if self.response.late_errors:
            await self._propagate_nulls()
        await self._run_rounds()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled():
            self._error = self._error or task.exception()
        all_done = self._all_done
        if all_done is not None and not all_done.done() and (not self._tasks or self.response.data is None or self._error):
            all_done.set_result(None)

    async def _propagate_nulls(self) -> None:
        """Propagate nulls two loop iterations later: graphql-core too reports the errors that arrive in the meantime."""
        for _ in range(2):
            await asyncio.sleep(0)
        self.response.propagate_nulls()
        for task, place in tuple(self._tasks.items()):
            if place is not None and task is not asyncio.current_task() and self.response.is_removed(place):
                task.cancel()
