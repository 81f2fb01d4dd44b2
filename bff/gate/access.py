"""Who may come in: what a request must prove before a variant or a route serves it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bff.errors import KeyNeeded, KeyOrTokenNeeded, RoleNeeded, TokenNeeded
from bff.gate.consumers import Consumer, granted

if TYPE_CHECKING:
    from bff.gate.auth import SignedIn

AccessMode = Literal["anyone", "signed_in", "key", "signed_in_or_key"]

_IN_WORDS: dict[AccessMode, str] = {
    "anyone": "anyone",
    "signed_in": "signed-in users",
    "key": "programs with an API key",
    "signed_in_or_key": "signed-in users and programs with an API key",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What a request must prove.

    Attributes:
        mode: whether a token, an API key, or one of both is needed.
        roles: the roles that the token must have, all of them.
        scopes: the scopes that the request must have: the token's, the consumer's, or those that both have.
    """

    mode: AccessMode = "anyone"
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()

    def check(self, signed_in: "SignedIn | None", consumer: Consumer | None) -> None:
        """Check a request with this token and key. Raises `TokenNeeded`, `KeyNeeded`, `KeyOrTokenNeeded`, `RoleNeeded`."""
        if self.mode == "signed_in_or_key":
            if signed_in is None and consumer is None:
                raise KeyOrTokenNeeded
        elif self.mode == "key" and consumer is None:
            raise KeyNeeded
        if signed_in is None and (self.roles or self.mode == "signed_in"):
            raise TokenNeeded
        if signed_in is not None and not self.roles <= signed_in.viewer.roles:
            raise RoleNeeded
        if self.scopes:
            if signed_in is None and consumer is None:
                raise TokenNeeded
            if not self.scopes <= granted(None if signed_in is None else signed_in.viewer.scopes, consumer):
                raise RoleNeeded

    @property
    def is_open(self) -> bool:
        """Whether it lets every request in."""
        return self.mode == "anyone" and not self.roles and not self.scopes

    def __str__(self) -> str:
        """In words, as "signed-in users with the role admin"."""
        mode: AccessMode = "signed_in" if self.roles and self.mode == "anyone" else self.mode
        text = _IN_WORDS[mode]
        conditions = [_counted("role", self.roles), _counted("scope", self.scopes)]
        needed = " and the ".join(each for each in conditions if each)
        return f"{text} with the {needed}" if needed else text


def _counted(noun: str, names: Collection[str]) -> str:
    return "" if not names else f"{noun}{'s' if len(names) > 1 else ''} {', '.join(sorted(names))}"


ANYONE = Entry()


def entry_of(mode: AccessMode | None, role: str | None, scopes: Collection[str], own_role: str | None = None) -> Entry:
    """The entry that the settings describe. `own_role` is the application's: the settings can add to it, never remove it."""
    roles = frozenset(each for each in (role, own_role) if each is not None)
    return Entry(mode or ("signed_in" if roles else "anyone"), roles, frozenset(scopes))
