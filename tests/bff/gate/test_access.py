"""Who may come in: every combination of what is needed and what a request has."""

import pytest

from bff.errors import GatewayError
from bff.gate.access import ANYONE, AccessMode, Entry, entry_of
from bff.gate.auth import SignedIn
from bff.gate.consumers import Consumer
from bff.graph.context import Viewer
from bff.upstream.caller import Identity

PLAIN = SignedIn(Viewer("1"), Identity("1", "Bearer x"))
ADMIN = SignedIn(Viewer("1", frozenset({"admin"}), frozenset({"read", "write"})), Identity("1", "Bearer x"))
KEY = Consumer("partner", frozenset({"web"}), frozenset({"read"}))


def outcome(entry: Entry, signed_in: SignedIn | None, consumer: Consumer | None) -> int:
    """200, or the status of the refusal."""
    try:
        entry.check(signed_in, consumer)
    except GatewayError as error:
        return error.status or 0
    return 200


@pytest.mark.parametrize(
    ("mode", "nothing", "token", "key", "both"),
    [
        ("anyone", 200, 200, 200, 200),
        ("signed_in", 401, 200, 401, 200),
        ("key", 401, 401, 200, 200),
        ("signed_in_or_key", 401, 200, 200, 200),
    ],
)
def test_what_must_be_proved(mode: AccessMode, nothing: int, token: int, key: int, both: int) -> None:
    """By a request without anything, with a token, with a key, with both."""
    entry = Entry(mode)
    found = [outcome(entry, *each) for each in ((None, None), (PLAIN, None), (None, KEY), (PLAIN, KEY))]
    assert found == [nothing, token, key, both]


@pytest.mark.parametrize("mode", ["anyone", "signed_in", "signed_in_or_key"])
def test_a_role_needs_a_token_with_it(mode: AccessMode) -> None:
    """A key has no roles, so it is not enough, whatever the mode."""
    entry = Entry(mode, frozenset({"admin"}))
    requests = ((None, None), (PLAIN, None), (ADMIN, None), (None, KEY), (ADMIN, KEY))
    found = [outcome(entry, *each) for each in requests]
    assert found == [401, 403, 200, 401, 200]


def test_scopes_are_those_that_are_granted() -> None:
    """The token's, the key's, or those that both have."""
    read, write = Entry("anyone", scopes=frozenset({"read"})), Entry("anyone", scopes=frozenset({"write"}))
    assert [outcome(read, *each) for each in ((None, None), (PLAIN, None), (ADMIN, None), (None, KEY))] == [
        401,
        403,
        200,
        200,
    ]
    assert [outcome(write, *each) for each in ((ADMIN, None), (None, KEY), (ADMIN, KEY))] == [200, 403, 403]


def test_the_settings_add_to_the_application_s_role() -> None:
    """They can't open what the application has closed."""
    assert entry_of("anyone", None, (), "admin") == Entry("anyone", frozenset({"admin"}))
    assert outcome(entry_of("anyone", None, (), "admin"), None, None) == 401
    assert entry_of(None, "auditor", (), "admin").roles == {"admin", "auditor"}
    assert entry_of(None, None, ()) == ANYONE
    assert entry_of(None, "admin", ()).mode == "signed_in"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (ANYONE, "anyone"),
        (Entry("key"), "programs with an API key"),
        (Entry("signed_in_or_key"), "signed-in users and programs with an API key"),
        (Entry("anyone", frozenset({"admin"})), "signed-in users with the role admin"),
        (
            Entry("signed_in", frozenset({"b", "a"}), frozenset({"x"})),
            "signed-in users with the roles a, b and the scope x",
        ),
    ],
)
def test_it_is_told_in_words(entry: Entry, text: str) -> None:
    """For the log at the start."""
    assert str(entry) == text
