"""How long a reply may be used: the rules of HTTP caching (RFC 9111, RFC 5861), without I/O. The caller passes in the time.

A reply to a request with credentials belongs to one viewer: the rules of a private cache hold. For other replies those of a
shared cache hold. No reply gets a lifetime that its service didn't state (no heuristic freshness). A reply whose headers
can't be read, or contradict each other, counts as stale.
"""

import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

from bff.runtime.memo import memoized

_MEMO_ENTRIES = 256
"""Parsed header values that are kept. A service repeats a few values in all its answers."""
_YEAR_S = 31_536_000.0
_DAY_S = 86_400.0
_KEPT_STATUSES = frozenset({200, 404})
_DIFFERS_EACH_TIME = frozenset({"*", "x-request-id", "traceparent", "x-request-timeout-ms"})
_DIRECTIVE = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*))?\s*(?:,|$)')
CACHE_HEADERS = ("cache-control", "expires", "date", "age", "etag", "vary")
"""The response headers that these rules use, besides the status."""
_NEVER_FROM_STORED = frozenset({"date", "age"})
_LONGEST_VALUE = 1024
"""Characters of a header. A longer one counts as unreadable."""
_TOO_LONG = {"cache-control": "no-store", "vary": "*"} | dict.fromkeys(("expires", "date", "age", "etag"), "")
_ETAG = re.compile(r'(?:W/)?"[!#-~]*"|(?!\*\Z)[!#-+\--~]+')
"""A single entity tag that can be sent back (RFC 9110, section 8.8.3): visible ASCII, quoted or, as some send it, not."""


class Lifetimes(msgspec.Struct, frozen=True, gc=False):
    """How long a reply may be used, in seconds from its arrival.

    Attributes:
        fresh_s: without another call; zero or less if it may not.
        while_revalidate_s: in addition to `fresh_s`, while it is revalidated (RFC 5861, section 3).
        if_error_s: in addition to `fresh_s`, if a call failed (RFC 5861, section 4).
        age_s: its age at its arrival (RFC 9111, section 4.2.3).
        etag: its entity tag, weak or strong; None if it has none that can be sent back.
        vary: the request headers on which it depends, in lower case, sorted.
        is_kept: whether this gateway may cache it, for the call's viewer.
        is_shared: whether shared caches in front of the gateway may store responses made from it.
        may_keep: whether clients may store responses made from it at all.
    """

    fresh_s: float
    while_revalidate_s: float
    if_error_s: float
    age_s: float
    etag: str | None
    vary: tuple[str, ...]
    is_kept: bool = True
    is_shared: bool = True
    may_keep: bool = True


_UNUSABLE = Lifetimes(0.0, 0.0, 0.0, 0.0, None, (), is_kept=False, is_shared=False, may_keep=False)


def judge(status: int, headers: Mapping[str, str], *, with_identity: bool, wall_now: float, delay_s: float) -> Lifetimes:
    """How long a reply may be used, by this gateway and by its clients (RFC 9111, section 3).

    Args:
        status: the reply's status.
        headers: the reply's headers, by lower-case names. The values of a repeated header are joined by commas.
        with_identity: whether the request carried credentials. Then the reply is cached for that viewer alone.
        wall_now: when the reply arrived, in seconds since 1970.
        delay_s: seconds from the request to the reply.
    """
    directives = cache_control(headers.get("cache-control", ""))
    vary = _vary(headers.get("vary", ""))
    if status not in _KEPT_STATUSES or "no-store" in directives or vary is None:
        return _UNUSABLE
    etag = headers.get("etag")
    if etag is not None and (len(etag) > _LONGEST_VALUE or _ETAG.fullmatch(etag) is None):
        etag = None
    is_shared = not with_identity and "private" not in directives
    lifetime_s = _lifetime_s(directives, headers, is_shared=is_shared, wall_now=wall_now)
    if lifetime_s is None and etag is None and not directives:
        return _UNUSABLE
    age_s = _age_s(headers, wall_now, delay_s)
    fresh_s = min(lifetime_s or 0.0, _YEAR_S) - age_s
    if "no-cache" in directives:
        fresh_s = min(fresh_s, 0.0)
    while_revalidate_s = if_error_s = 0.0
    if not _forbids_stale(directives, with_identity=with_identity):
        while_revalidate_s = _extra_s(directives, "stale-while-revalidate")
        if_error_s = _extra_s(directives, "stale-if-error")
    return Lifetimes(
        fresh_s,
        while_revalidate_s,
        if_error_s,
        age_s,
        etag,
        vary,
        # A private reply to a call without identity belongs to no viewer.
        is_kept=(is_shared or with_identity) and not (lifetime_s is None and etag is None),
        is_shared=is_shared,
        # Only the gateway uses a validator without a lifetime. No lifetime is guessed for clients.
        may_keep=lifetime_s is not None or bool(directives),
    )


def usable(headers: Mapping[str, str], *, with_identity: bool) -> tuple[float, bool, bool]:
    """As `for_clients`, for the headers of a reply that has just arrived."""
    return for_clients(judge(200, headers, with_identity=with_identity, wall_now=time.time(), delay_s=0.0))


def for_clients(life: Lifetimes) -> tuple[float, bool, bool]:
    """For clients: the lifetime in seconds, whether shared caches may store it, whether it may be stored at all."""
    return max(life.fresh_s, 0.0), life.is_shared, life.may_keep


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that these rules use. One that is too long is replaced by a short value with the same effect."""
    found = {name: value for name in CACHE_HEADERS if (value := headers.get(name)) is not None}
    return {name: value if len(value) <= _LONGEST_VALUE else _TOO_LONG[name] for name, value in found.items()}


def merged(stored: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """The headers of a stored reply after a 304 (RFC 9111, section 3.2): those of the 304 replace the stored ones.

    `Date` and `Age` describe the message and not its content, so they are never taken from the stored reply.
    """
    lasting = {name: value for name, value in stored.items() if name not in _NEVER_FROM_STORED}
    return lasting | kept(new)


@memoized(max_entries=_MEMO_ENTRIES, max_length=_LONGEST_VALUE, too_long=lambda _: {"no-store": None})
def cache_control(value: str) -> Mapping[str, str | None]:
    """The directives of `Cache-Control` (RFC 9111, section 5.2) by lower-case names. Invalid text between them is skipped.

    A directive that occurs twice with different values has the value "", which no rule can read. A value that is too long
    counts as `no-store`.
    """
    found: dict[str, str | None] = {}
    position = 0
    while position < len(value):
        match = _DIRECTIVE.match(value, position)
        if match is None:
            comma = value.find(",", position)
            position = len(value) if comma < 0 else comma + 1
            continue
        position = match.end()
        name, argument = match[1].lower(), match[2]
        if argument is not None and argument.startswith('"'):
            argument = re.sub(r"\\(.)", r"\1", argument[1:-1])
        found[name] = argument if found.get(name, argument) == argument else ""
    return found


def is_same_tag(kept: str | None, given: str | None) -> bool:
    """Whether a 304 with the tag `given` is about the entry with the tag `kept` (RFC 9111, section 4.3.4; weakly)."""
    return not given or kept is None or given.removeprefix("W/") == kept.removeprefix("W/")


def _lifetime_s(
    directives: Mapping[str, str | None], headers: Mapping[str, str], *, is_shared: bool, wall_now: float
) -> float | None:
    """The freshness lifetime (RFC 9111, section 4.2.1) in seconds: 0 if it can't be read, None if none is stated."""
    if "s-maxage" in directives and is_shared:
        return _seconds(directives["s-maxage"]) or 0.0
    if "max-age" in directives:
        return _seconds(directives["max-age"]) or 0.0
    if "expires" not in headers:
        return None
    expires, date = _timestamp(headers["expires"]), _timestamp(headers.get("date", ""))
    if expires is None:
        return 0.0
    return max(expires - (wall_now if date is None else date), 0.0)


def _age_s(headers: Mapping[str, str], wall_now: float, delay_s: float) -> float:
    """The age at arrival, in seconds (RFC 9111, section 4.2.3)."""
    date = _timestamp(headers.get("date", ""))
    # In whole seconds, like HTTP dates.
    apparent_s = 0.0 if date is None else max(int(wall_now) - date, 0.0)
    # The first of several values counts (RFC 9111, section 5.1).
    stated_s = _seconds(headers.get("age", "").partition(",")[0].strip()) or 0.0
    return max(apparent_s, stated_s + max(delay_s, 0.0))


def _forbids_stale(directives: Mapping[str, str | None], *, with_identity: bool) -> bool:
    """Whether it must not be used stale (RFC 9111, section 4.2.4). With identity, shared caches' directives don't apply."""
    if "no-cache" in directives or "must-revalidate" in directives:
        return True
    return not with_identity and ("proxy-revalidate" in directives or "s-maxage" in directives)


def _extra_s(directives: Mapping[str, str | None], name: str) -> float:
    return min(_seconds(directives.get(name)) or 0.0, _DAY_S)


def _seconds(text: str | None) -> float | None:
    """Delta-seconds (RFC 9111, section 1.2.2); None if the text is anything else."""
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    return min(float(text), 2.0**31)


@memoized(max_entries=_MEMO_ENTRIES, max_length=_LONGEST_VALUE, too_long=lambda _: None)
def _timestamp(text: str) -> float | None:
    """An HTTP date in seconds since 1970; None if it can't be read."""
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


@memoized(max_entries=_MEMO_ENTRIES, max_length=_LONGEST_VALUE, too_long=lambda _: None)
def _vary(value: str) -> tuple[str, ...] | None:
    """The names in `Vary`; None if no other request can match (RFC 9111, section 4.1)."""
    names = {name.strip().lower() for name in value.split(",")} - {""}
    return None if names & _DIFFERS_EACH_TIME else tuple(sorted(names))
