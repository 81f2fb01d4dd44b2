"""How single values are read: URLs, origins, names, lists. Messages never contain the value of a secret."""

import json
import re
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from bff.gate.consumers import is_digest
from bff.upstream.traffic.balance import InstanceOptions

_MOST_INSTANCES = 100
_MOST_WEIGHT = 1000
_WEIGHT = re.compile(r"[0-9]{1,6}\Z")
_NO_URL = "expected http:// or https:// and a host"


class SettingsError(Exception):
    """The settings are invalid. The message has a line for each invalid setting."""


def _instances(value: Any) -> Any:
    """`http://a:1;weight=3,http://b:2` as instances. In the file it may also be a list with one instance in each item."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError("expected URLs")
    return tuple(_instance(part.strip()) for part in parts if part.strip())


def _instance(text: str) -> InstanceOptions:
    url, *parameters = (piece.strip() for piece in text.split(";"))
    parts = _parts(url)
    if "@" in parts.netloc or "?" in url or "#" in url or " " in url or not url.isprintable():
        raise ValueError("expected a base URL without user, query, fragment or blanks")
    weight = 1
    for parameter in parameters:
        name, _, number = parameter.partition("=")
        if name.strip() != "weight" or not _WEIGHT.match(number.strip()) or int(number) > _MOST_WEIGHT:
            raise ValueError(f"expected ;weight= and a number from 0 to {_MOST_WEIGHT}")
        weight = int(number)
    return InstanceOptions(url, weight)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its message would contain the URL, and so perhaps a password
        raise ValueError("expected a URL with a host and a valid port") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(_NO_URL)
    return parts


def _some_weight(instances: tuple[InstanceOptions, ...]) -> tuple[InstanceOptions, ...]:
    if not any(instance.weight for instance in instances):
        raise ValueError("expected at least one instance whose weight is not 0")
    return instances


def lower(value: Any) -> Any:
    """Text in lower case; anything else as it is."""
    return value.lower() if isinstance(value, str) else value


def read_list(value: Any) -> Any:
    """Lists in environment variables are separated by commas, or are JSON."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return _json(value, "an array")
    return [part.strip() for part in value.split(",") if part.strip()]


def read_table(value: Any) -> Any:
    """Tables in environment variables are JSON, as the names in them may have capitals; or each entry has a variable."""
    return _json(value, "an object") if isinstance(value, str) else value


def read_tables(value: Any) -> Any:
    """Lists of tables in environment variables are JSON."""
    return _json(value, "an array of objects") if isinstance(value, str) else value


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"expected {what} in JSON") from None


_PATTERN = re.compile(r"https?://\*\.([a-z0-9-]+\.)+[a-z0-9-]+(:[0-9]{1,5})?\Z")


def _origin_pattern(value: str) -> str:
    if value == "*":
        return value
    if "*" in value:
        if not _PATTERN.match(value):
            raise ValueError("expected a pattern such as https://*.example.com: * stands for sub-domains of a named domain")
        return value
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or value != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("expected an origin such as https://shop.example.com")
    if value != value.lower() or "@" in parts.netloc:
        raise ValueError("expected an origin as browsers send it, in lower case: this one would match nothing")
    if (parts.scheme, parts.port) in {("https", 443), ("http", 80)}:
        raise ValueError(
            "expected an origin without its scheme's own port, which browsers leave out: it would match nothing"
        )
    return value


def _http_url(value: str) -> str:
    if "@" in _parts(value).netloc or not value.isprintable():
        raise ValueError(_NO_URL)
    return value


def _digest(value: str) -> str:
    if not is_digest(value):
        raise ValueError("expected a SHA-256 in hexadecimal digits, as `bff keys new` prints it")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Digest = Annotated[str, AfterValidator(_digest)]
NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
"""The pattern of names that are used in logs and in environment variables."""

Name = Annotated[str, Field(pattern=NAME)]

ServiceUrl = Annotated[
    tuple[InstanceOptions, ...],
    BeforeValidator(_instances, json_schema_input_type=list[str] | str),
    Field(min_length=1, max_length=_MOST_INSTANCES),
    AfterValidator(_some_weight),
]
OriginPattern = Annotated[str, AfterValidator(_origin_pattern)]
AS_LIST = BeforeValidator(read_list, json_schema_input_type=list[str] | str)
"""For lists, which may also be a text separated by commas."""

AS_TABLE = BeforeValidator(read_table)
"""For tables whose names may have capitals."""

AS_TABLES = BeforeValidator(read_tables)
"""For lists of tables, which may also be JSON."""

Names = Annotated[tuple[str, ...], AS_LIST, Field(min_length=1)]


class Options(BaseModel):
    """The base of groups of settings: unknown names are errors, values are never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
