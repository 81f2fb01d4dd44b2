"""How a service is asked for several keys: ids, or owners of lists.

ById(many=Comma("ids"))                    GET /parts?ids=1,2           also as a plain string: ById("ids")
ById(many=Repeated("id"))                  GET /parts?id=1&id=2
ById(many=Posted("/parts/search", "ids"))  POST /parts/search {"ids": [1, 2]}
ById(many=OneByOne())                      GET /parts/1, GET /parts/2: side by side
ListBy("maker_id", many=OneByOne("maker"))                       GET /parts?maker=1
ListBy("maker_id", many=OneByOne(path="/makers/{key}/parts"))    GET /makers/1/parts
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from bff.upstream.ids import fits_list, in_path

Query = Mapping[str, str | Sequence[str] | None]
"""The parameters of a query. A sequence repeats its parameter; None leaves it out."""

_KEY = "{key}"
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%{}-]+)+\Z")


@dataclass(frozen=True, slots=True)
class KeysRequest:
    """The part of a request that names its keys.

    Attributes:
        query: the parameters; empty if the keys stand elsewhere.
        path: in place of the source's path, with the keys; None for the source's own.
        route: the same without keys, for logs and metrics.
        body: the JSON body of a POST; None for a GET.
    """

    query: Query
    path: str | None = None
    route: str | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Many:
    """The base of the conventions below.

    Attributes:
        takes_many: whether one call can have several keys.
    """

    takes_many: ClassVar[bool] = True

    def check(self) -> None:
        """Check the declaration. Raises `TypeError`."""

    def parameters(self) -> tuple[str, ...]:
        """The names of its query parameters."""
        return ()

    def fits(self, key: Any) -> bool:  # noqa: ARG002 - for all but `Comma`
        """Whether a key can be in a call with others."""
        return True

    def request(self, keys: Sequence[Any]) -> KeysRequest:
        """The request for these keys. Keys of text are known to be usable as ids."""
        raise NotImplementedError

    def shown(self, path: str) -> str:
        """The request without values, for `explain`. `path` is the source's."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Comma(Many):
    """One parameter with all keys, joined by commas. A key that contains a comma gets a call of its own."""

    parameter: str

    def parameters(self) -> tuple[str, ...]:
        """See `Many`."""
        return (self.parameter,)

    def fits(self, key: Any) -> bool:
        """See `Many`."""
        return fits_list(key)

    def request(self, keys: Sequence[Any]) -> KeysRequest:
        """See `Many`."""
        return KeysRequest({self.parameter: ",".join(map(str, keys))})

    def shown(self, path: str) -> str:
        """See `Many`."""
        return f"GET {path}?{self.parameter}="


@dataclass(frozen=True, slots=True)
class Repeated(Many):
    """One parameter for each key: `id=1&id=2`. The name may have brackets: `Repeated("id[]")`."""

    parameter: str

    def parameters(self) -> tuple[str, ...]:
        """See `Many`."""
        return (self.parameter,)

    def request(self, keys: Sequence[Any]) -> KeysRequest:
        """See `Many`."""
        return KeysRequest({self.parameter: list(map(str, keys))})

    def shown(self, path: str) -> str:
        """See `Many`."""
        return f"GET {path}?{self.parameter}=&{self.parameter}="


@dataclass(frozen=True, slots=True)
class Posted(Many):
    """A POST that reads: the keys are a JSON list in its body, as the member `member`, or as the whole body if it is None.

    It is treated as a read: it carries no idempotency key, and may be shared, cached and retried.
    """

    path: str
    member: str | None = None

    def check(self) -> None:
        """See `Many`."""
        if not _PATH.match(self.path) or "{" in self.path:
            raise TypeError(f"Posted: expected a path such as /parts/search, got {self.path!r}")

    def request(self, keys: Sequence[Any]) -> KeysRequest:
        """See `Many`. Integers stay numbers."""
        body = msgspec.json.encode(list(keys) if self.member is None else {self.member: list(keys)})
        return KeysRequest({}, self.path, self.path, body)

    def shown(self, path: str) -> str:  # noqa: ARG002 - it has its own
        """See `Many`."""
        return f"POST {self.path}"


@dataclass(frozen=True, slots=True)
class OneByOne(Many):
    """No request for several keys: each key has a call of its own, a bounded number of them at the same time.

    For lists, the owner is the value of `parameter`, or stands at `{key}` in `path`. Objects are at the source's path.
    """

    takes_many: ClassVar[bool] = False

    parameter: str | None = None
    path: str | None = None

    def check(self) -> None:
        """See `Many`."""
        if self.path is not None and (
            self.path.count(_KEY) != 1 or not _PATH.match(self.path) or self.parameter is not None
        ):
            raise TypeError(
                f"OneByOne: expected a parameter, or a path with one {_KEY} such as /makers/{_KEY}/parts, got {self!r}"
            )

    def parameters(self) -> tuple[str, ...]:
        """See `Many`."""
        return () if self.parameter is None else (self.parameter,)

    def request(self, keys: Sequence[Any]) -> KeysRequest:
        """See `Many`. Expects one key."""
        (key,) = keys
        if self.path is None:
            return KeysRequest({} if self.parameter is None else {self.parameter: str(key)})
        return KeysRequest({}, self.path.replace(_KEY, in_path(key)), self.path)

    def shown(self, path: str) -> str:
        """See `Many`."""
        if self.path is not None:
            return f"GET {self.path}"
        return f"GET {path}/{{id}}" if self.parameter is None else f"GET {path}?{self.parameter}="


def many_of(given: "str | Many", name: str) -> Many:
    """The convention that was declared; text is the parameter of `Comma`. Raises `TypeError` that begins with `name`."""
    many = Comma(given) if isinstance(given, str) else given
    if not isinstance(many, Many):
        raise TypeError(f"{name}: many: expected a parameter's name, Comma, Repeated, Posted or OneByOne, got {given!r}")
    try:
        many.check()
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    return many


Naming = Callable[[str], str]
"""Converts a Python name, in snake case, to a name as the service writes it."""


def camel(name: str) -> str:
    """A Python name in camel case: `user_id` is `userId`."""
    if "_" not in name:
        return name
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def snake(name: str) -> str:
    """A Python name as it is: `user_id`."""
    return name
