"""Trusted operations by name, and their parameters: from a query string or a JSON body to GraphQL variables. No I/O."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

import msgspec
from graphql import (
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    get_named_type,
    is_input_type,
    is_leaf_type,
    parse,
    type_from_ast,
)

from bff.errors import InvalidParameter
from bff.gate.manifests import TrustedDocument
from bff.request.http import parameters_of

_MOST_PARAMETERS = 200
# The beginning of an operation in a document as tools print it. It may also match text in a block string. Then the call is
# refused, since the document has no operation of that name.
_BEGINS = re.compile(r"^[ \t]*(query|mutation)[ \t]+([_A-Za-z][_0-9A-Za-z]*)", re.MULTILINE)
_INTEGER = re.compile(r"-?[0-9]{1,20}\Z")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")
_json = msgspec.json.Decoder()


class TrustedOperation:
    """One trusted operation.

    Attributes:
        name: in the URL.
        operation: its name in the document; None if it is the document's only operation and has another name, or none.
        text: the whole document.
        is_mutation: whether it needs POST.
    """

    __slots__ = ("_schema", "_types", "is_mutation", "name", "operation", "text")

    def __init__(self, schema: GraphQLSchema, name: str, text: str, kinds: Mapping[str, str]) -> None:
        self.name = name
        self.operation = name if name in kinds else None
        self.text = text
        self.is_mutation = (kinds.get(name) or next(iter(kinds.values()), "query")) == "mutation"
        self._schema = schema
        self._types: Mapping[str, GraphQLInputType] | None = None

    def __repr__(self) -> str:
        return f"<TrustedOperation {self.name}>"

    @property
    def types(self) -> Mapping[str, GraphQLInputType]:
        """The types of its parameters by name. Empty if the document has a syntax error.

        A parameter whose type the schema doesn't have is left out: calls of such an operation are refused.
        """
        if self._types is None:
            self._types = dict(self._parsed())
        return self._types

    def _parsed(self) -> Iterator[tuple[str, GraphQLInputType]]:
        try:
            document = parse(self.text, no_location=True)
        except (GraphQLSyntaxError, RecursionError):
            return
        for node in document.definitions:
            if not isinstance(node, OperationDefinitionNode):
                continue
            if self.operation is not None and (node.name is None or node.name.value != self.operation):
                continue
            for variable in node.variable_definitions or ():
                found = type_from_ast(self._schema, variable.type)
                if is_input_type(found):
                    yield variable.variable.name.value, found
            return

    def of_query(self, query_string: bytes) -> dict[str, Any]:
        """The variables in a query string. Raises `InvalidParameter`."""
        try:
            pairs = parameters_of(query_string, _MOST_PARAMETERS)
        except ValueError as error:
            raise InvalidParameter(f"The parameters are malformed, or more than {_MOST_PARAMETERS}.") from error
        texts: dict[str, list[str]] = {}
        for name, text in pairs:
            texts.setdefault(name, []).append(text)
        self._check(texts)
        return {name: _value(name, self.types[name], each) for name, each in texts.items()}

    def of_body(self, body: bytes) -> dict[str, Any]:
        """The variables in a body: a JSON object, or nothing. Raises `InvalidParameter`."""
        if not body.strip():
            return {}
        try:
            given = _json.decode(body)
        except (ValueError, RecursionError) as error:
            raise InvalidParameter("The body is not valid JSON.") from error
        if not isinstance(given, dict):
            raise InvalidParameter("Expected a JSON object of parameters.")
        self._check(given)
        return given

    def _check(self, names: Iterable[str]) -> None:
        unknown = [name for name in names if name not in self.types]
        if unknown:
            expected = f"one of: {', '.join(sorted(self.types))}" if self.types else "none"
            raise InvalidParameter(f"Unknown parameter {unknown[0][:100]}: expected {expected}.")


class TrustedOperations:
    """A variant's trusted operations by name. If several documents have an operation of that name, the last one counts."""

    def __init__(self, schema: GraphQLSchema, documents: Iterable[TrustedDocument]) -> None:
        self._by_name: dict[str, TrustedOperation] = {}
        for document in documents:
            kinds = {name: kind for kind, name in _BEGINS.findall(document.text)}
            for name in [document.name] if document.name else kinds:
                self._by_name[name] = TrustedOperation(schema, name, document.text, kinds)

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[TrustedOperation]:
        return iter(self._by_name.values())

    def __repr__(self) -> str:
        return f"<TrustedOperations {len(self)}>"

    def get(self, name: str) -> TrustedOperation | None:
        """The operation of that name; None if there is none."""
        return self._by_name.get(name)


def is_listed(type_: GraphQLInputType) -> bool:
    """Whether a parameter is repeated in a query string, once per value: a list of scalars or enums."""
    bare = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if not isinstance(bare, GraphQLList):
        return False
    item = bare.of_type
    return is_leaf_type(item.of_type if isinstance(item, GraphQLNonNull) else item)


def is_plain(type_: GraphQLInputType) -> bool:
    """Whether a parameter is plain text in a query string: a scalar or an enum. Input objects and nested lists are JSON."""
    return is_leaf_type(type_.of_type if isinstance(type_, GraphQLNonNull) else type_)


def _value(name: str, type_: GraphQLInputType, texts: Sequence[str]) -> Any:
    if is_listed(type_):
        return [_scalar(name, type_, text) for text in texts]
    if len(texts) > 1:
        raise InvalidParameter(f"{name}: expected one value, got {len(texts)}.")
    if is_plain(type_):
        return _scalar(name, type_, texts[0])
    try:
        return _json.decode(texts[0])
    except (ValueError, RecursionError) as error:
        raise InvalidParameter(f"{name}: expected JSON.") from error


def _scalar(name: str, type_: GraphQLInputType, text: str) -> Any:
    """The value of a scalar. Enums, IDs, strings and custom scalars are passed on as text, which GraphQL then checks."""
    kind = get_named_type(type_).name
    read, expected = _READERS.get(kind, (None, ""))
    if read is None:
        return text
    value = read(text)
    if value is None:
        raise InvalidParameter(f"{name}: expected {expected}.")
    return value


def _integer(text: str) -> int | None:
    return int(text) if _INTEGER.match(text) else None


def _number(text: str) -> float | None:
    if not _NUMBER.match(text):
        return None
    value = float(text)
    return value if isfinite(value) else None


_READERS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "Int": (_integer, "an integer"),
    "Float": (_number, "a number"),
    "Boolean": ({"true": True, "false": False}.get, "true or false"),
}
