"""A webhook as a courier: the notice is posted as JSON, and it is taken where the answer's status is from 200 to 299.

It follows no redirect, since that would carry the notice, and what authorises it, to an address that nobody named. It
goes over TLS, but for an address of this machine. Of the answer it reads a bounded beginning. Neither the address,
which may be a secret, nor a header's value stands in an error.

Source: the draft of the Idempotency-Key header, draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from prytany.abi import limits
from prytany.drivers.models.failures import from_exception, parse_retry_after_ms
from prytany.drivers.tools.python.strike import Strike
from prytany.ports.courier import Letter, Missed

if TYPE_CHECKING:
    from pyreqwest.client import Client
    from pyreqwest.response import Response

CONNECT_TIMEOUT_MS = 10_000
AHEAD_BYTES = 1  # read before an answer is handed over: its status counts, whatever becomes of its body
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
ADDRESS_CHARS_MAX = 2_048
AGAIN = frozenset({408, 409, 421, 423, 425, 429})
"""Statuses below 500 after which another attempt may help."""


class Target(NamedTuple):
    """Where to, and what authorises it."""

    address: str
    headers: Mapping[str, str] = {}
    secrets: Mapping[str, str] = {}
    """Struck out of what is answered, by their names."""


def wrong_address(address: str) -> str:
    """Why nothing can be posted there; "" where it can."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "is no address"
    if not address.isascii() or not address.isprintable() or " " in address or len(address) > ADDRESS_CHARS_MAX:
        return "is no address"
    if parts.scheme not in ("https", "http") or not host or port == 0:
        return "has to begin with https:// and name a host"
    if parts.scheme == "http" and host not in LOOPBACK:
        return "has to begin with https://: http:// is for this machine alone"
    if parts.username is not None or parts.password is not None:
        return "holds a user or password; give a secret in `headers`"
    return ""


class WebhookCourier:
    """See the module."""

    def __init__(self, target: Callable[[], Target], *, timeout_ms: int = limits.NOTICE_TIMEOUT_MS) -> None:
        """`target` is asked at each attempt; it may raise Missed."""
        self._target = target
        self._timeout_ms = timeout_ms
        self._client: Client | None = None

    async def deliver(self, letter: Letter) -> bytes:
        """Post it once; the beginning of the answer. Raises Missed."""
        target = self._target()
        if wrong := wrong_address(target.address):
            raise Missed("no address", f"the address {wrong}".encode(), again=False)
        strike = Strike(target.secrets)
        try:
            request = self._connect().post(target.address).header("Content-Type", "application/json")
            request = request.header("Idempotency-Key", letter.id).header("Prytany-Notice", letter.id)
            for name, value in target.headers.items():
                request = request.header(name, value, is_sensitive=True)
            async with request.body_bytes(letter.body).streamed_read_buffer_limit(AHEAD_BYTES).build_streamed() as said:
                return await _taken(said, strike)
        except Missed:
            raise
        except Exception as error:
            failure = from_exception(error)  # whose message quotes no address
            raise Missed(
                failure.kind, strike.data(failure.message.encode()), again=failure.kind != "bad_request"
            ) from None

    async def close(self) -> None:
        """Let go of connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _connect(self) -> Client:
        if self._client is None:
            from pyreqwest.client import ClientBuilder

            timeout = timedelta(milliseconds=self._timeout_ms)
            connect = timedelta(milliseconds=min(self._timeout_ms, CONNECT_TIMEOUT_MS))
            builder = ClientBuilder().follow_redirects(False).user_agent("prytany").timeout(timeout)
            self._client = builder.connect_timeout(connect).pool_max_idle_per_host(0).build()
        return self._client


async def _taken(response: Response, strike: Strike) -> bytes:
    """The beginning of an answer that says so; raises Missed for any other."""
    said = bytearray()
    status = response.status
    try:
        while (
            len(said) < limits.NOTICE_SAID_BYTES_MAX and (chunk := await response.body_reader.read_chunk()) is not None
        ):
            said += strike.stream(bytes(chunk))
    except Exception:
        if not 200 <= status <= 299:
            raise  # else it is taken, whatever became of the words
    said += strike.stream(b"", last=True)
    kept = bytes(said[: limits.NOTICE_SAID_BYTES_MAX])
    if 200 <= status <= 299:
        return kept
    if 300 <= status <= 399:
        raise Missed(f"redirected ({status})", kept, again=False)
    raise Missed(
        f"status {status}", kept, again=status in AGAIN or status >= 500,
        retry_after_ms=parse_retry_after_ms(response.get_header) or 0,
    )  # fmt: skip
