r"""The examples of a GraphiQL page, read at start-up from `<folder>/<variant>/*.graphql`, in the order of the file names.

A file holds one operation. The comment lines at its top describe it:

    # Catalogue page                     the title, first
    # For the next page set `after` …    the description, any number of lines
    # variables: {"first": 10}           a JSON object, if the operation has variables
    # token: required                    if an anonymous caller gets no data
    query Catalogue($first: Int) { … }

The editor shows the description and the operation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

MAX_EXAMPLES = 50
"""Of one variant: all of them are part of its page."""
MAX_FILE_BYTES = 64 * 1024

_VARIABLES = "variables:"
_TOKEN = "token:"  # noqa: S105 - a word in a comment
_variables = msgspec.json.Decoder(dict[str, Any])


class ExampleError(Exception):
    """An example can't be used. The message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Example:
    """One operation for the GraphiQL page.

    Attributes:
        name: the title in the panel of examples.
        query: what the editor shows: the description as comment lines, then the operation.
        variables: what the editor of variables shows.
        needs_token: whether an anonymous caller gets an error or no data.
    """

    name: str
    query: str
    variables: Mapping[str, object] = field(default_factory=dict)
    needs_token: bool = False


def read(folder: Path, variant: str) -> tuple[Example, ...]:
    """The examples of a variant in the order of their file names; empty if the variant has no folder.

    Raises:
        ExampleError: a file can't be read, isn't UTF-8 text, is larger than `MAX_FILE_BYTES` or has no title, its variables
            are not a JSON object, two files have the same title, or there are more than `MAX_EXAMPLES` files.
    """
    own = folder / variant
    if not own.exists():
        return ()
    try:
        files = sorted(file for file in own.iterdir() if file.suffix == ".graphql")
    except OSError as error:
        raise ExampleError(f"{own}: can't be read: {error.strerror}") from None
    if len(files) > MAX_EXAMPLES:
        raise ExampleError(f"{own}: expected at most {MAX_EXAMPLES} examples, got {len(files)}")
    found: dict[str, Example] = {}
    for file in files:
        example = _read_one(file)
        if example.name in found:
            raise ExampleError(f"{file}: another example of {variant} has the title {example.name!r}")
        found[example.name] = example
    return tuple(found.values())


def _read_one(file: Path) -> Example:
    title, *comments, operation = _split(file, _text(file))
    description: list[str] = []
    variables: Mapping[str, object] = {}
    needs_token = False
    for line in comments:
        comment = line.removeprefix("#").strip()
        if comment.startswith(_VARIABLES):
            variables = _parse_variables(file, comment.removeprefix(_VARIABLES))
        elif comment.startswith(_TOKEN):
            if comment.removeprefix(_TOKEN).strip() != "required":
                raise ExampleError(f"{file}: expected `# token: required`, got `{line}`")
            needs_token = True
        else:
            description.append(f"{line}\n")
    return Example(title, "".join(description) + operation, variables, needs_token)


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ExampleError(f"{file}: can't be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise ExampleError(f"{file}: larger than {MAX_FILE_BYTES} bytes")
    try:
        return content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise ExampleError(f"{file}: not UTF-8 text") from None


def _split(file: Path, text: str) -> list[str]:
    """The title, the other comment lines at the top of the file, and what follows them."""
    comments: list[str] = []
    while text.startswith("#"):
        line, _, text = text.partition("\n")
        comments.append(line)
    title = comments[0].removeprefix("#").strip() if comments else ""
    if not title or title.startswith((_VARIABLES, _TOKEN)):
        raise ExampleError(f"{file}: expected a comment with a title in the first line")
    if not text.strip():
        raise ExampleError(f"{file}: expected an operation after the comment")
    return [title, *comments[1:], text]


def _parse_variables(file: Path, text: str) -> Mapping[str, object]:
    try:
        return _variables.decode(text)
    except msgspec.DecodeError as error:
        raise ExampleError(f"{file}: variables: expected a JSON object: {error}") from None
