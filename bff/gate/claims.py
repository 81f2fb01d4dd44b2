"""What a token's claims say: whose it is, which roles and scopes it grants, whether required claims have their values.

Issuers put these into claims of different names. A name that is no claim of the token is read as a path of names separated
by dots, as `realm_access.roles`.
"""

from collections.abc import Mapping
from typing import Any

from bff.errors import InvalidToken
from bff.runtime.options import options

_MOST_NAMES = 100
_LONGEST_TIER = 63
_LARGEST_ID = 2**63

Required = Mapping[str, str | int | bool | tuple[str | int | bool, ...]]
"""Claims that a token must have, by name or path: the value, or several of which it must have one."""


@options
class ClaimOptions:
    """The claims of an issuer's tokens.

    Attributes:
        user_id: whose the token is: text, or an integer if it is not `sub`.
        roles: an array of roles.
        role: one role.
        scopes: an array of scopes, or one string of scopes separated by spaces (RFC 8693, section 4.2).
        tier: one of `tiers`, the rates of its bearer; None: no claim says so.
    """

    user_id: str = "sub"
    roles: str = "roles"
    role: str = "role"
    scopes: str = "scope"
    tier: str | None = None


def user_id_of(claims: Mapping[str, Any], options: ClaimOptions) -> str:
    """Whose the token is. Raises `InvalidToken`."""
    value = claim(claims, options.user_id)
    # `sub` is text (RFC 7519, section 4.1.2). An issuer's own claim may be a number.
    if options.user_id != "sub" and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST_ID:
        return str(value)
    if not isinstance(value, str) or not value:
        raise InvalidToken(f"{_named(options.user_id)} is missing or no text")
    return value


def roles_of(claims: Mapping[str, Any], options: ClaimOptions) -> frozenset[str]:
    """The roles in the array and in the string. Values of other types are ignored."""
    roles, role = claim(claims, options.roles), claim(claims, options.role)
    found = {each for each in roles[:_MOST_NAMES] if isinstance(each, str)} if isinstance(roles, list) else set()
    if isinstance(role, str):
        found.add(role)
    return frozenset(found)


def scopes_of(claims: Mapping[str, Any], options: ClaimOptions) -> frozenset[str] | None:
    """The scopes; None if the token has no claim of scopes."""
    scopes = claim(claims, options.scopes)
    if scopes is None:
        return None
    if isinstance(scopes, str):
        scopes = scopes.split()
    if not isinstance(scopes, list):
        return frozenset()
    return frozenset(each for each in scopes[:_MOST_NAMES] if isinstance(each, str))


def tier_of(claims: Mapping[str, Any], options: ClaimOptions) -> str | None:
    """The tier that the token names; None if it names none."""
    value = None if options.tier is None else claim(claims, options.tier)
    return value if isinstance(value, str) and len(value) <= _LONGEST_TIER else None


def check_required(claims: Mapping[str, Any], required: Required) -> None:
    """Check that each required claim has its value. An array has the value if it contains it. Raises `InvalidToken`."""
    for name, wanted in required.items():
        value = claim(claims, name)
        values = value if isinstance(value, list) else [value]
        allowed = wanted if isinstance(wanted, tuple) else (wanted,)
        if not any(type(each) is type(one) and each == one for each in values for one in allowed):
            raise InvalidToken(f"{_named(name)} does not have the required value")


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of that name, else the value at that path; None if there is neither."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _named(name: str) -> str:
    """A claim's name for a message in a header: a name from the settings may have any characters."""
    return name if name.isascii() and name.isprintable() and '"' not in name and "\\" not in name else "a required claim"
