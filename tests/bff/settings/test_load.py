"""Settings: each setting in each place where it can be set, and the messages for invalid ones."""

import json
import math
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from bff.settings import Settings, SettingsError, load
from bff.upstream.traffic.balance import InstanceOptions
from schema.app import app as shop_app

EVERY_SOURCE = ("users", "orders", "products")
EVERY_VARIANT = ("web", "mobile", "admin")
_MIB = 1024 * 1024

PLAIN: list[tuple[str, Any, str, Any]] = [
    ("host", None, "192.0.2.1", "192.0.2.1"),
    ("port", 8000, "8123", 8123),
    ("workers", 1, "4", 4),
    ("log_level", "info", "debug", "debug"),
    ("log_level", "info", "WARNING", "warning"),
    ("log_format", None, "console", "console"),
    ("users_service_url", None, "http://u:1", (InstanceOptions("http://u:1"),)),
    ("orders_service_url", None, "http://o:1", (InstanceOptions("http://o:1"),)),
    ("products_service_url", None, "http://p:1", (InstanceOptions("http://p:1"),)),
    ("jwks_url", None, "https://keys.example.com/jwks", "https://keys.example.com/jwks"),
    ("jwt_issuer", None, "https://issuer.example.com", "https://issuer.example.com"),
    ("jwt_audience", None, "shop", "shop"),
]
"""(name, default, as text, as value) of settings whose environment variables have no prefix. Secrets are tested below."""

NESTED: list[tuple[str, Any, str, Any]] = [
    *(
        (f"sources.{source}.{name}", default, text, value)
        for source in EVERY_SOURCE
        for name, default, text, value in [
            ("timeout_s", 2.0, "1.5", 1.5),
            ("retry.attempts", 2, "3", 3),
            ("retry.budget_ratio", 0.2, "0.5", 0.5),
            ("breaker.window_s", 10, "20", 20),
            ("breaker.minimum_calls", 5, "7", 7),
            ("breaker.failure_ratio", 0.5, "0.25", 0.25),
            ("breaker.open_s", 30, "5", 5),
            ("breaker.half_open_calls", 1, "2", 2),
            ("bulkhead.max_concurrent", 100, "10", 10),
            ("bulkhead.max_waiting", 200, "0", 0),
            ("cache.enabled", True, "false", False),
            ("cache.max_entries", 10_000, "5", 5),
            ("cache.max_bytes", 64 * _MIB, "2048", 2048),
            ("retry.base_delay_s", 0.05, "0.1", 0.1),
            ("retry.max_delay_s", 2.0, "3", 3),
            ("hedge.enabled", False, "true", True),
            ("breaker.slow_call_s", None, "0.5", 0.5),
            ("breaker.slow_call_ratio", 1.0, "0.5", 0.5),
            ("breaker.per_route", False, "true", True),
            ("balance.consecutive_faults", 5, "3", 3),
            ("balance.ejection_s", 10.0, "5", 5),
            ("balance.max_ejection_s", 300.0, "60", 60),
            ("balance.max_ejected_ratio", 0.5, "0.2", 0.2),
            ("health.interval_s", 0.0, "5", 5),
            ("health.timeout_s", 1.0, "2", 2),
            ("health.path", "/health", "/up", "/up"),
            ("health.unhealthy_after", 2, "3", 3),
            ("health.healthy_after", 1, "2", 2),
            ("connect_timeout_s", 1.0, "0.5", 0.5),
            ("http2", False, "true", True),
            ("tls.ca_file", None, "ca.pem", "ca.pem"),
            ("forward_identity", source != "products", str(source == "products"), source == "products"),
            ("max_response_bytes", 10 * _MIB, "2048", 2048),
        ]
    ),
    ("request.deadline_s", 10.0, "3", 3),
    *(
        (f"variants.{variant}.{name}", default, text, value)
        for variant in EVERY_VARIANT
        for name, default, text, value in [
            ("introspection", True if variant == "admin" else None, "false", False),
            ("graphiql", True if variant == "admin" else None, "false", False),
            ("limits.depth", 12, "15", 15),
            ("limits.cost", 20_000 if variant == "admin" else 5000, "70", 70),
            ("limits.aliases", 30, "0", 0),
            ("limits.tokens", 2000, "500", 500),
            ("limits.body_bytes", 100 * 1024, "4096", 4096),
            ("limits.batch", 10, "1", 1),
            ("rate.per_minute", 600, "60", 60),
            ("rate.burst", 100, "10", 10),
            ("documents", "any", "trusted", "trusted"),
        ]
    ),
    ("rate.enabled", True, "0", False),
    ("cors.origins", (), "https://a.example.com, http://b:3000", ("https://a.example.com", "http://b:3000")),
]

ROWS = PLAIN + NESTED


def variable(name: str) -> str:
    """The environment variable of a setting."""
    bare = name.upper().replace(".", "__")
    return bare if "." not in name else f"BFF_{bare}"


def value_of(settings: Settings, name: str) -> Any:
    """A setting by its dotted name."""
    return attrgetter(name)(settings)


def toml(name: str, value: Any) -> str:
    """The text of a file that sets it."""
    *path, last = name.split(".")
    literal = json.dumps(list(value) if isinstance(value, tuple) else value)
    return (f"[{'.'.join(path)}]\n" if path else "") + f"{last} = {literal}\n"


def refusal(environment: dict[str, str], **options: Any) -> str:
    """The message for invalid settings."""
    with pytest.raises(SettingsError) as caught:
        load(shop_app, environment, **options)
    return str(caught.value)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a settings file."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Each setting


@pytest.mark.parametrize(("name", "default"), [row[:2] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_defaults(name: str, default: Any) -> None:
    """If `introspection`, `graphiql`, the host or the log format is None, it depends on the command."""
    assert value_of(load(shop_app, {}), name) == default


@pytest.mark.parametrize(("name", "_", "text", "value"), ROWS, ids=[row[0] for row in ROWS])
def test_the_environment_sets_it(name: str, _: Any, text: str, value: Any) -> None:
    """By a name without prefix if there is one, else by `BFF_` and the path. No other setting changes."""
    settings = load(shop_app, {variable(name): text})
    assert value_of(settings, name) == value
    changed = {row[0] for row in ROWS if value_of(settings, row[0]) != row[1]}
    assert changed == {name}


@pytest.mark.parametrize(("name", "_", "text", "value"), PLAIN, ids=[row[0] for row in PLAIN])
def test_a_plain_name_may_also_have_the_prefix(name: str, _: Any, text: str, value: Any) -> None:
    """Every setting has an environment variable with `BFF_`."""
    assert value_of(load(shop_app, {f"BFF_{name.upper()}": text}), name) == value


@pytest.mark.parametrize(("name", "_", "text", "value"), ROWS, ids=[row[0] for row in ROWS])
def test_the_file_sets_it(empty_folder: Path, name: str, _: Any, text: str, value: Any) -> None:
    """In `bff.toml` in the working directory."""
    literal = text if name.endswith("service_url") else value
    (empty_folder / "bff.toml").write_text(toml(name, literal))
    is_path = name.endswith("_file")  # relative to the file
    assert value_of(load(shop_app, {}), name) == (str(empty_folder / value) if is_path else value)


@pytest.mark.parametrize("name", ["jwt_secret", "redis_url"])
def test_secrets_are_set_in_the_same_places(empty_folder: Path, name: str) -> None:
    """The environment takes precedence over the file."""
    (empty_folder / "bff.toml").write_text(f'{name} = "redis://of-the-file"')
    assert value_of(load(shop_app, {}), name).get_secret_value() == "redis://of-the-file"
    assert value_of(load(shop_app, {name.upper(): "redis://of-the-env"}), name).get_secret_value() == "redis://of-the-env"


# Precedence


def test_precedence_is_command_line_environment_file_default(empty_folder: Path) -> None:
    """A setting that one place does not set is taken from the next."""
    file = "host = 'of-file'\nport = 1\nworkers = 2\nlog_level = 'error'\n[request]\ndeadline_s = 1"
    (empty_folder / "bff.toml").write_text(file)
    environment = {"HOST": "of-env", "PORT": "3", "LOG_LEVEL": "debug"}
    settings = load(shop_app, environment, command_line={"host": "of-cli", "port": None, "workers": None})
    assert (settings.host, settings.port, settings.workers, settings.log_level) == ("of-cli", 3, 2, "debug")
    assert (settings.request.deadline_s, settings.drain.timeout_s) == (1, 15)


def test_precedence_applies_to_each_setting_separately(empty_folder: Path) -> None:
    """If the environment sets one member of a table, the file's other members still apply."""
    (empty_folder / "bff.toml").write_text(
        "[sources.orders.breaker]\nopen_s = 7\nwindow_s = 8\n[sources.orders]\ntimeout_s = 9"
    )
    orders = load(shop_app, {"BFF_SOURCES__ORDERS__BREAKER__OPEN_S": "1"}).source("orders")
    assert (orders.breaker.open_s, orders.breaker.window_s, orders.timeout_s) == (1, 8, 9)


def test_bff_config_names_the_file(empty_folder: Path) -> None:
    """Then `bff.toml` is not read."""
    (empty_folder / "bff.toml").write_text("port = 1\nworkers = 9")
    (empty_folder / "other.toml").write_text("port = 2")
    settings = load(shop_app, {"BFF_CONFIG": str(empty_folder / "other.toml")})
    assert (settings.port, settings.workers) == (2, 1)


def test_config_takes_precedence_over_bff_config(empty_folder: Path) -> None:
    """The option `--config` over the variable `BFF_CONFIG`."""
    for number in (1, 2):
        (empty_folder / f"{number}.toml").write_text(f"port = {number}")
    assert load(shop_app, {"BFF_CONFIG": str(empty_folder / "1.toml")}, file=empty_folder / "2.toml").port == 2


def test_a_missing_named_file_is_an_error(empty_folder: Path) -> None:
    """Also if it is a directory. `bff.toml` may be missing."""
    missing = empty_folder / "nowhere.toml"
    assert refusal({"BFF_CONFIG": str(missing)}) == f"{missing}: there is no such file"
    assert refusal({}, file=missing) == f"{missing}: there is no such file"
    assert "no such file" in refusal({}, file=empty_folder)
    assert load(shop_app, {}).port == 8000


@pytest.mark.parametrize("content", [b"port = ", b"port = 1\nport = 2", b"= 1", b"\xff\xfe\x00", b"a = '\xe9'"])
def test_an_unreadable_file_is_an_error(empty_folder: Path, content: bytes) -> None:
    """Invalid TOML or UTF-8. The message has the file's name."""
    file = empty_folder / "bff.toml"
    file.write_bytes(content)
    assert refusal({}).startswith("bff.toml: ")
    assert refusal({"BFF_CONFIG": str(file)}).startswith(f"{file}: ")


@pytest.mark.parametrize("name", [row[0] for row in ROWS])
def test_an_empty_environment_variable_is_ignored(name: str) -> None:
    """Compose files and CI set such variables. The default applies."""
    assert value_of(load(shop_app, {variable(name): ""}), name) == value_of(load(shop_app, {}), name)
    assert load(shop_app, {"BFF_CONFIG": "", "JWT_SECRET": "", "REDIS_URL": ""}).jwt_secret is None


def test_variables_of_other_programs_are_ignored() -> None:
    """Names without the prefix, unknown services, and names in lower case."""
    settings = load(
        shop_app, {"PATH": "/bin", "SOURCES__USERS__TIMEOUT_S": "9", "port": "9", "bff_port": "9", "CACHE_SERVICE_URL": "x"}
    )
    assert settings.model_dump() == load(shop_app, {}).model_dump()


# Invalid settings


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"BFF_NOTHING": "1"}, "nothing (BFF_NOTHING): unknown setting"),
        ({"BFF_SOURCES__USER__TIMEOUT_S": "1"}, "sources.user (BFF_SOURCES__USER): unknown setting"),
        ({"BFF_SOURCES__USERS__TIMEOUT": "1"}, "sources.users.timeout (BFF_SOURCES__USERS__TIMEOUT): unknown setting"),
        (
            {"BFF_SOURCES__USERS__BREAKER__OPEN": "1"},
            "sources.users.breaker.open (BFF_SOURCES__USERS__BREAKER__OPEN): unknown setting",
        ),
        (
            {"BFF_VARIANTS__WEB__LIMITS__DEEP": "1"},
            "variants.web.limits.deep (BFF_VARIANTS__WEB__LIMITS__DEEP): unknown setting",
        ),
        ({"BFF_VARIANTS__ADMIN__LIMITS__DEEP": "1"}, "variants.admin.limits.deep"),
        ({"BFF_VARIANTS__TV__GRAPHIQL": "1"}, "variants.tv"),
        ({"BFF_PORT__X": "1"}, "port"),
        ({"BFF_": "1"}, "unknown setting"),
        ({"BFF_SOURCES____USERS": "1"}, "unknown setting"),
    ],
)
def test_an_unknown_environment_variable_is_named(environment: dict[str, str], named: str) -> None:
    """By its name in the file and in the environment. A misspelt setting must not be ignored silently."""
    assert named in refusal(environment)


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("prot = 1", "prot"),
        ("[sources.user]\ntimeout_s = 1", "sources.user"),
        ("[sources.users.breaker]\nopen = 1", "sources.users.breaker.open"),
        ("[sources.users.bulkhead]\nmax = 1", "sources.users.bulkhead.max"),
        ("[sources.users.retry]\ntries = 1", "sources.users.retry.tries"),
        ("[variants.web.limits]\ndeep = 1", "variants.web.limits.deep"),
        ("[variants.admin.limits]\ndeep = 1", "variants.admin.limits.deep"),
        ("[rate]\non = 1", "rate.on"),
    ],
)
def test_an_unknown_key_of_the_file_is_named(empty_folder: Path, file: str, named: str) -> None:
    """In every table."""
    (empty_folder / "bff.toml").write_text(file)
    assert f"{named} (BFF_{named.upper().replace('.', '__')}): unknown setting" in refusal({})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "-1"),
        ("port", "65536"),
        ("port", "http"),
        ("port", "80.5"),
        ("workers", "0"),
        ("log_level", "loud"),
        ("log_format", "xml"),
        ("sources.orders.timeout_s", "0"),
        ("sources.orders.timeout_s", "-1"),
        ("sources.orders.timeout_s", "301"),
        ("sources.orders.timeout_s", "soon"),
        ("sources.orders.retry.attempts", "0"),
        ("sources.orders.retry.attempts", "1.5"),
        ("sources.orders.retry.budget_ratio", "1.1"),
        ("sources.orders.breaker.window_s", "0"),
        ("sources.orders.breaker.minimum_calls", "0"),
        ("sources.orders.breaker.failure_ratio", "0"),
        ("sources.orders.breaker.failure_ratio", "1.01"),
        ("sources.orders.breaker.open_s", "0"),
        ("sources.orders.breaker.half_open_calls", "0"),
        ("sources.orders.bulkhead.max_concurrent", "0"),
        ("sources.orders.bulkhead.max_waiting", "-1"),
        ("sources.orders.cache.max_entries", "0"),
        ("sources.orders.cache.enabled", "perhaps"),
        ("sources.orders.forward_identity", "perhaps"),
        ("sources.orders.max_response_bytes", "0"),
        ("request.deadline_s", "0"),
        ("request.deadline_s", "nan"),
        ("request.deadline_s", "inf"),
        ("sources.orders.breaker.window_s", "nan"),
        ("variants.web.introspection", "perhaps"),
        ("variants.web.limits.depth", "0"),
        ("variants.web.limits.cost", "0"),
        ("variants.web.limits.aliases", "-1"),
        ("variants.web.limits.tokens", "0"),
        ("variants.web.limits.body_bytes", "0"),
        ("variants.web.limits.batch", "0"),
        ("variants.admin.limits.cost", "0"),
        ("variants.web.rate.per_minute", "0"),
        ("variants.web.rate.burst", "0"),
        ("variants.web.documents", "some"),
        ("rate.enabled", "perhaps"),
        ("drain.timeout_s", "0"),
    ],
)
def test_a_value_out_of_range_is_named(name: str, text: str) -> None:
    """By its name in the file and in the environment, in one line."""
    message = refusal({variable(name): text})
    assert message.startswith(f"{name} ({variable(name)}): ")
    assert "\n" not in message


def test_all_faults_are_reported_together() -> None:
    """In a line each."""
    lines = refusal({"PORT": "x", "BFF_NOTHING": "1", "BFF_REQUEST__DEADLINE_S": "0"}).splitlines()
    assert sorted(line.partition(" ")[0] for line in lines) == ["nothing", "port", "request.deadline_s"]


def test_a_setting_is_not_both_a_value_and_a_table() -> None:
    """`BFF_RATE` together with `BFF_RATE__ENABLED` is an error."""
    assert "BFF_RATE__ENABLED" in refusal({"BFF_RATE": "1", "BFF_RATE__ENABLED": "1"})
    assert refusal({"BFF_RATE": "1"}).startswith("rate (BFF_RATE): ")


# Secrets


SECRET = "correct-horse-battery-staple"


@pytest.mark.parametrize("name", ["JWT_SECRET", "REDIS_URL"])
def test_a_secret_is_never_in_a_repr(name: str) -> None:
    """Nor in any other text of the settings."""
    settings = load(shop_app, {name: SECRET})
    assert SECRET not in repr(settings) + str(settings) + repr(settings.model_dump()) + settings.model_dump_json()


@pytest.mark.parametrize(
    "environment",
    [
        {"JWT_SECRET": SECRET, "PORT": "x"},
        {"JWT_SECRET": SECRET, "BFF_NOTHING": SECRET},
        {"BFF_JWT_SECRET__X": SECRET},
        {"REDIS_URL": SECRET, "BFF_RATE": SECRET},
        {"USERS_SERVICE_URL": f"http://user:{SECRET}@host"},
        {"USERS_SERVICE_URL": f"http://user:{SECRET}@ho\N{ACCOUNT OF}st"},
        {"USERS_SERVICE_URL": f"http://[user:{SECRET}@host"},
        {"USERS_SERVICE_URL": f"http://host:{SECRET}"},
        {"USERS_SERVICE_URL": f"redis://:{SECRET}@host"},
        {"USERS_SERVICE_URL": f"http://host?key={SECRET}"},
    ],
)
def test_a_secret_is_never_in_a_message(environment: dict[str, str]) -> None:
    """Messages name the setting without its value: a URL may contain a password, and a secret may be in the wrong place."""
    assert SECRET not in refusal(environment)


def test_a_secret_in_an_invalid_file_is_not_shown(empty_folder: Path) -> None:
    """The TOML parser's message has the location and not the text."""
    (empty_folder / "bff.toml").write_text(f'jwt_secret = "{SECRET}" oops')
    assert SECRET not in refusal({})


# Instances


@pytest.mark.parametrize(
    ("text", "instances"),
    [
        ("http://a", [("http://a", 1)]),
        ("http://a:1,https://b", [("http://a:1", 1), ("https://b", 1)]),
        (" http://a:1 ; weight=3 , http://b:2;weight=0 ", [("http://a:1", 3), ("http://b:2", 0)]),
        ("http://a/base/,", [("http://a/base/", 1)]),
        ("http://[::1]:8101;weight=1000", [("http://[::1]:8101", 1000)]),
    ],
)
def test_a_service_may_have_several_instances(text: str, instances: list[tuple[str, int]]) -> None:
    """Separated by commas, each with an optional weight."""
    assert load(shop_app, {"ORDERS_SERVICE_URL": text}).instances("orders") == tuple(
        InstanceOptions(*each) for each in instances
    )


def test_the_file_may_list_instances(empty_folder: Path) -> None:
    """With an instance in each item. Other values are errors that name the setting."""
    file = empty_folder / "bff.toml"
    file.write_text('orders_service_url = ["http://a;weight=2", "http://b"]')
    assert load(shop_app, {}).instances("orders") == (InstanceOptions("http://a", 2), InstanceOptions("http://b"))
    for wrong in ("1", "[1]", '["http://a", 1]', "[]", '{ url = "http://a" }'):
        file.write_text(f"orders_service_url = {wrong}")
        assert refusal({}).startswith("orders_service_url (ORDERS_SERVICE_URL): ")


@pytest.mark.parametrize(
    "text",
    [
        "localhost:8101",
        "ftp://a",
        "http://",
        "http:///path",
        "//a",
        ",",
        "http://a:port",
        "http://a:99999",
        "http://a;weight=-1",
        "http://a;weight=1001",
        "http://a;weight=two",
        "http://a;weight=",
        "http://a;wait=1",
        "http://a;weight=0",
        "http://a;weight=0,http://b;weight=0",
        "http://a?x=1",
        "http://a#x",
        "http://a,b",
        ",".join(["http://a"] * 101),
    ],
)
def test_an_invalid_service_url_is_named(text: str) -> None:
    """With another scheme, no host, an invalid port, an invalid weight, or only weights of 0."""
    assert refusal({"ORDERS_SERVICE_URL": text}).startswith("orders_service_url (ORDERS_SERVICE_URL): ")


@pytest.mark.parametrize(
    "text", ["https://*", "shop.example.com", "https://shop.example.com/", "https://a.example.com/path", "null", "ftp://a"]
)
def test_an_invalid_origin_is_named(text: str) -> None:
    """An origin has a scheme and a host, and no path."""
    assert refusal({"BFF_CORS__ORIGINS": text}).startswith("cors.origins")


# Defaults of sources and variants


def test_setting_one_limit_keeps_the_variant_s_other_defaults(empty_folder: Path) -> None:
    """Admin keeps its own default cost."""
    (empty_folder / "bff.toml").write_text("[variants.admin.limits]\naliases = 5")
    limits = load(shop_app, {"BFF_VARIANTS__ADMIN__LIMITS__DEPTH": "15"}).variant("admin").limits
    assert (limits.depth, limits.aliases, limits.cost) == (15, 5, 20_000)


@pytest.mark.parametrize("name", ["GRAPHIQL", "RATE__BURST", "LIMITS__DEPTH"])
def test_setting_one_member_keeps_the_variant_s_other_defaults(name: str) -> None:
    """Introspection and GraphiQL stay on for admin."""
    admin = load(shop_app, {f"BFF_VARIANTS__ADMIN__{name}": "1"}).variant("admin")
    assert (admin.introspection, admin.graphiql) == (True, True)


@pytest.mark.parametrize("name", ["TIMEOUT_S", "RETRY__ATTEMPTS", "BREAKER__OPEN_S", "CACHE__ENABLED"])
def test_setting_one_member_keeps_the_source_s_other_defaults(empty_folder: Path, name: str) -> None:
    """Products still send no identity."""
    (empty_folder / "bff.toml").write_text("[sources.products.bulkhead]\nmax_waiting = 1")
    settings = load(shop_app, {f"BFF_SOURCES__PRODUCTS__{name}": "1", f"BFF_SOURCES__USERS__{name}": "1"})
    assert (settings.source("products").forward_identity, settings.source("users").forward_identity) == (False, True)


# The settings as an object


def test_settings_are_frozen() -> None:
    """Assignments are errors."""
    settings = load(shop_app, {})
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1
    with pytest.raises(ValueError, match="frozen"):
        settings.request.deadline_s = math.inf


def test_traffic_options_follow_from_the_settings() -> None:
    """Those of one source."""
    name = "BFF_SOURCES__ORDERS__"
    traffic = (
        load(shop_app, {f"{name}TIMEOUT_S": "1", f"{name}MAX_RESPONSE_BYTES": "2048", f"{name}BREAKER__OPEN_S": "3"})
        .source("orders")
        .traffic()
    )
    assert (traffic.timeout_s, traffic.max_response_bytes, traffic.breaker.open_s, traffic.bulkhead.max_concurrent) == (
        1,
        2048,
        3,
        100,
    )


def test_routes_in_the_environment_are_json() -> None:
    """The same as in the file."""
    given = {"BFF_ROUTES": '[{"path": "/v1", "source": "users", "methods": ["POST"]}]'}
    (route,) = load(shop_app, given, default_file=None).routes
    assert (route.path, route.source, route.methods) == ("/v1", "users", ("POST",))


def test_lists_and_tables_in_the_environment_may_be_json() -> None:
    """Where entries have commas, or names have capitals."""
    given = {
        "BFF_AUTH__PREVIOUS_SECRETS": '["one, and two", "three"]',
        "BFF_VARIANTS__WEB__DEADLINES": '{"AccountPage": 3}',
        "BFF_AUTH__REQUIRED": '{"custom:Tenant": ["a", "b"]}',
    }
    settings = load(shop_app, given, default_file=None)
    assert [each.get_secret_value() for each in settings.auth.previous_secrets] == ["one, and two", "three"]
    assert settings.variant("web").deadlines == {"AccountPage": 3}
    assert settings.auth.required == {"custom:Tenant": ("a", "b")}
    for name, wrong, what in (
        ("BFF_AUTH__PREVIOUS_SECRETS", "[secret", "an array"),
        ("BFF_VARIANTS__WEB__DEADLINES", "secret", "an object"),
    ):
        with pytest.raises(SettingsError, match=rf"\({name}\): .*expected {what} in JSON") as refused:
            load(shop_app, {name: wrong}, default_file=None)
        assert "secret" not in str(refused.value).replace("secrets", "").replace("SECRETS", "")
