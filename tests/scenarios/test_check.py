"""`bff check`: what does not fit is said in plain words, over real sockets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bff.commands.check import outline_of
from tests.support.background import Background
from tests.support.gateways import SECRET
from tests.support.processes import bff
from tests.support.services import Tapped
from tests.support.upstreams import Exchange, RawService, raw_service

USER: dict[str, Any] = {"id": 1, "name": "U", "email": "e@example.com", "tier": "plus", "createdAt": "2026-01-01T00:00:00Z"}
NO_ITEMS = "which does not fit ($: Object missing required field items): see Conventions"
Answer = Callable[[str], tuple[int, Any]]


def standard(target: str) -> tuple[int, Any]:
    """A users service that fits, with three users."""
    users = [{**USER, "id": number} for number in (1, 2, 3)]
    if "cursor=" in target:
        return 200, {"items": users[2:], "nextCursor": None, "total": 3}
    if "ids=" in target:
        return 200, {"items": users[:2]}
    if "limit=" in target:
        return 200, {"items": users[:2], "nextCursor": "c", "total": 3}
    return (200, users[0]) if target == "/users/1" else (404, {})


def instead(part: str, status: int, value: Any) -> Answer:
    """The service that fits, but for targets with this part."""
    return lambda target: (status, value) if part in target else standard(target)


def checked(folder: Path, background: Background, answer: Answer, *arguments: str) -> tuple[int, list[str]]:
    """The exit code of `bff check users`, and its lines."""

    async def reply(exchange: Exchange) -> None:
        status, value = answer(exchange.line.split()[1])
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        await exchange.send(head.encode(), body)

    service: RawService = background.enter(raw_service(reply))
    environment = {"JWT_SECRET": SECRET, "USERS_SERVICE_URL": service.url}
    with bff(folder, "check", "users", *arguments, environment=environment) as command:
        code = command.process.wait(60)
        return code, command.output().splitlines()


def test_services_that_fit(tmp_path: Path, services: Tapped) -> None:
    """The demo services: every read of every source, and nothing is written."""
    urls = {f"{name.upper()}_SERVICE_URL": url for name, url in services.urls.items()}
    with bff(tmp_path, "check", environment={"JWT_SECRET": SECRET, **urls}) as command:
        assert command.process.wait(60) == 0, command.output()
        lines = command.output().splitlines()
    assert all(line.endswith(": fits") for line in lines)
    assert "orders: GET /orders?userIds=&limit=: fits" in lines
    assert "products: GET /products?limit= (the next page): fits" in lines
    assert {method for _, method, _ in services.calls} == {"GET"}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            instead("limit=", 200, {"results": [], "meta": {"total": 0}}),
            f'users: GET /users?limit=: it answered {{"results": [], "meta": {{"total": …}}}}, {NO_ITEMS}',
        ),
        (
            instead("ids=", 200, {"data": [USER]}),
            f'users: GET /users?ids=: it answered {{"data": […]}}, {NO_ITEMS}',
        ),
        (
            instead("ids=", 500, {}),
            "users: GET /users?ids=: it answered 500",
        ),
        (
            lambda target: (
                (200, {"items": [{**USER, "name": 7}], "nextCursor": None, "total": 1})
                if "limit=" in target
                else standard(target)
            ),
            "users: GET /users?limit=: objects can't be read ($.name: Expected str | null, got int)",
        ),
        (
            instead("99999", 400, {}),
            "users: GET /users/{id} (an id that nothing has): it answered 400; expected 404: see Conventions.statuses",
        ),
        (
            lambda target: standard(target.replace("cursor=", "x=")),
            "users: GET /users?limit= (the next page): it has objects of the page before: is the paging convention right?",
        ),
        (
            lambda target: (200, b"<html>") if target == "/users/1" else standard(target),
            "users: GET /users/{id}: its answer is no JSON",
        ),
    ],
    ids=["list", "batch", "status", "object", "missing", "paging", "no json"],
)
def test_what_does_not_fit_is_said(tmp_path: Path, own_background: Background, change: Answer, line: str) -> None:
    """The request, and what came in its place. No address is printed."""
    code, lines = checked(tmp_path, own_background, change)
    assert code == 1
    assert line in lines
    assert "127.0.0.1" not in "".join(lines)


def test_ids_may_be_given(tmp_path: Path, own_background: Background) -> None:
    """For a service whose pages can't be read."""
    code, lines = checked(tmp_path, own_background, instead("limit=", 500, {}), "--id", "users=1")
    assert code == 1
    assert "users: GET /users/{id}: fits" in lines


@pytest.mark.parametrize(
    ("arguments", "message"), [(["books"], "SOURCES: expected users"), (["--id", "x"], "--id: expected SOURCE=ID")]
)
def test_wrong_arguments(tmp_path: Path, services: Tapped, arguments: list[str], message: str) -> None:
    """Nothing is asked."""
    urls = {f"{name.upper()}_SERVICE_URL": url for name, url in services.urls.items()}
    with bff(tmp_path, "check", *arguments, environment={"JWT_SECRET": SECRET, **urls}) as command:
        assert command.process.wait(60) == 2
        assert message in command.output()
    assert services.calls == []


def test_the_outline_of_an_answer_has_no_values() -> None:
    """Names of members alone, and few of them."""
    assert outline_of(b'{"secret": "s", "a": {"b": {"c": 1}, "d": []}, "list": [1]}') == (
        '{"secret": …, "a": {"b": {…}, "d": []}, "list": […]}'
    )
    assert outline_of(b"[1]") == "[…]"
    assert outline_of(b"7") == "…"
    assert outline_of(b"<html>") == "no JSON"
    assert outline_of(b"[" * 100_000) == "no JSON"
    many = json.dumps({f"{'n' * 60}{number}": 1 for number in range(20)}).encode()
    assert len(outline_of(many)) < 500
