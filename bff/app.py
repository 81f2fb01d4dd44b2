"""An application: what the gateway serves, as a frozen value.

    app = App(
        query=Query,
        sources=(Users, Orders, Products),
        variants=(Variant("web"), Variant("admin", role="admin", staff=True)),
        folder=Path(__file__).parent,
    )

The sources determine settings, loaders, the output of `explain` and the invalidation by writes. The variants determine
endpoints, settings and schemas. The folder contains GraphiQL's examples and the committed SDL.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from graphql import GraphQLSchema
from starlette.types import ASGIApp

from bff.graph.context import Viewer
from bff.graph.rules import RecordRule
from bff.graph.schemas import check_reads, variant_schemas, whole_graph
from bff.graph.variants import Variant
from bff.upstream.records import inner_types
from bff.upstream.source import Source

DEFAULT_APP = "schema.app:app"
"""The application if none is named, as `module:name`."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Options of an application's demo services.

    Attributes:
        latency_s: the delay of each response, in seconds; `/health` has none.
        no_store: whether responses have `Cache-Control: no-store` in place of their own value.
    """

    latency_s: float = 0
    no_store: bool = False

    def __post_init__(self) -> None:
        """Check the latency. Raises `ValueError`."""
        if self.latency_s < 0:
            raise ValueError(f"latency_s: expected 0 or more, got {self.latency_s}")


Demo = Callable[[DemoOptions], Mapping[str, ASGIApp]]
"""Makes the demo services: ASGI applications by source name."""


class AppError(Exception):
    """An application can't be found or is inconsistent. The message says what is wrong."""


@dataclass(frozen=True, eq=False)
class App:
    """An application.

    Attributes:
        query, mutation, subscription: the graph's Strawberry root types.
        variants: the views of the graph, each served at `/NAME/graphql`.
        sources: the classes of its sources. Each is bound to the service whose URL is in the settings.
        rules: by record, which objects a viewer may see, in every field that shows them. A rule holds for subclasses too.
        folder: contains `examples/VARIANT/*.graphql` for GraphiQL and `sdl/VARIANT.graphql`; None if there are none.
        demo: `module:function` that makes the demo services for `bff dev` and `bff demo-services`: see `Demo`.
        demo_viewers: the viewers for whom `bff dev` prints tokens, by the label that it prints.

    Raises:
        AppError: two sources or variants have the same name, or a rule is for a record of no source.
    """

    query: type
    sources: tuple[type[Source[Any]], ...]
    variants: tuple[Variant, ...]
    mutation: type | None = None
    subscription: type | None = None
    rules: Mapping[type[Any], RecordRule] = field(default_factory=dict)  # of records; a mapping's keys are invariant
    folder: Path | None = None
    demo: str | None = None
    demo_viewers: Mapping[str, Viewer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        for what, names in (("source", self.source_names), ("variant", self.variant_names)):
            if not names:
                raise AppError(f"expected at least one {what}")
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise AppError(f"expected {what}s with different names, got twice: {', '.join(twice)}")
        for source in self.sources:
            if not source.path:
                raise AppError(f"{source.__name__}: expected a source with a path and a record")
        known = {source.record for source in self.sources}
        for ruled in self.rules:
            if not any(issubclass(record, ruled) for record in known):
                raise AppError(f"rules: {ruled.__name__}: not a record of any source")
            for record in known:
                if any(issubclass(inner, ruled) for inner in inner_types(record)):
                    raise AppError(
                        f"rules: {ruled.__name__} is also inside of {record.__name__}, where no rule can hide it: "
                        "expected a member with its id, and a relation"
                    )

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return tuple(source.name for source in self.sources)

    @property
    def variant_names(self) -> tuple[str, ...]:
        """The names of the variants, in order."""
        return tuple(variant.name for variant in self.variants)

    @cached_property
    def graph(self) -> GraphQLSchema:
        """The schema of all variants' fields. Raises `AppError` for a field of a source that is not in `sources`."""
        graph = whole_graph(self.query, self.mutation, self.subscription)
        try:
            check_reads(graph, self.sources)
        except TypeError as error:
            raise AppError(str(error)) from None
        return graph

    @cached_property
    def schemas(self) -> Mapping[str, GraphQLSchema]:
        """Each variant's schema by its name."""
        try:
            return variant_schemas(self.graph, self.variants)
        except TypeError as error:  # an untagged field, or a variant whose types do not fit together
            raise AppError(str(error)) from None

    def demo_services(self, options: DemoOptions) -> Mapping[str, ASGIApp]:
        """The demo services by source name. Raises `AppError` if there are none, or if one is for no source."""
        if self.demo is None:
            raise AppError("the application has no demo services (App.demo)")
        make: Demo = found_at(self.demo, "App.demo")
        services = make(options)
        if unknown := sorted(services.keys() - set(self.source_names)):
            raise AppError(f"App.demo: {', '.join(unknown)}: there is no such source")
        return {name: services[name] for name in self.source_names if name in services}


def find_app(name: str, folder: Path) -> App:
    """Import the application `module:name`, with `folder` first in the path. Raises `AppError` and the module's errors."""
    if sys.path[:1] != [str(folder)]:  # first, since an installed package may have the same name
        sys.path.insert(0, str(folder))
    found = found_at(name, "app")
    check_origin(name, folder)
    if not isinstance(found, App):
        raise AppError(f"app: {name}: expected a bff.App, got {type(found).__name__}")
    return found


def check_origin(name: str, folder: Path) -> None:
    """Check that a module which is in the folder was not imported from elsewhere. Raises `AppError`.

    Python prefers an installed package to a folder of the same name without an `__init__.py`, whatever their order.
    """
    package = name.partition(":")[0].partition(".")[0]
    origin = getattr(sys.modules[package], "__file__", None)
    is_here = (folder / package).is_dir() or (folder / f"{package}.py").is_file()
    if is_here and origin is not None and not Path(origin).resolve().is_relative_to(folder.resolve()):
        raise AppError(f"app: {name}: {package} was imported from {origin}, not from {folder}: add {package}/__init__.py")


def found_at(place: str, setting: str) -> Any:
    """The object at `module:name`. Raises `AppError` if there is no such module or name."""
    module, _, name = place.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise AppError(f"{setting}: expected module:name, got {place!r}")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        # If the module exists and one of its imports is missing, the original error is more useful.
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise
        raise AppError(f"{setting}: {place}: there is no module {error.name} in {Path.cwd()}; see --app") from None
    if not hasattr(found, name):
        raise AppError(f"{setting}: {place}: the module {module} has no {name}")
    return getattr(found, name)
