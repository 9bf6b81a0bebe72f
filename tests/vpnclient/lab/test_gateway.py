"""The lab gateway up to the tunnel, over real TLS on the loopback, with Python's own TLS as the client.  No root."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import IPv4Network
from urllib.parse import urlsplit

import pytest

from protocols.base import Secret
from transports.identity import Identity
from transports.tls import ServerContext
from vpnclient.lab import certificate
from vpnclient.lab import gateway as module
from vpnclient.lab.anyconnect import AnyConnectSite
from vpnclient.lab.gateway import Gateway
from vpnclient.lab.netns import LabError
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.store import Store

SETTINGS = LabSettings(users={"test": Secret("secret")}, network=IPv4Network("10.77.0.0/24"))
ISSUED = certificate.self_signed("127.0.0.1")


def with_gateway(talk: Callable[[Gateway, str, int], Awaitable[None]], settings: LabSettings = SETTINGS) -> list[str]:
    """Run `talk` against a listening gateway; the gateway's log."""
    log: list[str] = []

    async def run() -> None:
        tokens = (f"token-{n}" for n in itertools.count())
        store = Store(settings.network, settings.network6, life=0, token=lambda: next(tokens))
        site = AnyConnectSite(settings, store, lambda: next(tokens))
        identity = Identity(ISSUED.der, ISSUED.key_der, ())
        gateway = Gateway(settings, site, store, ServerContext(identity), log.append)
        await gateway.start()
        try:
            url = urlsplit(gateway.facts(ISSUED.der)["url"])
            async with asyncio.timeout(10):
                await talk(gateway, url.hostname or "", url.port or 0)
        finally:
            await gateway.close()

    asyncio.run(run())
    return log


async def exchange(host: str, port: int, data: bytes) -> bytes:
    """Everything the gateway answers until it closes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        writer.write(data)
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def test_facts_and_a_form_over_tls() -> None:
    async def talk(gateway: Gateway, host: str, port: int) -> None:
        facts = gateway.facts(ISSUED.der)
        assert facts["pin"] == certificate.pin_of(ISSUED.der)
        assert (facts["tunnel_address"], facts["tunnel_address6"]) == ("10.77.0.1", "fd77::1")
        answer = await exchange(host, port, b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b'<auth id="main">' in answer

    log = with_gateway(talk)
    assert any("GET /: 200 OK" in line for line in log)


@pytest.mark.parametrize(
    "data, status",
    [
        (b"CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: lab\r\nCookie: webvpn=x\r\n\r\n", b"401 Cookie is not"),
        (b"\x00\x01\x02\r\n\r\n", b"400 "),
        (b"GET / HTTP/1.1\r\nHost: lab\r\nX: " + b"x" * 140_000, b"431 "),
    ],
)
def test_refusals_end_the_connection(data: bytes, status: bytes) -> None:
    async def talk(gateway: Gateway, host: str, port: int) -> None:
        assert (await exchange(host, port, data)).startswith(b"HTTP/1.1 " + status)

    with_gateway(talk)


def test_what_is_not_tls_is_logged_and_the_next_client_served() -> None:
    async def talk(gateway: Gateway, host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        answer = await exchange(host, port, b"GET /nothing HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 404 ")

    assert len(with_gateway(talk)) == 2


def test_a_taken_port_is_named() -> None:
    async def talk(gateway: Gateway, host: str, port: int) -> None:
        second = Gateway(replace(SETTINGS, listen_port=port), *parts())
        with pytest.raises(LabError, match=rf"--listen 127.0.0.1:{port}: Address already in use"):
            await second.start()

    with_gateway(talk)


def parts() -> tuple[AnyConnectSite, Store, ServerContext, Callable[[str], None]]:
    store = Store(SETTINGS.network, None, life=0, token=str)
    site = AnyConnectSite(SETTINGS, store, str)
    return site, store, ServerContext(Identity(ISSUED.der, ISSUED.key_der, ())), print


def test_a_session_that_the_site_has_dropped_is_over() -> None:
    async def talk(gateway: Gateway, host: str, port: int) -> None:
        session = gateway._store.add("test", "", 0.0)
        gateway._tunnels[session.cookie] = module._Tunnel(session)
        get = b"GET /?secret=7 HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"
        await exchange(host, port, get)
        assert session.cookie in gateway._tunnels
        gateway._store.drop(session)  # as a page of a logout does
        await exchange(host, port, get)
        assert not gateway._tunnels

    log = with_gateway(talk)
    assert any(line.endswith("logged out; cookie dead") for line in log)
    assert not any("secret" in line for line in log)
