"""Links in the project's Markdown files lead to files and headings that exist."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
_IGNORED = {"node_modules", "build", "dist"}


def pages() -> list[Path]:
    """The Markdown files of the project, without hidden folders and what tools install."""
    found = [path.relative_to(ROOT) for path in ROOT.rglob("*.md")]
    return sorted(path for path in found if not any(part in _IGNORED or part.startswith(".") for part in path.parts))


def without_code(text: str) -> str:
    """The text without blocks and spans of code, in which brackets mean something else."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def links_in(text: str) -> list[str]:
    """The targets of inline links and images, and of reference definitions."""
    text = without_code(text)
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"^\[[^\]]+\]:\s+(\S+)", text, re.MULTILINE)


def anchors_in(text: str) -> set[str]:
    """The anchors that GitHub makes of headings."""
    headings = re.findall(r"^#+\s+(.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """The links of a page that lead nowhere. Those to other sites are not followed."""
    broken = []
    for link in links_in(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        has_anchor = not anchor or (target.suffix == ".md" and target.is_file() and anchor in anchors_in(target.read_text()))
        if not target.exists() or not has_anchor:
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    """A moved file or a renamed heading breaks them silently."""
    assert broken_links(ROOT / page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """A missing file, a missing heading, and a reference; what stands in code is no link."""
    (tmp_path / "other.md").write_text("# A heading: `code`, too\n\n```\n# No heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](other.md) [b](other.md#a-heading-code-too) [c](#here) [d](https://example.com/x) ![e](none.png)\n"
        "[f](other.md#no-heading) [g](gone.md) `[h](code.md)`\n\n```\n[i](block.md)\n```\n\n[j]: nowhere.md\n"
    )
    assert broken_links(page) == ["none.png", "other.md#no-heading", "gone.md", "nowhere.md"]
