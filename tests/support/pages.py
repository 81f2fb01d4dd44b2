"""The blocks of code in the project's Markdown pages."""

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAMED = re.compile(r"// (\S+\.\w+)\n")
_JSON_FILE = re.compile(r"`([\w.-]+\.json)`")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code: its language, its text, and the name of the file that it is, if the page gives one.

    A file's name is in the first line, as `// name.js`. For JSON, which has no comments, it is the last that the paragraph
    before the block names.
    """

    language: str
    text: str
    file: str | None


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    blocks = []
    for match in _BLOCK.finditer(text):
        language, content = match.groups()
        named = _NAMED.findall(content[: content.find("\n") + 1])
        if language == "json":
            paragraph = text[: match.start()].rstrip().rpartition("\n\n")[2]
            named = _JSON_FILE.findall(paragraph)
        blocks.append(Block(language, content, named[-1] if named else None))
    return blocks
