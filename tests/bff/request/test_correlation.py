"""A request's id and trace: the client's own if they are well-formed."""

import os
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.request.correlation import request_id_of, traceparent_of

_TRACE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("given_id", ["a", "0", "req-1_2.3~4", "A" * 128, "018f4e6e-8b3c-7c3a-9f51-0242ac120002"])
def test_a_well_formed_request_id_is_kept(given_id: str) -> None:
    """1 to 128 letters, digits and `._~-`."""
    assert request_id_of({b"x-request-id": [given_id.encode()]}) == given_id


@pytest.mark.parametrize("tail", ["", "-", "-what-may-come"])
def test_a_later_traceparent_version_keeps_trace_and_flags(tail: str) -> None:
    """They are sent on in version 00; unknown fields are dropped (W3C Trace Context, section 3.2.4)."""
    version, trace, _, flags = traceparent_of({b"traceparent": [b"cc" + PARENT[2:] + tail.encode()]}).split("-")
    assert (version, trace, flags) == ("00", "0af7651916cd43dd8448eb211c80319c", "01")


@pytest.mark.parametrize(
    "values",
    [
        None,
        [b""],
        [b" "],
        [b"a b"],
        [b"a\n"],
        [b"a\r\nX-Evil: 1"],
        [b"a\x00"],
        [b"\xff"],
        ["é".encode()],
        [b'"quoted"'],
        [b"<script>"],
        [b"a,b"],
        [b"A" * 129],
        [b"a", b"b"],
        [b"a", b"a"],
        [],
    ],
)
def test_any_other_request_id_is_replaced(values: list[bytes] | None) -> None:
    """If there is none or several, or if it is too long or unsafe in headers, logs or HTML: a new id each time."""
    headers: dict[bytes, Any] = {} if values is None else {b"x-request-id": values}
    one, other = request_id_of(headers), request_id_of(headers)
    assert re.fullmatch("[0-9a-f]{32}", one)
    assert one != other


@given(st.binary(max_size=200))
def test_a_request_id_is_safe_in_headers_and_logs(junk: bytes) -> None:
    """Whatever bytes the client sends."""
    assert re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", request_id_of({b"x-request-id": [junk]}))


def test_the_client_s_trace_continues_with_a_new_span() -> None:
    """Trace id and flags stay, the parent id is new (W3C Trace Context, section 3.4)."""
    version, trace, span, flags = traceparent_of({b"traceparent": [PARENT]}).split("-")
    assert (version, trace, flags) == ("00", "0af7651916cd43dd8448eb211c80319c", "01")
    assert re.fullmatch("[0-9a-f]{16}", span)
    assert span != "b7ad6b7169203331"


@pytest.mark.parametrize("flags", ["00", "01", "03", "ff"])
def test_the_client_s_trace_flags_are_kept(flags: str) -> None:
    """They say whether the trace is sampled, which its first participant decides."""
    assert traceparent_of({b"traceparent": [PARENT[:-2] + flags.encode()]})[-2:] == flags


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        [b""],
        [PARENT, PARENT],
        [PARENT + b"\n"],
        [PARENT + b"-00"],
        [b" " + PARENT],
        [PARENT.upper()],
        [b"ff" + PARENT[2:]],
        [b"00-00000000000000000000000000000000-b7ad6b7169203331-01"],
        [b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"],
        [b"00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01"],
        [b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01"],
        [b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"],
        [b"00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01"],
        [b"\xff"],
    ],
)
def test_any_other_trace_is_replaced(values: list[bytes] | None) -> None:
    """If there is none, if there are several, or if it breaks the specification: a new trace each time, sampled."""
    headers: dict[bytes, Any] = {} if values is None else {b"traceparent": values}
    one, other = traceparent_of(headers), traceparent_of(headers)
    assert _TRACE.fullmatch(one)
    assert "0af7651916cd43dd8448eb211c80319c" not in one
    assert one.endswith("-01")
    assert one[3:35] != other[3:35]


def test_ids_are_unique() -> None:
    """Also across several blocks of random digits."""
    ids = [request_id_of({}) for _ in range(1000)] + [traceparent_of({})[3:35] for _ in range(1000)]
    assert len(set(ids)) == 2000
    assert {len(each) for each in ids} == {32}


def test_a_forked_process_makes_other_ids() -> None:
    """The child must not use the digits that its parent uses next."""
    read, write = os.pipe()
    request_id_of({})
    child = os.fork()
    if child == 0:
        os.write(write, request_id_of({}).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 32).decode() != request_id_of({})
    os.close(read)
    os.close(write)
