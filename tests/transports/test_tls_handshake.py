"""Handshakes that cannot succeed, peers that break TLS, and settings that cannot be used."""

import asyncio
import re
import socket
import ssl
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certificates import Authority
from tests.transports.tls_doubles import (
    CA,
    HOST,
    SERVER,
    blocking,
    listening,
    loopback,
    pair,
    python_server,
    run,
    trusting,
)
from transports.errors import NotTrusted, TlsError, Unreachable
from transports.tls import Identity, ServerContext, TlsContext, TlsSettings, read_certificates
from transports.tls_stream import HANDSHAKE_TIMEOUT

OTHER_CA = Authority("Other CA")


async def against(answer: bytes, *, end: bool = True, settings: TlsSettings | None = None) -> str:
    """The error text that a peer gets which answers the ClientHello with these bytes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(answer)
        if end:
            writer.write_eof()
        await reader.read()

    async with listening(None, talk) as connect:
        with pytest.raises((TlsError, Unreachable)) as caught:
            await TlsContext(settings or TlsSettings()).client(connect(), HOST)
    return str(caught.value)


BROKEN = [
    (b"HTTP/1.0 400 Bad Request\r\n\r\n", "what came is not tls; it begins 48 54 54 50 2f 31 2e 30"),
    (b"\x00" * 100, "what came is not tls|wrong version"),
    (b"", "closed tcp without close_notify"),
    (b"\x16\x03", "closed tcp without close_notify"),
    (bytes.fromhex("1603030004 0e000000"), "unexpected message"),  # ServerHelloDone at once
    (bytes.fromhex("160303ffff") + bytes(65535), "too long|too large|bad"),  # a record over 2^14 + 256
    (bytes.fromhex("1503030002 0228"), "the peer sent alert 40, handshake failure"),
    (bytes.fromhex("1503030002 0100"), "ended it with close_notify|closed tcp"),
    (bytes.fromhex("1703030005") + b"hello", "unexpected message|not tls"),
    (bytes.fromhex("1603030004 02ffffff"), "excessive message size|length|closed tcp"),  # a ServerHello of 16 MiB
]


@pytest.mark.parametrize(("answer", "text"), BROKEN)
def test_what_is_no_handshake(answer: bytes, text: str) -> None:
    async def main() -> None:
        said = await against(answer)
        assert re.search(text, said), said
        assert said == said.replace("\n", " ") and HOST in said

    run(main())


def test_a_silent_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.tls_stream.HANDSHAKE_TIMEOUT", 0.05)

    async def main() -> None:
        far, near = loopback()
        with far, pytest.raises(Unreachable, match=r"vpn\.test \(127\.0\.0\.1:\d+\): no TLS handshake within 0\.05 s"):
            await TlsContext(TlsSettings()).client(near, HOST)
        assert near.fileno() == -1

    run(main())


def test_a_person_may_take_longer_than_the_handshake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def judge(_error: NotTrusted) -> bool:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda: time.monotonic() + HANDSHAKE_TIMEOUT + 1)
        await asyncio.sleep(0.01)
        return True

    async def main() -> None:
        async with listening(python_server(tmp_path)) as connect:
            stream = await TlsContext(TlsSettings(), judge=judge).client(connect(), HOST)
            await stream.close()

    run(main())


def test_a_reset_in_the_handshake() -> None:
    async def main() -> None:
        far, near = loopback()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        far.close()
        with pytest.raises(Unreachable, match="connection reset by peer"):
            await TlsContext(TlsSettings()).client(near, HOST)

    run(main())


def test_a_cancelled_handshake_leaves_nothing() -> None:
    async def main() -> None:
        far, near = loopback()
        with far:
            task = asyncio.create_task(TlsContext(TlsSettings()).client(near, HOST))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert near.fileno() == -1

    run(main())


def test_old_versions_are_refused_unless_allowed(tmp_path: Path) -> None:
    context = python_server(tmp_path)
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    async def main() -> None:
        with blocking(context) as connect:
            with pytest.raises(TlsError, match="the peer sent alert 70"):
                await TlsContext(trusting(tmp_path, minimum="1.3")).client(connect(), HOST)

    run(main())


# --- settings ---


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (TlsSettings(minimum="1.4"), "tls version: got '1.4', want one of 1.0, 1.1, 1.2, 1.3"),
        (TlsSettings(ciphers="NONSENSE"), "ciphers: cipher list: no cipher match"),
        (TlsSettings(identity=Identity(b"x", b"y")), "own certificate"),
        (TlsSettings(identity=Identity(SERVER.der, CA.identity.key)), "own certificate and key: .*mismatch"),
        (TlsSettings(cafile=Path("/nonexistent/ca.pem")), "No such file"),
    ],
)
def test_settings_that_cannot_be_used(settings: TlsSettings, text: str) -> None:
    with pytest.raises(TlsError, match=text):
        TlsContext(settings)


def test_ciphers(tmp_path: Path) -> None:
    async def main() -> None:
        settings = trusting(tmp_path, maximum="1.2", ciphers="ECDHE-ECDSA-CHACHA20-POLY1305")
        async with pair(TlsContext(settings), ServerContext(SERVER.identity)) as (client, server):
            assert client.info.cipher == server.info.cipher == "ECDHE-ECDSA-CHACHA20-POLY1305"

    run(main())


def test_a_suite_without_certificates_is_not_taken(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH-AES256-SHA:@SECLEVEL=0")

    async def main() -> None:
        async with listening(context) as connect:
            with pytest.raises(TlsError, match="no certificate came"):
                await TlsContext(TlsSettings(ciphers="AECDH-AES256-SHA:@SECLEVEL=0")).client(connect(), HOST)

    run(main())


def test_ca_files(tmp_path: Path) -> None:
    several = tmp_path / "several.pem"
    several.write_bytes(b"# comment\n" + CA.pem + b"\n" + OTHER_CA.pem)
    assert read_certificates(several) == (CA.der, OTHER_CA.der)
    der = tmp_path / "ca.der"
    der.write_bytes(CA.certificate.public_bytes(Encoding.DER))
    assert read_certificates(der) == (CA.der,)
    for junk in (b"", b"junk", CA.pem.replace(b"MII", b"!II")):
        several.write_bytes(junk)
        with pytest.raises(TlsError, match=r"several\.pem"):
            TlsContext(TlsSettings(cafile=several))


def test_a_chain_of_too_many_certificates(tmp_path: Path) -> None:
    authority = CA
    for number in range(11):
        authority = Authority(f"CA {number}", above=authority)

    async def main() -> None:
        issued = authority.issue(HOST)
        context = python_server(tmp_path, issued)
        async with listening(context) as connect:
            with pytest.raises(TlsError, match="a chain of more than 10"):
                await TlsContext(trusting(tmp_path)).client(connect(), HOST)

    run(main())
