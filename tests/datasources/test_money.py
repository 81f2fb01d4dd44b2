"""Amounts: two decimals, rounded half up by their decimal form."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasources.money import amount, times

prices = st.floats(0, 1e9, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (1.005, 1.01),
        (2.675, 2.68),
        (1.115, 1.12),
        (0.125, 0.13),
        (0.004999, 0.0),
        (8.7, 8.7),
        (8, 8.0),
        (0.1 + 0.2, 0.3),
        (317.3, 317.3),
        (1e15 + 0.125, 1e15 + 0.13),
        (1e22, 1e22),
        (1e300, 1e300),
        (0.0, 0.0),
        (-1.005, -1.01),
    ],
)
def test_an_amount_is_rounded_half_up(value: float, rounded: float) -> None:
    """By its shortest decimal form, even if the double is below the half."""
    assert amount(value) == rounded


@settings(derandomize=True, deadline=None)
@given(prices)
def test_rounding_agrees_with_decimal(value: float) -> None:
    """The fast path gives the same result. Rounding twice changes nothing."""
    assert amount(value) == float(Decimal(repr(value)).quantize(Decimal("0.01"), ROUND_HALF_UP))
    assert amount(amount(value)) == amount(value)


@pytest.mark.parametrize(
    ("quantity", "unit_price", "total"),
    [(3, 0.1, 0.3), (3, 0.005, 0.02), (1, 1.005, 1.01), (3, 82.7, 248.1), (0, 9.99, 0.0), (1000, 19.99, 19990.0)],
)
def test_a_line_is_rounded_once(quantity: int, unit_price: float, total: float) -> None:
    """`times` multiplies exactly and rounds only the result."""
    assert times(quantity, unit_price) == total


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 10**9))
def test_a_line_of_whole_cents_is_exact(quantity: int, cents: int) -> None:
    """For prices with two decimals."""
    assert times(quantity, cents / 100) == float(Decimal(cents * quantity) / 100)


@pytest.mark.parametrize(("quantity", "unit_price"), [(1, 1e30), (1000, 1e26), (10**30, 0.01), (1, 1.7e308)])
def test_any_finite_price_can_be_multiplied(quantity: int, unit_price: float) -> None:
    """A service may send any JSON number. A huge one once raised `InvalidOperation`."""
    assert times(quantity, unit_price) == pytest.approx(quantity * unit_price)
