"""Guard: who may ask. The Host against DNS rebinding, the Origin against foreign pages, the API key."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Iterable
from contextlib import suppress

from pynanochat.serve.errors import ApiError
from pynanochat.serve.exchange import Exchange

_NAME = re.compile(r"(\[[0-9a-f:.%]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_TOKENS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1000}")
_EXPOSED = "x-request-id, retry-after, x-nanochat-ignored, x-nanochat-dropped-turns"


class Guard:
    """Checks each request before anything is done for it.

    A name that a foreign page can point here is the danger of rebinding. So on a loopback address only names of this
    machine are answered; on another address also IP addresses and the machine's own name; and with API keys any name,
    for the page does not know the key, unless `hosts` says which. `hosts` adds names, "*" all. `origins` are the pages
    of other sites that may ask, such as "https://example.org", "*" all; a page from here always may.
    """

    def __init__(self, *, bound: str, keys: Iterable[str] = (), hosts: Iterable[str] = (),
                 origins: Iterable[str] = ()) -> None:
        self._digests = {hashlib.sha256(coded).digest(): digest
                         for key in keys for digest in [hashlib.sha256(key.encode()).hexdigest()]
                         for coded in _codings(key)}
        self._hosts = {host.lower() for host in hosts}
        self._origins = {origin.lower().rstrip("/") for origin in origins}
        self._loopback = is_loopback(bound)
        own = socket.gethostname().lower()
        self._own = {own, f"{own.partition('.')[0]}.local"}

    @property
    def has_keys(self) -> bool:
        """Whether a key is needed."""
        return bool(self._digests)

    def check_host(self, exchange: Exchange) -> None:
        """Raise `ApiError` 400 for a malformed Host or a header that came twice, 403 for a Host from elsewhere."""
        if exchange.duplicate:
            raise ApiError(400, f"the header {exchange.duplicate} may be sent only once")
        host = exchange.headers.get("host", "").lower()
        if not host and exchange.version == "1.0":
            return
        match = _NAME.fullmatch(host)
        if match is None:
            raise ApiError(400, "the Host header is missing or malformed")
        name = match[1].strip("[]").rstrip(".")
        if not self._may_be(name):
            raise ApiError(403, "this server does not answer to that Host; start it with --allowed-host to let it",
                           type="permission_error", code="host_not_allowed")

    def check_origin(self, exchange: Exchange) -> None:
        """Raise `ApiError` 403 for a page of another site; give one that may ask its CORS headers."""
        origin = exchange.headers.get("origin")
        if origin is None:
            return
        exchange.response_headers["vary"] = "origin"
        origin = origin.lower()
        if origin in self._origins or "*" in self._origins:
            exchange.response_headers |= {"access-control-allow-origin": "*" if "*" in self._origins else origin,
                                          "access-control-expose-headers": _EXPOSED}
        elif not _same(origin, exchange.headers.get("host", "").lower()):
            raise ApiError(403, "pages of that origin may not use this server; start it with --allowed-origin to let "
                                "them", type="permission_error", code="origin_not_allowed")

    def preflight(self, exchange: Exchange) -> dict[str, str] | None:
        """The headers that answer a browser's question before its request; None where it is none."""
        wanted = exchange.headers
        if exchange.method != "OPTIONS" or "origin" not in wanted or "access-control-request-method" not in wanted:
            return None
        headers = {"access-control-allow-methods": "GET, POST, OPTIONS", "access-control-max-age": "600"}
        asked = wanted.get("access-control-request-headers", "")
        if _TOKENS.fullmatch(asked):
            headers["access-control-allow-headers"] = asked
        if wanted.get("access-control-request-private-network") == "true":
            headers["access-control-allow-private-network"] = "true"
        return headers

    def check_key(self, exchange: Exchange) -> None:
        """Set the tenant to the key's digest. Raises `ApiError` 401 without a valid key, where one is needed."""
        if not self._digests:
            return
        scheme, _, key = exchange.headers.get("authorization", "").partition(" ")
        given = hashlib.sha256(key.strip().encode("latin-1")).digest()
        found = [tenant for digest, tenant in self._digests.items() if hmac.compare_digest(digest, given)]
        if scheme.lower() != "bearer" or not found:
            raise ApiError(401, "a valid API key is needed, as in Authorization: Bearer KEY",
                           type="authentication_error", code="invalid_api_key",
                           headers={"www-authenticate": 'Bearer realm="nanochat"'})
        exchange.tenant = found[0]

    def _may_be(self, name: str) -> bool:
        if "*" in self._hosts or name in self._hosts or name == "localhost" or name.endswith(".localhost"):
            return True
        if is_loopback(name):
            return True
        if self._loopback:
            return False
        if self.has_keys and not self._hosts:
            return True
        return _is_address(name) or name in self._own


def is_loopback(host: str) -> bool:
    """Whether a host names this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _same(origin: str, host: str) -> bool:
    scheme, _, netloc = origin.partition("://")
    port = {"http": ":80", "https": ":443"}.get(scheme)
    return port is not None and bool(netloc) and netloc.removesuffix(port) == host.removesuffix(port)


def _codings(key: str) -> set[bytes]:
    """How clients write a key into a header."""
    codings = {key.encode()}
    with suppress(UnicodeEncodeError):
        codings.add(key.encode("latin-1"))
    return codings
