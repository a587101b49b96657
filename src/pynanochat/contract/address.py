"""Address: where a server listens, from the URL that people paste, with or without /v1."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from pynanochat.errors import RequestError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """A server, and the path above its /v1."""

    scheme: str
    host: str
    port: int
    prefix: str  # without a slash at its end; "" for most

    @classmethod
    def parse(cls, url: str) -> Address:
        """The address that a URL means.

        Raises:
            RequestError: it is no URL of an HTTP server.
        """
        expected = "expected one such as http://127.0.0.1:8000 or https://host/v1"
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError as error:
            raise RequestError(f"{url!r} is no URL ({error}); {expected}") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise RequestError(f"{url!r} is no URL of an HTTP server; {expected}")
        if parts.username or parts.password or parts.query or parts.fragment or not parts.path.isascii():
            raise RequestError(f"{url!r} holds more than a server and a path; {expected}")
        if any(not "!" <= letter <= "~" for letter in parts.path + parts.hostname):
            raise RequestError(f"{url!r} holds letters that no URL has; {expected}")
        return cls(parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port,
                   parts.path.rstrip("/").removesuffix("/v1").rstrip("/"))

    @property
    def authority(self) -> str:
        """Host and port as the header Host has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.prefix}"
