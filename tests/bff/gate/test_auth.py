"""Authentication: a good token gives a viewer, a bad one is refused, and only no token at all is anonymous."""

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
from bff.gate.auth import LEEWAY_S, Authenticator, Confinement, Issuer
from bff.gate.claims import ClaimOptions, roles_of
from bff.graph.context import Viewer
from tests.support.now import now

SECRET = "a secret of the tests, forty-two bytes long"
PLAIN = Issuer((SECRET,))


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims with changes. None removes a claim."""
    usual = {"sub": "1", "exp": int(time.time()) + 3600}
    return {name: value for name, value in (usual | changes).items() if value is not None}


def token(algorithm: str = "HS256", secret: str = SECRET, **changes: Any) -> str:
    """A token of those claims."""
    return jwt.encode(claims(**changes), secret, algorithm=algorithm)


def forged(head: Any, body: Any, secret: str = SECRET) -> str:
    """A token of any JSON, signed with HS256 whatever its header says."""
    parts = [_part(json.dumps(part).encode() if not isinstance(part, bytes) else part) for part in (head, body)]
    signature = hmac.new(secret.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, _part(signature)])


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def bearer(token: str) -> list[bytes]:
    """The header's values."""
    return [f"Bearer {token}".encode("latin-1")]


def refused(headers: list[bytes], options: Issuer = PLAIN) -> InvalidToken:
    """The refusal. It is 401 with a challenge that is valid in a header and has nothing of the token."""
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


def test_no_header_is_anonymous() -> None:
    """The only way to be anonymous."""
    assert now(Authenticator([PLAIN]).authenticate([])) is None


def test_a_good_token_gives_its_bearer() -> None:
    """The viewer is the token's `sub`. The services get the header unchanged, and no log gets the token."""
    good = token()
    signed_in = now(Authenticator([PLAIN]).authenticate(bearer(good)))
    assert signed_in is not None
    assert signed_in.viewer == Viewer("1", frozenset())
    assert (signed_in.identity.user_id, signed_in.identity.authorization) == ("1", f"Bearer {good}")
    assert good not in repr(signed_in)


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer  {}", " Bearer {} "])
def test_the_scheme_is_case_insensitive(form: str) -> None:
    """With any spaces around (RFC 9110, section 11.1). The services get the usual form."""
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
    """Empty, another scheme, no token, two tokens, unreadable: none of them counts as anonymous."""
    refused([header])


def test_a_good_token_in_another_scheme_is_refused() -> None:
    """`Basic`, and a token without a scheme."""
    refused([b"Basic " + token().encode()])
    refused([token().encode()])


def test_two_headers_are_refused() -> None:
    """Even if both are good or equal: it is ambiguous which one counts."""
    good = bearer(token())
    refused(good + good)
    refused([*good, b""])
    refused([good[0] + b", " + good[0]])


def test_a_huge_token_is_refused_without_verification() -> None:
    """Tokens of more than 8192 characters, good or not."""
    long = token(padding="x" * 9000)
    assert "JSON web token" in refused(bearer(long)).message


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_as_a_bad_token(junk: bytes) -> None:
    """No header raises another error."""
    refused([junk])
    refused([b"Bearer " + junk])


@given(st.text("abcAZ09-_=.", max_size=60))
def test_any_text_like_a_token_is_refused_as_a_bad_token(junk: str) -> None:
    """No token raises another error."""
    refused(bearer(junk))


# Time


@pytest.mark.parametrize("age_s", [-3600, -1, 0, LEEWAY_S - 2])
def test_a_token_is_good_until_ten_seconds_after_it_expires(age_s: int) -> None:
    """Clocks differ, so there is a leeway of ten seconds."""
    assert viewer(bearer(token(exp=int(time.time()) - age_s))).sub == "1"


@pytest.mark.parametrize("age_s", [LEEWAY_S + 1, 60, 10**9])
def test_an_expired_token_is_refused(age_s: int) -> None:
    """The message says that it has expired."""
    assert "expired" in refused(bearer(token(exp=int(time.time()) - age_s))).message


def test_the_leeway_is_ten_seconds() -> None:
    """As the contract says."""
    assert LEEWAY_S == 10


@pytest.mark.parametrize("ahead_s", [-3600, 0, LEEWAY_S - 2])
def test_a_token_is_good_from_ten_seconds_before_nbf(ahead_s: int) -> None:
    """The same leeway."""
    assert viewer(bearer(token(nbf=int(time.time()) + ahead_s))).sub == "1"


@pytest.mark.parametrize("ahead_s", [LEEWAY_S + 5, 3600])
def test_a_token_before_nbf_is_refused(ahead_s: int) -> None:
    """`nbf` is checked if the token has one."""
    assert "not valid yet" in refused(bearer(token(nbf=int(time.time()) + ahead_s))).message


@pytest.mark.parametrize("iat", [2**40, 0, "soon"])
def test_iat_is_not_checked(iat: Any) -> None:
    """Clocks differ, so a token may seem to be issued in the future."""
    assert viewer(bearer(token(iat=iat))).sub == "1"


@pytest.mark.parametrize("exp", ["never", [], {}, -1, 0, True])
def test_an_unusable_expiry_is_refused(exp: Any) -> None:
    """It is neither an internal error nor a token without an end."""
    refused(bearer(forged({"alg": "HS256", "typ": "JWT"}, claims() | {"exp": exp})))


@pytest.mark.parametrize("exp", [b"1e999", b"NaN", b"Infinity", b"null"])
def test_an_expiry_that_is_no_json_number_is_refused(exp: bytes) -> None:
    """Python's JSON reader accepts some of these."""
    refused(bearer(forged({"alg": "HS256"}, b'{"sub":"1","exp":' + exp + b"}")))


# Signatures


@pytest.mark.parametrize("secret", ["another secret, long enough to be taken", SECRET + " ", SECRET[:-1]])
def test_a_token_of_another_secret_is_refused(secret: str) -> None:
    """Only who has the secret can make tokens."""
    assert "signature" in refused(bearer(token(secret=secret))).message


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_with_the_same_secret_is_refused(algorithm: str) -> None:
    """Only HS256 is accepted, though the signature would be right."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the secret is short for those
        other = token(algorithm)
    refused(bearer(other))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None, "hs256", "RS256", "ES256", ["HS256"], 1])
def test_a_token_can_not_choose_its_algorithm(alg: Any) -> None:
    """`none` and everything else that is not HS256 is refused, signed or not."""
    signed = forged({"alg": alg, "typ": "JWT"}, claims())
    refused(bearer(signed))
    refused(bearer(signed.rpartition(".")[0] + "."))
    refused(bearer(signed.rpartition(".")[0]))


def test_an_unsigned_token_is_refused() -> None:
    """As PyJWT makes one."""
    refused(bearer(jwt.encode(claims(), "", algorithm="none")))


def test_a_changed_token_is_refused() -> None:
    """With other claims than were signed."""
    head, _, signature = token().split(".")
    other = _part(json.dumps(claims(roles=["admin"])).encode())
    refused(bearer(f"{head}.{other}.{signature}"))


@pytest.mark.parametrize("body", [[], "x", 1, None, {}])
def test_a_body_without_claims_is_refused(body: Any) -> None:
    """The body must be an object with the required claims."""
    refused(bearer(forged({"alg": "HS256"}, body)))


def test_a_short_secret_works_without_warnings() -> None:
    """The warning is logged once, at start-up, and not at each request."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        short = token(secret="short")
    assert viewer(bearer(short), Issuer(("short",))).sub == "1"
    refused(bearer(token()), Issuer(("short",)))


# Claims


@pytest.mark.parametrize("name", ["exp", "sub"])
def test_a_required_claim_that_is_missing_is_named(name: str) -> None:
    """`exp` and `sub` are required."""
    assert name in refused(bearer(token(**dict[str, Any]({name: None})))).message


@pytest.mark.parametrize("sub", [1, 1.5, "", True, ["1"], {"id": "1"}])
def test_a_sub_is_a_non_empty_string(sub: Any) -> None:
    """A number is refused, though it may look like a user's id."""
    refused(bearer(forged({"alg": "HS256"}, claims() | {"sub": sub})))


@pytest.mark.parametrize("sub", ["1", "auth0|abc", "Ünal", " 1", "a" * 500])
def test_any_non_empty_sub_is_accepted(sub: str) -> None:
    """Authentication doesn't check whether the user exists."""
    assert viewer(bearer(token(sub=sub))).sub == sub


@pytest.mark.parametrize("name", ["iss", "aud"])
def test_issuer_and_audience_are_checked_only_if_configured(name: str) -> None:
    """Otherwise a token may have any or none."""
    for value in (None, "anything", "other"):
        assert viewer(bearer(token(**dict[str, Any]({name: value})))).sub == "1"


@pytest.mark.parametrize(
    ("name", "options"),
    [("iss", Issuer((SECRET,), issuer="ours")), ("aud", Issuer((SECRET,), audience=("ours",)))],
)
def test_issuer_and_audience_are_required_if_configured(name: str, options: Issuer) -> None:
    """The right one is accepted. Another one, none, and other types are refused."""
    assert viewer(bearer(token(**{name: "ours"})), options).sub == "1"
    for value in (None, "other", "OURS", "ours ", "", 1, {"ours": 1}):
        body = claims() | ({} if value is None else {name: value})
        refused(bearer(forged({"alg": "HS256"}, body)), options)


def test_an_audience_may_be_one_of_several() -> None:
    """RFC 7519, section 4.1.3."""
    options = Issuer((SECRET,), audience=("ours",))
    assert viewer(bearer(token(aud=["theirs", "ours"])), options).sub == "1"
    refused(bearer(token(aud=["theirs"])), options)
    refused(bearer(token(aud=[])), options)


def test_issuer_and_audience_are_both_required_if_both_are_configured() -> None:
    """One of the two is not enough."""
    options = Issuer((SECRET,), issuer="us", audience=("ours",))
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
    """`roles` is an array of strings, and `role` one string. Values of other types give no roles."""
    assert roles_of(given, ClaimOptions()) == roles
    assert viewer(bearer(forged({"alg": "HS256"}, claims() | given))).roles == roles


@pytest.mark.parametrize(
    "role", ["Admin", "ADMIN", "admin ", " admin", "admin\n", "administrator", "\N{CYRILLIC SMALL LETTER A}dmin", ""]
)
def test_admin_must_match_exactly(role: str) -> None:
    """Other case, white space, and letters that look alike don't match."""
    assert "admin" not in viewer(bearer(token(roles=[role], role=role))).roles


def test_the_repr_of_an_authenticator_has_no_secret() -> None:
    """Its repr is fit for a log."""
    assert repr(Authenticator([PLAIN])) == "<Authenticator of 1 issuers, 0 tokens cached>"


# Cached tokens


class Counted(Authenticator):
    """Counts how often a token is verified."""

    verified = 0

    async def _verify(self, token: str) -> tuple[dict[str, Any], Issuer]:
        self.verified += 1
        return await super()._verify(token)


def test_a_good_token_is_verified_once() -> None:
    """Then it is cached. Another token, and the same with a changed letter, is verified."""
    authenticator = Counted([PLAIN])
    good = bearer(token())
    first = now(authenticator.authenticate(good))
    assert now(authenticator.authenticate(good)) is first
    assert authenticator.verified == 1
    other = now(authenticator.authenticate(bearer(token(sub="2"))))
    assert other is not None
    assert other.viewer == Viewer("2")
    with pytest.raises(InvalidToken):
        now(authenticator.authenticate([good[0][:-2] + (b"AA" if good[0][-2:] != b"AA" else b"BB")]))
    assert authenticator.verified == 3


def test_a_cached_token_expires() -> None:
    """At the end of its own lifetime and the leeway."""
    start = time.time()
    clock = [start]
    authenticator = Counted([PLAIN], clock=lambda: clock[0])
    short = bearer(token(exp=int(start) + 60))
    now(authenticator.authenticate(short))
    clock[0] = int(start) + 60 + LEEWAY_S - 0.1
    now(authenticator.authenticate(short))
    assert authenticator.verified == 1
    clock[0] = int(start) + 60 + LEEWAY_S
    now(
        authenticator.authenticate(short)
    )  # PyJWT uses the real clock, by which it is still good: the test is that it was verified
    assert authenticator.verified == 2


def test_a_bad_token_is_not_cached() -> None:
    """It is refused each time, for its own reason."""
    authenticator = Counted([PLAIN])
    expired = bearer(token(exp=int(time.time()) - 3600))
    for _ in range(2):
        with pytest.raises(InvalidToken, match="expired"):
            now(authenticator.authenticate(expired))
    assert authenticator.verified == 2


def test_the_memory_of_cached_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes. The least recently used is evicted. The keys are hashes, not tokens."""
    monkeypatch.setattr("bff.gate.auth._MOST_CACHED_BYTES", 4000)
    authenticator = Counted([PLAIN])
    one, two, three = (bearer(token(sub=sub)) for sub in "123")
    for each in (one, two, one, three, one):
        now(authenticator.authenticate(each))
    assert authenticator.verified == 3
    now(authenticator.authenticate(two))
    assert authenticator.verified == 4
    assert len(authenticator._cache) == 2
    assert all(len(key) == 32 for key in authenticator._cache)
    now(authenticator.authenticate(bearer(token(roles=[f"role {number}" for number in range(200)]))))
    assert authenticator.verified == 5
    assert authenticator._cache.weight <= 4000, "a token with many roles is too heavy to be cached"


# Confined issuers

CONFINED = Confinement(
    variants=frozenset({"mobile"}),
    roles=frozenset({"clerk"}),
    scopes=frozenset({"read"}),
    subject_prefix="p-",
    subject_namespace="partner:",
)


def test_the_claims_of_a_confined_issuer_are_limited() -> None:
    """Other roles and scopes are removed. Its subjects are in a namespace, for the services too."""
    issuer = Issuer((SECRET,), confinement=CONFINED)
    made = token(sub="p-1", roles=["admin", "clerk"], role="admin", scope="read write")
    signed_in = now(Authenticator([issuer]).authenticate(bearer(made)))
    assert signed_in is not None
    assert signed_in.viewer == Viewer("partner:p-1", frozenset({"clerk"}), frozenset({"read"}))
    assert signed_in.identity.user_id == "partner:p-1"
    assert signed_in.may_use("mobile")
    assert not signed_in.may_use("admin")
    assert viewer(bearer(token(sub="p-2")), issuer) == Viewer("partner:p-2")


@pytest.mark.parametrize("sub", ["1", "q-1", "P-1", " p-1", "partner:p-1"])
def test_a_confined_issuer_may_claim_only_its_own_subjects(sub: str) -> None:
    """A token for another subject is refused."""
    assert "speak" in refused(bearer(token(sub=sub)), Issuer((SECRET,), confinement=CONFINED)).message


def test_a_confinement_applies_to_its_own_issuer_only() -> None:
    """The signature proves the `iss`. The default issuer may claim anything."""
    other = "another secret of the tests, of 42 bytes.."
    issuers = [PLAIN, Issuer((other,), issuer="partner", confinement=CONFINED)]
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
