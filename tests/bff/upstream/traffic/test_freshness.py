"""How long an answer may be used: the rules section by section, and all of them against a model."""

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
    """The lifetimes of an answer that says so; None if the gateway must not keep it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if said:
        named["cache-control"] = said
    return kept_life(judge(status, named, with_identity=identity, wall_now=NOW, delay_s=delay_s))


def kept_life(found: Lifetimes) -> Lifetimes | None:
    """The same; None if the gateway must not keep the answer."""
    return found if found.is_kept else None


def fresh(said: str = "", **more: Any) -> float | None:
    """How long it is fresh; None where it must not be kept."""
    found = life(said, **more)
    return None if found is None else found.fresh_s


def date(seconds: float) -> str:
    """An HTTP date, so many seconds from now."""
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
def test_what_may_be_kept(said: str, public: bool, private: bool) -> None:
    """Section 5.2.2, and no lifetime that wasn't stated: for nobody in particular, and for one viewer."""
    assert (life(said) is not None) is public
    assert (life(said, identity=True) is not None) is private


@pytest.mark.parametrize(
    ("status", "kept_"), [(200, True), (404, True), (201, False), (204, False), (301, False), (500, False)]
)
def test_which_statuses(status: int, kept_: bool) -> None:
    """That something is there, and that it isn't."""
    assert (life("max-age=60", status=status) is not None) is kept_


def test_a_validator_is_reason_enough() -> None:
    """To be asked for with it; weak or strong. An empty one is none."""
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
def test_what_it_depends_on(said: str, names: tuple[str, ...] | None) -> None:
    """Section 4.1: on which request headers; not at all kept where no other request can be equal."""
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
    """What is contradictory or can't be read is stale at once (section 4.2.1)."""
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
def test_how_old_it_was_when_it_came(headers: dict[str, Any], delay_s: float, age_s: float) -> None:
    """By its date or by what it says, whichever is more; and what it was on its way counts."""
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
def test_how_long_it_may_serve_beyond(said: str, public: tuple[int, int], private: tuple[int, int]) -> None:
    """While it is asked for anew, and where asking failed; never where it is forbidden, and for a day at most."""
    for identity, expected in ((False, public), (True, private)):
        found = life(said, identity=identity)
        assert found is not None
        assert (found.while_revalidate_s, found.if_error_s) == expected


# section 4.3.4: freshening


def test_a_304_takes_the_place_of_what_was_said() -> None:
    """What it doesn't mention stays; but for age and date, which are the message's own."""
    stored = {"cache-control": "max-age=1", "etag": '"1"', "vary": "accept", "age": "30", "date": date(-100)}
    new = {"cache-control": "max-age=9", "content-type": "text/html"}
    assert merged(stored, new) == {"cache-control": "max-age=9", "etag": '"1"', "vary": "accept"}
    assert merged(stored, {"age": "3"})["age"] == "3"


def test_only_what_matters_is_kept() -> None:
    """No header that may be somebody's."""
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
    """Section 5.2: names in any case, tokens and quoted strings; junk between them is passed over."""
    assert dict(cache_control(text)) == found


@given(st.text(max_size=60))
def test_nothing_in_a_header_is_an_error(text: str) -> None:
    """Services say what they like."""
    for name in ("cache-control", "expires", "date", "age", "vary"):
        judge(200, {name: text, "etag": '"1"'}, with_identity=False, wall_now=NOW, delay_s=0)


# all of it, against a model


@dataclass(frozen=True)
class Said:
    """An answer's words, before they are written down."""

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
    """The RFC's rules, read from the words and not from their spelling."""
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
def test_the_rules_are_the_models(said: Said, identity: bool, delay_s: float, chance: Any) -> None:
    """However an answer is put into words: any order, case, blanks, quotes and unknown directives between."""

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
def test_what_others_may_do_with_it(
    headers: dict[str, str], public: tuple[float, bool, bool], private: tuple[float, bool, bool]
) -> None:
    """Seconds, by shared caches too, at all: what was asked for with credentials is its viewer's."""
    for with_identity, expected in ((False, public), (True, private)):
        life = judge(200, headers, with_identity=with_identity, wall_now=NOW, delay_s=0.0)
        seconds, is_shared, may_keep = for_clients(life)
        assert (pytest.approx(seconds), is_shared if may_keep else False, may_keep) == expected


@given(SAID, st.booleans())
def test_clients_are_never_told_more_than_the_gateway_may(said: Said, identity: bool) -> None:
    """Clients get the lifetime that the gateway uses itself, and none where it must ask anew."""
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
def test_what_is_too_long_is_not_read(name: str) -> None:
    """Nor is it cached, with the answer or in the caches of parsed headers: long values would fill the memory."""
    headers = {"cache-control": "max-age=60", "etag": '"1"', name: "max-age=60, " + "x" * 60_000}
    life = judge(200, headers, with_identity=False, wall_now=NOW, delay_s=0.0)
    assert life.is_kept is (name not in {"cache-control", "vary"})
    assert life.etag == ('"1"' if life.is_kept and name != "etag" else None)
    assert sum(map(len, kept(headers).values())) < 100
    again = judge(200, kept(headers), with_identity=False, wall_now=NOW, delay_s=0.0)
    assert again == life
