"""Handshakes: who is trusted and why not, pins, client certificates, hostile peers."""

import asyncio
import hashlib
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.certificates import Authority, Issued, self_signed
from tests.transports.tls_doubles import (
    CA,
    HOST,
    SERVER,
    blocking,
    cafile,
    listening,
    loopback,
    pair,
    python_server,
    run,
    trusting,
)
from transports.errors import ClientCertificateWanted, NotTrusted, TlsError
from transports.pins import pin_of
from transports.tls import (
    Identity,
    Judge,
    Pin,
    ServerContext,
    TlsContext,
    TlsSettings,
)

pytestmark = pytest.mark.usefixtures("records")

OTHER_CA = Authority("Other CA")
STRANGER = self_signed("elsewhere.test")
ALICE = CA.issue("alice", client=True)
MALLORY = OTHER_CA.issue("mallory", client=True)
VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])


async def outcome(settings: TlsSettings, issued: Issued, *, host: str = HOST, judge: Judge | None = None) -> NotTrusted:
    """The refusal that a server with this certificate gets."""
    with pytest.raises(NotTrusted) as caught:
        async with pair(TlsContext(settings, judge=judge), ServerContext(issued.identity), host):
            pass
    return caught.value


@VERSIONS
def test_a_python_server(tmp_path: Path, version: str) -> None:
    async def main() -> None:
        context = TlsContext(trusting(tmp_path, maximum=version))
        async with listening(python_server(tmp_path)) as connect:
            stream = await context.client(connect(), HOST)
            assert stream.info.version == f"TLSv{version}"
            assert stream.info.cipher
            assert stream.peer_certificate == SERVER.der
            assert stream.info.pin == pin_of(SERVER.der)
            assert stream.info.certificate is not None
            assert stream.info.certificate.names == (HOST, "*.wild.test", "127.0.0.1", "::1")
            assert stream.peer_host == "127.0.0.1" and stream.peername.startswith("127.0.0.1:")
            assert not stream.info.client_certificate_asked
            await stream.write(b"over there")
            assert await stream.read() == b"over there"
            await stream.close()

    run(main())


@pytest.mark.parametrize("host", [HOST, "a.wild.test", "127.0.0.1", "::1", "[::1]", "VPN.test", "vpn.test."])
def test_names_that_match(tmp_path: Path, host: str) -> None:
    async def main() -> None:
        async with pair(TlsContext(trusting(tmp_path)), ServerContext(SERVER.identity), host):
            pass

    run(main())


@pytest.mark.parametrize("host", ["other.test", "a.b.wild.test", "wild.test", "127.0.0.2", "::2", "test"])
def test_names_that_do_not(tmp_path: Path, host: str) -> None:
    async def main() -> None:
        error = await outcome(trusting(tmp_path), SERVER, host=host)
        assert error.reason == "host name mismatch"
        assert error.certificate.pin == pin_of(SERVER.der)
        assert not error.pinned

    run(main())


@pytest.mark.parametrize("host", ["", ".", ".wild.test", "a\0b.test", "ä" * 64])
def test_names_that_cannot_be_used(tmp_path: Path, host: str) -> None:
    async def main() -> None:
        server, client = loopback()
        with server, pytest.raises(TlsError):
            await TlsContext(trusting(tmp_path)).client(client, host)
        assert client.fileno() == -1

    run(main())


FAULTS = [
    (CA.expired(HOST), "expired"),
    (CA.issue(HOST, begin=CA.certificate.not_valid_after_utc), "not yet valid"),
    (OTHER_CA.issue(HOST), "signer unknown"),
    (self_signed(HOST), "signer unknown"),
    (STRANGER, "signer unknown; host name mismatch"),
    (CA.issue(HOST, client=True), "not valid for servers"),
]


@VERSIONS
@pytest.mark.parametrize(("issued", "reason"), FAULTS)
def test_each_fault_has_its_text(tmp_path: Path, issued: Issued, reason: str, version: str) -> None:
    async def main() -> None:
        error = await outcome(trusting(tmp_path, maximum=version), issued)
        assert set(error.reason.split("; ")) == set(reason.split("; "))

    run(main())


def test_the_system_knows_nothing_of_our_ca() -> None:
    async def main() -> None:
        assert (await outcome(TlsSettings(), SERVER)).reason == "signer unknown"

    run(main())


def test_an_intermediate_is_sent_and_a_ca_file_may_hold_it_alone(tmp_path: Path) -> None:
    middle = Authority("Middle", above=CA)
    server = ServerContext(middle.issue(HOST).identity)

    async def main() -> None:
        async with pair(TlsContext(trusting(tmp_path)), server):
            pass
        settings = TlsSettings(system_trust=False, cafile=cafile(tmp_path, middle))
        async with pair(TlsContext(settings), server):
            pass

    run(main())


def test_the_server_name_may_be_another(tmp_path: Path) -> None:
    seen: list[str | None] = []
    context = python_server(tmp_path)
    context.sni_callback = lambda _object, name, _context: seen.append(name)

    async def main() -> None:
        async with listening(context) as connect:
            stream = await TlsContext(trusting(tmp_path, sni=HOST)).client(connect(), "front.test")
            await stream.close()
            stream = await TlsContext(trusting(tmp_path)).client(connect(), "127.0.0.1")
            await stream.close()

    run(main())
    assert seen == [HOST, None]  # none for an address


# --- pins ---


PINS: list[Callable[[bytes], str]] = [
    pin_of,
    lambda der: hashlib.sha1(der).hexdigest(),
    lambda der: f"cert-sha256:{hashlib.sha256(der).hexdigest()}",
]


@VERSIONS
@pytest.mark.parametrize("make", PINS)
def test_a_pin_outweighs_expiry_name_and_issuer(make: Callable[[bytes], str], version: str) -> None:
    issued = OTHER_CA.expired("elsewhere.test")
    settings = TlsSettings(pins=(Pin.parse(pin_of(SERVER.der)), Pin.parse(make(issued.der))), maximum=version)

    async def main() -> None:
        async with pair(TlsContext(settings), ServerContext(issued.identity)) as (client, _server):
            assert client.peer_certificate == issued.der

    run(main())


def test_no_pin_matches_and_nobody_is_asked(tmp_path: Path) -> None:
    async def main() -> None:
        asked: list[NotTrusted] = []
        settings = trusting(tmp_path, pins=(Pin.parse(pin_of(STRANGER.der)),))
        error = await outcome(settings, SERVER, judge=accepting(asked))
        assert error.pinned and error.reason == "no pin matches" and not asked
        assert pin_of(SERVER.der) in str(error)

    run(main())


def test_sha1_of_the_wrong_thing_is_explained() -> None:  # Q12
    async def main() -> None:
        pin = Pin.parse(f"sha1:{hashlib.sha1(SERVER.der).hexdigest()}")
        error = await outcome(TlsSettings(pins=(pin,)), SERVER)
        assert error.reason.startswith("no pin matches; ") and "give it without sha1:" in error.reason

    run(main())


def test_pin_and_ca_file_must_both_hold(tmp_path: Path) -> None:  # Q11
    async def main() -> None:
        both = trusting(tmp_path, pins=(Pin.parse(pin_of(SERVER.der)),))
        async with pair(TlsContext(both), ServerContext(SERVER.identity)):
            pass
        foreign = OTHER_CA.issue(HOST, key=SERVER.key)  # the pinned key, another issuer
        error = await outcome(both, foreign)
        assert error.reason == "signer unknown" and error.pinned

    run(main())


# --- a person judges ---


def accepting(asked: list[NotTrusted], answer: bool = True) -> Judge:
    async def judge(error: NotTrusted) -> bool:
        asked.append(error)
        await asyncio.sleep(0)
        return answer

    return judge


@VERSIONS
def test_what_a_person_accepts_is_remembered_for_that_certificate(version: str) -> None:
    async def main() -> None:
        asked: list[NotTrusted] = []
        context = TlsContext(TlsSettings(maximum=version), judge=accepting(asked))
        listener = socket.create_server(("127.0.0.1", 0))
        server = ServerContext(STRANGER.identity)
        with listener:
            for _connection in range(2):
                near = socket.create_connection(listener.getsockname())
                far, _address = listener.accept()
                for stream in await asyncio.gather(context.client(near, HOST), server.server(far)):
                    stream.abort()
        assert [error.host for error in asked] == [HOST]
        async with pair(context, ServerContext(self_signed(HOST).identity)):
            pass
        assert len(asked) == 2

    run(main())


def test_a_person_refuses() -> None:
    async def main() -> None:
        asked: list[NotTrusted] = []
        assert await outcome(TlsSettings(), SERVER, judge=accepting(asked, False)) is asked[0]

    run(main())


@VERSIONS
def test_nothing_secret_leaves_before_the_judgement(version: str) -> None:
    """The client certificate goes in clear under TLS 1.2, so the server must not have it while we think."""

    async def main() -> None:
        far, near = loopback()
        judging, judged = asyncio.Event(), asyncio.Event()

        async def judge(_error: NotTrusted) -> bool:
            judging.set()
            await judged.wait()
            return True

        settings = TlsSettings(identity=ALICE.identity, maximum=version)
        connecting = asyncio.create_task(TlsContext(settings, judge=judge).client(near, HOST))
        accepting = asyncio.create_task(ServerContext(SERVER.identity, client_cas=(CA.der,)).server(far))
        await judging.wait()
        heard = bytes_received(far)
        for _turn in range(10):
            await asyncio.sleep(0)
        assert bytes_received(far) == heard < 1000 and not accepting.done()
        judged.set()
        client, server = await asyncio.gather(connecting, accepting)
        assert bytes_received(far) >= heard + len(ALICE.der)
        assert server.peer_certificate == ALICE.der
        assert client.info.client_certificate_asked and client.info.client_certificate_sent
        client.abort()
        server.abort()

    run(main())


def bytes_received(sock: socket.socket) -> int:
    """tcpi_bytes_received: what the kernel has taken for this socket so far (linux/tcp.h)."""
    return int.from_bytes(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)[128:136], sys.byteorder)


# --- client certificates ---


@VERSIONS
@pytest.mark.parametrize("authorities", [(CA.der,), ()], ids=["our issuer", "no issuer named"])
def test_a_client_certificate_is_sent_when_asked_for(
    tmp_path: Path, authorities: tuple[bytes, ...], version: str
) -> None:
    async def main() -> None:
        server = ServerContext(SERVER.identity, client_cas=authorities, client_required=True)
        async with pair(TlsContext(trusting(tmp_path, identity=ALICE.identity, maximum=version)), server) as ends:
            client, gateway = ends
            assert client.info.client_certificate_asked and client.info.client_certificate_sent
            assert gateway.peer_certificate == ALICE.der

    run(main())


@VERSIONS
def test_an_optional_client_certificate_may_be_missing(tmp_path: Path, version: str) -> None:
    async def main() -> None:
        server = ServerContext(SERVER.identity, client_cas=(CA.der,))
        async with pair(TlsContext(trusting(tmp_path, maximum=version)), server) as (client, gateway):
            assert client.info.client_certificate_asked and not client.info.client_certificate_sent
            assert gateway.peer_certificate == b""

    run(main())


async def refused(settings: TlsSettings, context: ssl.SSLContext) -> None:
    """TLS 1.2 tells in the handshake, TLS 1.3 at the first read or write."""
    with blocking(context) as connect:
        with pytest.raises(ClientCertificateWanted, match="the peer sent alert"):
            stream = await TlsContext(settings).client(connect(), HOST)
            try:
                await stream.read()
            finally:
                stream.abort()


@VERSIONS
@pytest.mark.parametrize("identity", [None, MALLORY.identity], ids=["none", "of another issuer"])
def test_a_missing_or_wrong_client_certificate_is_named(
    tmp_path: Path, identity: Identity | None, version: str
) -> None:
    context = python_server(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cafile(tmp_path))
    run(refused(trusting(tmp_path, identity=identity, maximum=version), context))


def test_our_server_refuses_a_client_of_another_issuer(tmp_path: Path) -> None:
    async def main() -> None:
        far, near = loopback()
        client = TlsContext(trusting(tmp_path, identity=MALLORY.identity, maximum="1.2")).client(near, HOST)
        server = ServerContext(SERVER.identity, client_cas=(CA.der,), client_required=True).server(far)
        ends = await asyncio.gather(client, server, return_exceptions=True)
        assert isinstance(ends[0], ClientCertificateWanted)
        assert isinstance(ends[1], TlsError) and "client certificate refused" in str(ends[1])

    run(main())
