"""Ids: which texts are ids, how ids are encoded in paths, and which can be part of a list."""

from typing import Annotated
from urllib.parse import unquote
from uuid import UUID

import msgspec
import pytest

from bff.upstream.ids import (
    LONGEST_ID,
    MOST_IDS,
    MOST_STRING_IDS,
    check_key,
    fits_list,
    in_path,
    most_ids,
    read_integer,
    read_string,
    read_uuid,
    reader_of,
)
from bff.upstream.reads import ById
from bff.upstream.records import Record
from bff.upstream.source import Source
from tests.support.shop import NO_IDS

TEXT = "6fa75bb9-cf7e-5d64-9c2f-706b344877d5"


@pytest.mark.parametrize("text", NO_IDS)
def test_an_integer_has_one_valid_form(text: str) -> None:
    """Signs, blanks, leading zeros, non-ASCII digits and more than 18 digits are not accepted."""
    assert read_integer(text) is None


def test_a_uuid_is_read_in_either_case() -> None:
    """Upper and lower case are the same id."""
    assert read_uuid(TEXT.upper()) == read_uuid(TEXT) == UUID(TEXT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        TEXT.replace("-", ""),
        f"{{{TEXT}}}",
        f"urn:uuid:{TEXT}",
        f" {TEXT}",
        f"{TEXT}\n",
        TEXT[:-1],
        f"{TEXT}0",
        TEXT.replace("6fa7", "6fg7"),
        TEXT.replace("-", "_"),
        TEXT.replace("6", "\N{ARABIC-INDIC DIGIT SIX}"),
    ],
)
def test_a_uuid_in_another_form_is_not_accepted(text: str) -> None:
    """Python accepts some of these; services don't return them."""
    assert read_uuid(text) is None


@pytest.mark.parametrize("text", ["r-1", "R-1", "a,b", "a/b", "50%", "%2e", "...", "a.b", "ä", "a b", "x" * LONGEST_ID])
def test_a_string_is_not_changed(text: str) -> None:
    """Nor is its case: `R-1` and `r-1` may be two objects."""
    assert read_string(text) == text


@pytest.mark.parametrize(
    "text", ["", ".", "..", "../x", "a/../b", "a\nb", "\x00", "x" * (LONGEST_ID + 1), "ä" * 50, "%" * 100]
)
def test_a_string_that_does_not_fit_a_path_is_not_accepted(text: str) -> None:
    """Dots would name another path. The limit applies to the percent-encoded length."""
    assert read_string(text) is None


@pytest.mark.parametrize("text", ["a,b", "a/b", "50%", "%2e%2e", "a?b#c", "ä ö", "a+b&c=d", ";"])
def test_a_string_is_one_segment_of_a_path(text: str) -> None:
    """With any characters (RFC 3986, section 3.3)."""
    segment = in_path(text)
    assert unquote(segment) == text
    assert not set(segment) & set("/?#+&=,; ")


def test_integers_and_uuids_are_not_encoded_in_a_path() -> None:
    """A UUID is in lower case."""
    assert (in_path(7), in_path(UUID(TEXT.upper()))) == ("7", TEXT)


def test_a_string_with_a_comma_does_not_fit_a_list() -> None:
    """Commas separate ids, so such a string would be two ids."""
    assert all(map(fits_list, ("a", "a/b", "50%", 7, UUID(TEXT))))
    assert not any(map(fits_list, ("a,b", ",")))


def test_the_type_of_a_records_id_selects_the_reader() -> None:
    """Also with msgspec's metadata."""
    assert reader_of(Annotated[int, msgspec.Meta(gt=0)], "X.id") is read_integer
    assert reader_of(Annotated[str, msgspec.Meta(description="an id", max_length=9)], "X.id") is read_string
    assert reader_of(Annotated[UUID, msgspec.Meta(title="id")], "X.id") is read_uuid
    with pytest.raises(TypeError, match=r"X\.id: expected an id of the type int, str or UUID"):
        reader_of(float, "X.id")


def test_a_call_has_fewer_strings_than_other_ids() -> None:
    """A URL with 200 long strings could exceed the limits of servers. 200 UUIDs are 7.4 KB."""
    long = Annotated[str, msgspec.Meta(title="id")]
    assert [most_ids(type_) for type_ in (int, UUID, str, long)] == [MOST_IDS, MOST_IDS, MOST_STRING_IDS, MOST_STRING_IDS]
    assert len(",".join([TEXT] * MOST_IDS)) < 8 * 1024 - 500
    assert MOST_STRING_IDS * (LONGEST_ID + 1) < 8 * 1024


def test_a_source_needs_an_id_of_a_known_type() -> None:
    """Any other type is an error when the class is defined."""

    class Odd(Record, frozen=True):
        id: float

    with pytest.raises(TypeError, match=r"Odd\.id: expected"):

        class Odds(Source[Odd]):
            path = "/odds"
            by_id = ById()


def test_an_owner_s_type_may_have_a_title_as_an_id_s_may() -> None:
    """The same types are accepted for both."""
    check_key(Annotated[UUID, msgspec.Meta(title="An author")], "Book.author_id")
    with pytest.raises(TypeError, match=r"^Book\.author_id: expected an int, str, UUID or enum"):
        check_key(float, "Book.author_id")
