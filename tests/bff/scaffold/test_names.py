"""The names that `bff new` accepts, and those that follow from them."""

import pytest

from bff.scaffold.names import ScaffoldError, SourceNames, check_app_name, check_variant_name, singular_of, source_names


@pytest.mark.parametrize("name", ["shop", "shop2", "my-shop", "my_shop", "a" * 63])
def test_an_application_s_name_is_a_folder_s(name: str) -> None:
    """Lower-case letters, digits, - and _."""
    check_app_name(name)


@pytest.mark.parametrize("name", ["", "Shop", "2shop", "../shop", "a/b", "shöp", "-shop", "a" * 64, "shop\n", "a b"])
def test_other_names_of_applications_are_refused(name: str) -> None:
    """A name never leads out of the folder, and needs no quoting."""
    with pytest.raises(ScaffoldError, match="NAME"):
        check_app_name(name)


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("invoices", "invoice"),
        ("categories", "category"),
        ("addresses", "address"),
        ("boxes", "box"),
        ("branches", "branch"),
        ("order_items", "order_item"),
        ("staff", None),
        ("glass", None),
        ("s", None),
    ],
)
def test_the_singular_follows_from_the_ending(plural: str, singular: str | None) -> None:
    """Where the ending does not say it, nothing is guessed."""
    assert singular_of(plural) == singular


def test_a_source_s_names() -> None:
    """The source's class is a plural, its record and its field a singular."""
    assert source_names("order_items", None) == SourceNames("order_items", "OrderItems", "OrderItem", "order_item")
    assert source_names("staff", "StaffMember") == SourceNames("staff", "Staff", "StaffMember", "staff_member")


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("Invoices", None),
        ("in-voices", None),
        ("_invoices", None),
        ("class", "Klass"),
        ("match", "Item"),
        ("services", None),
        ("lists", None),
        ("sources", None),
        ("queries", None),
        ("staff", None),
        ("staff", "Staff"),
        ("invoices", "invoice"),
        ("invoices", "In voice"),
        ("invoices", "Invoices"),
    ],
)
def test_names_that_would_not_work_are_refused(name: str, record: str | None) -> None:
    """Python's words, names that the generated code has a use for, a record that is called as its source."""
    with pytest.raises(ScaffoldError):
        source_names(name, record)


@pytest.mark.parametrize("name", ["Web", "everyone", "a__b", "class", "a-b"])
def test_names_of_variants_that_would_not_work_are_refused(name: str) -> None:
    """A variant's name is a part of a path, of settings, and in capitals a constant."""
    with pytest.raises(ScaffoldError):
        check_variant_name(name)
