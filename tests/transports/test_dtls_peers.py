"""DTLS with programs of others, over UDP on loopback: GnuTLS, as ocserv and openconnect have it; openssl's programs."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.transports.dtls_doubles import MASTER, PSK, SESSION_ID, UNHURRIED, records
from tests.transports.dtls_sockets import EchoServer, Fate, ask, connected, next_payload, untouched
from tests.transports.gnutls_peer import RETRANSMIT, Forged, Peer, peer
from transports.dtls import DtlsSettings, Mode, Version
from transports.errors import DtlsNotResumed, DtlsTimedOut

PAYLOADS = [bytes([size % 251]) * size for size in (1, 2, 15, 16, 17, 31, 32, 576, 1300)]
PSK_PRIORITIES = {
    "PSK-AES128-GCM-SHA256": "+AES-128-GCM:+AEAD",
    "PSK-AES256-GCM-SHA384": "+AES-256-GCM:+AEAD",
    "PSK-CHACHA20-POLY1305": "+CHACHA20-POLY1305:+AEAD",
    "PSK-AES256-CCM": "+AES-256-CCM:+AEAD",
    "PSK-AES128-CBC-SHA": "+AES-128-CBC:+SHA1",
    "PSK-AES128-CBC-SHA256": "+AES-128-CBC:+SHA256",
}
# (suite, version, GnuTLS's names of cipher and MAC)
RESUMED = [
    ("AES128-SHA", Version.CISCO, "AES-128-CBC", "SHA1"),
    ("AES256-SHA", Version.CISCO, "AES-256-CBC", "SHA1"),
    ("AES128-GCM-SHA256", Version.DTLS12, "AES-128-GCM", "AEAD"),
    ("AES256-GCM-SHA384", Version.DTLS12, "AES-256-GCM", "AEAD"),
    ("AES128-SHA", Version.DTLS12, "AES-128-CBC", "SHA1"),
]


def psk_priority(cipher: str) -> str:
    return f"NONE:+COMP-NULL:+VERS-DTLS1.2:{PSK_PRIORITIES[cipher]}:+PSK:+SIGN-ALL"


def resumed_priority(version: Version, cipher: str, mac: str) -> str:
    name = "DTLS0.9" if version is Version.CISCO else "DTLS1.2"
    return f"NONE:+COMP-NULL:+VERS-{name}:+{cipher}:+{mac}:+RSA:+SIGN-ALL:%COMPAT:%DISABLE_SAFE_RENEGOTIATION"


def psk(cipher: str) -> DtlsSettings:
    return DtlsSettings(Mode.PSK, PSK, (cipher,), SESSION_ID, retransmit=UNHURRIED, retransmit_most=UNHURRIED)


def resume(suite: str, version: Version = Version.DTLS12, master: bytes = MASTER) -> DtlsSettings:
    return DtlsSettings(
        Mode.RESUME, master, (suite,), SESSION_ID, version=version, retransmit=UNHURRIED, retransmit_most=UNHURRIED
    )


def forged(version: Version, cipher: str, mac: str) -> Forged:
    return Forged("DTLS0.9" if version is Version.CISCO else "DTLS1.2", "RSA", cipher, mac, SESSION_ID, MASTER)


async def talk(port: int, settings: DtlsSettings, fate: Fate = untouched) -> dict[str, int]:
    if fate is not untouched:
        settings = replace(settings, retransmit=0.05)
    async with connected(port, settings, fate) as (dtls, udp):
        for payload in PAYLOADS:
            await ask(dtls, udp, payload)
        return dtls.stats()


# --- GnuTLS as the server ---


def lossy_peer(version: Version, cipher: str, mac: str) -> AbstractContextManager[Peer]:
    forgery = forged(version, cipher, mac)
    return peer(resumed_priority(version, cipher, mac), forged=forgery, retransmit=RETRANSMIT)


@pytest.mark.parametrize("cipher", PSK_PRIORITIES)
def test_a_key_with_gnutls(cipher: str) -> None:
    with peer(psk_priority(cipher), psk=PSK) as server:
        stats = asyncio.run(talk(server.port, psk(cipher)))
    assert server.error == "" and server.identity == "psk"
    assert stats["records_in"] == stats["records_out"] == len(PAYLOADS)
    assert stats["bad_mac"] == 0


@pytest.mark.parametrize(("suite", "version", "cipher", "mac"), RESUMED)
def test_a_session_resumed_by_gnutls(suite: str, version: Version, cipher: str, mac: str) -> None:
    with peer(resumed_priority(version, cipher, mac), forged=forged(version, cipher, mac)) as server:
        stats = asyncio.run(talk(server.port, resume(suite, version)))
    assert server.error == ""
    assert stats["records_in"] == stats["records_out"] == len(PAYLOADS)


@pytest.mark.parametrize(("suite", "version", "cipher", "mac"), [RESUMED[0], RESUMED[2]])
@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("lost", range(5))
def test_any_one_datagram_to_or_from_gnutls_is_lost(
    suite: str, version: Version, cipher: str, mac: str, ours: bool, lost: int
) -> None:
    def fate(from_us: bool, number: int, datagram: bytes) -> Iterable[bytes]:
        return () if (from_us, number) == (ours, lost) else (datagram,)

    with lossy_peer(version, cipher, mac) as server:
        asyncio.run(talk(server.port, resume(suite, version), fate))
    assert server.error == ""


@pytest.mark.parametrize(("suite", "version", "cipher", "mac"), [RESUMED[0], RESUMED[3]])
@pytest.mark.parametrize("seed", range(3))
def test_a_bad_network_to_gnutls(suite: str, version: Version, cipher: str, mac: str, seed: int) -> None:
    """What comes is lost, doubled, split and reordered, with cut and damaged copies between it."""
    dice = random.Random(seed)

    def fate(ours: bool, _number: int, datagram: bytes) -> Iterable[bytes]:
        if ours:
            return [datagram] * dice.choice((0, 1, 1, 1, 1, 2))
        pieces = records(datagram) * dice.choice((1, 1, 2))
        dice.shuffle(pieces)
        arriving = []
        for piece in pieces:
            at = dice.randrange(len(piece))
            arriving.append(piece[: dice.randrange(len(piece))])
            if piece[0] == 23:  # damage to what has no keys yet would end a handshake
                arriving.append(piece[:at] + bytes([piece[at] ^ 1 << dice.randrange(8)]) + piece[at + 1 :])
            arriving += [piece] * (dice.random() > 0.15)
        return arriving

    with lossy_peer(version, cipher, mac) as server:
        stats = asyncio.run(talk(server.port, resume(suite, version), fate))
    assert server.error == ""
    assert stats["bad_length"] and stats["bad_mac"] and stats["records_in"] >= len(PAYLOADS)


@pytest.mark.parametrize(("suite", "version", "cipher", "mac"), [RESUMED[0], RESUMED[2]])
def test_another_master_secret_than_gnutls_has(suite: str, version: Version, cipher: str, mac: str) -> None:
    async def main(port: int) -> None:
        async with connected(port, resume(suite, version, b"x" * 48), limit=0.5):
            pass

    with lossy_peer(version, cipher, mac) as server:
        with pytest.raises(DtlsTimedOut, match=r"no handshake within 0\.5 s"):
            asyncio.run(main(server.port))


# --- GnuTLS as the client ---


def run_server(server: EchoServer, priority: str, **options: object) -> Peer:
    async def main() -> None:
        await server.run()

    with peer(priority, port=server.port, payloads=PAYLOADS, **options) as client:
        asyncio.run(main())
    return client


@pytest.mark.parametrize("cipher", PSK_PRIORITIES)
def test_gnutls_brings_a_key(cipher: str) -> None:
    server = EchoServer(psk(cipher))
    assert run_server(server, psk_priority(cipher), psk=PSK).error == ""
    assert server.dtls.info.cipher == cipher
    assert server.dtls.stats()["records_in"] == len(PAYLOADS)


@pytest.mark.parametrize(("suite", "version", "cipher", "mac"), RESUMED[2:])
def test_gnutls_resumes(suite: str, version: Version, cipher: str, mac: str) -> None:
    server = EchoServer(resume(suite))
    client = run_server(server, resumed_priority(version, cipher, mac), forged=forged(version, cipher, mac))
    assert client.error == ""
    assert server.dtls.info.resumed and server.dtls.stats()["records_in"] == len(PAYLOADS)


# --- openssl's programs ---


@contextmanager
def program(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(["stdbuf", "-oL", *command], **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def s_server(*options: str, version: str = "-dtls1_2") -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with program("openssl", "s_server", version, "-accept", "127.0.0.1:0", *options) as process:
        assert process.stdout is not None
        while b"ACCEPT" not in (line := process.stdout.readline()):
            assert line, "openssl s_server did not start"
        yield process, int(line.rpartition(b":")[2])


def exchange_lines(process: subprocess.Popen[bytes], port: int, cipher: str) -> DtlsSettings:
    """Lines both ways, as s_server shows and reads them."""
    settings = psk(cipher)

    async def main() -> None:
        async with connected(port, settings) as (dtls, udp):
            assert process.stdin is not None and process.stdout is not None
            assert dtls.info.cipher == cipher
            for size in (1, 100, 1000):
                await udp.send(dtls.seal(b"x" * size + b"\n"))
                while b"x" * size not in (line := process.stdout.readline()):
                    assert line, "openssl s_server ended"
                process.stdin.write(b"y" * size + b"\n")
                process.stdin.flush()
                assert await next_payload(dtls, udp) == b"y" * size + b"\n"

    asyncio.run(main())
    return settings


@pytest.mark.parametrize("cipher", PSK_PRIORITIES)
def test_a_key_with_openssl(cipher: str) -> None:
    with s_server("-nocert", "-psk", PSK.hex(), "-cipher", cipher) as (process, port):
        exchange_lines(process, port, cipher)


def test_a_server_that_asks_for_a_cookie() -> None:
    """HelloVerifyRequest: the ClientHello comes a second time."""
    cipher = "PSK-AES128-GCM-SHA256"
    with s_server("-nocert", "-psk", PSK.hex(), "-cipher", cipher, "-listen") as (process, port):
        exchange_lines(process, port, cipher)


@pytest.mark.parametrize("suite", ["AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "DHE-RSA-AES256-SHA"])
def test_a_server_with_a_certificate_instead_of_the_session(tmp_path: Path, suite: str) -> None:
    """Any man in the middle can make a handshake of his own, with any certificate."""
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=anybody -days 2".split()
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], capture_output=True, check=True)
    with s_server("-cert", str(certificate), "-key", str(key), "-cipher", "ALL:@SECLEVEL=0") as (_process, port):
        with pytest.raises(DtlsNotResumed, match="dtls-not-resumed"):
            asyncio.run(talk(port, resume(suite)))


@pytest.mark.parametrize("cipher", list(PSK_PRIORITIES)[:3])
def test_openssl_brings_a_key(cipher: str) -> None:
    server = EchoServer(psk(cipher))
    command = ("openssl", "s_client", "-dtls1_2", "-quiet", "-no_ign_eof", "-psk", PSK.hex(), "-cipher", cipher)

    async def main() -> None:
        with program(*command, "-connect", f"127.0.0.1:{server.port}") as process:
            serving = asyncio.create_task(server.run())
            assert process.stdin is not None and process.stdout is not None
            for size in (1, 100, 1000):
                process.stdin.write(b"z" * size + b"\n")
                process.stdin.flush()
                line = b""
                while b"z" * size not in line:
                    line = await asyncio.to_thread(process.stdout.readline)
                    assert line, "openssl s_client ended"
            process.stdin.close()  # it says goodbye
            await serving

    asyncio.run(main())
    assert server.dtls.stats()["records_in"] == 3
