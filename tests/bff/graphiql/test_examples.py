"""How the files of examples are read, and what is said of a file that can't be used."""

from pathlib import Path

import pytest

from bff.graphiql.examples import MAX_EXAMPLES, MAX_FILE_BYTES, Example, ExampleError, read


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """A file of the variant `web`."""
    file = folder / "web" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def test_a_file_with_everything_is_read(tmp_path: Path) -> None:
    """The description stays above the operation; title, variables and token don't."""
    write(
        tmp_path,
        "01-all.graphql",
        '# Catalogue page\n# Set `after`.\n# variables: {"first": 10, "after": null}\n# Or not.\n# token: required\n'
        "query A($first: Int) {\n  # kept\n  a\n}\n",
    )
    (example,) = read(tmp_path, "web")
    assert example == Example(
        "Catalogue page",
        "# Set `after`.\n# Or not.\nquery A($first: Int) {\n  # kept\n  a\n}\n",
        {"first": 10, "after": None},
        needs_token=True,
    )
    assert list(example.variables) == ["first", "after"]


def test_a_title_is_enough(tmp_path: Path) -> None:
    """Then there are no variables, and anonymous callers may run it. A file from Windows is read alike."""
    write(tmp_path, "1.graphql", "#Plain\r\n\r\n{\r\n  a\r\n}\r\n")
    assert read(tmp_path, "web") == (Example("Plain", "\n{\n  a\n}\n"),)


def test_the_order_is_that_of_the_file_names(tmp_path: Path) -> None:
    """Files of other kinds and folders of other variants are left out."""
    for name in ("02-b.graphql", "10-c.graphql", "01-a.graphql"):
        write(tmp_path, name, f"# {name}\n{{ a }}\n")
    write(tmp_path, "notes.md", "not an example")
    assert [each.name for each in read(tmp_path, "web")] == ["01-a.graphql", "02-b.graphql", "10-c.graphql"]
    assert read(tmp_path, "mobile") == ()
    assert read(tmp_path / "none", "web") == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{ a }\n", "expected a comment with a title in the first line"),
        ("\n# Late\n{ a }\n", "expected a comment with a title in the first line"),
        ("#\n# Second\n{ a }\n", "expected a comment with a title in the first line"),
        ("# variables: {}\n{ a }\n", "expected a comment with a title in the first line"),
        ("# token: required\n{ a }\n", "expected a comment with a title in the first line"),
        ("", "expected a comment with a title in the first line"),
        ("# Title alone", "expected an operation after the comment"),
        ("# Title\n\n \n", "expected an operation after the comment"),
        ("# T\n# variables: {first: 1}\n{ a }\n", "variables: expected a JSON object: "),
        ("# T\n# variables: [1]\n{ a }\n", "variables: expected a JSON object: "),
        ("# T\n# variables:\n{ a }\n", "variables: expected a JSON object: "),
        ("# T\n# token: maybe\n{ a }\n", "expected `# token: required`, got `# token: maybe`"),
        (b"# T\xff\n{ a }\n", "not UTF-8 text"),
        ("# T\n{ a }" + " " * MAX_FILE_BYTES, f"larger than {MAX_FILE_BYTES} bytes"),
    ],
)
def test_a_bad_file_is_named_with_the_reason(tmp_path: Path, content: str | bytes, reason: str) -> None:
    """So that its author knows what to mend."""
    write(tmp_path, "01-good.graphql", "# Good\n{ a }\n")
    file = write(tmp_path, "02-bad.graphql", content)
    with pytest.raises(ExampleError) as caught:
        read(tmp_path, "web")
    assert str(caught.value).startswith(f"{file}: {reason}")


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    """The limit is inclusive."""
    write(tmp_path, "1.graphql", "# T\n{ a }".ljust(MAX_FILE_BYTES))
    assert len(read(tmp_path, "web")) == 1


def test_what_can_t_be_opened_is_named(tmp_path: Path) -> None:
    """A folder with a file's name, a link to nowhere, and a file where the variant's folder should be."""
    folder = tmp_path / "web" / "1.graphql"
    folder.mkdir(parents=True)
    with pytest.raises(ExampleError, match=r"1\.graphql: can't be read: Is a directory"):
        read(tmp_path, "web")
    folder.rmdir()
    folder.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ExampleError, match=r"1\.graphql: can't be read: No such file"):
        read(tmp_path, "web")
    (tmp_path / "mobile").write_text("a file")
    with pytest.raises(ExampleError, match="mobile: can't be read: Not a directory"):
        read(tmp_path, "mobile")


def test_two_files_with_one_title_are_refused(tmp_path: Path) -> None:
    """The panel lists titles."""
    write(tmp_path, "1.graphql", "# Same\n{ a }\n")
    second = write(tmp_path, "2.graphql", "# Same\n{ b }\n")
    with pytest.raises(ExampleError, match="has the title 'Same'") as caught:
        read(tmp_path, "web")
    assert str(second) in str(caught.value)


def test_the_number_of_examples_is_limited(tmp_path: Path) -> None:
    """All of them are part of the page."""
    for number in range(MAX_EXAMPLES + 1):
        file = write(tmp_path, f"{number:03}.graphql", f"# {number}\n{{ a }}\n")
    with pytest.raises(ExampleError, match=f"expected at most {MAX_EXAMPLES} examples, got {MAX_EXAMPLES + 1}"):
        read(tmp_path, "web")
    file.unlink()
    assert len(read(tmp_path, "web")) == MAX_EXAMPLES
