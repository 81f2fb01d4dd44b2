"""A new variant in an application: a line, its place in `EVERYONE`, a folder of examples."""

from pathlib import Path

from bff.scaffold import edits
from bff.scaffold.files import Insertion, Written, add, binds, check_is_app
from bff.scaffold.names import ScaffoldError, check_variant_name
from bff.scaffold.render import rendered

_VARIANTS = "schema/variants.py"


def new_variant(folder: Path, name: str, *, role: str | None = None) -> Written:
    """Add a variant to the application in `folder`: everything that is tagged with `*EVERYONE` is in it.

    Raises:
        ScaffoldError: the name is not valid, the folder has no application, or the variant is there already.
        OSError: a file can't be read or written.
    """
    check_variant_name(name)
    if role is not None and (not role.isprintable() or not role or '"' in role or "\\" in role):
        raise ScaffoldError(f"--role: expected the name of a role, got {role!r}")
    check_is_app(folder)
    constant = name.upper()
    if binds(folder / _VARIANTS, constant):
        raise ScaffoldError(f"{name}: {_VARIANTS} has {constant} already")
    line = f'{constant} = Variant("{name}")' if role is None else f'{constant} = Variant("{name}", role="{role}")'
    values = {"variant": name, "token": "" if role is None else "# token: required\n"}
    files = {f"schema/examples/{name}/01-type-names.graphql": rendered("variant/example.graphql", values)}

    def edit(text: str) -> str:
        text = edits.add_import(text, "bff", "Variant")
        text = edits.add_before_assignment(text, "EVERYONE", line)
        return edits.add_assigned_item(text, "EVERYONE", constant)

    return add(folder, files, [Insertion(_VARIANTS, edit, (line, f"EVERYONE = (…, {constant})"))])
