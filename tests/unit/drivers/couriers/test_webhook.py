"""A webhook as a courier: what is posted, what counts as taken, and where it does not go."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from prytany.abi import limits
from prytany.drivers.couriers.webhook import Target, WebhookCourier, wrong_address
from prytany.ports.courier import Letter, Missed
from tests.simulation.looped import looped
from tests.unit.drivers.couriers.receiver import Receiver, answer

LETTER = Letter("b" * 32, b'{"kind":"test"}')
SECRET = "-".join(("very", "secret", "0123456789"))


async def post(receiver: Receiver, *, timeout_ms: int = 10_000, **headers: str) -> bytes:
    secrets = {"pager": next(iter(headers.values()))} if headers else {}
    target = Target(receiver.url, {name.replace("_", "-"): value for name, value in headers.items()}, secrets)
    courier = WebhookCourier(lambda: target, timeout_ms=timeout_ms)
    try:
        return await courier.deliver(LETTER)
    finally:
        await courier.close()


async def missed(receiver: Receiver, timeout_ms: int = 10_000, **headers: str) -> Missed:
    with pytest.raises(Missed) as caught:
        await post(receiver, timeout_ms=timeout_ms, **headers)
    return caught.value


@looped
async def test_the_notice_is_posted_as_json_with_its_id_and_the_secret_header() -> None:
    async with Receiver() as receiver:
        assert await post(receiver, Authorization=f"Bearer {SECRET}") == b"ok"
    ((line, headers, body),) = receiver.requests
    assert (line, body) == ("POST /hook HTTP/1.1", {"kind": "test"})
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == headers["prytany-notice"] == LETTER.id
    assert headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("status", "again"),
    [
        (500, True), (503, True), (429, True), (408, True), (409, True),
        (400, False), (401, False), (404, False), (410, False), (422, False),
    ],
)  # fmt: skip
def test_a_status_says_whether_another_attempt_may_help(status: int, again: bool) -> None:
    @looped
    async def test() -> None:
        async with Receiver() as receiver:
            receiver.always = answer(status, b"no, " + SECRET.encode())
            found = await missed(receiver, X_Key=SECRET)
        assert (found.cause, found.again, found.said) == (f"status {status}", again, b"no, [pager]")

    test()


@looped
async def test_a_receiver_that_asks_to_be_left_alone_is() -> None:
    async with Receiver() as receiver:
        receiver.always = answer(503, Retry_After="7")
        assert (await missed(receiver)).retry_after_ms == 7_000
        receiver.always = answer(503, Retry_After="soon\x7f")
        assert (await missed(receiver)).retry_after_ms == 0


@pytest.mark.parametrize(
    "where", ["http://127.0.0.1:1/", "file:///etc/passwd", "https://169.254.169.254/", "/other", ""]
)
def test_no_redirect_is_followed(where: str) -> None:
    @looped
    async def test() -> None:
        async with Receiver() as receiver:
            receiver.always = answer(307, Location=where)
            found = await missed(receiver)
        assert (found.cause, found.again, len(receiver.requests)) == ("redirected (307)", False, 1)

    test()


@looped
async def test_one_that_hangs_hangs_up_or_says_nonsense_is_tried_again() -> None:
    async with Receiver() as receiver:
        receiver.answers = [None, b"", b"\x00\x01\x02 nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Len"]
        for timeout_ms in (300, 10_000, 10_000, 10_000):
            found = await missed(receiver, timeout_ms)
            assert found.again, found.cause
            assert receiver.url not in found.said.decode()


@looped
async def test_an_answer_without_end_is_read_to_a_bound_and_is_still_one() -> None:
    async with Receiver() as receiver:
        receiver.always = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
        receiver.endless = b"z" * 65_536
        said = await post(receiver)
        assert said == b"z" * limits.NOTICE_SAID_BYTES_MAX
        receiver.always = b"HTTP/1.1 500 Oh\r\nContent-Length: 100000000\r\n\r\n"
        assert (await missed(receiver)).cause == "status 500"


@looped
async def test_one_that_took_it_and_then_breaks_off_took_it() -> None:
    async with Receiver() as receiver:
        receiver.always = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf"
        assert await post(receiver) == b"half"


@looped
async def test_nobody_there_and_a_certificate_that_nobody_vouches_for_are_misses() -> None:
    async with Receiver() as receiver:
        address = receiver.url
        secure = WebhookCourier(lambda: Target(address.replace("http://", "https://")), timeout_ms=300)
        with pytest.raises(Missed) as plain:
            await secure.deliver(LETTER)
        await secure.close()
    assert plain.value.again
    assert not receiver.requests, "nothing is sent where TLS was asked for and not spoken"
    nobody = WebhookCourier(lambda: Target(address))
    with pytest.raises(Missed) as gone:
        await nobody.deliver(LETTER)
    await nobody.close()
    assert (gone.value.cause, gone.value.again) == ("unreachable", True)


@pytest.mark.parametrize("address", [
    "", "x", "ftp://a/b", "file:///etc/passwd", "http://example.com/", "http://10.0.0.1/", "https://", "https:///path",
    "https://u:p@example.com/", "https://exa mple.com/", "https://example.com/\r\nX: 1", "https://example.com:99999/",
    "https://example.com:0/", "https://[::1", "https://" + "a" * 3_000, "https://b\u00fccher.example/", "http://127.0.0.1.evil.com/",
])  # fmt: skip
def test_where_nothing_may_be_posted_nothing_is(address: str) -> None:
    assert wrong_address(address)
    courier = WebhookCourier(lambda: Target(address))
    with pytest.raises(Missed) as found:
        asyncio.run(courier.deliver(LETTER))
    assert (found.value.cause, found.value.again) == ("no address", False)


@pytest.mark.parametrize("address", ["https://example.com/hook?a=b", "http://localhost:1/", "http://[::1]:1/x"])
def test_where_it_may_be_posted(address: str) -> None:
    assert wrong_address(address) == ""


@looped
async def test_a_header_that_cannot_be_one_is_a_miss_and_not_another_header() -> None:
    async with Receiver() as receiver:
        found = await missed(receiver, X_Key="a\r\nX-Evil: 1")
        assert not found.again
        assert not receiver.requests


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_a_certificate_that_nobody_vouches_for_is_a_miss_and_nothing_is_sent(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    @looped
    async def test() -> None:
        async with Receiver(tls=tls) as receiver:
            found = await missed(receiver)
        assert (found.cause, found.again) == ("unreachable", True)
        assert "certificate" in found.said.decode().lower()
        assert not receiver.requests

    test()
