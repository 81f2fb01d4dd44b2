"""Amounts: two decimals, half up."""

from decimal import ROUND_HALF_UP, Decimal

_CENT = Decimal("0.01")


def amount(value: float) -> float:
    """`value` rounded half up to two decimals, by its shortest decimal form: 1.005 becomes 1.01."""
    if round(value, 2) == value:
        return value
    return float(Decimal(repr(value)).quantize(_CENT, ROUND_HALF_UP))


def times(quantity: int, unit_price: float) -> float:
    """`quantity` times `unit_price`, rounded once at the end."""
    return amount(float(Decimal(repr(unit_price)) * quantity))
