"""Who asks: a good token makes a viewer, a bad one is refused, and only none at all is nobody."""

import base64
import hashlib
import hmac
import json
import time
import warnings
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import InvalidToken
from bff.gate.auth import LEEWAY_S, Authenticator, ClaimOptions, Confinement, Issuer, roles_of
from bff.graph.context import Viewer
from tests.support.now import now

SECRET = "a secret of the tests, forty-two bytes long"
PLAIN = Issuer(SECRET)


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims with changes; None takes one away."""
    usual = {"sub": "1", "exp": int(time.time()) + 3600}
    return {name: value for name, value in (usual | changes).items() if value is not None}


def token(algorithm: str = "HS256", secret: str = SECRET, **changes: Any) -> str:
    """A token of those claims."""
    return jwt.encode(claims(**changes), secret, algorithm=algorithm)


def forged(head: Any, body: Any, secret: str = SECRET) -> str:
    """A token of any JSON at all, signed with HS256 whatever its head says."""
    parts = [_part(json.dumps(part).encode() if not isinstance(part, bytes) else part) for part in (head, body)]
    signature = hmac.new(secret.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, _part(signature)])


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def bearer(token: str) -> list[bytes]:
    """The header's values."""
    return [f"Bearer {token}".encode("latin-1")]


def refused(headers: list[bytes], options: Issuer = PLAIN) -> InvalidToken:
    """The refusal, which is 401 with a challenge that a header can carry and that tells nothing of the token."""
    with pytest.raises(InvalidToken) as caught:
        now(Authenticator([options]).authenticate(headers))
    error = caught.value
    assert (error.status, error.code) == (401, "UNAUTHENTICATED")
    ((name, value),) = error.headers
    assert name == b"www-authenticate"
    assert value.startswith(b'Bearer error="invalid_token", error_description="')
    assert value.isascii()
    assert value.decode().isprintable()
    return error


def viewer(headers: list[bytes], options: Issuer = PLAIN) -> Viewer:
    """The viewer of a good token."""
    signed_in = now(Authenticator([options]).authenticate(headers))
    assert signed_in is not None
    return signed_in.viewer


# Headers


def test_no_header_is_nobody() -> None:
    """The one way to be anonymous."""
    assert now(Authenticator([PLAIN]).authenticate([])) is None


def test_a_good_token_is_its_bearer() -> None:
    """The viewer is the token's `sub`; the services get the header as it stands, and no log gets the token."""
    good = token()
    signed_in = now(Authenticator([PLAIN]).authenticate(bearer(good)))
    assert signed_in is not None
    assert signed_in.viewer == Viewer("1", frozenset())
    assert (signed_in.identity.user_id, signed_in.identity.authorization) == ("1", f"Bearer {good}")
    assert good not in repr(signed_in)


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer  {}", " Bearer {} "])
def test_the_scheme_is_read_as_http_has_it(form: str) -> None:
    """In any case, with spaces around (RFC 9110, section 11.1); the services get the usual form."""
    good = token()
    signed_in = now(Authenticator([PLAIN]).authenticate([form.format(good).encode()]))
    assert signed_in is not None
    assert signed_in.identity.authorization == f"Bearer {good}"


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b" ",
        b"Bearer",
        b"Bearer ",
        b"Basic dXNlcjpwYXNz",
        b"Token abc",
        b"Bearer a b",
        b"Bearer,abc",
        b"\xff\xfe",
        b"Bearer \xff",
        b"Bearer null",
        b"Bearer undefined",
        b"Bearer a.b.c",
        b"Bearer ...",
        b"Bearer " + "тест".encode(),
    ],
)
def test_any_other_header_is_refused(header: bytes) -> None:
    """An empty one, another scheme, no token, two, none that can be read: never taken for nobody."""
    refused([header])


def test_a_good_token_in_another_scheme_is_refused() -> None:
    """`Basic` and the bare token are no bearers."""
    refused([b"Basic " + token().encode()])
    refused([token().encode()])


def test_two_headers_are_refused() -> None:
    """Even if both are good, or the same: which one counts is not for us to guess."""
    good = bearer(token())
    refused(good + good)
    refused([*good, b""])
    refused([good[0] + b", " + good[0]])


def test_a_huge_token_is_refused_unread() -> None:
    """Beyond 8192 characters nothing is verified, good or not."""
    long = token(padding="x" * 9000)
    assert "JSON web token" in refused(bearer(long)).message


@given(st.binary(max_size=200))
def test_no_header_whatsoever_raises_anything_else(junk: bytes) -> None:
    """Any bytes are refused as a bad token."""
    refused([junk])
    refused([b"Bearer " + junk])


@given(st.text("abcAZ09-_=.", max_size=60))
def test_no_token_whatsoever_raises_anything_else(junk: str) -> None:
    """Nor does anything that looks like one."""
    refused(bearer(junk))


# Time


@pytest.mark.parametrize("age_s", [-3600, -1, 0, LEEWAY_S - 2])
def test_a_token_is_good_until_ten_seconds_after_it_expires(age_s: int) -> None:
    """Clocks differ: ten seconds are forgiven."""
    assert viewer(bearer(token(exp=int(time.time()) - age_s))).sub == "1"


@pytest.mark.parametrize("age_s", [LEEWAY_S + 1, 60, 10**9])
def test_an_expired_token_is_refused(age_s: int) -> None:
    """And the client is told that it has to get another."""
    assert "expired" in refused(bearer(token(exp=int(time.time()) - age_s))).message


def test_the_leeway_is_ten_seconds() -> None:
    """As the contract says."""
    assert LEEWAY_S == 10


@pytest.mark.parametrize("ahead_s", [-3600, 0, LEEWAY_S - 2])
def test_a_token_is_good_from_ten_seconds_before_its_time(ahead_s: int) -> None:
    """The same leeway."""
    assert viewer(bearer(token(nbf=int(time.time()) + ahead_s))).sub == "1"


@pytest.mark.parametrize("ahead_s", [LEEWAY_S + 5, 3600])
def test_a_token_before_its_time_is_refused(ahead_s: int) -> None:
    """`nbf` is checked where it is there."""
    assert "not valid yet" in refused(bearer(token(nbf=int(time.time()) + ahead_s))).message


@pytest.mark.parametrize("iat", [2**40, 0, "soon"])
def test_when_it_was_issued_does_not_matter(iat: Any) -> None:
    """`iat` is not for us to judge."""
    assert viewer(bearer(token(iat=iat))).sub == "1"


@pytest.mark.parametrize("exp", ["never", [], {}, -1, 0, True])
def test_an_expiry_that_is_no_time_to_come_is_refused(exp: Any) -> None:
    """Neither an error of ours nor a token for ever."""
    refused(bearer(forged({"alg": "HS256", "typ": "JWT"}, claims() | {"exp": exp})))


@pytest.mark.parametrize("exp", [b"1e999", b"NaN", b"Infinity", b"null"])
def test_an_expiry_that_python_alone_reads_is_refused(exp: bytes) -> None:
    """What is no number in JSON, or is infinite, is none here."""
    refused(bearer(forged({"alg": "HS256"}, b'{"sub":"1","exp":' + exp + b"}")))


# Signatures


@pytest.mark.parametrize("secret", ["another secret, long enough to be taken", SECRET + " ", SECRET[:-1]])
def test_another_secret_s_token_is_refused(secret: str) -> None:
    """Only who has the secret can make tokens."""
    assert "signature" in refused(bearer(token(secret=secret))).message


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_by_the_same_secret_is_refused(algorithm: str) -> None:
    """HS256 and nothing else, though the signature would be right."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the secret is short for those
        other = token(algorithm)
    refused(bearer(other))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None, "hs256", "RS256", "ES256", ["HS256"], 1])
def test_what_a_token_says_of_its_algorithm_changes_nothing(alg: Any) -> None:
    """`none` is refused, and so is whatever is not HS256, be it signed or not."""
    signed = forged({"alg": alg, "typ": "JWT"}, claims())
    refused(bearer(signed))
    refused(bearer(signed.rpartition(".")[0] + "."))
    refused(bearer(signed.rpartition(".")[0]))


def test_an_unsigned_token_is_refused() -> None:
    """As PyJWT itself makes it."""
    refused(bearer(jwt.encode(claims(), "", algorithm="none")))


def test_a_changed_token_is_refused() -> None:
    """Claims are as they were signed."""
    head, _, signature = token().split(".")
    other = _part(json.dumps(claims(roles=["admin"])).encode())
    refused(bearer(f"{head}.{other}.{signature}"))


@pytest.mark.parametrize("body", [[], "x", 1, None, {}])
def test_claims_that_are_none_are_refused(body: Any) -> None:
    """A token's body is an object with what is required in it."""
    refused(bearer(forged({"alg": "HS256"}, body)))


def test_a_short_secret_works_and_warns_nobody() -> None:
    """That it is short is said once, at the start: a request is no occasion for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        short = token(secret="short")
    assert viewer(bearer(short), Issuer("short")).sub == "1"
    refused(bearer(token()), Issuer("short"))


# Claims


@pytest.mark.parametrize("name", ["exp", "sub"])
def test_a_required_claim_that_is_missing_is_named(name: str) -> None:
    """`exp` and `sub` have to be there."""
    assert name in refused(bearer(token(**dict[str, Any]({name: None})))).message


@pytest.mark.parametrize("sub", [1, 1.5, "", True, ["1"], {"id": "1"}])
def test_a_sub_is_a_string_with_something_in_it(sub: Any) -> None:
    """A number is no string, though it may look like a user's id."""
    refused(bearer(forged({"alg": "HS256"}, claims() | {"sub": sub})))


@pytest.mark.parametrize("sub", ["1", "auth0|abc", "Ünal", " 1", "a" * 500])
def test_any_other_sub_is_taken_as_it_is(sub: str) -> None:
    """Whether it is a user is not for the door to say."""
    assert viewer(bearer(token(sub=sub))).sub == sub


@pytest.mark.parametrize("name", ["iss", "aud"])
def test_issuer_and_audience_are_looked_at_only_where_configured(name: str) -> None:
    """Where they are not, a token may have any or none."""
    for value in (None, "anything", "other"):
        assert viewer(bearer(token(**dict[str, Any]({name: value})))).sub == "1"


@pytest.mark.parametrize(
    ("name", "options"),
    [("iss", Issuer(SECRET, issuer="ours")), ("aud", Issuer(SECRET, audience="ours"))],
)
def test_issuer_and_audience_are_required_where_configured(name: str, options: Issuer) -> None:
    """The right one is good; another, none and what is no string are refused."""
    assert viewer(bearer(token(**{name: "ours"})), options).sub == "1"
    for value in (None, "other", "OURS", "ours ", "", 1, {"ours": 1}):
        body = claims() | ({} if value is None else {name: value})
        refused(bearer(forged({"alg": "HS256"}, body)), options)


def test_an_audience_may_be_one_of_several() -> None:
    """RFC 7519, section 4.1.3."""
    options = Issuer(SECRET, audience="ours")
    assert viewer(bearer(token(aud=["theirs", "ours"])), options).sub == "1"
    refused(bearer(token(aud=["theirs"])), options)
    refused(bearer(token(aud=[])), options)


def test_issuer_and_audience_are_both_required_where_both_are_configured() -> None:
    """One of two is not enough."""
    options = Issuer(SECRET, issuer="us", audience="ours")
    assert viewer(bearer(token(iss="us", aud="ours")), options).sub == "1"
    refused(bearer(token(iss="us")), options)
    refused(bearer(token(aud="ours")), options)


@pytest.mark.parametrize(
    ("given", "roles"),
    [
        ({}, set()),
        ({"roles": ["admin"]}, {"admin"}),
        ({"roles": ["a", "admin"]}, {"a", "admin"}),
        ({"role": "admin"}, {"admin"}),
        ({"role": "admin", "roles": ["a"]}, {"a", "admin"}),
        ({"roles": []}, set()),
        ({"roles": "admin"}, set()),
        ({"roles": {"admin": True}}, set()),
        ({"roles": [["admin"], None, 1, True, "a"]}, {"a"}),
        ({"role": ["admin"]}, set()),
        ({"role": {"admin": 1}}, set()),
        ({"role": None, "roles": None}, set()),
        ({"role": 1, "roles": 1}, set()),
        ({"Roles": ["admin"], "ROLE": "admin"}, set()),
        ({"scope": "admin"}, set()),
    ],
)
def test_roles_are_an_array_or_one_string(given: dict[str, Any], roles: set[str]) -> None:
    """`roles`, an array of strings, and `role`, one string; whatever else stands there gives none."""
    assert roles_of(given, ClaimOptions()) == roles
    assert viewer(bearer(forged({"alg": "HS256"}, claims() | given))).roles == roles


@pytest.mark.parametrize(
    "role", ["Admin", "ADMIN", "admin ", " admin", "admin\n", "administrator", "\N{CYRILLIC SMALL LETTER A}dmin", ""]
)
def test_admin_must_match_exactly(role: str) -> None:
    """Neither case nor space is forgiven, nor a letter that only looks alike."""
    assert "admin" not in viewer(bearer(token(roles=[role], role=role))).roles


def test_an_authenticator_does_not_tell_its_secret() -> None:
    """Its repr is fit for a log."""
    assert repr(Authenticator([PLAIN])) == "<Authenticator of 1 issuers, 0 known>"


# What is known of a token


class Watched(Authenticator):
    """Counts how often a token is really looked into."""

    looked = 0

    async def _verify(self, token: str) -> tuple[dict[str, Any], Issuer]:
        self.looked += 1
        return await super()._verify(token)


def test_a_good_token_is_verified_once() -> None:
    """From then on it is known; another one, and the same with a letter changed, is looked into by itself."""
    authenticator = Watched([PLAIN])
    good = bearer(token())
    first = now(authenticator.authenticate(good))
    assert now(authenticator.authenticate(good)) is first
    assert authenticator.looked == 1
    other = now(authenticator.authenticate(bearer(token(sub="2"))))
    assert other is not None
    assert other.viewer == Viewer("2")
    with pytest.raises(InvalidToken):
        now(authenticator.authenticate([good[0][:-2] + (b"AA" if good[0][-2:] != b"AA" else b"BB")]))
    assert authenticator.looked == 3


def test_a_known_token_expires_all_the_same() -> None:
    """Known until its own time and the leeway are over, and not a moment longer."""
    moment = time.time()
    clock = [moment]
    authenticator = Watched([PLAIN], clock=lambda: clock[0])
    short = bearer(token(exp=int(moment) + 60))
    now(authenticator.authenticate(short))
    clock[0] = int(moment) + 60 + LEEWAY_S - 0.1
    now(authenticator.authenticate(short))
    assert authenticator.looked == 1
    clock[0] = int(moment) + 60 + LEEWAY_S
    now(authenticator.authenticate(short))  # by the real clock it is still good: what counts is that it was looked into
    assert authenticator.looked == 2


def test_a_bad_token_is_never_known() -> None:
    """It is refused each time, for its own reason."""
    authenticator = Watched([PLAIN])
    expired = bearer(token(exp=int(time.time()) - 3600))
    for _ in range(2):
        with pytest.raises(InvalidToken, match="expired"):
            now(authenticator.authenticate(expired))
    assert authenticator.looked == 2


def test_what_known_tokens_weigh_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes, the least recently used goes; no token is among the keys, only its hash."""
    monkeypatch.setattr("bff.gate.auth._MOST_KNOWN_BYTES", 4000)
    authenticator = Watched([PLAIN])
    one, two, three = (bearer(token(sub=sub)) for sub in "123")
    for each in (one, two, one, three, one):
        now(authenticator.authenticate(each))
    assert authenticator.looked == 3
    now(authenticator.authenticate(two))
    assert authenticator.looked == 4
    assert len(authenticator._known) == 2
    assert all(len(key) == 32 for key in authenticator._known)
    now(authenticator.authenticate(bearer(token(roles=[f"role {number}" for number in range(200)]))))
    assert authenticator.looked == 5
    assert authenticator._known.weight <= 4000, "one with many roles is too heavy to be known at all"


# Confined issuers

CONFINED = Confinement(
    variants=frozenset({"mobile"}),
    roles=frozenset({"clerk"}),
    scopes=frozenset({"read"}),
    subject_prefix="p-",
    subject_namespace="partner:",
)


def test_a_confined_issuer_s_tokens_say_no_more_than_they_may() -> None:
    """Roles and scopes that it may not claim are dropped; its subjects are in a namespace, for the services too."""
    issuer = Issuer(SECRET, confinement=CONFINED)
    made = token(sub="p-1", roles=["admin", "clerk"], role="admin", scope="read write")
    signed_in = now(Authenticator([issuer]).authenticate(bearer(made)))
    assert signed_in is not None
    assert signed_in.viewer == Viewer("partner:p-1", frozenset({"clerk"}), frozenset({"read"}))
    assert signed_in.identity.user_id == "partner:p-1"
    assert signed_in.may_use("mobile")
    assert not signed_in.may_use("admin")
    assert signed_in.viewer.user_id is None
    assert viewer(bearer(token(sub="p-2")), issuer) == Viewer("partner:p-2")


@pytest.mark.parametrize("sub", ["1", "q-1", "P-1", " p-1", "partner:p-1"])
def test_a_confined_issuer_speaks_for_its_own_subjects_alone(sub: str) -> None:
    """A token for another one is refused, and not taken for another's."""
    assert "speak" in refused(bearer(token(sub=sub)), Issuer(SECRET, confinement=CONFINED)).message


def test_an_issuer_is_confined_by_itself_alone() -> None:
    """By the `iss` that its signature bears out; the default issuer may claim anything."""
    other = "another secret of the tests, of 42 bytes.."
    issuers = [PLAIN, Issuer(other, issuer="partner", confinement=CONFINED)]
    for authenticator in (Authenticator(issuers), Authenticator(list(reversed(issuers)))):
        mine = now(authenticator.authenticate(bearer(token(roles=["admin"]))))
        assert mine is not None
        assert (mine.viewer.roles, mine.may_use("admin")) == ({"admin"}, True)
        theirs = now(authenticator.authenticate(bearer(token(secret=other, iss="partner", sub="p-1", roles=["admin"]))))
        assert theirs is not None
        assert (theirs.viewer.roles, theirs.may_use("admin")) == (frozenset(), False)
        for forged_iss in ({"iss": "partner"}, {"secret": other}):
            with pytest.raises(InvalidToken):
                now(authenticator.authenticate(bearer(token(sub="p-1", **forged_iss))))
