"""`bff dev`: which tokens its GraphiQL page may have."""

from bff.commands import dev
from bff.commands.token import DEV_SECRET
from bff.settings import Settings, load
from bff.testing import running
from schema.app import app


def settings(secret: str) -> Settings:
    """Settings with that secret."""
    return load(app, {"JWT_SECRET": secret}, default_file=None)


def test_only_the_public_secret_s_tokens_are_on_the_page() -> None:
    """With a secret of the user's own, they would be worth something, and everybody who opens the page would get them."""
    public, own = settings(DEV_SECRET), settings("a secret of one's own, which is long enough")
    tokens = dev.tokens_of(app, public)
    assert [each.name for each in dev.viewers_of(public, tokens)] == ["user 1", "admin"]
    assert dev.viewers_of(own, dev.tokens_of(app, own)) == ()
    assert dev.viewers_of(load(app, {}, default_file=None), tokens) == ()


async def test_a_page_has_no_token_if_it_is_given_none() -> None:
    """As that of `serve`, whatever its secret."""
    async with running(app, settings={"jwt_secret": DEV_SECRET}, mode="dev") as gateway:
        page = await gateway.request("GET", "/admin/graphql", headers={"accept": "text/html"})
        assert b'"viewers": []' in page.body
