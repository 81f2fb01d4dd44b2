"""A GraphQL gateway for REST services: one graph, and a variant of it for each kind of client.

This module is the gateway's public interface, from which an application imports everything it needs. Every other name may
change with any release. `bff.conventions` has what services do differently, `bff.testing` the tools for an
application's own tests.

    from bff import App, ById, Record, Source, Variant, field, lookup
"""

from bff.app import App, DemoOptions
from bff.graph.connections import Connection, UncountedConnection, nodes_of
from bff.graph.context import Context, Info, Viewer
from bff.graph.errors import BadUserInput, NotAllowed, SignInNeeded
from bff.graph.loaded import Loaded, LoadedList, Prefetch
from bff.graph.relations import connection, lookup, many, one
from bff.graph.rules import Access, RecordRule
from bff.graph.tags import computed, enum, field
from bff.graph.variants import Variant
from bff.graph.writes import UserError, changes_of, invalid, new_key, not_found, own_key, written
from bff.runtime.version import VERSION
from bff.upstream.caller import Caller
from bff.upstream.errors import Rejected, SourceError
from bff.upstream.events import BreakerState, InstanceState
from bff.upstream.reads import ById, CursorPages, ListBy, Pages
from bff.upstream.records import Int32, Record, Timestamp
from bff.upstream.source import Source
from bff.upstream.traffic.stack import SourceStatus

__version__ = VERSION

__all__ = [
    "Access",
    "App",
    "BadUserInput",
    "BreakerState",
    "ById",
    "Caller",
    "Connection",
    "Context",
    "CursorPages",
    "DemoOptions",
    "Info",
    "InstanceState",
    "Int32",
    "ListBy",
    "Loaded",
    "LoadedList",
    "NotAllowed",
    "Pages",
    "Prefetch",
    "Record",
    "RecordRule",
    "Rejected",
    "SignInNeeded",
    "Source",
    "SourceError",
    "SourceStatus",
    "Timestamp",
    "UncountedConnection",
    "UserError",
    "Variant",
    "Viewer",
    "__version__",
    "changes_of",
    "computed",
    "connection",
    "enum",
    "field",
    "invalid",
    "lookup",
    "many",
    "new_key",
    "nodes_of",
    "not_found",
    "one",
    "own_key",
    "written",
]
