"""The commands, called in this process: output and exit codes. Scenarios run them as processes."""

import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner, Result

import schema
from bff import __version__
from bff.commands import schema as sdl
from bff.commands import token as tokens
from bff.commands.main import main
from bff.errors import InvalidToken
from bff.gate.auth import Authenticator, Issuer
from bff.gate.consumers import digest_of
from bff.settings import Settings, load
from schema.app import app as shop_app
from schema.variants import EVERYONE as VARIANTS
from tests.support.now import now

SECRET = "a secret of the tests that is long enough"
NAMES = [variant.name for variant in VARIANTS]
URLS = {f"{source.upper()}_SERVICE_URL": f"http://{source}.example.com" for source in shop_app.source_names}
ENOUGH = {"JWT_SECRET": SECRET, **URLS}
"""The settings that `serve` needs."""
_PLAIN = {name.upper() for name in Settings.model_fields}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment without settings."""
    for name in os.environ:
        if name.startswith("BFF_") or name in _PLAIN:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Restores the process's logging, which `serve` configures."""
    loggers = [logging.getLogger(name) for name in ("", "bff", "uvicorn")]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def bff(*arguments: str, **environment: str) -> Result:
    """Call `bff`."""
    return CliRunner().invoke(main, arguments, env=environment, prog_name="bff")


def refused(*arguments: str, **environment: str) -> list[str]:
    """The lines on standard error of a command that can't start. It exits with 2 and prints nothing on standard output."""
    result = bff(*arguments, **environment)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    return result.stderr.splitlines()


# The main command


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_the_commands(option: str) -> None:
    """Each with a description. An unknown option is an error."""
    result = bff(option)
    assert result.exit_code == 0
    listed = result.stdout.partition("Commands:\n")[2].splitlines()
    commands = {line.split()[0]: line.split()[1:] for line in listed if re.match(r"  \S", line)}
    assert set(commands) >= {"dev", "serve", "demo-services", "token", "schema"}
    assert all(commands.values())
    assert refused("--nonsense")


@pytest.mark.parametrize(
    "command", [["dev"], ["serve"], ["demo-services"], ["token"], ["schema", "export"], ["schema", "check"]]
)
def test_each_command_has_help(command: list[str]) -> None:
    """`-h` and `--help` print the same."""
    long, short = bff(*command, "--help"), bff(*command, "-h")
    assert (long.exit_code, long.stdout) == (0, short.stdout)
    assert " ".join(["Usage: bff", *command]) in long.stdout


def test_version() -> None:
    """The version of the package."""
    assert bff("--version").stdout == f"bff, version {__version__}\n"


# token


def accepted(
    printed: str, secret: str = SECRET, issuer: str | None = None, audience: str | None = None
) -> tuple[str, set[str]]:
    """The subject and roles that a gateway reads from the printed token."""
    known = Issuer((secret,), None, issuer, () if audience is None else (audience,))
    signed_in = now(Authenticator([known]).authenticate([f"Bearer {printed.strip()}".encode()]))
    assert signed_in is not None
    return signed_in.viewer.sub, set(signed_in.viewer.roles)


@pytest.mark.parametrize(("role", "roles"), [([], set()), (["--role", "admin"], {"admin"})])
def test_the_gateway_accepts_the_token(role: list[str], roles: set[str]) -> None:
    """Standard output has one line with the token only, so that a script can put it into a header."""
    result = bff("token", "--sub", "42", *role, JWT_SECRET=SECRET)
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", result.stdout)
    assert accepted(result.stdout) == ("42", roles)


def test_the_token_has_the_issuer_and_audience_of_the_settings() -> None:
    """A gateway with another issuer or audience refuses it."""
    printed = bff("token", "--sub", "1", JWT_SECRET=SECRET, JWT_ISSUER="me", JWT_AUDIENCE="shop").stdout
    assert accepted(printed, issuer="me", audience="shop") == ("1", set())
    with pytest.raises(InvalidToken, match="issuer"):
        accepted(printed, issuer="you", audience="shop")
    with pytest.raises(InvalidToken, match="audience"):
        accepted(printed, issuer="me", audience="bank")


@pytest.mark.parametrize(("option", "seconds"), [([], 86_400), (["--ttl-s", "5"], 5)])
def test_the_token_is_valid_for_a_day_or_as_given(option: list[str], seconds: int) -> None:
    """`--ttl-s` is in seconds."""
    claims = jwt.decode(bff("token", "--sub", "1", *option, JWT_SECRET=SECRET).stdout.strip(), SECRET, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == seconds


def test_without_a_secret_a_token_is_for_bff_dev() -> None:
    """It is signed with the same public secret."""
    assert accepted(bff("token", "--sub", "1").stdout, tokens.DEV_SECRET) == ("1", set())


@pytest.mark.parametrize("option", [True, False], ids=["--config", "bff.toml"])
def test_the_secret_can_be_in_the_file(place: Path, option: bool) -> None:
    """The development secret once took precedence over it, and the gateway refused the token."""
    file = place / ("other.toml" if option else "bff.toml")
    file.write_text(f'jwt_secret = "{SECRET}"')
    printed = bff("token", "--sub", "1", *(["--config", str(file)] if option else [])).stdout
    assert accepted(printed) == ("1", set())
    with pytest.raises(InvalidToken):
        accepted(printed, tokens.DEV_SECRET)


def test_the_name_with_the_prefix_takes_precedence() -> None:
    """Names such as `HOST` may be set for other programs; names with `BFF_` are set for the gateway."""
    printed = bff("token", "--sub", "1", JWT_SECRET="somebody else's secret, long enough too", BFF_JWT_SECRET=SECRET).stdout
    assert accepted(printed) == ("1", set())


@pytest.mark.parametrize("arguments", [[], ["--sub", "1", "--ttl-s", "0"], ["--sub", "1", "--ttl-s", "soon"]])
def test_invalid_options_of_token_are_refused(arguments: list[str]) -> None:
    """A missing subject, or a lifetime that is not positive."""
    assert "Usage: bff token" in refused("token", *arguments)[0]


# schema


@pytest.mark.parametrize("variant", NAMES)
def test_schema_export_is_the_committed_sdl(variant: str) -> None:
    """Byte for byte."""
    committed = (Path(schema.__file__).parent / "sdl" / f"{variant}.graphql").read_bytes()
    assert bff("schema", "export", variant).stdout_bytes == committed


def test_schema_export_of_all() -> None:
    """Without a name, all variants are printed in order."""
    assert bff("schema", "export").stdout == "".join(sdl.current(shop_app, name) for name in NAMES)


def test_schema_export_of_an_unknown_variant() -> None:
    """The message names the variants."""
    last = refused("schema", "export", "tv")[-1]
    assert all(name in last for name in ["tv", *NAMES])


def test_schema_check_without_differences() -> None:
    """It exits with 0."""
    result = bff("schema", "check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout


def test_schema_check_names_a_breaking_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """With exit code 1, and with the command that accepts the change."""
    current = {name: sdl.current(shop_app, name) for name in NAMES}
    with_more = {**current, "web": current["web"].replace("  email: String!\n", "  email: String!\n  phone: String\n")}
    monkeypatch.setattr(sdl, "committed", lambda _, name: with_more.get(name))
    result = bff("schema", "check")
    assert (result.exit_code, result.stdout) == (1, "")
    breaking, advice = result.stderr.splitlines()
    assert breaking.startswith("web: breaking: ")
    assert "User.phone" in breaking
    assert "bff schema export --write" in advice


# serve, dev and demo-services don't start


def names_in(lines: list[str]) -> set[str]:
    """The environment variables that the lines name."""
    return {match[1] for line in lines if (match := re.match(r"bff: .*\((\w+)\): ", line))}


@pytest.mark.parametrize("without", [*[[name] for name in ENOUGH], list(URLS), list(ENOUGH)], ids=" ".join)
def test_serve_names_all_missing_settings(without: list[str]) -> None:
    """Each missing setting has its own line, and no other setting is named."""
    lines = refused("serve", **{name: value for name, value in ENOUGH.items() if name not in without})
    assert len(lines) == len(without)
    assert names_in(lines) == {"JWKS_URL" if name == "JWT_SECRET" else name for name in without}


def test_serve_never_uses_the_development_secret() -> None:
    """The development secret is public, so `serve` does not start without a secret of its own."""
    assert names_in(refused("serve", **URLS)) == {"JWKS_URL"}


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"BFF_NONSENSE": "1"}, "BFF_NONSENSE"),
        ({"PORT": "70000"}, "PORT"),
        ({"BFF_SOURCES__ORDERS__TIMEOUT_S": "0"}, "BFF_SOURCES__ORDERS__TIMEOUT_S"),
        ({"BFF_VARIANTS__WEB__DOCUMENTS": "trusted"}, "variants.web.manifests"),
        ({"BFF_VARIANTS__WEB__MANIFESTS": "nowhere.json"}, "nowhere.json"),
        ({"JWKS_URL": "keys.example.com"}, "JWKS_URL"),
        ({"REDIS_URL": "http://redis"}, "REDIS_URL"),
        ({"BFF_PROXIES__TRUSTED": "everybody"}, "BFF_PROXIES__TRUSTED"),
        ({"BFF_AUTH__ISSUERS__OTHER__ISSUER": "other"}, "auth.issuers.other"),
        ({"BFF_CONSUMERS__APP__VARIANTS": "web"}, "BFF_CONSUMERS__APP__KEY_SHA256"),
        ({"BFF_CONSUMERS__APP__VARIANTS": "web", "BFF_CONSUMERS__APP__KEY_SHA256": "abc"}, "BFF_CONSUMERS__APP__KEY_SHA256"),
        ({"BFF_CONFIG": "nowhere.toml"}, "nowhere.toml"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "dev"])
def test_an_invalid_setting_is_named(command: str, environment: dict[str, str], named: str) -> None:
    """In one line on standard error, without a traceback and without the value of a secret."""
    if command == "dev":
        environment = {**environment, "PORT": environment.get("PORT", "0")}
    (line,) = refused(command, **ENOUGH, **environment)
    assert line.startswith("bff: ")
    assert named in line
    assert SECRET not in line


@pytest.mark.parametrize(
    ("options", "named"),
    [(["--port", "70000"], "PORT"), (["--port", "-1"], "PORT"), (["--workers", "0"], "WORKERS"), (["--workers", "x"], "x")],
)
def test_an_option_out_of_range_is_named(options: list[str], named: str) -> None:
    """Options are settings. They take precedence over the environment."""
    assert named in refused("serve", *options, **ENOUGH, PORT="8000", WORKERS="1")[-1]


@pytest.mark.parametrize("command", [["serve"], ["dev"], ["token", "--sub", "1"]])
def test_a_missing_config_file_is_named(place: Path, command: list[str]) -> None:
    """Also a directory. The file in `BFF_CONFIG` is not used in its place."""
    (place / "good.toml").write_text("port = 0")
    lines = refused(*command, "--config", "nowhere.toml", **ENOUGH, BFF_CONFIG="good.toml")
    assert lines == ["bff: nowhere.toml: there is no such file"]
    assert str(place) in refused(*command, "--config", str(place), **ENOUGH)[-1]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"port = ", "bff.toml"),
        (b"host = '\xff'", "bff.toml"),
        (b"[sources.orders]\nspeed = 1", "BFF_SOURCES__ORDERS__SPEED"),
        (b"[cors]\norigins = [1]", "(BFF_CORS__ORIGINS)"),
        (b"[cors]\norigins = ['https://a.example.com', 'junk']", "(BFF_CORS__ORIGINS)"),
        (b"orders_service_url = 5", "ORDERS_SERVICE_URL"),
        (b"orders_service_url = [5]", "ORDERS_SERVICE_URL"),
        (b"orders_service_url = ['http://a', 'b']", "ORDERS_SERVICE_URL"),
        (b"orders_service_url = [{ url = 'ftp://a', weight = -3 }]", "ORDERS_SERVICE_URL"),
        (b"orders_service_url = 'http://a b'", "ORDERS_SERVICE_URL"),
        (b"orders_service_url = 'http://a/?'", "ORDERS_SERVICE_URL"),
        (b"orders_service_url = 'http://a/#'", "ORDERS_SERVICE_URL"),
        (b'orders_service_url = "http://a\\tb"', "ORDERS_SERVICE_URL"),
        (b"orders_service_url = 'http://a;weight=\xc2\xb2'", "ORDERS_SERVICE_URL"),
        (b"orders_service_url = 'http://a;weight=" + b"9" * 5000 + b"'", "ORDERS_SERVICE_URL"),
    ],
)
def test_an_invalid_file_is_named(place: Path, content: bytes, named: str) -> None:
    """The file or the setting in it, in one line, without a traceback."""
    (place / "bff.toml").write_bytes(content)
    environment = {name: value for name, value in ENOUGH.items() if name != "ORDERS_SERVICE_URL"}
    (line,) = refused("serve", **environment)
    assert line.startswith("bff: ")
    assert named in line


def test_instances_can_be_a_list_in_the_file(place: Path) -> None:
    """With an instance in each item. It is accepted, so only the secret is missing."""
    (place / "bff.toml").write_text("orders_service_url = ['http://a;weight=2', 'http://b']")
    environment = {name: value for name, value in URLS.items() if name != "ORDERS_SERVICE_URL"}
    assert names_in(refused("serve", **environment)) == {"JWKS_URL"}


def test_an_address_of_another_machine_is_refused() -> None:
    """In one line, by each command that listens."""
    for command in (["serve"], ["dev"], ["demo-services"]):
        (line,) = refused(*command, "--host", "192.0.2.1", "--port", "0", **ENOUGH)
        assert line.startswith("bff: ")
        assert "192.0.2.1" in line


@pytest.mark.parametrize("port", ["-1", "65534", "70000", "x"])
def test_the_ports_of_demo_services_are_in_range(port: str) -> None:
    """The last one is at most 65535. A higher one once ended in a traceback."""
    last = refused("demo-services", "--port", port)[-1]
    assert last.startswith(("Error: Invalid value for '--port'", "bff: --port: expected at most 65533"))


# explain


def test_explain_prints_the_upstream_calls(place: Path) -> None:
    """Of a document in a file, as text or JSON, and with the plan on request."""
    file = place / "account.graphql"
    file.write_text("query ($id: ID!) { user(id: $id) { name orders { id } } }")
    result = bff("explain", "web", str(file), "--variables", '{"id": "1"}')
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:4] == [
        "query (unnamed): 1 wave, at most 2 calls",
        "cost 21 of 5000, depth 3 of 12",
        "user needs: signed in, owner by id",
        "wave 1",
    ]
    result = bff("explain", "web", str(file), "--variables", '{"id": "1"}', "--plan")
    assert "name String <- .name" in result.stdout
    result = bff("explain", "web", str(file), "--variables", '{"id": "1"}', "--json")
    assert json.loads(result.stdout)["calls"] == 2


def test_explain_takes_standard_input_and_one_of_several_operations() -> None:
    """The file `-`, and the option `--operation`."""
    document = "query A { me { id } } query B { __typename }"
    result = CliRunner().invoke(main, ["explain", "web", "-", "--operation", "B"], input=document)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "query B: 0 waves, at most 0 calls")


@pytest.mark.parametrize(
    ("document", "arguments", "line"),
    [
        ("{ me {", [], "1:7: Syntax Error: Expected Name, found <EOF>."),
        ("{ me { nope } }", [], "1:8: Cannot query field 'nope' on type 'User'. Did you mean 'name'?"),
        ("query ($id: ID!) { user(id: $id) { id } }", [], "1:8: Variable '$id' has invalid value"),
        ("{ me { id } }", ["--variables", "[]"], "variables: expected a JSON object"),
        ("{ me { id } }", ["--operation", "X"], "There is no operation of that name in the document."),
        ("{ products(first: 100) { nodes { id } } }", [], "The document's cost: 100, allowed are 7."),
    ],
)
def test_explain_prints_errors(document: str, arguments: list[str], line: str) -> None:
    """In a line on standard error, with exit code 1."""
    command = ["explain", "web", "-", *arguments]
    result = CliRunner().invoke(main, command, input=document, env={"BFF_VARIANTS__WEB__LIMITS__COST": "7"})
    assert result.exit_code == 1
    assert result.stderr.startswith(f"bff: {line}")


# documents, keys


def test_documents_check_names_invalid_documents(place: Path) -> None:
    """With exit code 1. `schema check` names them too."""
    (place / "app-1.json").write_text(json.dumps({"a": "query A { me { id } }"}))
    (place / "app-2.json").write_text(json.dumps({"b": "query B { me { phone } }"}))
    manifests = {"BFF_VARIANTS__WEB__MANIFESTS": "app-1.json"}
    fine = bff("documents", "check", **manifests)
    assert (fine.exit_code, fine.stdout, fine.stderr) == (0, "1 documents fit the graph.\n", "")
    manifests["BFF_VARIANTS__WEB__MANIFESTS"] = "app-1.json,app-2.json"
    for command in (("documents", "check"), ("schema", "check")):
        broken = bff(*command, **manifests)
        assert broken.exit_code == 1
        assert "web: app-2.json: b: 1:16: Cannot query field 'phone' on type 'User'." in broken.stderr
    (line,) = refused("documents", "check", BFF_VARIANTS__WEB__MANIFESTS="missing.json")
    assert "variants.web.manifests: missing.json: No such file" in line


def test_a_key_is_shown_once_and_its_hash_is_for_the_settings(place: Path) -> None:
    """Standard error has a valid settings file with the hash of the key."""
    result = bff("keys", "new", "partner", "--variant", "web", "--scope", "stock")
    assert result.exit_code == 0
    key = result.stdout.strip()
    printed = result.stderr[result.stderr.index("[consumers.partner]") :]
    assert key not in printed
    assert digest_of(key) in printed
    (place / "bff.toml").write_text(printed)
    consumer = load(shop_app, {}, file=place / "bff.toml").consumers["partner"]
    assert (consumer.key_sha256, consumer.variants, consumer.scopes) == ((digest_of(key),), ("web",), ("stock",))
    assert bff("keys", "new", "partner").stdout.strip() != key


@pytest.mark.parametrize("name", ["", "Partner", "a b", "ö", "x" * 64])
def test_an_invalid_consumer_name_is_refused(name: str) -> None:
    """Names are used in logs and in environment variables."""
    assert refused("keys", "new", name)[-1].startswith("bff: NAME: expected ")
