"""Connection: HTTP/1.1 to a server that may do anything; every wait and every length has a bound."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from pynanochat.contract.address import Address
from pynanochat.contract.problem import AnswerError, SilenceError, UnreachableError, shown

_MOST_BYTES = 4 << 20  # of one answer
_CONNECT_SECONDS = 10.0


class Connection:
    """One connection; used in a `with` block, which closes it. `timeout` seconds are for all that happens on it."""

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._plain: socket.socket | None = None
        self._http = http.client.HTTPConnection(address.host, address.port)

    def __enter__(self) -> Connection:
        timeout = min(self._timeout, _CONNECT_SECONDS)
        try:
            self._plain = socket.create_connection((self._address.host, self._address.port), timeout)
            self._plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._address.scheme == "https":
                self._plain = ssl.create_default_context().wrap_socket(self._plain, server_hostname=self._address.host)
        except (OSError, UnicodeError) as error:
            self.close()
            raise UnreachableError(f"{self._address} cannot be reached: {_reason(error)}") from None
        self._http.sock = cast(socket.socket, _Wire(self._plain, self._deadline))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave, whatever is under way."""
        self._http.close()
        if self._plain is not None:
            self._plain.close()

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        """The beginning of the answer to a request.

        Raises:
            AnswerError: nothing came that is HTTP.
            SilenceError: nothing came in time.
        """
        with self._told():
            if self._http.sock is None:  # the answer before said that the connection ends
                raise AnswerError("the server closed the connection after one answer")
            self._http.request(method, self._address.prefix + path, body,
                               {"Host": self._address.authority, "Accept-Encoding": "identity", **headers})
            return Response(self._http.getresponse(), self)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong on the wire, as a problem in words."""
        try:
            yield
        except TimeoutError:
            raise SilenceError(f"did not end within {self._timeout:g} s") from None
        except http.client.IncompleteRead:
            raise AnswerError("ended in the middle: the connection was closed before the answer was complete") from None
        except http.client.RemoteDisconnected:
            raise AnswerError("the server closed the connection without an answer") from None
        except (http.client.HTTPException, ValueError) as error:
            raise AnswerError(f"is no HTTP answer: {type(error).__name__} {shown(str(error))}".rstrip()) from None
        except OSError as error:
            raise AnswerError(f"broke off: {_reason(error)}") from None


class Response:
    """An answer whose body is still to come."""

    def __init__(self, response: http.client.HTTPResponse, connection: Connection) -> None:
        self._response = response
        self._connection = connection
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def read(self) -> bytes:
        """The whole body."""
        with self._connection._told():
            return self._response.read()

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes."""
        while True:
            with self._connection._told():
                piece = self._response.read1(65536)
            if not piece:
                if self._response.length:  # http.client says nothing when a body of known length ends early here
                    raise AnswerError("ended in the middle: the connection was closed before the answer was complete")
                return
            yield piece


class _Wire:
    """What http.client needs of a socket, with one deadline and one limit for all that is read."""

    def __init__(self, plain: socket.socket, deadline: float) -> None:
        self._plain = plain
        self._deadline = deadline

    def sendall(self, data: Any) -> None:
        self._plain.settimeout(_remaining(self._deadline))
        self._plain.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self._plain, self._deadline))

    def close(self) -> None:
        pass  # Connection closes the socket: an answer may still be read when http.client is done with it


class _Incoming(io.RawIOBase):
    def __init__(self, plain: socket.socket, deadline: float) -> None:
        super().__init__()
        self._plain = plain
        self._deadline = deadline
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._plain.settimeout(_remaining(self._deadline))
        count = self._plain.recv_into(buffer)
        self._bytes += count
        if self._bytes > _MOST_BYTES:
            raise AnswerError(f"is longer than {_MOST_BYTES >> 20} MiB")
        return count


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return shown(f"its certificate is not trusted ({error.verify_message})")
    return shown((isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__)
