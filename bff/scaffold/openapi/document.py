"""A document's parts, with its references followed. Whatever has another form than OpenAPI says counts as missing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from bff.scaffold.names import ScaffoldError
from bff.scaffold.openapi.words import shown

_MOST_STEPS = 100_000
_MOST_REFERENCES = 20
_MOST_NOTES = 100
_MOST_PARTS = 50
_NOTHING: Mapping[str, Any] = {}


class Notes:
    """What could not be told, in the order in which it was met: one line each, each once."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}
        self._left_out = 0

    def add(self, line: str) -> None:
        """Add a line. Parts of the document in it went through `words.shown`."""
        if line not in self._lines:
            if len(self._lines) < _MOST_NOTES:
                self._lines[line] = None
            else:
                self._left_out += 1

    def lines(self) -> tuple[str, ...]:
        """All lines; the last one counts those that are left out."""
        more = (f"{self._left_out} more of these",) if self._left_out else ()
        return (*self._lines, *more)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an operation. `place` is `query`, `path`, `header` or `cookie`."""

    name: str
    place: str
    is_required: bool
    schema: Any
    explodes: bool
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation at a path. `parameters` are by place and name."""

    path: str
    method: str
    parameters: Mapping[tuple[str, str], Parameter] = field(default_factory=dict)
    node: Mapping[str, Any] = field(default_factory=dict)

    def query(self) -> dict[str, Parameter]:
        """Its query's parameters by name."""
        return {name: each for (place, name), each in self.parameters.items() if place == "query"}

    def required(self, place: str) -> list[str]:
        """The names of the parameters at that place that a request must have."""
        return [name for (where, name), each in self.parameters.items() if where == place and each.is_required]


class Document:
    """A document as it was read. All of its work is counted: one that needs too much is refused."""

    def __init__(self, root: Mapping[str, Any], notes: Notes) -> None:
        self.root = root
        self.notes = notes
        self._steps = 0
        self._paths: Mapping[str, Mapping[str, Any]] | None = None

    def step(self, count: int = 1) -> None:
        """Count steps. Raises `ScaffoldError` if there were too many."""
        self._steps += count
        if self._steps > _MOST_STEPS:
            raise ScaffoldError("--openapi: expected a simpler document: its schemas refer to one another too often")

    def mapping(self, node: Any) -> Mapping[str, Any]:
        """An object of the document, behind its references (RFC 6901); empty for anything else."""
        target = None
        for _ in range(_MOST_REFERENCES):
            self.step()
            if not isinstance(node, dict):
                return _NOTHING
            target = node.get("$ref")
            if not isinstance(target, str):
                return node
            node = self._at(target)
        self.notes.add(f"{shown(target)}: a reference that leads to itself: left out")
        return _NOTHING

    def _at(self, target: str) -> Any:
        if not target.startswith("#/"):
            self.notes.add(f"{shown(target)}: a reference to another document: left out")
            return None
        node: Any = self.root
        for part in target[2:].split("/")[:_MOST_REFERENCES]:
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and name.isascii() and name.isdigit() and int(name[:9]) < len(node):
                node = node[int(name[:9])]
            elif isinstance(node, dict) and name in node:
                node = node[name]
            else:
                self.notes.add(f"{shown(target)}: a reference to nothing: left out")
                return None
        return node

    def paths(self) -> Mapping[str, Mapping[str, Any]]:
        """The items of its paths, without those that no service can have."""
        if self._paths is None:
            found = self.mapping(self.root.get("paths"))
            self._paths = {path: item for path, item in found.items() if isinstance(item, dict) and path.startswith("/")}
        return self._paths

    def operation(self, path: str, method: str = "get") -> Operation | None:
        """An operation, with the parameters of its path; None if there is none."""
        item = self.mapping(self.paths().get(path))
        node = self.mapping(item.get(method))
        if not node:
            return None
        parameters = {}
        for each in (*_list(item.get("parameters")), *_list(node.get("parameters"))):
            found = self._parameter(each)
            for parameter in found:
                parameters[(parameter.place, parameter.name)] = parameter
        return Operation(path, method, parameters, node)

    def _parameter(self, given: Any) -> tuple[Parameter, ...]:
        """A parameter; those of an object that is spread as `page[size]` (style `deepObject`) one by one."""
        node = self.mapping(given)
        name, place = node.get("name"), node.get("in")
        if not isinstance(name, str) or not isinstance(place, str):
            return ()
        explodes = node.get("explode", node.get("style", "form") == "form")
        text = node.get("description")
        description = text[:1000] if isinstance(text, str) else ""
        schema = node.get("schema")
        is_required = node.get("required") is True
        if node.get("style") == "deepObject":
            inner = list(self.mapping(self.mapping(schema).get("properties")).items())[:_MOST_PARTS]
            return tuple(Parameter(f"{name}[{part}]", place, False, each, True, "") for part, each in inner)
        return (Parameter(name, place, is_required, schema, explodes is True, description),)

    def success(self, operation: Operation) -> Mapping[str, Any]:
        """The reply with status 200; empty if none is described."""
        replies = self.mapping(operation.node.get("responses"))
        return next((self.mapping(replies[each]) for each in ("200", "2XX", "2xx") if each in replies), _NOTHING)

    def content(self, reply: Mapping[str, Any]) -> tuple[str, Any]:
        """A reply's media type of JSON and the schema of its body. Both are empty if it has no JSON."""
        found = self.mapping(reply.get("content"))
        types = [str(each).partition(";")[0].strip().lower() for each in found]
        for is_it in (_is_standard, _ends_with_json, _names_json, _is_any):
            for media_type, body in zip(types, found.values(), strict=True):
                if is_it(media_type):
                    return media_type, self.mapping(body).get("schema")
        return "", None

    def failures(self, operation: Operation) -> Iterator[tuple[str, Any]]:
        """The media types and schemas of its errors, those about a missing object first."""
        replies = self.mapping(operation.node.get("responses"))
        for status in ("404", "4XX", "4xx", "default", "400", "422", "403", "401", "409", "500"):
            if status in replies:
                yield self.content(self.mapping(replies[status]))


def _list(node: Any) -> list[Any]:
    return node[:200] if isinstance(node, list) else []


def _is_standard(media_type: str) -> bool:
    return media_type == "application/json"


def _ends_with_json(media_type: str) -> bool:
    return media_type.endswith("+json")


def _names_json(media_type: str) -> bool:
    return "json" in media_type


def _is_any(media_type: str) -> bool:
    return media_type in {"*/*", "application/*"}
