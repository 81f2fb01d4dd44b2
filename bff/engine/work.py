"""The upstream work of an operation, known from its plan before anything runs: which calls it makes, in which waves.

A wave has the calls that go out together; each wave needs results of the one before. The numbers are upper bounds, as far as
lists are not longer than estimated for the operation's cost (`ListLengths`) and services fill their pages. The calls of
resolvers that load or write by themselves are unknown: each such resolver takes a wave, and counts no calls.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from strawberry.types.field import StrawberryField

from bff.engine.plan import FieldPlan, LoadByKey, Method, ObjectPlan, Plan, Resolver, Source, checked_rule, objects_in
from bff.gate.cost import ListLengths
from bff.graph.loaded import Loaded
from bff.graph.pages import most_calls
from bff.upstream.reads import ById, Pages, Read


@dataclass(frozen=True, slots=True)
class Asked:
    """The equal calls of a wave to one source.

    Attributes:
        source: the source; None for a resolver of the application, which may call any.
        request: the request without its values, or the resolver's name.
        keys: the most keys that are asked for; None if unknown.
        calls: the most calls; None if unknown.
        fields: the paths of the fields that need them.
    """

    source: str | None
    request: str
    keys: int | None
    calls: int | None
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """The most upstream calls and waves of an operation. `calls`: None if no plan tells them."""

    calls: int | None
    waves: int


Waves = tuple[tuple[Asked, ...], ...]


def work_in(waves: Waves) -> Work:
    """The sums of some waves, without the calls of resolvers."""
    return Work(sum(asked.calls or 0 for wave in waves for asked in wave), len(waves))


_Batch = tuple[Hashable, int]
"""The loads of a read in a wave, or the results of a resolver: a name, and the wave after which they are there."""


@dataclass(slots=True)
class _Group:
    """The calls of a wave that become one `Asked`. `read` is None for a resolver."""

    read: Read | None
    request: str
    keys: int | None = 0
    fields: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Arrivals:
    """When the keys of a batch are met.

    Attributes:
        keys: the most keys.
        origins: the batches whose arrival may bring keys.
    """

    keys: int = 0
    origins: set[_Batch] = field(default_factory=set)


class WorkWalk:
    """One walk over a plan. A value of wave n is available after wave n; one of wave 0 needs no call.

    Attributes:
        access: the fields with an access rule, by path, each with what it needs.
    """

    def __init__(self, plan: Plan, lengths: ListLengths) -> None:
        self._plan = plan
        self._lengths = lengths
        self._groups: list[dict[Hashable, _Group]] = []
        self._arrivals: dict[_Batch, _Arrivals] = {}
        self._waves_of_pages: dict[Read, int] = {}
        self.access: list[tuple[str, str]] = []

    def waves(self) -> Waves:
        """The calls of each wave."""
        wave = 0
        self._find_pages(self._plan.root, set())
        for number, each in enumerate(self._plan.root.fields):
            start: _Batch = (number if self._plan.is_serial else 0, 0)
            self._arrivals.setdefault(start, _Arrivals(1))
            self._visit(each, (), wave, 1, None, start)
            if self._plan.is_serial:
                wave = len(self._groups)
        batches = _batches(self._arrivals)
        return tuple(
            tuple(_asked(group, batches.get((group.read, wave), 1)) for group in groups.values())
            for wave, groups in enumerate(self._groups, start=1)
        )

    def _visit(
        self,
        each: FieldPlan,
        parent_path: tuple[str, ...],
        wave: int,
        times: int,
        listed: int | None,
        origin: _Batch,
        prefetched: Mapping[str, _Batch] | None = None,
    ) -> None:
        """Note what the field and those below it need.

        Args:
            each: the field.
            parent_path: the path of its object, without list indexes.
            wave: the wave after which its object is available.
            times: the most objects that have the field.
            listed: the list length that the field inherits (`ListLengths.of`).
            origin: the batch with which its object arrives.
            prefetched: by response key, the fields of its object that are loaded in the object's own wave, each with the
                batch with which the object's key arrives.
        """
        path = (*parent_path, each.key)
        source = each.source
        rule = checked_rule(source)
        if rule is not None:
            self.access.append((".".join(path), rule.as_words()))
        length, listed_below = self._lengths.of(each.nodes[0], each.definition, listed)
        below: dict[str, _Batch] = {}
        if isinstance(source, LoadByKey):
            if prefetched is not None and each.key in prefetched:
                wave, origin = wave - 1, prefetched[each.key]
            below = dict.fromkeys(each.prefetches, origin)
            first = length if listed_below is None else listed_below
            wave, origin = self._note_load(each, source.loaded.read, path, wave, times, first, origin)
        elif isinstance(source, Resolver) and (loaded := _loaded_by(each)) is not None:
            first = length if listed_below is None else listed_below
            alone = (path, wave)  # each object's resolver runs by itself: a permission may take its time
            self._arrivals[alone] = _Arrivals(times)
            wave, origin = self._note_load(each, loaded.read, path, wave, times, first, alone)
        elif _may_wait(source):
            wave += 1
            name = f"{each.parent}.{each.name}"
            self._note(wave, name, None, name, None, path)
            origin = (path, wave)  # each object has a resolver call of its own, which ends at its own time
            self._arrivals[origin] = _Arrivals(times)
        for plan in objects_in(each.shape):
            for child in plan.fields:
                self._visit(child, path, wave, times * length, listed_below, origin, below)

    def _note_load(
        self, each: FieldPlan, read: Read, path: tuple[str, ...], wave: int, times: int, first: int, origin: _Batch
    ) -> tuple[int, _Batch]:
        """Note a load. Returns the wave after which its value is available, and the batch with which it arrives.

        The calls for one page follow each other, so each of them takes a wave. Pages of one read are loaded together, and so
        are there when the last one is.
        """
        own = self._calls_for(each, read, first)
        # Two fields may make different keys of the same arguments.
        key = (read, *((str(each.parent), each.name, each.arguments.text()) if read.by_arguments else ()))
        for number in range(1, own + 1):
            self._note(wave + number, key, read, read.request, times, path)
        wave += max(own, self._waves_of_pages.get(read, 1))
        arrivals = self._arrivals.setdefault((read, wave), _Arrivals())
        arrivals.keys += times
        arrivals.origins.add(origin)
        return wave, (read, wave)

    def _calls_for(self, each: FieldPlan, read: Read, first: int) -> int:
        """The calls for one key of a read, each after the one before."""
        if not isinstance(read, Pages):
            return 1
        return most_calls(read.largest, first, self._lengths.text(each.nodes[0], each.definition, "after"))

    def _find_pages(self, plan: ObjectPlan, seen: set[int]) -> None:
        """Note how many waves the pages of each read take."""
        if id(plan) in seen:
            return
        seen.add(id(plan))
        for each in plan.fields:
            loaded = _loaded_by(each)
            if loaded is not None and isinstance(read := loaded.read, Pages):
                length, first = self._lengths.of(each.nodes[0], each.definition, None)
                waves = self._calls_for(each, read, length if first is None else first)
                self._waves_of_pages[read] = max(waves, self._waves_of_pages.get(read, 1))
            for below in objects_in(each.shape):
                self._find_pages(below, seen)

    def _note(
        self, wave: int, key: Hashable, read: Read | None, request: str, keys: int | None, path: tuple[str, ...]
    ) -> None:
        while len(self._groups) < wave:
            self._groups.append({})
        group = self._groups[wave - 1].setdefault(key, _Group(read, request))
        group.keys = None if keys is None or group.keys is None else group.keys + keys
        group.fields.append(".".join(path))


def _may_wait(source: Source) -> bool:
    """Whether it is a resolver that may await something, such as a call."""
    if isinstance(source, Method):
        return bool(source.definition.is_async)
    return isinstance(source, Resolver) and getattr(source.resolve, "__name__", "") == "_async_resolver"


def _loaded_by(each: FieldPlan) -> Loaded | None:
    """What a field is declared to load: by its plan, or by a resolver that has further extensions. None for nothing."""
    if isinstance(each.source, LoadByKey):
        return each.source.loaded
    definition = each.definition.extensions.get("strawberry-definition")
    extensions = definition.extensions if isinstance(definition, StrawberryField) else ()
    return next((extension for extension in extensions if isinstance(extension, Loaded)), None)


_FIRST: frozenset[_Batch] = frozenset({(0, 0)})
"""The batch that every run begins with: its first root field, or all root fields of a query."""


def _batches(arrivals: Mapping[_Batch, _Arrivals]) -> dict[_Batch, int]:
    """For each batch, into how many loads it may fall apart, because its keys arrive at different times.

    1. The keys of one origin arrive together, as often as the origin itself falls apart. Origins arrive at their own times.
    2. A value that an earlier load has brought, or will bring, is there at another time than its batch: when its key is
       met, or with that load. Nothing was loaded before the keys that are met first.
    3. No batch falls apart into more loads than it has keys.
    """
    number: dict[_Batch, int] = {}
    times: dict[_Batch, frozenset[_Batch]] = {}
    for batch in sorted(arrivals, key=_wave_of):
        own = arrivals[batch]
        met = frozenset[_Batch]().union(*(times[origin] for origin in own.origins))
        number[batch] = max(1, min(own.keys, sum(number[each] for each in met))) if met else max(1, own.keys)
        earlier = [] if met == _FIRST else [each for each in number if _may_bring(each, batch)]
        times[batch] = frozenset((batch, *earlier, *(met if earlier else ())))
    return number


def _wave_of(batch: _Batch) -> int:
    return batch[1]


def _may_bring(other: _Batch, batch: _Batch) -> bool:
    """Whether the load `other` may bring values that are asked for in `batch`."""
    theirs, own = other[0], batch[0]
    if other == batch or not isinstance(theirs, Read) or not isinstance(own, Read):
        return False
    return theirs is own or (isinstance(own, ById) and theirs.source is own.source)


def _asked(group: _Group, batches: int) -> Asked:
    read, keys = group.read, group.keys
    if read is None or keys is None:
        return Asked(None, group.request, keys, None, tuple(group.fields))
    # Each batch but the last may have a single key: then those that are left fill the last one's calls.
    calls = min(keys, batches + (keys - min(keys, batches)) // read.keys_a_call) if keys else 0
    return Asked(read.source.name, group.request, keys, calls, tuple(group.fields))
