"""How long an answer may be used: the rules of HTTP caching (RFC 9111, RFC 5861), without I/O and with the time handed in.

They are those of a shared cache that is private by default: an answer to somebody's credentials is its viewer's, and then
the rules are those of a private cache. No answer is given a lifetime that its service didn't state. What can't be read, or
contradicts itself, is taken for stale.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache

_KNOWN = 256
"""So many header values are kept as understood: a service says few things, and says them again and again."""
_YEAR_S = 31_536_000.0
_DAY_S = 86_400.0
_KEPT_STATUSES = frozenset({200, 404})
_DIFFERS_EACH_TIME = frozenset({"*", "x-request-id", "traceparent", "x-request-timeout-ms"})
_DIRECTIVE = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*))?\s*(?:,|$)')
CACHE_HEADERS = ("cache-control", "expires", "date", "age", "etag", "vary")
"""The headers that matter to these rules."""
_OF_THE_MESSAGE = frozenset({"date", "age"})


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long an answer may be used, in seconds from the moment it came.

    Attributes:
        fresh_s: without asking; zero or less: never.
        while_revalidate_s: on top of that, while it is asked for anew (RFC 5861, section 3).
        if_error_s: on top of `fresh_s`, where asking failed (RFC 5861, section 4).
        age_s: how old it was when it came (RFC 9111, section 4.2.3).
        etag: its validator, weak or strong.
        vary: the request headers on which it depends, in lower case and in order.
    """

    fresh_s: float
    while_revalidate_s: float
    if_error_s: float
    age_s: float
    etag: str | None
    vary: tuple[str, ...]


def lifetimes(
    status: int, headers: Mapping[str, str], *, with_identity: bool, wall_now: float, delay_s: float
) -> Lifetimes | None:
    """How long an answer may be used; None where it must not be kept (RFC 9111, section 3).

    Args:
        status: of the answer.
        headers: of the answer, by lower-case names; of a repeated one the values are joined by commas.
        with_identity: whether the request carried credentials: then it is kept for that viewer, as a private cache would.
        wall_now: seconds since 1970, as the answer came.
        delay_s: how long the answer took.
    """
    directives = cache_control(headers.get("cache-control", ""))
    if status not in _KEPT_STATUSES or "no-store" in directives:
        return None
    vary = _vary(headers.get("vary", ""))
    if vary is None:
        return None
    etag = headers.get("etag") or None
    if "private" in directives and not with_identity:
        return None  # nobody in particular asked, so it can be kept for nobody
    lifetime_s = _lifetime_s(directives, headers, with_identity=with_identity, wall_now=wall_now)
    if lifetime_s is None and etag is None:
        return None
    age_s = _age_s(headers, wall_now, delay_s)
    fresh_s = min(lifetime_s or 0.0, _YEAR_S) - age_s
    while_revalidate_s = _extra_s(directives, "stale-while-revalidate")
    if_error_s = _extra_s(directives, "stale-if-error")
    if "no-cache" in directives:
        fresh_s = min(fresh_s, 0.0)
    if _forbids_stale(directives, with_identity=with_identity):
        while_revalidate_s = if_error_s = 0.0
    return Lifetimes(fresh_s, while_revalidate_s, if_error_s, age_s, etag, vary)


def usable(headers: Mapping[str, str], *, with_identity: bool) -> tuple[float, bool, bool]:
    """For how many seconds what a service has just answered may be used by others than us, and by whom.

    Seconds, whether by shared caches, whether it may be kept at all. What says nothing of it may not (we never guess); what
    was asked for with credentials is its viewer's, whatever it says.
    """
    directives = cache_control(headers.get("cache-control", ""))
    if not directives or "no-store" in directives or headers.get("vary", "") == "*":
        return 0.0, False, False
    is_shared = not with_identity and "private" not in directives
    if "no-cache" in directives:
        return 0.0, is_shared, True
    stated = directives.get("s-maxage") if is_shared and "s-maxage" in directives else directives.get("max-age")
    age_s = _seconds(headers.get("age", "").partition(",")[0].strip()) or 0.0
    return max((_seconds(stated) or 0.0) - age_s, 0.0), is_shared, True


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Of an answer's headers those that matter to these rules."""
    return {name: value for name in CACHE_HEADERS if (value := headers.get(name)) is not None}


def merged(stored: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """The headers of a stored answer after a 304 (RFC 9111, section 3.2): those of the 304 take the place of the old ones.

    What speaks of the message and not of what it brings, its date and age, is never taken from the old one.
    """
    lasting = {name: value for name, value in stored.items() if name not in _OF_THE_MESSAGE}
    return lasting | kept(new)


@lru_cache(maxsize=_KNOWN)
def cache_control(value: str) -> Mapping[str, str | None]:
    """The directives of `Cache-Control` (RFC 9111, section 5.2) by lower-case names; junk between them is passed over.

    One that stands there twice with different values has the value "", which no rule can read.
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


def _lifetime_s(
    directives: Mapping[str, str | None], headers: Mapping[str, str], *, with_identity: bool, wall_now: float
) -> float | None:
    """Its freshness lifetime (RFC 9111, section 4.2.1): 0 where it can't be read, None where none is stated."""
    if "s-maxage" in directives and not with_identity:
        return _seconds(directives["s-maxage"]) or 0.0
    if "max-age" in directives:
        return _seconds(directives["max-age"]) or 0.0
    if "expires" not in headers:
        return None
    expires, date = _moment(headers["expires"]), _moment(headers.get("date", ""))
    if expires is None:
        return 0.0
    return max(expires - (wall_now if date is None else date), 0.0)


def _age_s(headers: Mapping[str, str], wall_now: float, delay_s: float) -> float:
    """RFC 9111, section 4.2.3."""
    date = _moment(headers.get("date", ""))
    apparent_s = 0.0 if date is None else max(wall_now - date, 0.0)
    # Of several the first counts (RFC 9111, section 5.1).
    stated_s = _seconds(headers.get("age", "").partition(",")[0].strip()) or 0.0
    return max(apparent_s, stated_s + max(delay_s, 0.0))


def _forbids_stale(directives: Mapping[str, str | None], *, with_identity: bool) -> bool:
    """RFC 9111, section 4.2.4. What is said to shared caches alone doesn't bind what is one viewer's."""
    if "no-cache" in directives or "must-revalidate" in directives:
        return True
    return not with_identity and ("proxy-revalidate" in directives or "s-maxage" in directives)


def _extra_s(directives: Mapping[str, str | None], name: str) -> float:
    return min(_seconds(directives.get(name)) or 0.0, _DAY_S)


def _seconds(text: str | None) -> float | None:
    """Delta-seconds (RFC 9111, section 1.2.2); None where they are none."""
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    return min(float(text), 2.0**31)


@lru_cache(maxsize=_KNOWN)
def _moment(text: str) -> float | None:
    """An HTTP date in seconds since 1970; None where it is none."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


@lru_cache(maxsize=_KNOWN)
def _vary(value: str) -> tuple[str, ...] | None:
    """The names in `Vary`; None where no other request can be equal (RFC 9111, section 4.1)."""
    names = {name.strip().lower() for name in value.split(",")} - {""}
    return None if names & _DIFFERS_EACH_TIME else tuple(sorted(names))
