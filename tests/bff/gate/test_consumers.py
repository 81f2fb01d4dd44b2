"""API keys."""

import pytest

from bff.errors import InvalidApiKey
from bff.gate.consumers import PREFIX, Consumer, Consumers, digest_of, granted, is_digest, new_key

PARTNER = Consumer("partner", frozenset({"web"}), frozenset({"stock", "orders"}))


def test_a_key_identifies_its_consumer() -> None:
    """A consumer may have several keys, so that keys can be replaced without a gap."""
    old, new = new_key(), new_key()
    consumers = Consumers({digest_of(old): PARTNER, digest_of(new): PARTNER})
    assert consumers.identify([old.encode()]) is PARTNER
    assert consumers.identify([new.encode()]) is PARTNER
    assert consumers.identify([]) is None
    assert old not in repr(consumers)


def test_any_other_key_is_refused() -> None:
    """An unknown, empty or huge key, the digest itself, and two keys."""
    key = new_key()
    consumers = Consumers({digest_of(key): PARTNER})
    good = key.encode()
    for headers in ([b""], [b"x"], [good + b"x"], [good[:-1]], [good.upper()], [digest_of(key).encode()], [b"k" * 10_000]):
        with pytest.raises(InvalidApiKey):
            consumers.identify(headers)
    for headers in ([good, good], [good, b"x"]):
        with pytest.raises(InvalidApiKey):
            consumers.identify(headers)


def test_a_new_key_is_random_and_has_the_prefix() -> None:
    """It has 256 random bits."""
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith(PREFIX) and len(key) == len(PREFIX) + 43 for key in keys)
    assert all(is_digest(digest_of(key)) for key in keys)
    assert not any(is_digest(each) for each in ("", "0" * 63, "G" * 64, "0" * 64 + "\n"))


@pytest.mark.parametrize(
    ("token", "consumer", "expected"),
    [
        (None, None, set()),
        (["stock"], None, {"stock"}),
        (None, PARTNER, {"stock", "orders"}),
        (["stock", "admin"], PARTNER, {"stock"}),
        ([], PARTNER, set()),
    ],
)
def test_scopes_are_those_of_both_token_and_consumer(
    token: list[str] | None, consumer: Consumer | None, expected: set[str]
) -> None:
    """If only one of them is given, its scopes count."""
    assert granted(token, consumer) == expected
