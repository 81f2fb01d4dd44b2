"""Which loads can start with their parent's, because the parent's key is all that their own keys need.

Decided once, when an operation is compiled: `FieldPlan.prefetches`. The run, the plan's text and `explain` read it.
"""

from bff.engine.plan import LoadByKey, NonNull, ObjectPlan, Shape, Source


def prefetches_of(source: Source, shape: Shape) -> tuple[str, ...]:
    """The response keys of the subfields whose loads start together with the load of a field, whatever it loads.

    1. The field shows what is loaded by its id, as it is, and the key of the subfield needs only that id (`Prefetch`).
    2. The field is a single object of a known type. The key of a list or a page is not the key of its items, and which
       fields of an interface are shown is known only when the value has arrived.
    3. The subfield's key is a plain function of its parent and its arguments. An `Info` needs a place in the response, which
       doesn't exist yet, and a coroutine would have to be awaited first.
    """
    inner = shape.of if isinstance(shape, NonNull) else shape
    if not isinstance(source, LoadByKey) or not isinstance(inner, ObjectPlan):
        return ()
    return tuple(each.key for each in inner.fields if _starts_with(source, each.source))


def _starts_with(parent: LoadByKey, source: Source) -> bool:
    if not isinstance(source, LoadByKey) or source.loaded.prefetch is None:
        return False
    key = source.key
    shows_record_of_id = parent.loaded.read.is_by_id and parent.loaded.show is None
    return shows_record_of_id and key.info is None and not key.definition.is_async
