"""One request to a route: through the gate, to the service, and the answer back, piece by piece.

Before the head of the answer any error is a problem document. After it the connection is closed, so that the client sees
that the answer is incomplete.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send

from bff.errors import BadRequest, Headers
from bff.gate.proxies import Proxies
from bff.gate.shared_state import SharedStateBudget
from bff.request import access_log, deadlines
from bff.request.access_log import NO_FURTHER_FIELDS, FurtherFields
from bff.request.correlation import request_id_of, traceparent_of
from bff.request.deadlines import DEFAULT_DEADLINES, Deadlines
from bff.request.disconnect import CancelOnDisconnect
from bff.request.exchange import ANONYMOUS, UNCHARGED, Client, Ledger, headers_of
from bff.request.gate_steps import authenticate, charge, clients_of, refuse_while_draining
from bff.request.http import ClientDisconnected
from bff.request.response import EncodedResponse
from bff.request.services import Services
from bff.request.source_rates import SourceRates
from bff.routes.content import ClientContent, too_large
from bff.routes.headers import forwarding_headers, returned_headers, sent_headers
from bff.routes.paths import rewritten
from bff.routes.problems import problem, problem_of
from bff.routes.route import Route
from bff.runtime.clock import Clock
from bff.runtime.loop import TimeLimit
from bff.upstream.caller import Caller, Deadline
from bff.upstream.errors import BadAnswer, SourceError, TimedOut
from bff.upstream.traffic.streams import KeptAnswer, StreamCall, Streamed
from bff.upstream.wire import RawHeaders

GATE = (
    refuse_while_draining,  # first: nothing new begins in a process that is stopping
    authenticate,  # before the body is read
    charge,  # as soon as it is known whose limits count
)
"""The steps of a request to a route. They are those of a request to a variant; see `bff/request/pipeline.py`."""

_UNSAFE_PATH = (
    "The path is ambiguous: expected no dot segments, no empty segments, no backslash or semicolon, and no encoded form "
    "of these or of a slash."
)


@dataclass(slots=True)
class RouteVisit:
    """A request to a route, and what the gate has found out about it. See `bff.request.exchange.Visit`.

    Attributes:
        peer: the address of the connection; `address` is the client's, behind trusted proxies.
        sent_bytes: of the answer's body, so far.
        is_answered: whether the head of the answer was sent.
    """

    endpoint: Route
    scope: Scope
    headers: Mapping[bytes, list[bytes]]
    request_id: str
    traceparent: str
    peer: str
    address: str
    deadline: Deadline
    wait_budget: SharedStateBudget
    client: Client = ANONYMOUS
    ledger: Ledger = UNCHARGED
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    content: ClientContent | None = None
    status: int = 0
    sent_bytes: int = 0
    is_answered: bool = False


class Relay:
    """Serves the requests to routes. Made with each table: it holds what the settings decide."""

    def __init__(
        self,
        services: Services,
        proxies: Proxies,
        clock: Clock,
        log_fields: FurtherFields = NO_FURTHER_FIELDS,
        min_deadline_s: float = DEFAULT_DEADLINES.minimum_s,
    ) -> None:
        """`log_fields` are further fields of the access log; a client can't ask for less than `min_deadline_s`."""
        self._log_fields = log_fields
        self._wishes = Deadlines(minimum_s=min_deadline_s)
        self._services = services
        self._proxies = proxies
        self._clock = clock

    def __repr__(self) -> str:
        return "<Relay>"

    async def refuse_path(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer a request with an ambiguous path."""
        began, request_id = self._clock(), request_id_of(headers_of(scope))
        answer = problem(400, "BAD_REQUEST", _UNSAFE_PATH)
        await _send_whole(answer.status, [*answer.headers, (b"x-request-id", request_id.encode())], answer.body, send)
        access_log.log_other(scope["method"], scope["path"], 400, self._clock() - began, request_id)

    async def serve(self, by_method: Mapping[str, Route], scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. `by_method` are the routes of its path."""
        began = self._clock()
        headers = headers_of(scope)
        peer = (scope["client"] or ("",))[0]
        route = by_method.get(scope["method"])
        known = route or next(iter(by_method.values()))
        deadline = Deadline.after(known.deadline_s, self._clock)
        address = self._proxies.client(peer or None, headers.get(b"x-forwarded-for", ()))
        visit = RouteVisit(
            known,
            scope,
            headers,
            request_id_of(headers),
            traceparent_of(headers),
            peer,
            address,
            deadline,
            SharedStateBudget(deadline),
        )
        codes: tuple[str, ...] = ()
        try:
            response = (
                _other_method(scope["method"], by_method) if route is None else await self._respond(visit, receive, send)
            )
            if response is not None:
                await self._send_own(visit, response, send)
                outcome, codes = response.outcome, response.codes
            else:
                outcome = f"{visit.status // 100}xx"
        except ClientDisconnected:
            outcome, codes, visit.status = "client_gone", ("CLIENT_GONE",), visit.status if visit.is_answered else 499
        except _Truncated as truncated:
            # Nothing more is sent, so the server closes the connection before the end that the head announces.
            outcome, codes = "truncated", (truncated.code,)
        duration_s = self._clock() - began
        self._services.metrics.route(known.path, outcome, duration_s, visit.client.consumer_name)
        access_log.log_route(visit, _line(visit, duration_s, codes), visit.sent_bytes, self._log_fields)

    async def _respond(self, visit: RouteVisit, receive: Receive, send: Send) -> EncodedResponse | None:
        """The gateway's own answer; None if the service's was sent. Raises `ClientDisconnected`, `_Truncated`."""
        try:
            self._heed_wish(visit)
        except BadRequest as error:
            return _failed(visit, error)
        limit = TimeLimit(visit.deadline.left())
        try:
            for step in GATE:
                await step(visit, self._services)
            await self._relay(visit, receive, send)
        except asyncio.CancelledError:
            if not limit.has_cut_off():
                raise
            return _failed(visit, TimedOut(visit.endpoint.target.name, counts=False))
        except ClientDisconnected:
            raise
        except SourceError as error:
            if error.answer is None or visit.is_answered:
                return _failed(visit, error)
            await self._send_kept(visit, error.answer, send)
        except Exception as error:  # noqa: BLE001 - a fault of ours is logged, and answered as one
            return _failed(visit, error)
        finally:
            limit.lift()
        return None

    def _heed_wish(self, visit: RouteVisit) -> None:
        """Give the client no more time than it asks for. Raises `BadRequest`."""
        wishes = visit.headers.get(deadlines.HEADER)
        if wishes is not None:
            wish = self._wishes.wish(self._clock(), self._clock, wishes)
            visit.deadline = min(visit.deadline, wish, key=Deadline.left)

    async def _relay(self, visit: RouteVisit, receive: Receive, send: Send) -> None:
        """Call the service, and send its answer on."""
        call = self._call(visit, receive)
        counts, rates = self._services.counts, self._services.source_rates
        if rates and counts is not None:
            charge_source = SourceRates(
                counts,
                rates,
                clients_of(visit, self._services),
                visit.wait_budget,
                self._services.metrics.rate_refused,
            )
            await charge_source(visit.endpoint.target.name)
        watched = receive if visit.content is None else visit.content.receive_behind
        async with CancelOnDisconnect(watched):
            streamed = await visit.endpoint.target.stream(call)
            try:
                await self._send_on(visit, streamed, send)
            finally:
                await streamed.aclose()
        # Outside: once the answer is complete, the server reports a disconnect.
        await send({"type": "http.response.body", "body": b""})

    def _call(self, visit: RouteVisit, receive: Receive) -> StreamCall:
        """The call to the service. Raises `BadRequest`."""
        route, scope, headers = visit.endpoint, visit.scope, visit.headers
        if b"sec-websocket-key" in headers:
            raise BadRequest("WebSocket is not supported here.", status=501)
        visit.content = _content_of(visit, receive)
        path: bytes = scope.get("raw_path") or scope["path"].encode("ascii")
        target = rewritten(path, route.prefix, route.rewrite)
        if query := scope["query_string"]:
            target = f"{target}?{query.decode('latin-1')}"
        prefix = route.path.encode() if route.rewrite is not None else b""
        added = forwarding_headers(headers, visit.peer, scope["scheme"], prefix, is_trusted=self._proxies.trusts(visit.peer))
        sent = sent_headers(scope["headers"], headers.get(b"connection", ()), added, cookies=route.cookies)
        signed_in = visit.client.signed_in
        caller = Caller(
            visit.request_id,
            visit.traceparent,
            Deadline.after(min(route.timeout_s, route.deadline_s), self._clock),
            None if signed_in is None else signed_in.identity,
            visit.calls,
        )
        return StreamCall(
            scope["method"],
            route.path,
            target,
            caller,
            _undecoded,
            identity=route.forward_identity,
            sent=sent,
            content=visit.content,
            timeout_s=route.timeout_s,
            idle_timeout_s=route.idle_timeout_s,
        )

    async def _send_on(self, visit: RouteVisit, streamed: Streamed, send: Send) -> None:
        """Send the service's answer on, but for its end. Raises `SourceError`, and what the request's body raises."""
        route = visit.endpoint
        most = route.max_response_bytes
        if most is not None and _declared(streamed.headers) > most:
            raise BadAnswer(route.target.name, counts=False)
        await self._start(visit, streamed.status, streamed.headers, send)
        while piece := await streamed.read():
            visit.sent_bytes += len(piece)
            if most is not None and visit.sent_bytes > most:
                raise BadAnswer(route.target.name, counts=False)
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _send_kept(self, visit: RouteVisit, answer: KeptAnswer, send: Send) -> None:
        """Send the answer of a service that failed."""
        await self._start(visit, answer.status, answer.headers, send)
        visit.sent_bytes = len(answer.body)
        await send({"type": "http.response.body", "body": answer.body})

    async def _start(self, visit: RouteVisit, status: int, headers: RawHeaders, send: Send) -> None:
        route = visit.endpoint
        found = returned_headers(headers, route.target.urls, route.public, cookies=route.cookies, status=status)
        await self._send_head(visit, status, found, send)

    async def _send_own(self, visit: RouteVisit, response: EncodedResponse, send: Send) -> None:
        """Send an answer of the gateway itself."""
        headers = list(response.headers)
        if b"expect" in visit.headers and (visit.content is None or not visit.content.taken_bytes):
            headers.append((b"connection", b"close"))  # the client may or may not send the body now
        await self._send_head(visit, response.status, headers, send)
        visit.sent_bytes = len(response.body)
        await send({"type": "http.response.body", "body": response.body})

    async def _send_head(self, visit: RouteVisit, status: int, headers: list[tuple[bytes, bytes]], send: Send) -> None:
        charged = visit.ledger.headers()
        if charged:
            headers = [each for each in headers if not each[0].startswith(b"ratelimit")]
        visit.status, visit.is_answered = status, True
        head = [*headers, *charged, (b"x-request-id", visit.request_id.encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})


class _Truncated(Exception):
    """The answer broke off after its head was sent. `code` is that of the reason."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _failed(visit: RouteVisit, error: Exception) -> EncodedResponse:
    """The answer to a request that failed. Raises `_Truncated` if the service's answer has begun."""
    response = problem_of(error, visit.request_id)
    if visit.is_answered:
        raise _Truncated(response.codes[0]) from None
    return response


def _other_method(method: str, by_method: Mapping[str, Route]) -> EncodedResponse:
    """The answer to a method that no route of the path serves (RFC 9110, sections 9.3.7 and 15.5.6)."""
    allowed = b", ".join(each.encode() for each in sorted({*by_method, "OPTIONS"}))
    allow: Headers = ((b"allow", allowed),)
    if method == "OPTIONS":
        return EncodedResponse(204, allow, b"", outcome="options")
    return problem(405, "BAD_REQUEST", f"Expected one of the methods {allowed.decode()}.", allow)


def _content_of(visit: RouteVisit, receive: Receive) -> ClientContent | None:
    """The request's body; None if it has none. Raises `BadRequest` (413)."""
    route, headers = visit.endpoint, visit.headers
    declared = headers.get(b"content-length")
    length = None if declared is None else int(declared[0])
    if length == 0 or (length is None and b"transfer-encoding" not in headers):
        return None
    if length is not None and length > route.max_request_bytes:
        raise too_large(route.max_request_bytes)
    return ClientContent(receive, length, route.max_request_bytes, route.idle_timeout_s)


def _declared(headers: RawHeaders) -> int:
    """The length of the answer's body that its head declares; 0 if none."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def _undecoded(_: bytes) -> None:
    """A streamed call's reply is not decoded."""


def _line(visit: RouteVisit, duration_s: float, codes: Sequence[str]) -> dict[str, Any]:
    """The fields of the line in the access log."""
    consumer = visit.client.consumer
    return {
        "method": visit.scope["method"],
        "route": visit.endpoint.path,
        "path": visit.scope["path"],
        "consumer": None if consumer is None else consumer.name,
        "status": visit.status,
        "ms": round(duration_s * 1000, 2),
        "bytes_in": 0 if visit.content is None else visit.content.taken_bytes,
        "bytes_out": visit.sent_bytes,
        "request_id": visit.request_id,
        "upstream_calls": dict(visit.calls),
        "errors": list(codes),
    }


async def _send_whole(status: int, headers: list[tuple[bytes, bytes]], body: bytes, send: Send) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
