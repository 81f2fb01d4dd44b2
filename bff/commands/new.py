"""`bff new`: creates an application, or adds a source or a variant to one. Prints what was written and what to do next."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from bff.scaffold.application import new_app
from bff.scaffold.files import Written
from bff.scaffold.names import ScaffoldError
from bff.scaffold.openapi.source import FromDocument, new_source_from
from bff.scaffold.source import new_source
from bff.scaffold.variant import new_variant

T = TypeVar("T")


class _New(click.Group):
    """A group whose first argument is the name of an application, unless it is one of its commands."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click has it; a name that is not a command is that of an application."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["application", *args])


@click.group(cls=_New, subcommand_metavar="NAME | COMMAND [ARGS]...")
def new() -> None:
    """Create an application in the folder NAME, or add a source or a variant to the one in this folder."""


@new.command(hidden=True)
@click.argument("name")
def application(name: str) -> None:
    """Create an application in the folder NAME. `bff dev` runs it as it is."""
    _report(_written(lambda: new_app(Path.cwd(), name)), f"{name}/")
    _next(
        (f"cd {name}", "it has a README.md"),
        ("bff dev", "the gateway in front of a demo service; prints URLs and tokens"),
        ("bff new source NAME", "a service of your own"),
    )


@new.command()
@click.argument("name")
@click.option("--id", "id_type", type=click.Choice(["int", "str", "uuid"]), help="The type of ids; int by default.")
@click.option("--path", help="The path of the resource, as /invoices; /NAME by default.")
@click.option("--record", help="The class of one record, as Invoice; the singular of NAME by default.")
@click.option("--openapi", metavar="FILE|URL", help="An OpenAPI document (3.0 or 3.1) that describes the service.")
def source(name: str, id_type: str | None, path: str | None, record: str | None, openapi: str | None) -> None:
    """Add the source NAME, a plural such as invoices: its records, its type, fields, a demo service and a test."""
    if openapi is not None:
        _source_from(name, id_type, path, record, openapi)
        return
    _report(_written(lambda: new_source(Path.cwd(), name, id_type=id_type or "int", path=path, record=record)))
    _next(
        (f"datasources/{name}.py", "declare the members of the record, and the reads of the service"),
        ("schema/query.py", "choose who may see it; as written, every signed-in viewer"),
        (f"{name.upper()}_SERVICE_URL=https://… bff dev", "the gateway in front of your own service"),
    )


def _source_from(name: str, id_type: str | None, path: str | None, record: str | None, openapi: str) -> None:
    """The source that a document describes."""

    def write() -> FromDocument:
        if id_type is not None:
            raise ScaffoldError("--id: expected no type of ids with --openapi: the document has it")
        return new_source_from(Path.cwd(), name, openapi, path=path, record=record)

    done = _written(write)
    _report(done.written)
    if done.notes:
        click.echo("\nThe document does not tell everything:\n", err=True)
    for note in done.notes:
        click.echo(f"  {note}", err=True)
    url = done.service_url or "https://…"
    _next(
        (f"datasources/{name}.py", "check the reads; leave out the members that the graph doesn't need"),
        ("schema/query.py", "choose who may see it; as written, every signed-in viewer"),
        (f"{name.upper()}_SERVICE_URL={url} bff check", "asks the service whether it answers so"),
    )


@new.command()
@click.argument("name")
@click.option("--role", help="The role that a token must have; without it anyone may use the variant.")
def variant(name: str, role: str | None) -> None:
    """Add the variant NAME, with an endpoint of its own. It has the fields that are tagged with *EVERYONE."""
    _report(_written(lambda: new_variant(Path.cwd(), name, role=role)))
    _next(
        ("schema/types/", f"tag the other fields that it contains with {name.upper()}"),
        (f"schema/examples/{name}/", "write examples for its GraphiQL page"),
        ("bff dev", f"/{name}/graphql" + ("" if role is None else f"; for a token: bff token --sub 1 --role {role}")),
    )


def _written(write: Callable[[], T]) -> T:
    try:
        return write()
    except ScaffoldError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    click.echo(f"bff: {message}", err=True)
    raise click.exceptions.Exit(2)


def _report(written: Written, folder: str = "") -> None:
    for file in written.created:
        click.echo(f"wrote   {folder}{file}")
    for file in written.edited:
        click.echo(f"changed {folder}{file}")
    for each in written.by_hand:
        click.echo(f"\n{each.file} was left as it is: expected {each.expected}. Add by hand:\n", err=True)
        for line in each.lines:
            click.echo(f"    {line}", err=True)
    if any(each.file.startswith("schema/") for each in written.by_hand):
        click.echo("\nThen: bff schema export --write", err=True)
    if written.sdl is not None:
        click.echo(f"\nThe SDL could not be written:\n{written.sdl}\nThen: bff schema export --write", err=True)


def _next(*steps: tuple[str, str]) -> None:
    width = max(len(step) for step, _ in steps)
    click.echo("\nNext:\n")
    for step, why in steps:
        click.echo(f"  {step:{width}}  # {why}")
