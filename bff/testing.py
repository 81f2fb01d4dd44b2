"""Tools for the tests of an application: the gateway in memory, scripted services, and a clock.

    async def test_an_order_shows_its_user() -> None:
        users = Scripted({"/users/1": {"id": 1, "name": "Ann"}})
        orders = Scripted({"/orders/7": {"id": 7, "userId": 1}})
        async with running(app, {"users": users, "orders": orders}) as gateway:
            answer = await gateway.ask("web", '{ order(id: "7") { user { name } } }', viewer=Viewer("1"))
        assert answer.data == {"order": {"user": {"name": "Ann"}}}
        assert answer.calls == [("orders", "GET", "/orders/7"), ("users", "GET", "/users/1")]

A request passes everything that it passes in production except the sockets: HTTP, signed tokens, limits, the engine and
all policies of a call. `serving` has the sockets too. `bff.testing_plugin` has fixtures for pytest.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import EllipsisType
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import jwt
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.app import App, DemoOptions
from bff.commands.demo import ports_from
from bff.commands.demo import running as running_services
from bff.gateway import Mode, create, with_cors
from bff.graph.context import Viewer
from bff.server.host import Gateway
from bff.server.server import Server, listen
from bff.server.sockets import url_of
from bff.settings import Settings, load
from bff.upstream.traffic.balance import InstanceOptions
from bff.upstream.wire import AnswerTooLarge, NotConnected, StreamRequest, WireReply, WireRequest

SECRET = "the secret of tests, which protects nothing"  # noqa: S105 - it says so
"""The `jwt_secret` of a gateway whose test sets none."""

T = TypeVar("T")
_TOKEN_S = 3600
_HOST = ".in-memory.test"


class Clock:
    """Time that stands still until it is moved.

    Handed to `running`, it is the time of deadlines, breakers, caches and rates. Timeouts of attempts pass in real time:
    set `sources.NAME.timeout_s` low to test a service that hangs. Tokens and quotas follow the calendar.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time in seconds, from an arbitrary start."""
        return self.now

    def __repr__(self) -> str:
        return f"<Clock {self.now}>"

    def advance(self, seconds: float) -> None:
        """Move the time forward. Raises `ValueError` for a negative number."""
        if seconds < 0:
            raise ValueError(f"seconds: expected 0 or more, got {seconds}")
        self.now += seconds


@dataclass(frozen=True)
class Reply:
    """An HTTP response, canned or received.

    Attributes:
        status: the HTTP status.
        body: the bytes.
        headers: by their names in lower case.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> "Reply":
        """A response with `value` as JSON. Without caching `headers` it is not cached."""
        given = {name.lower(): text for name, text in (headers or {}).items()}
        return cls(status, json.dumps(value).encode(), {"content-type": "application/json"} | given)

    @property
    def json(self) -> Any:
        """The body, read as JSON. Raises `ValueError`."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Request:
    """A request that a `Scripted` service has received. `target` is the path with the query; header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters by name. If one is repeated, its last value."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        """The body, read as JSON. Raises `ValueError`."""
        return json.loads(self.body)


Script = Any
"""A `Reply`; a value, which is sent as JSON with status 200; or a function that takes a `Request` and returns either."""


class NotScripted(AssertionError):
    """A service received a request that it has no script for. The message lists the request and the scripts."""


class Scripted:
    """A service with scripted responses: an ASGI application, for `running` and for `serving`.

        orders = Scripted({"/orders/1": {"id": 1}, "POST /orders": Reply.of({"id": 2}, 201)})
        orders.on("GET", "/orders?ids=1,2", {"items": [{"id": 1}, {"id": 2}]})

    A script whose target has a query matches that query, with its parameters in any order. A script without a query matches
    all other requests for its path. A request without a script gets a 501, and makes `running` raise `NotScripted` at its
    end.

    Attributes:
        requests: the requests that it has received, in order.
        not_scripted: the requests that it has no script for.
    """

    def __init__(self, scripts: Mapping[str, Script] | None = None) -> None:
        """Make the service.

        Args:
            scripts: the scripts by `METHOD target`, or by the target alone for GET.
        """
        self._scripts: dict[tuple[str, str, tuple[tuple[str, str], ...] | None], Script] = {}
        self._fault: Callable[[], Any] | None = None
        self._faults_left: int | None = None
        self.requests: list[Request] = []
        self.not_scripted: list[Request] = []
        for name, script in (scripts or {}).items():
            method, _, target = name.rpartition(" ")
            self.on(method or "GET", target, script)

    def __repr__(self) -> str:
        return f"<Scripted {', '.join(self._names()) or 'nothing'}>"

    def on(self, method: str, target: str, script: Script) -> "Scripted":
        """Set the script for a method and target. Returns the service. Raises `ValueError` for a target without `/`."""
        if not target.startswith("/"):
            raise ValueError(f"target: expected a path such as /orders/1, got {target!r}")
        self._scripts[(method.upper(), *_split(target))] = script
        return self

    def fail(self, status: int = 503, *, times: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Answer the next `times` requests with that status, or all requests until `recover`."""
        self._break(lambda: Reply.of({"title": "scripted failure", "status": status}, status, headers), times)

    def refuse(self, *, times: int | None = None) -> None:
        """Refuse the connections of the next `times` requests, or all until `recover`. Over real sockets it answers 500."""

        def refused() -> None:
            raise NotConnected("scripted refusal")

        self._break(refused, times)

    def hang(self, *, times: int | None = None) -> None:
        """Don't answer the next `times` requests, or any until `recover`: they wait until the client gives up."""
        self._break(lambda: asyncio.Event().wait(), times)

    def recover(self) -> None:
        """Answer by the scripts again."""
        self._fault = None

    def forget(self) -> None:
        """Forget the received requests. The scripts stay."""
        self.requests.clear()
        self.not_scripted.clear()

    @property
    def asked(self) -> list[str]:
        """The received requests, as `GET /orders/1`."""
        return [f"{request.method} {request.target}" for request in self.requests]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry point."""
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        query = scope["query_string"].decode("latin-1")
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request = Request(scope["method"], f"{path}?{query}" if query else path, headers, body)
        self.requests.append(request)
        reply = await self._answer(request)
        head = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
        head.append((b"content-length", str(len(reply.body)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": head})
        await send({"type": "http.response.body", "body": reply.body})

    async def _answer(self, request: Request) -> Reply:
        if self._fault is not None:
            fault = self._fault
            if self._faults_left is not None:
                self._faults_left -= 1
                if not self._faults_left:
                    self.recover()
            found = fault()
            return found if isinstance(found, Reply) else await found
        path, query = _split(request.target)
        script = self._scripts.get((request.method, path, query), self._scripts.get((request.method, path, None), self))
        if script is self:
            self.not_scripted.append(request)
            return Reply.of({"title": "not scripted", "detail": f"{request.method} {request.target}"}, 501)
        value = script(request) if callable(script) else script
        return value if isinstance(value, Reply) else Reply.of(value)

    def _break(self, fault: Callable[[], Any], times: int | None) -> None:
        if times is not None and times < 1:
            raise ValueError(f"times: expected 1 or more, got {times}")
        self._fault = fault
        self._faults_left = times

    def _names(self) -> Iterator[str]:
        for method, path, query in self._scripts:
            yield f"{method} {path}" + ("" if query is None else f"?{urlencode(query, safe=',')}")

    def _complaints(self, name: str) -> list[str]:
        """A line for each request without a script."""
        known = ", ".join(self._names()) or "nothing"
        asked = dict.fromkeys(f"{each.method} {each.target}" for each in self.not_scripted)
        return [f"{name}: {line} is not scripted; scripted are: {known}" for line in asked]


def _split(target: str) -> tuple[str, tuple[tuple[str, str], ...] | None]:
    """A target's path, and its query's parameters in the order of their names; None without a query."""
    path, mark, query = target.partition("?")
    return path, tuple(sorted(parse_qsl(query, keep_blank_values=True))) if mark else None


Services = Mapping[str, ASGIApp]
"""Services by the name of their source: `Scripted`, or any ASGI applications."""

ServiceCall = tuple[str, str, str]
"""A request that was sent to a service: the source's name, the method, the target (path and query)."""


@dataclass(frozen=True)
class Answer:
    """A variant's answer to an operation.

    Attributes:
        status: the HTTP status.
        headers: by their names in lower case.
        body: the whole response, as read from JSON.
        calls: the requests that were sent to services for it, in order; none for what was cached. A call that several
            operations share is listed for the one that began it.
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    calls: list[ServiceCall]

    @property
    def data(self) -> Any:
        """The response's `data`; None if it has none."""
        return self.body.get("data")

    @property
    def errors(self) -> list[Any]:
        """The response's `errors`; empty if it has none."""
        return self.body.get("errors") or []

    @property
    def codes(self) -> dict[str, str]:
        """The errors' codes by path, as `user.orders.0`. The path of an error that belongs to no field is empty."""
        return {".".join(map(str, each.get("path") or ())): each["extensions"]["code"] for each in self.errors}


class InMemoryGateway:
    """A gateway whose clients and services are in its own process. Made by `running`.

    Attributes:
        app: the application.
        settings: its settings.
        services: by the name of their source.
        calls: all requests that were sent to services.
    """

    def __init__(
        self,
        app: App,
        services: Services,
        settings: Settings,
        *,
        mode: Mode = "serve",
        viewer: Viewer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """See `running`, which also starts and stops it."""
        self.app = app
        self.services = services
        self.settings = settings
        self._viewer = viewer
        self._sent: list[tuple[str, ServiceCall]] = []
        wire = _InMemoryWire(services, self._sent)
        self._gateway: Gateway = create(app, settings, mode, wires=lambda *_: wire, clock=clock)
        self._asgi = with_cors(self._gateway)

    def __repr__(self) -> str:
        return f"<InMemoryGateway {', '.join(self.app.variant_names)}: {len(self._sent)} calls>"

    @property
    def calls(self) -> list[ServiceCall]:
        """All requests that were sent to services."""
        return [call for _, call in self._sent]

    async def ask(
        self,
        variant: str,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        viewer: Viewer | EllipsisType | None = ...,
        operation: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send an operation to a variant by POST.

        Args:
            variant: the variant's name.
            query: the document.
            variables: the operation's variables.
            viewer: the signed-in user; None for an anonymous request. By default the viewer of `running`.
            operation: the operation's name, if the document has several.
            headers: further headers of the request.

        Raises:
            ValueError: there is no such variant.
        """
        if variant not in self.app.variant_names:
            raise ValueError(f"variant: expected {', '.join(self.app.variant_names)}, got {variant}")
        body: dict[str, Any] = {"query": query}
        if variables is not None:
            body["variables"] = variables
        if operation is not None:
            body["operationName"] = operation
        who = self._viewer if isinstance(viewer, EllipsisType) else viewer
        sent = {"content-type": "application/json", **({} if who is None else self.bearer(who)), **(headers or {})}
        reply = await self.request("POST", f"/{variant}/graphql", headers=sent, body=json.dumps(body).encode())
        request_id = reply.headers["x-request-id"]
        calls = [call for sender, call in self._sent if sender == request_id]
        return Answer(reply.status, reply.headers, reply.json, calls)

    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        """Send any HTTP request to the gateway: `await gateway.request("GET", "/ready")`."""
        return await _call(self._asgi, Request(method, target, headers or {}, body))

    def token(self, viewer: Viewer) -> str:
        """A signed token for a viewer, with its roles and scopes. It is valid for an hour."""
        return signed_token(self.settings, viewer)

    def bearer(self, viewer: Viewer) -> dict[str, str]:
        """The `Authorization` header for a viewer."""
        return {"authorization": f"Bearer {self.token(viewer)}"}

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        async with self._gateway.router.lifespan_context(self._gateway):
            yield

    def _complaints(self) -> list[str]:
        """A line for each request that a service has no script for."""
        found = [(name, each) for name, each in self.services.items() if isinstance(each, Scripted)]
        return [line for name, each in found for line in each._complaints(name)]  # noqa: SLF001 - of this module


@asynccontextmanager
async def running(
    app: App,
    services: Services | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    viewer: Viewer | None = None,
    clock: Callable[[], float] = time.monotonic,
    mode: Mode = "serve",
    file: Path | None = None,
) -> AsyncIterator[InMemoryGateway]:
    """A gateway in memory, in front of services in memory, while the context is open.

    Args:
        app: the application.
        services: by the name of their source. A source that is left out has an empty `Scripted`. None for the application's
            demo services.
        settings: as the settings file has them: `{"sources": {"orders": {"timeout_s": 0.1}}}`. Neither the environment nor
            `bff.toml` is read.
        viewer: the signed-in user of requests sent by `ask`, unless `ask` names another; None for anonymous requests.
        clock: the gateway's time; give a `Clock` to move it by hand.
        mode: the command that it runs as, `serve` or `dev`.
        file: a settings file to read as well, which `settings` override.

    Raises:
        ValueError: a service is for no source of the application.
        SettingsError: a setting is unknown or out of range.
        NotScripted: at the end, if a `Scripted` service received a request that it has no script for. If the context's body
            raises an error, that error gets a note about it instead.
    """
    found = _services(app, services)
    places = {name: (InstanceOptions(f"http://{name}{_HOST}"),) for name in found}
    gateway = InMemoryGateway(
        app, found, _settings(app, settings, file).with_instances(places), mode=mode, viewer=viewer, clock=clock
    )
    try:
        async with gateway._running():  # noqa: SLF001 - of this module
            yield gateway
    except BaseException as error:
        for line in gateway._complaints():  # noqa: SLF001 - of this module
            error.add_note(line)
        raise
    if complaints := gateway._complaints():  # noqa: SLF001 - of this module
        raise NotScripted("\n".join(complaints))


@dataclass(frozen=True)
class ServingGateway:
    """A gateway that listens on a loopback port. Made by `serving`.

    Attributes:
        url: its base URL, as `http://127.0.0.1:41234`; a variant is at `{url}/{variant}/graphql`.
        service_urls: the base URLs of its services, by the name of their source.
        settings: its settings.
    """

    url: str
    service_urls: Mapping[str, str]
    settings: Settings

    def token(self, viewer: Viewer) -> str:
        """A signed token for a viewer, with its roles and scopes. It is valid for an hour."""
        return signed_token(self.settings, viewer)

    def bearer(self, viewer: Viewer) -> dict[str, str]:
        """The `Authorization` header for a viewer."""
        return {"authorization": f"Bearer {self.token(viewer)}"}


@asynccontextmanager
async def serving(
    app: App,
    services: Services | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    mode: Mode = "serve",
    file: Path | None = None,
) -> AsyncIterator[ServingGateway]:
    """The gateway and its services on loopback ports of their own, while the context is open, in the running event loop.

    A client must not block that loop: use an asynchronous one, or the fixture `serving`, which has a thread for it. The
    arguments and errors are those of `running`.
    """
    found = _services(app, services)
    async with running_services(found, ports_from(found, 0)) as urls:
        places = {name: (InstanceOptions(url),) for name, url in urls.items()}
        chosen = _settings(app, settings, file).with_instances(places)
        gateway = create(app, chosen, mode)
        listener = listen("127.0.0.1", 0)
        server = _QuietServer(with_cors(gateway), gateway, chosen.connections, chosen.drain)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn says so in no other way
                await asyncio.sleep(0.005)
            if task.done():
                await task
                raise RuntimeError("the gateway did not start; see the log")
            yield ServingGateway(url_of(listener), urls, chosen)
        finally:
            server.should_exit = True
            await asyncio.wait([task])
            listener.close()


class BlockingGateway:
    """`InMemoryGateway` for tests that are plain functions: what the fixture `gateway` is.

    Its event loop runs only during a request. `in_memory` is the gateway itself.
    """

    def __init__(self, in_memory: InMemoryGateway, runner: asyncio.Runner) -> None:
        self.in_memory = in_memory
        self._runner = runner

    @property
    def services(self) -> Services:
        """Its services, by the name of their source."""
        return self.in_memory.services

    @property
    def calls(self) -> list[ServiceCall]:
        """All requests that were sent to services."""
        return self.in_memory.calls

    def ask(self, variant: str, query: str, variables: Mapping[str, Any] | None = None, **options: Any) -> Answer:
        """As `InMemoryGateway.ask`."""
        return self._runner.run(self.in_memory.ask(variant, query, variables, **options))

    def request(self, method: str, target: str, **options: Any) -> Reply:
        """As `InMemoryGateway.request`."""
        return self._runner.run(self.in_memory.request(method, target, **options))


class Held(Generic[T]):
    """Enters and leaves a context in the same task, although a fixture does so in two steps."""

    def __init__(self, context: AbstractAsyncContextManager[T]) -> None:
        self._context = context
        self._done = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def enter(self) -> T:
        """Enter the context. Raises what it raises."""
        entered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold(entered))
        both: list[asyncio.Future[Any]] = [entered, self._task]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not entered.done():
            await self._task
        return entered.result()

    async def exit(self) -> None:
        """Leave the context. Raises what it raises."""
        self._done.set()
        if self._task is not None:
            await self._task

    async def _hold(self, entered: "asyncio.Future[T]") -> None:
        async with self._context as value:
            entered.set_result(value)
            await self._done.wait()


def signed_token(settings: Settings, viewer: Viewer, *, ttl_s: int = _TOKEN_S) -> str:
    """A token for a viewer that a gateway with those settings accepts, for `ttl_s` seconds.

    It is signed with `jwt_secret`; its claims have the names that `auth.claims` gives them. Raises `ValueError` if there is
    no secret.
    """
    if settings.jwt_secret is None:
        raise ValueError("settings: expected a jwt_secret to sign tokens with")
    now, names = int(time.time()), settings.auth.claims
    claims: dict[str, Any] = {"sub": viewer.sub, "iat": now, "exp": now + ttl_s}
    claims |= {"iss": settings.jwt_issuer} if settings.jwt_issuer is not None else {}
    claims |= {"aud": settings.jwt_audience} if settings.jwt_audience is not None else {}
    claims |= {names.roles: sorted(viewer.roles)} if viewer.roles else {}
    claims |= {names.scopes: sorted(viewer.scopes)} if viewer.scopes is not None else {}
    return jwt.encode(claims, settings.jwt_secret.get_secret_value(), algorithm="HS256")


def _services(app: App, services: Services | None) -> dict[str, ASGIApp]:
    if services is None:
        return {name: Scripted() for name in app.source_names} | dict(app.demo_services(DemoOptions()))
    if unknown := services.keys() - set(app.source_names):
        known = ", ".join(app.source_names)
        raise ValueError(f"services: expected names of sources ({known}), got {', '.join(sorted(unknown))}")
    return {name: services[name] if name in services else Scripted() for name in app.source_names}


def _settings(app: App, settings: Mapping[str, Any] | None, file: Path | None) -> Settings:
    given = {"jwt_secret": SECRET, **(settings or {})}
    return load(app, {}, file=file, command_line=given, default_file=None)


class _InMemoryWire:
    """Hands requests to ASGI applications by the host of their URL. See `bff.upstream.wire.Wire`."""

    def __init__(self, services: Services, sent: list[tuple[str, ServiceCall]]) -> None:
        self._services = services
        self._sent = sent

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        """Raises `WireError`."""
        parts = urlsplit(request.url)
        name = parts.netloc.removesuffix(_HOST)
        service = self._services.get(name)
        if service is None:
            raise NotConnected(f"{request.url}: only services in memory can be called")
        target = request.url.partition(parts.netloc)[2]
        headers = {"host": parts.netloc} | {key.lower(): value for key, value in request.headers}
        self._sent.append((headers.get("x-request-id", ""), (name, request.method, target)))
        reply = await _call(service, Request(request.method, target, headers, request.body or b""))
        if len(reply.body) > max_response_bytes:
            raise AnswerTooLarge
        return WireReply(reply.status, reply.headers, reply.body)

    async def stream(self, request: StreamRequest) -> "_InMemoryStream":
        """As `send`, with bodies in one piece. Raises `WireError`, and what the request's body raises."""
        body = None if request.body is None else b"".join([piece async for piece in request.body])
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
        reply = await self.send(WireRequest(request.method, request.url, headers, body), max_response_bytes=sys.maxsize)
        return _InMemoryStream(reply, request.method)

    async def aclose(self) -> None:
        """Nothing is open."""


class _InMemoryStream:
    """A response that is there as a whole. See `bff.upstream.wire.StreamReply`."""

    def __init__(self, reply: WireReply, method: str) -> None:
        self.status = reply.status
        self.headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items())
        self._body = b"" if method == "HEAD" else reply.body

    async def read(self) -> bytes:
        body, self._body = self._body, b""
        return body

    async def aclose(self) -> None:
        """Nothing is open."""


async def _call(app: ASGIApp, request: Request) -> Reply:
    """The application's response to a request. Raises what the application raises before it has answered."""
    path, _, query = request.target.partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()}
    if request.body:
        headers["content-length"] = str(len(request.body))
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 80),
    }
    unread = [request.body]
    started: Message = {}
    parts: list[bytes] = []

    async def receive() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        await asyncio.Event().wait()  # the client stays
        raise AssertionError("unreachable")

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.update(message)
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    if not started:
        raise NotConnected(f"{request.method} {request.target}: the application sent no response")
    return Reply(started["status"], b"".join(parts), _joined(started.get("headers", ())))


def _joined(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by their names in lower case; the values of a repeated one are joined by commas (RFC 9110, section 5.3)."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


class _QuietServer(Server):
    """A server that leaves signals to the process that runs the tests."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signal handlers unchanged."""
        yield
