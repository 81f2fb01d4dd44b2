"""Development tokens: a gateway with the same settings accepts them, and others don't."""

from collections.abc import Mapping

import jwt
import pytest

from bff.commands import token as tokens
from bff.errors import InvalidToken
from bff.gate.auth import Authenticator, Issuer
from bff.graph.context import Viewer
from bff.settings import Settings, load
from schema.app import app as shop_app
from tests.support.now import now

SECRET = "a secret of the tests that is long enough"
FULL = {"JWT_SECRET": SECRET, "JWT_ISSUER": "https://issuer.example.com", "JWT_AUDIENCE": "shop"}


@pytest.fixture(autouse=True)
def _no_file(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory has no settings file."""
    monkeypatch.chdir(str(tmp_path))


def viewer_of(token: str, settings: Settings) -> Viewer:
    """The viewer that a gateway with those settings reads from the token."""
    assert settings.jwt_secret is not None
    audience = () if settings.jwt_audience is None else (settings.jwt_audience,)
    options = Issuer((settings.jwt_secret.get_secret_value(),), None, settings.jwt_issuer, audience)
    signed_in = now(Authenticator([options]).authenticate([f"Bearer {token}".encode()]))
    assert signed_in is not None
    return signed_in.viewer


@pytest.mark.parametrize("environment", [{"JWT_SECRET": SECRET}, FULL], ids=["secret", "issuer and audience too"])
@pytest.mark.parametrize(("role", "roles"), [(None, frozenset()), ("admin", {"admin"})])
def test_a_gateway_with_the_same_settings_accepts_the_token(
    environment: Mapping[str, str], role: str | None, roles: frozenset[str]
) -> None:
    """With the given subject and role, also if an issuer and an audience are required."""
    settings = load(shop_app, environment)
    viewer = viewer_of(tokens.make(settings, sub="42", role=role), settings)
    assert (viewer.sub, viewer.roles) == ("42", roles)


@pytest.mark.parametrize(
    "other",
    [
        {**FULL, "JWT_SECRET": SECRET + "!"},
        {**FULL, "JWT_ISSUER": "https://elsewhere.example.com"},
        {**FULL, "JWT_AUDIENCE": "bank"},
    ],
    ids=["secret", "issuer", "audience"],
)
def test_a_gateway_with_other_settings_refuses_the_token(other: Mapping[str, str]) -> None:
    """The secret, issuer and audience must be the same."""
    token = tokens.make(load(shop_app, FULL), sub="1")
    with pytest.raises(InvalidToken):
        viewer_of(token, load(shop_app, other))


def test_a_token_expires_after_its_lifetime() -> None:
    """Counted from its making. An expired token is refused."""
    settings = load(shop_app, {"JWT_SECRET": SECRET})
    claims = jwt.decode(tokens.make(settings, sub="1", ttl_s=7), SECRET, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == 7
    with pytest.raises(InvalidToken, match="expired"):
        viewer_of(tokens.make(settings, sub="1", ttl_s=-60), settings)


def test_without_a_secret_there_is_no_token() -> None:
    """The development secret is used only after `with_secret`."""
    with pytest.raises(ValueError, match="no secret"):
        tokens.make(load(shop_app, {}), sub="1")


@pytest.mark.parametrize("environment", [{}, {"JWT_SECRET": ""}, {"BFF_JWT_SECRET": ""}])
def test_with_secret_adds_the_development_secret(environment: Mapping[str, str]) -> None:
    """If no secret is set. The other settings stay the same."""
    before = load(shop_app, {**environment, "PORT": "1", "JWT_ISSUER": "me"})
    settings = tokens.with_secret(before)
    assert settings.jwt_secret is not None
    assert settings.jwt_secret.get_secret_value() == tokens.DEV_SECRET
    assert settings.model_dump(exclude={"jwt_secret"}) == before.model_dump(exclude={"jwt_secret"})
    assert before.jwt_secret is None
    assert viewer_of(tokens.make(settings, sub="1"), settings).sub == "1"


@pytest.mark.parametrize("name", ["JWT_SECRET", "BFF_JWT_SECRET"])
def test_with_secret_keeps_a_secret_that_is_set(name: str) -> None:
    """Then tokens signed with the development secret are refused."""
    settings = load(shop_app, {name: SECRET})
    assert tokens.with_secret(settings) is settings
    public_token = tokens.make(tokens.with_secret(load(shop_app, {})), sub="1", role="admin")
    with pytest.raises(InvalidToken):
        viewer_of(public_token, settings)
