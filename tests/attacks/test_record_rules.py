"""Rules for records: no way leads to a record that the viewer may not see."""

from functools import partial
from typing import Any

import pytest
import strawberry

from bff.app import App, AppError
from bff.graph.context import Context, Viewer
from bff.graph.loaders import Loaders
from bff.graph.rules import visible_records
from bff.graph.sources import Sources
from bff.graph.variants import Variant
from bff.graph.writes import written
from bff.upstream.caller import Caller
from bff.upstream.reads import ById, CursorPages, ListBy
from bff.upstream.records import Record, inner_types
from bff.upstream.source import Source
from tests.support.fakes import Service
from tests.support.source_fixtures import MakeSource

WEB = Variant("web")


class Note(Record, frozen=True, kw_only=True):
    id: int
    author: int


class LongNote(Note, frozen=True, kw_only=True):
    text: str = ""


class Notes(Source[Note]):
    path = "/notes"
    by_id = ById()

    async def hand_over(self, caller: Caller, id: int) -> Note:
        """Give it to another author."""
        return await self.write(caller, "POST", "/notes/{id}/give", None, key="k", id=id)


class LongNotes(Source[LongNote]):
    path = "/long"
    by_id = ById()
    of_author = ListBy("author")
    page = CursorPages()


class Folder(Record, frozen=True, kw_only=True):
    id: int
    notes: tuple[Note, ...] = ()
    last: LongNote | None = None


class Folders(Source[Folder]):
    path = "/folders"
    by_id = ById()


@strawberry.type
class Query:
    """Nothing in particular."""

    one: int = 1


def own_notes(_: Variant, viewer: Viewer | None) -> Any:
    """Authors see their own."""
    return lambda note: viewer is not None and str(note.author) == viewer.sub


RULES: dict[type[Record], Any] = {Note: own_notes}


def context_of(viewer: Viewer, caller: Caller, *bound: Source[Any]) -> Context:
    """An operation's."""
    sources = Sources(bound)
    return Context(WEB, viewer, caller, sources, Loaders(sources, caller, partial(visible_records, RULES, WEB, viewer)))


async def test_a_rule_holds_for_records_of_a_subclass(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """Another source may read the same objects with more members."""
    service.answers = {
        "/long/1": {"id": 1, "author": 2},
        "/long/2": {"id": 2, "author": 1},
        "/long?authors=2&limit=5": {"items": [{"id": 1, "author": 2}]},
        "/long?limit=5": {"items": [{"id": 1, "author": 2}], "nextCursor": None, "total": 1},
    }
    loaders: Any = context_of(Viewer("1"), caller, make_source(LongNotes)).loaders
    assert await loaders[LongNotes.of_author].load(LongNotes.of_author.key(2, 5)) == []
    assert [entry.node for entry in (await loaders[LongNotes.page].load(LongNotes.page.key(5))).entries] == [None]
    assert await loaders[LongNotes.by_id].load(1) is None
    assert (await loaders[LongNotes.by_id].load(2)).id == 2


async def test_a_write_shows_no_hidden_record(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """Nor does a lookup after it: what was written is another author's now."""
    service.answers = {"/notes/1/give": {"id": 1, "author": 2}, "/notes/1": {"id": 1, "author": 2}}
    context = context_of(Viewer("1"), caller, make_source(Notes))
    write = context.sources[Notes].hand_over(caller, 1)
    assert await written(context, Notes, write, thing="note", id=1) == (None, [])
    assert await context.loaders[Notes.by_id].load(1) is None


async def test_a_write_shows_what_its_viewer_may_see(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """And a lookup after it makes no call."""
    service.answers = {"/notes/1/give": {"id": 1, "author": 2}}
    context = context_of(Viewer("2"), caller, make_source(Notes))
    write = context.sources[Notes].hand_over(caller, 1)
    note, errors = await written(context, Notes, write, thing="note", id=1)
    assert (note.id, errors) == (1, [])
    assert await context.loaders[Notes.by_id].load(1) is note


@pytest.mark.parametrize("ruled", [Note, LongNote])
def test_a_rule_for_what_stands_inside_of_another_record_stops_the_start(ruled: type[Record]) -> None:
    """It could not hide it there."""
    with pytest.raises(AppError, match=f"{ruled.__name__}.*Folder"):
        App(Query, (Notes, LongNotes, Folders), (WEB,), rules={ruled: own_notes})
    App(Query, (Notes, LongNotes, Folders), (WEB,), rules={Folder: own_notes})


def test_a_rule_may_be_for_a_base_of_records() -> None:
    """Of records that a source reads. One for anything else is a mistake."""
    App(Query, (LongNotes,), (WEB,), rules={Note: own_notes})
    with pytest.raises(AppError, match="LongNote"):
        App(Query, (Notes,), (WEB,), rules={LongNote: own_notes})


class Reply(Record, frozen=True, kw_only=True):
    id: int
    replies: "tuple[Reply, ...]" = ()
    by_name: dict[str, list[Note]]


def test_all_that_is_inside_of_a_record_is_found() -> None:
    """In lists, dictionaries and optional members, and where a record leads back to itself."""
    assert inner_types(Folder) == {Note, LongNote}
    assert inner_types(Reply) == {Reply, Note}
    assert inner_types(Note) == set()
