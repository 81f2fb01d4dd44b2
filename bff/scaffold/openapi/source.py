"""A new source from an OpenAPI document: what `bff new source NAME --openapi` writes."""

from dataclasses import dataclass
from pathlib import Path

from bff.scaffold import edits
from bff.scaffold.code import call, line
from bff.scaffold.files import Insertion, Written, binds, check_is_app, class_has
from bff.scaffold.names import ScaffoldError, SourceNames, record_field, source_names
from bff.scaffold.openapi.application import read
from bff.scaffold.openapi.datasource import datasource
from bff.scaffold.openapi.demo import description
from bff.scaffold.openapi.detect import detect
from bff.scaffold.openapi.findings import Findings, Owner
from bff.scaffold.openapi.graph import graph_type
from bff.scaffold.openapi.load import load
from bff.scaffold.openapi.tests import source_test
from bff.scaffold.render import rendered
from bff.scaffold.source import QUERY, QueryField, add_source, in_graph

_SERVICE = "datasources/demo/described.py"


@dataclass(frozen=True, slots=True)
class FromDocument:
    """What was written, what the document does not tell, and the service's URL in it; empty if it names none."""

    written: Written
    notes: tuple[str, ...]
    service_url: str


def new_source_from(
    folder: Path, name: str, place: str, *, path: str | None = None, record: str | None = None
) -> FromDocument:
    """Add a source to the application in `folder`, as a document describes it.

    Args:
        folder: the application's.
        name: of the source, a plural: `parts`.
        place: the document's file or URL.
        path: of the resource in the document; by default the one whose last segment is the name.
        record: the class of its records; the singular of the name by default.

    Raises:
        ScaffoldError: a name is not valid, the folder has no application, a file is there already, or the document
            can't be used.
        OSError: a file can't be read or written.
    """
    names = source_names(name, record)
    check_is_app(folder)
    found = detect(load(place), names, path, read(folder))
    insertions = in_graph(folder, names, _fields(found))
    notes, owners = list(found.notes), []
    for owner in found.owners:
        file = f"{owner.type_module.replace('.', '/')}.py"
        if class_has(folder / file, owner.type, names.source):
            notes.append(f"{owner.type} in {file} has a field {names.source} already: no list is written there")
        else:
            insertions.append(_at_owner(file, owner, names))
            owners.append(owner)
    files = {f"datasources/{name}.py": datasource(found), f"schema/types/{names.field}.py": graph_type(found)}
    values = {"source": name, "nouns": name.replace("_", " "), "path": found.path}
    demo = {
        f"datasources/demo/{name}.py": rendered("described/demo.py", values),
        f"datasources/demo/{name}.json": description(found),
    }
    if not binds(folder / _SERVICE, "described"):
        demo[_SERVICE] = rendered("described/described.py", {})
    test = source_test(found, [each for each in owners if _has_usual_demo(folder, each)])
    _check({**files, **{file: text for file, text in demo.items() if file.endswith(".py")}, "test": test})
    return FromDocument(add_source(folder, names, files, insertions, demo, test), tuple(notes), found.service_url)


def _fields(found: Findings) -> list[QueryField]:
    names, fields = found.names, []
    if found.by_id is not None:
        fields.append(QueryField(names.field, f"{names.record} | None", "lookup", "by_id"))
    if found.pages is not None:
        kind = "UncountedConnection" if found.pages.total is None else "Connection"
        fields.append(QueryField(names.source, f"{kind}[{names.record}] | None", "connection", "page"))
    return fields


def _at_owner(file: str, owner: Owner, names: SourceNames) -> Insertion:
    """The list at the owner's type."""
    imports = (
        ("bff", "many"),
        (f"datasources.{names.source}", names.source_class),
        (f"schema.types.{names.field}", names.record),
    )
    made = call("many", "*EVERYONE", read=f"{names.source_class}.{owner.read}")
    field = line(f"{names.source}: list[{names.record}] | None = ", made, 0)

    def edit(text: str) -> str:
        for each in (*imports, ("schema.variants", "EVERYONE")):
            text = edits.add_import(text, *each)
        return edits.add_to_class(text, owner.type, field.splitlines())

    return Insertion(file, edit, (*(f"from {module} import {name}" for module, name in imports), f"    {field}"))


def _has_usual_demo(folder: Path, owner: Owner) -> bool:
    """Whether an owner is a field of the root, and its demo service is one that was written like this one."""
    description = folder / "datasources" / "demo" / f"{owner.source_module.rpartition('.')[2]}.json"
    return class_has(folder / QUERY, "Query", record_field(owner.type)) and description.is_file()


def _check(files: dict[str, str]) -> None:
    """The last check before anything is written. Raises `ScaffoldError`."""
    for file, text in files.items():
        try:
            edits.check(text)
        except edits.NoPlace as error:
            raise ScaffoldError(f"--openapi: the document leads to code that is not Python, in {file}: {error}") from None
