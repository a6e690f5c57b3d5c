"""Who may reach what: this machine everything, the outside only what the owner opened.

Owns the decision and its middleware. A request counts as coming from outside when it was
forwarded by a proxy or tunnel, when it does not come from this machine, or when its Host is not
this machine (a web page that re-points its own name at 127.0.0.1 is recognised by its Host). So
does one in HTTP/1.0: nginx's bare `proxy_pass` has long spoken that, with our own address for a
Host and nothing that says where the request came from, and hardly anything else does.
Such a request reaches `/healthz` and the bot's webhook, which asks for its own secret, unless
`DOGGO_PUBLIC` names its path; then it needs the API key and stays within the rate limit.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from doggo.core.errors import UsageError
from doggo.serve.problems import ProblemError

ALWAYS_OPEN = frozenset({"/healthz", "/telegram/webhook"})

_FORWARDED = frozenset({"forwarded", "x-real-ip", "via", "cf-connecting-ip", "true-client-ip"})
_FORWARDED_PREFIX = "x-forwarded-"
_OF_PROXIES = "1.0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposure:
    """What the outside may reach.

    Attributes:
        paths: opened paths; one that ends in `/*` opens what is below it.
        api_key: what a request from outside must carry to reach an opened path.
        per_minute: requests a minute that all of the outside together may make.
    """

    paths: frozenset[str] = frozenset()
    api_key: str = field(default="", repr=False)
    per_minute: int = 120

    def __post_init__(self) -> None:
        for path in self.paths:
            if not path.startswith("/"):
                raise UsageError(f"DOGGO_PUBLIC names {path!r}: a path starts with '/'")
        if self.paths and len(self.api_key) < 16:
            raise UsageError(
                "DOGGO_PUBLIC opens paths to the outside: set DOGGO_API_KEY to a secret of at "
                "least 16 characters as well"
            )

    def opens(self, path: str) -> bool:
        """Return whether the outside may reach `path` (with the key)."""
        if path in self.paths:
            return True
        return any(opened.endswith("/*") and path.startswith(opened[:-1]) for opened in self.paths)


def parse_public(value: str) -> frozenset[str]:
    """Return the paths that `DOGGO_PUBLIC` (separated by commas) names."""
    return frozenset(path for part in value.split(",") if (path := part.strip()))


def is_outside(headers: Mapping[str, str], client: str | None, http_version: str = "1.1") -> bool:
    """Return whether a request comes from beyond this machine.

    Args:
        headers: of the request, with names in lower case.
        client: address of the peer; None for a Unix socket.
        http_version: that the peer speaks.
    """
    if http_version == _OF_PROXIES or any(_says_forwarded(name) for name in headers):
        return True
    if client is not None and not _is_loopback(client):
        return True
    return not _is_loopback(_host_name(headers.get("host", "")))


def _says_forwarded(name: str) -> bool:
    return name in _FORWARDED or name.startswith(_FORWARDED_PREFIX)


def carries_key(headers: Mapping[str, str], api_key: str) -> bool:
    """Return whether the request carries the key, as a bearer, a header or a Basic password."""
    given = [headers.get("x-api-key", "")]
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        given.append(credentials.strip())
    elif scheme.lower() == "basic":
        given.append(_basic_password(credentials))
    expected = api_key.encode()
    return any(hmac.compare_digest(one.encode(), expected) for one in given)


class RateLimit:
    """A token bucket: `per_minute` on average, as many at once."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = float(per_minute)
        self._tokens = float(per_minute)
        self._clock = clock
        self._filled_at = clock()

    def wait_s(self) -> int:
        """Take a token and return 0, or return the whole seconds until there is one."""
        now = self._clock()
        per_s = self._most / 60
        self._tokens = min(self._most, self._tokens + (now - self._filled_at) * per_s)
        self._filled_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return max(1, math.ceil((1 - self._tokens) / per_s))


class ExposureGate:
    """ASGI middleware that lets a request pass or answers 401, 403 or 429."""

    def __init__(self, app: ASGIApp, exposure: Exposure) -> None:
        self.app = app
        self._exposure = exposure
        self._rate = RateLimit(exposure.per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            client = scope.get("client")
            outside = is_outside(headers, client[0] if client else None, scope["http_version"])
            refusal = self._refusal(scope["path"], headers, outside=outside)
            if refusal is not None:
                await refusal.response(scope["path"])(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _refusal(self, path: str, headers: Headers, *, outside: bool) -> ProblemError | None:
        if path in ALWAYS_OPEN:
            return None
        if not outside:
            return _cross_site(headers)
        if not self._exposure.opens(path):
            return ProblemError("not-public", "only this machine may reach this address")
        if wait_s := self._rate.wait_s():
            # Before the key: guesses at it are limited too.
            return ProblemError(
                "rate-limit",
                f"at most {self._exposure.per_minute} requests a minute come in from outside",
                headers={"Retry-After": str(wait_s)},
            )
        if not carries_key(headers, self._exposure.api_key):
            challenge = {"WWW-Authenticate": 'Basic realm="doggo", charset="UTF-8"'}
            return ProblemError("needs-key", "the API key is missing or wrong", headers=challenge)
        return None


def _cross_site(headers: Headers) -> ProblemError | None:
    # A foreign page may not use the visitor's browser to keep this machine busy.
    origin = headers.get("origin")
    if origin is None or origin.partition("://")[2] == headers.get("host"):
        return None
    return ProblemError("not-public", "a page of another site may not call this server")


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


@lru_cache(maxsize=256)  # the same few names again and again
def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _basic_password(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
