"""Calls and replies: the module's documentation of how to write a policy."""

import asyncio
import textwrap
from typing import Any

import pytest

from bff.upstream.caller import Caller
from bff.upstream.errors import TimedOut
from bff.upstream.traffic import call
from bff.upstream.traffic.call import Call, Handler, Policy, Reply
from tests.support.fakes import make_call, ok


def documented_policy() -> Policy:
    """The policy in the docstring of `call.py`."""
    text = call.__doc__ or ""
    source = textwrap.dedent(text[text.index("    class ") :])
    names: dict[str, Any] = {"asyncio": asyncio, "Call": Call, "Handler": Handler, "Reply": Reply, "TimedOut": TimedOut}
    exec(source, names)  # noqa: S102 - our own text
    policy: Policy = names["AtMostOneSecond"]("users")
    return policy


async def late(_: Call) -> Reply:
    """A handler whose time limit passes."""
    raise TimeoutError


async def test_the_documented_policy_works(caller: Caller) -> None:
    """Someone who copies it gets a policy that returns replies, and turns a timeout into an error that counts."""
    policy = documented_policy()
    assert (await policy(make_call(caller), ok)).value == "well"
    with pytest.raises(TimedOut) as raised:
        await policy(make_call(caller), late)
    assert raised.value.counts
