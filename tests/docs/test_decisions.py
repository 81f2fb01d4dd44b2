"""The records of decisions keep their form, and the index has all of them."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
MOST_LINES = 25
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_record_has_its_form(record: Path) -> None:
    """A number and a title, a date, context, decision and consequences, in 25 lines at most."""
    text = record.read_text(encoding="utf-8")
    number = int(record.name[:4])
    assert re.match(rf"# {number}\. \S.*\n\n\d{{4}}-\d\d-\d\d\n", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= MOST_LINES


def test_the_index_has_every_record_with_its_title_and_date() -> None:
    """In the order of their numbers, without gaps."""
    rows = re.findall(r"^\| (\d+) \| \[(.+)\]\((.+)\) \| (\S+) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    expected = []
    for number, record in enumerate(RECORDS, start=1):
        title, date = record.read_text(encoding="utf-8").splitlines()[0:3:2]
        expected.append((str(number), title.removeprefix(f"# {number}. "), record.name, date))
    assert rows == expected
