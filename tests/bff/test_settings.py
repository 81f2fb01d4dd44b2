"""Settings: each row of run.md's table by every way of setting it, and what stops the start says why."""

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
"""(name, default, as text, as value) of those whose environment names bear no prefix; secrets have tests of their own."""

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
    """The environment's name of a setting."""
    bare = name.upper().replace(".", "__")
    return bare if "." not in name else f"BFF_{bare}"


def value_of(settings: Settings, name: str) -> Any:
    """A setting by its dotted name."""
    return attrgetter(name)(settings)


def toml(name: str, value: Any) -> str:
    """A file that sets it."""
    *path, last = name.split(".")
    literal = json.dumps(list(value) if isinstance(value, tuple) else value)
    return (f"[{'.'.join(path)}]\n" if path else "") + f"{last} = {literal}\n"


def refusal(environment: dict[str, str], **options: Any) -> str:
    """Why settings are refused."""
    with pytest.raises(SettingsError) as caught:
        load(shop_app, environment, **options)
    return str(caught.value)


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory in which no settings file lies."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Each row


@pytest.mark.parametrize(("name", "default"), [row[:2] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_default_is_that_of_the_contract(name: str, default: Any) -> None:
    """Where nothing is set. `introspection`, `graphiql`, host and log format go by the command where they are None."""
    assert value_of(load(shop_app, {}), name) == default


@pytest.mark.parametrize(("name", "_", "text", "value"), ROWS, ids=[row[0] for row in ROWS])
def test_the_environment_sets_it(name: str, _: Any, text: str, value: Any) -> None:
    """By the name without a prefix, where the contract has one, else by `BFF_` and the path."""
    settings = load(shop_app, {variable(name): text})
    assert value_of(settings, name) == value
    changed = {row[0] for row in ROWS if value_of(settings, row[0]) != row[1]}
    assert changed == {name}


@pytest.mark.parametrize(("name", "_", "text", "value"), PLAIN, ids=[row[0] for row in PLAIN])
def test_a_plain_name_may_bear_the_prefix_too(name: str, _: Any, text: str, value: Any) -> None:
    """Any setting of the file has an environment name with `BFF_`, these as well."""
    assert value_of(load(shop_app, {f"BFF_{name.upper()}": text}), name) == value


@pytest.mark.parametrize(("name", "_", "text", "value"), ROWS, ids=[row[0] for row in ROWS])
def test_the_file_sets_it(empty_place: Path, name: str, _: Any, text: str, value: Any) -> None:
    """`bff.toml` in the working directory."""
    literal = text if name.endswith("service_url") else value
    (empty_place / "bff.toml").write_text(toml(name, literal))
    assert value_of(load(shop_app, {}), name) == value


@pytest.mark.parametrize("name", ["jwt_secret", "redis_url"])
def test_secrets_are_set_alike(empty_place: Path, name: str) -> None:
    """By the environment, over the file."""
    (empty_place / "bff.toml").write_text(f'{name} = "redis://of-the-file"')
    assert value_of(load(shop_app, {}), name).get_secret_value() == "redis://of-the-file"
    assert value_of(load(shop_app, {name.upper(): "redis://of-the-env"}), name).get_secret_value() == "redis://of-the-env"


# The order of strength


def test_command_line_over_environment_over_file_over_default(empty_place: Path) -> None:
    """The stronger first; what the stronger does not say the weaker does."""
    file = "host = 'of-file'\nport = 1\nworkers = 2\nlog_level = 'error'\n[request]\ndeadline_s = 1"
    (empty_place / "bff.toml").write_text(file)
    environment = {"HOST": "of-env", "PORT": "3", "LOG_LEVEL": "debug"}
    settings = load(shop_app, environment, command_line={"host": "of-cli", "port": None, "workers": None})
    assert (settings.host, settings.port, settings.workers, settings.log_level) == ("of-cli", 3, 2, "debug")
    assert (settings.request.deadline_s, settings.drain.timeout_s) == (1, 15)


def test_strength_counts_for_each_setting_by_itself(empty_place: Path) -> None:
    """The environment sets one member of a table, and the file's other members still hold."""
    (empty_place / "bff.toml").write_text(
        "[sources.orders.breaker]\nopen_s = 7\nwindow_s = 8\n[sources.orders]\ntimeout_s = 9"
    )
    orders = load(shop_app, {"BFF_SOURCES__ORDERS__BREAKER__OPEN_S": "1"}).source("orders")
    assert (orders.breaker.open_s, orders.breaker.window_s, orders.timeout_s) == (1, 8, 9)


def test_bff_config_names_the_file(empty_place: Path) -> None:
    """Instead of `bff.toml`, which is then not read."""
    (empty_place / "bff.toml").write_text("port = 1\nworkers = 9")
    (empty_place / "other.toml").write_text("port = 2")
    settings = load(shop_app, {"BFF_CONFIG": str(empty_place / "other.toml")})
    assert (settings.port, settings.workers) == (2, 1)


def test_the_command_line_s_file_is_stronger_than_bff_config(empty_place: Path) -> None:
    """`--config` over `BFF_CONFIG`."""
    for number in (1, 2):
        (empty_place / f"{number}.toml").write_text(f"port = {number}")
    assert load(shop_app, {"BFF_CONFIG": str(empty_place / "1.toml")}, file=empty_place / "2.toml").port == 2


def test_a_named_file_that_is_not_there_stops_the_start(empty_place: Path) -> None:
    """Whoever names a file means it; an unnamed one may be missing. A directory is no file."""
    missing = empty_place / "nowhere.toml"
    assert refusal({"BFF_CONFIG": str(missing)}) == f"{missing}: there is no such file"
    assert refusal({}, file=missing) == f"{missing}: there is no such file"
    assert "no such file" in refusal({}, file=empty_place)
    assert load(shop_app, {}).port == 8000


@pytest.mark.parametrize("content", [b"port = ", b"port = 1\nport = 2", b"= 1", b"\xff\xfe\x00", b"a = '\xe9'"])
def test_a_file_that_cannot_be_read_stops_the_start(empty_place: Path, content: bytes) -> None:
    """What is no TOML, or no UTF-8, is told with the file's name."""
    file = empty_place / "bff.toml"
    file.write_bytes(content)
    assert refusal({}).startswith("bff.toml: ")
    assert refusal({"BFF_CONFIG": str(file)}).startswith(f"{file}: ")


@pytest.mark.parametrize("name", [row[0] for row in ROWS])
def test_an_empty_value_of_the_environment_is_none(name: str) -> None:
    """As compose files and CI leave them: the default holds."""
    assert value_of(load(shop_app, {variable(name): ""}), name) == value_of(load(shop_app, {}), name)
    assert load(shop_app, {"BFF_CONFIG": "", "JWT_SECRET": "", "REDIS_URL": ""}).jwt_secret is None


def test_foreign_variables_are_nobody_s_business() -> None:
    """What neither is one of ours nor bears the prefix is left alone, whatever its case."""
    settings = load(
        shop_app, {"PATH": "/bin", "SOURCES__USERS__TIMEOUT_S": "9", "port": "9", "bff_port": "9", "CACHE_SERVICE_URL": "x"}
    )
    assert settings.model_dump() == load(shop_app, {}).model_dump()


# What is refused


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
def test_an_unknown_key_of_the_environment_is_named(environment: dict[str, str], named: str) -> None:
    """A misspelt setting would be without effect, which nobody means. Both of its names are told."""
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
def test_an_unknown_key_of_the_file_is_named(empty_place: Path, file: str, named: str) -> None:
    """On every level."""
    (empty_place / "bff.toml").write_text(file)
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
    """With the setting's name in the file and in the environment; one line a fault."""
    message = refusal({variable(name): text})
    assert message.startswith(f"{name} ({variable(name)}): ")
    assert "\n" not in message


def test_all_faults_are_told_at_once() -> None:
    """A line each, so that nobody has to start several times to learn of them all."""
    lines = refusal({"PORT": "x", "BFF_NOTHING": "1", "BFF_REQUEST__DEADLINE_S": "0"}).splitlines()
    assert sorted(line.partition(" ")[0] for line in lines) == ["nothing", "port", "request.deadline_s"]


def test_a_setting_is_not_both_a_value_and_a_table() -> None:
    """`BFF_RATE` beside `BFF_RATE__ENABLED` can't be meant."""
    assert "BFF_RATE__ENABLED" in refusal({"BFF_RATE": "1", "BFF_RATE__ENABLED": "1"})
    assert refusal({"BFF_RATE": "1"}).startswith("rate (BFF_RATE): ")


# Secrets


SECRET = "correct-horse-battery-staple"


@pytest.mark.parametrize("name", ["JWT_SECRET", "REDIS_URL"])
def test_a_secret_is_never_in_a_repr(name: str) -> None:
    """Nor in the text of the settings, whoever prints them."""
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
    """A fault names the setting and never repeats its value: a password may be in an URL, or in the wrong place."""
    assert SECRET not in refusal(environment)


def test_a_secret_in_a_broken_file_is_not_told(empty_place: Path) -> None:
    """TOML's own message tells the place and not the text."""
    (empty_place / "bff.toml").write_text(f'jwt_secret = "{SECRET}" oops')
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
    """Comma-separated, each with an optional weight."""
    assert load(shop_app, {"ORDERS_SERVICE_URL": text}).instances("orders") == tuple(
        InstanceOptions(*each) for each in instances
    )


def test_the_file_may_list_instances(empty_place: Path) -> None:
    """One of them an entry; what is no URL in it is named by the setting."""
    file = empty_place / "bff.toml"
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
def test_what_is_no_service_is_named(text: str) -> None:
    """Another scheme, no host, no port that can be, a weight out of range, or none that gets a call."""
    assert refusal({"ORDERS_SERVICE_URL": text}).startswith("orders_service_url (ORDERS_SERVICE_URL): ")


@pytest.mark.parametrize(
    "text", ["*", "shop.example.com", "https://shop.example.com/", "https://a.example.com/path", "null", "ftp://a"]
)
def test_what_is_no_origin_is_named(text: str) -> None:
    """An origin has scheme and host, and nothing behind; there is no leave for everybody."""
    assert refusal({"BFF_CORS__ORIGINS": text}).startswith("cors.origins")


# Defaults that differ by name


def test_one_limit_of_staff_leaves_the_others(empty_place: Path) -> None:
    """To name another limit of admin does not take its cost back to that of clients."""
    (empty_place / "bff.toml").write_text("[variants.admin.limits]\naliases = 5")
    limits = load(shop_app, {"BFF_VARIANTS__ADMIN__LIMITS__DEPTH": "15"}).variant("admin").limits
    assert (limits.depth, limits.aliases, limits.cost) == (15, 5, 20_000)


@pytest.mark.parametrize("name", ["GRAPHIQL", "RATE__BURST", "LIMITS__DEPTH"])
def test_one_setting_of_staff_leaves_the_others(name: str) -> None:
    """Introspection stays on for staff whatever else is set."""
    admin = load(shop_app, {f"BFF_VARIANTS__ADMIN__{name}": "1"}).variant("admin")
    assert (admin.introspection, admin.graphiql) == (True, True)


@pytest.mark.parametrize("name", ["TIMEOUT_S", "RETRY__ATTEMPTS", "BREAKER__OPEN_S", "CACHE__ENABLED"])
def test_products_go_without_identity_whatever_else_is_set(empty_place: Path, name: str) -> None:
    """To set another key of the source does not make it send tokens."""
    (empty_place / "bff.toml").write_text("[sources.products.bulkhead]\nmax_waiting = 1")
    settings = load(shop_app, {f"BFF_SOURCES__PRODUCTS__{name}": "1", f"BFF_SOURCES__USERS__{name}": "1"})
    assert (settings.source("products").forward_identity, settings.source("users").forward_identity) == (False, True)


# The whole


def test_settings_are_frozen() -> None:
    """What is read at the start holds until the end."""
    settings = load(shop_app, {})
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1
    with pytest.raises(ValueError, match="frozen"):
        settings.request.deadline_s = math.inf


def test_a_source_s_traffic_is_as_set() -> None:
    """The stack gets what the settings say."""
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
