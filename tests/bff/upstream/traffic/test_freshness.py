"""How long a reply may be used: the rules section by section, and all of them against a model."""

from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.upstream.traffic.freshness import Lifetimes, cache_control, for_clients, judge, kept, merged

NOW = 1_800_000_000.0
DAY = 86_400


def life(
    said: str = "", *, status: int = 200, identity: bool = False, delay_s: float = 0.0, **headers: str
) -> Lifetimes | None:
    """The lifetimes of a reply with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if said:
        named["cache-control"] = said
    return kept_life(judge(status, named, with_identity=identity, wall_now=NOW, delay_s=delay_s))


def kept_life(found: Lifetimes) -> Lifetimes | None:
    """The same; None if the gateway must not cache the reply."""
    return found if found.is_kept else None


def fresh(said: str = "", **more: Any) -> float | None:
    """How long it is fresh, in seconds; None if it must not be cached."""
    found = life(said, **more)
    return None if found is None else found.fresh_s


def date(seconds: float) -> str:
    """An HTTP date, this many seconds from now."""
    return formatdate(NOW + seconds, usegmt=True)


# RFC 9111, section 3: storing


@pytest.mark.parametrize(
    ("said", "public", "private"),
    [
        ("max-age=60", True, True),
        ("public, max-age=60", True, True),
        ("private, max-age=60", False, True),
        ('private="set-cookie", max-age=60', False, True),
        ("no-store", False, False),
        ("no-store, max-age=60", False, False),
        ("No-Store", False, False),
        ("", False, False),
        ("public", False, False),
        ("stale-if-error=60", False, False),
        ("max-age=0", True, True),
    ],
)
def test_what_may_be_cached(said: str, public: bool, private: bool) -> None:
    """RFC 9111, section 5.2.2, and no lifetime that wasn't stated: without identity, and for one viewer."""
    assert (life(said) is not None) is public
    assert (life(said, identity=True) is not None) is private


@pytest.mark.parametrize(
    ("status", "kept_"), [(200, True), (404, True), (201, False), (204, False), (301, False), (500, False)]
)
def test_which_statuses_are_cached(status: int, kept_: bool) -> None:
    """200 and 404: that an object exists, and that it doesn't."""
    assert (life("max-age=60", status=status) is not None) is kept_


def test_a_validator_is_enough_to_be_cached() -> None:
    """For revalidation; weak or strong. An empty one doesn't count."""
    found = life(etag='W/"1"')
    assert found is not None
    assert (found.fresh_s, found.etag) == (0.0, 'W/"1"')
    assert life(etag="") is None


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("", ()),
        ("Accept", ("accept",)),
        ("Accept-Encoding, accept", ("accept", "accept-encoding")),
        (" , Accept,", ("accept",)),
        ("Authorization", ("authorization",)),
        ("*", None),
        ("accept, *", None),
        ("X-Request-ID", None),
        ("Traceparent", None),
        ("X-Request-Timeout-Ms", None),
    ],
)
def test_vary(said: str, names: tuple[str, ...] | None) -> None:
    """RFC 9111, section 4.1: the request headers it depends on. Not cached at all if no other request can match."""
    found = life("max-age=60", vary=said)
    assert (found.vary if found is not None else None) == names


# section 4.2.1: how long


@pytest.mark.parametrize(
    ("said", "headers", "public_s", "private_s"),
    [
        ("max-age=60", {}, 60, 60),
        ("MAX-AGE=60", {}, 60, 60),
        ('max-age="60"', {}, 60, 60),
        ("max-age = 60", {}, 60, 60),
        ("junk, ;; =, max-age=60, more junk", {}, 60, 60),
        ("s-maxage=90, max-age=60", {}, 90, 60),
        ("s-maxage=90", {"etag": '"1"'}, 90, 0),
        ("max-age=60", {"expires": date(600)}, 60, 60),
        ("", {"expires": date(600)}, 600, 600),
        ("", {"expires": date(600), "date": date(-100)}, 600, 600),
        ("", {"expires": date(-1)}, 0, 0),
        ("", {"expires": "0"}, 0, 0),
        ("", {"expires": "soon"}, 0, 0),
        ("max-age=soon", {}, 0, 0),
        ("max-age=-1", {}, 0, 0),
        ("max-age=1.5", {}, 0, 0),
        ("max-age", {}, 0, 0),
        ("max-age=", {}, 0, 0),
        ("max-age=60, max-age=60", {}, 60, 60),
        ("max-age=60, max-age=90", {}, 0, 0),
        ("max-age=60, no-cache", {}, 0, 0),
        ('max-age=60, no-cache="x"', {}, 0, 0),
        (f"max-age={10**30}", {}, 365 * DAY, 365 * DAY),
    ],
)
def test_how_long_it_is_fresh(said: str, headers: dict[str, str], public_s: float, private_s: float) -> None:
    """Headers that contradict each other or can't be read make it stale at once (RFC 9111, section 4.2.1)."""
    assert fresh(said, **headers) == pytest.approx(public_s)
    assert fresh(said, identity=True, **headers) == pytest.approx(private_s)


# section 4.2.3: how old


@pytest.mark.parametrize(
    ("headers", "delay_s", "age_s"),
    [
        ({}, 0.0, 0),
        ({}, 2.0, 2),
        ({"age": "30"}, 0.0, 30),
        ({"age": "30"}, 2.0, 32),
        ({"date": date(-20)}, 0.0, 20),
        ({"date": date(-20), "age": "30"}, 2.0, 32),
        ({"date": date(-50), "age": "30"}, 2.0, 50),
        ({"date": date(+50)}, 0.0, 0),
        ({"date": "yesterday"}, 0.0, 0),
        ({"age": "old"}, 0.0, 0),
        ({"age": "-5"}, 0.0, 0),
        ({"age": "30, 50"}, 0.0, 30),
    ],
)
def test_the_age_at_arrival(headers: dict[str, Any], delay_s: float, age_s: float) -> None:
    """From `Date` or `Age`, whichever is more, plus the time the reply took."""
    found = life("max-age=100", delay_s=delay_s, **headers)
    assert found is not None
    assert found.age_s == pytest.approx(age_s)
    assert found.fresh_s == pytest.approx(100 - age_s)


# section 4.2.4, and RFC 5861: stale


@pytest.mark.parametrize(
    ("said", "public", "private"),
    [
        ("max-age=1", (0, 0), (0, 0)),
        ("max-age=1, stale-while-revalidate=20, stale-if-error=30", (20, 30), (20, 30)),
        ("max-age=1, stale-while-revalidate=x, stale-if-error=-3", (0, 0), (0, 0)),
        ("max-age=1, stale-if-error=30, must-revalidate", (0, 0), (0, 0)),
        ("max-age=1, stale-if-error=30, proxy-revalidate", (0, 0), (0, 30)),
        ("max-age=1, stale-if-error=30, no-cache", (0, 0), (0, 0)),
        ("s-maxage=1, max-age=1, stale-if-error=30", (0, 0), (0, 30)),
        (f"max-age=1, stale-if-error={10**9}, stale-while-revalidate={10**9}", (DAY, DAY), (DAY, DAY)),
    ],
)
def test_how_long_it_may_be_used_stale(said: str, public: tuple[int, int], private: tuple[int, int]) -> None:
    """While it is revalidated, and in place of a failed call; never if that is forbidden, and for a day at most."""
    for identity, expected in ((False, public), (True, private)):
        found = life(said, identity=identity)
        assert found is not None
        assert (found.while_revalidate_s, found.if_error_s) == expected


# section 4.3.4: freshening


def test_the_headers_of_a_304_replace_the_stored_ones() -> None:
    """Stored headers that it doesn't have stay, except for `Age` and `Date`."""
    stored = {"cache-control": "max-age=1", "etag": '"1"', "vary": "accept", "age": "30", "date": date(-100)}
    new = {"cache-control": "max-age=9", "content-type": "text/html"}
    assert merged(stored, new) == {"cache-control": "max-age=9", "etag": '"1"', "vary": "accept"}
    assert merged(stored, {"age": "3"})["age"] == "3"


def test_only_the_rules_headers_are_kept() -> None:
    """No header that may be personal."""
    assert kept({"set-cookie": "session=secret", "etag": '"1"', "age": "3"}) == {"etag": '"1"', "age": "3"}


# the grammar


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("no-cache", {"no-cache": None}),
        ("A=1,b", {"a": "1", "b": None}),
        ('private="a, b", max-age=3', {"private": "a, b", "max-age": "3"}),
        (r'x="a\"b"', {"x": 'a"b'}),
        ('x="open, max-age=3', {"max-age": "3"}),
        (",,, ,a,", {"a": None}),
        ("a=1, a=2", {"a": ""}),
        ("a=1, a=1", {"a": "1"}),
        ("max-age 60, b", {"b": None}),
    ],
)
def test_the_directives(text: str, found: dict[str, str | None]) -> None:
    """RFC 9111, section 5.2: names in any case, tokens and quoted strings. Invalid text between them is skipped."""
    assert dict(cache_control(text)) == found


@given(st.text(max_size=60))
def test_no_header_raises(text: str) -> None:
    """A service may send anything."""
    for name in ("cache-control", "expires", "date", "age", "vary"):
        judge(200, {name: text, "etag": '"1"'}, with_identity=False, wall_now=NOW, delay_s=0)


# all of it, against a model


@dataclass(frozen=True)
class Said:
    """The facts that a reply's headers state, before they are written as text."""

    directives: dict[str, int | None]
    expires_s: int | None
    date_s: int | None
    age: int | None
    etag: bool


NAMED = st.fixed_dictionaries(
    {},
    optional={
        "no-store": st.none(),
        "no-cache": st.none(),
        "private": st.none(),
        "public": st.none(),
        "must-revalidate": st.none(),
        "proxy-revalidate": st.none(),
        "max-age": st.integers(0, 500),
        "s-maxage": st.integers(0, 500),
        "stale-if-error": st.integers(0, 500),
        "stale-while-revalidate": st.integers(0, 500),
        "immutable": st.none(),
    },
)
SAID = st.builds(
    Said,
    NAMED,
    st.none() | st.integers(-300, 500),
    st.none() | st.integers(-300, 300),
    st.none() | st.integers(0, 300),
    st.booleans(),
)


def model(said: Said, *, identity: bool, delay_s: float) -> Lifetimes | None:
    """The RFC's rules, applied to the facts and not to the text."""
    words = said.directives
    explicit = [words[name] for name in (("max-age",) if identity else ("s-maxage", "max-age")) if name in words]
    base = 0 if said.date_s is None else said.date_s
    if not explicit and said.expires_s is not None:
        explicit = [max(said.expires_s - base, 0)]
    forbidden = "no-store" in words or ("private" in words and not identity)
    if forbidden or (not explicit and not said.etag):
        return None
    apparent = max(-base, 0)
    age = max(apparent, (said.age or 0) + delay_s)
    fresh_s = (explicit[0] or 0 if explicit else 0) - age
    bound = {"no-cache", "must-revalidate"} | (set() if identity else {"proxy-revalidate", "s-maxage"})
    stale = not bound & set(words)
    return Lifetimes(
        min(fresh_s, 0.0) if "no-cache" in words else fresh_s,
        words.get("stale-while-revalidate", 0) or 0 if stale else 0,
        words.get("stale-if-error", 0) or 0 if stale else 0,
        age,
        '"1"' if said.etag else None,
        (),
    )


@given(SAID, st.booleans(), st.sampled_from([0.0, 1.5]), st.randoms(use_true_random=False))
def test_the_rules_agree_with_the_model(said: Said, identity: bool, delay_s: float, chance: Any) -> None:
    """In any spelling: order, case, blanks, quotes, and unknown directives in between."""

    def written(name: str, value: int | None) -> str:
        shown = name.upper() if chance.random() < 0.3 else name
        if value is None:
            return shown
        return f'{shown}="{value}"' if chance.random() < 0.3 else f"{shown}={value}"

    parts = [written(name, value) for name, value in said.directives.items()] + ["x-y=z"] * chance.randint(0, 2)
    chance.shuffle(parts)
    headers = {"cache-control": (" , " if chance.random() < 0.5 else ",").join(parts)}
    if said.expires_s is not None:
        headers["expires"] = date(said.expires_s)
    if said.date_s is not None:
        headers["date"] = date(said.date_s)
    if said.age is not None:
        headers["age"] = str(said.age)
    if said.etag:
        headers["etag"] = '"1"'
    found = kept_life(judge(200, headers, with_identity=identity, wall_now=NOW, delay_s=delay_s))
    expected = model(said, identity=identity, delay_s=delay_s)
    assert (found is None) is (expected is None)
    if found is not None and expected is not None:
        for name in ("fresh_s", "while_revalidate_s", "if_error_s", "age_s"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name)), name
        assert found.etag == expected.etag


@pytest.mark.parametrize(
    ("headers", "public", "private"),
    [
        ({}, (0.0, False, False), (0.0, False, False)),
        ({"cache-control": "no-store, max-age=60"}, (0.0, False, False), (0.0, False, False)),
        ({"cache-control": "max-age=60", "vary": "*"}, (0.0, False, False), (0.0, False, False)),
        ({"cache-control": "max-age=60"}, (60.0, True, True), (60.0, False, True)),
        ({"cache-control": "max-age=60, s-maxage=5"}, (5.0, True, True), (60.0, False, True)),
        ({"cache-control": "private, max-age=60"}, (60.0, False, True), (60.0, False, True)),
        ({"cache-control": "no-cache, max-age=60"}, (0.0, True, True), (0.0, False, True)),
        ({"cache-control": "max-age=60", "age": "45"}, (15.0, True, True), (15.0, False, True)),
        ({"cache-control": "max-age=60", "age": "90"}, (0.0, True, True), (0.0, False, True)),
        ({"cache-control": "must-revalidate"}, (0.0, True, True), (0.0, False, True)),
        ({"cache-control": "max-age=60", "date": date(-50)}, (10.0, True, True), (10.0, False, True)),
        ({"cache-control": "max-age=60", "date": date(-50), "age": "55"}, (5.0, True, True), (5.0, False, True)),
        ({"expires": date(20), "date": date(-10)}, (20.0, True, True), (20.0, False, True)),
        ({"expires": "0"}, (0.0, True, True), (0.0, False, True)),
        ({"cache-control": "max-age=60", "vary": "X-Request-ID"}, (0.0, False, False), (0.0, False, False)),
        ({"cache-control": "max-age=60", "vary": "Accept"}, (60.0, True, True), (60.0, False, True)),
        ({"etag": '"1"'}, (0.0, False, False), (0.0, False, False)),
    ],
)
def test_what_clients_may_do_with_it(
    headers: dict[str, str], public: tuple[float, bool, bool], private: tuple[float, bool, bool]
) -> None:
    """The lifetime, whether shared caches may store it, whether it may be stored: with credentials it is private."""
    for with_identity, expected in ((False, public), (True, private)):
        life = judge(200, headers, with_identity=with_identity, wall_now=NOW, delay_s=0.0)
        seconds, is_shared, may_keep = for_clients(life)
        assert (pytest.approx(seconds), is_shared if may_keep else False, may_keep) == expected


@given(SAID, st.booleans())
def test_clients_get_no_longer_lifetime_than_the_gateway(said: Said, identity: bool) -> None:
    """Clients get the lifetime that the gateway uses, and none if it must revalidate."""
    names = [name if value is None else f"{name}={value}" for name, value in said.directives.items()]
    headers = {"cache-control": ", ".join(names)} if names else {}
    headers |= {} if said.date_s is None else {"date": date(said.date_s)}
    headers |= {} if said.expires_s is None else {"expires": date(said.expires_s)}
    headers |= {} if said.age is None else {"age": str(said.age)}
    life = judge(200, headers, with_identity=identity, wall_now=NOW, delay_s=1.0)
    seconds, is_shared, may_keep = for_clients(life)
    if life.is_kept:
        assert seconds == max(life.fresh_s, 0.0)
    elif seconds:
        assert "private" in said.directives
        assert not identity
    assert not (is_shared and identity)
    assert may_keep or not seconds


@pytest.mark.parametrize("name", ["cache-control", "vary", "expires", "date", "age", "etag"])
def test_a_header_that_is_too_long_is_not_read(name: str) -> None:
    """Nor is it kept in an entry or a memo: long values would fill the memory."""
    headers = {"cache-control": "max-age=60", "etag": '"1"', name: "max-age=60, " + "x" * 60_000}
    life = judge(200, headers, with_identity=False, wall_now=NOW, delay_s=0.0)
    assert life.is_kept is (name not in {"cache-control", "vary"})
    assert life.etag == ('"1"' if life.is_kept and name != "etag" else None)
    assert sum(map(len, kept(headers).values())) < 100
    again = judge(200, kept(headers), with_identity=False, wall_now=NOW, delay_s=0.0)
    assert again == life
