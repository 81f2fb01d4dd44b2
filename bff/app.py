"""An application: what the gateway serves, as a frozen value. Everything else follows from it.

    app = App(
        query=Query,
        sources=(Users, Orders, Products),
        variants=(Variant("web"), Variant("admin", role="admin", staff=True)),
        folder=Path(__file__).parent,
    )

From the sources follow settings, loaders, what `explain` says and what a write forgets; from the variants endpoints,
settings and schemas; from the folder GraphiQL's examples and the committed SDL.
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
from bff.upstream.records import Record, inner_types
from bff.upstream.source import Source

DEFAULT_APP = "schema.app:app"
"""Where an application is looked for if nothing names one: `module:name`."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How an application's demo services behave beyond their contract.

    Attributes:
        latency_s: how long each answer waits once its work is done; `/health` answers at once.
        no_store: answers say `Cache-Control: no-store` in place of what their service says.
    """

    latency_s: float = 0
    no_store: bool = False

    def __post_init__(self) -> None:
        """Check the latency. Raises `ValueError`."""
        if self.latency_s < 0:
            raise ValueError(f"latency_s is 0 or more, not {self.latency_s}")


Demo = Callable[[DemoOptions], Mapping[str, ASGIApp]]
"""Makes the demo services: ASGI applications by the name of their source."""


class AppError(Exception):
    """An application can't be found, or it contradicts itself. The message says what to do."""


@dataclass(frozen=True, eq=False)
class App:
    """An application.

    Attributes:
        query, mutation, subscription: the Strawberry types at the root of the graph.
        variants: the views of the graph, each mounted at `/NAME/graphql`.
        sources: the classes of its sources. Each is bound to the service that the settings name.
        rules: by record, who may see which of them, wherever they are shown. A rule holds for subclasses too.
        folder: has `examples/VARIANT/*.graphql` for GraphiQL and `sdl/VARIANT.graphql`; None if there are none.
        demo: `module:function` that makes ASGI applications by source for `bff dev` and `bff demo-services`.
        demo_viewers: for whom `bff dev` prints tokens, by the name that it prints.

    Raises:
        AppError: two sources or variants have one name, a rule is for a record of no source, and so on.
    """

    query: type
    sources: tuple[type[Source[Any]], ...]
    variants: tuple[Variant, ...]
    mutation: type | None = None
    subscription: type | None = None
    rules: Mapping[type[Record], RecordRule] = field(default_factory=dict)
    folder: Path | None = None
    demo: str | None = None
    demo_viewers: Mapping[str, Viewer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        for what, names in (("source", self.source_names), ("variant", self.variant_names)):
            if not names:
                raise AppError(f"expected at least one {what}")
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise AppError(f"expected {what}s of different names, got twice: {', '.join(twice)}")
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
        """The names of the sources, in their order."""
        return tuple(source.name for source in self.sources)

    @property
    def variant_names(self) -> tuple[str, ...]:
        """The names of the variants, in their order."""
        return tuple(variant.name for variant in self.variants)

    @cached_property
    def graph(self) -> GraphQLSchema:
        """The graph with everything in it. Raises `AppError` for a field that no source of the application can load."""
        graph = whole_graph(self.query, self.mutation, self.subscription)
        try:
            check_reads(graph, self.sources)
        except TypeError as error:
            raise AppError(str(error)) from None
        return graph

    @cached_property
    def schemas(self) -> Mapping[str, GraphQLSchema]:
        """Each variant's schema by its name."""
        return variant_schemas(self.graph, self.variants)

    def demo_services(self, options: DemoOptions) -> Mapping[str, ASGIApp]:
        """The demo services by source. Raises `AppError` if there are none, or if one is for no source."""
        if self.demo is None:
            raise AppError("the application has no demo services (App.demo)")
        make: Demo = found_at(self.demo, "App.demo")
        services = make(options)
        if unknown := sorted(services.keys() - set(self.source_names)):
            raise AppError(f"App.demo: {', '.join(unknown)}: there is no such source")
        return {name: services[name] for name in self.source_names if name in services}


def find_app(name: str, folder: Path) -> App:
    """The application `module:name`, looked up from a folder. Raises `AppError`; errors of the module itself are its own."""
    if sys.path[:1] != [str(folder)]:  # first, since a distribution may have a package of the same name
        sys.path.insert(0, str(folder))
    found = found_at(name, "app")
    if not isinstance(found, App):
        raise AppError(f"app: {name}: expected a bff.App, got {type(found).__name__}")
    return found


def found_at(place: str, setting: str) -> Any:
    """What stands at `module:name`. Raises `AppError` if there is no such module or name."""
    module, _, name = place.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise AppError(f"{setting}: expected module:name, got {place!r}")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A module that this one imports and that is missing is another matter: its own error says more.
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise
        raise AppError(f"{setting}: {place}: there is no module {error.name} in {Path.cwd()}; see --app") from None
    if not hasattr(found, name):
        raise AppError(f"{setting}: {place}: the module {module} has no {name}")
    return getattr(found, name)
