"""DTLS with certificates with programs of others, over UDP on loopback: openssl's programs and GnuTLS."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.transports.dtls_certified import associate, echoing
from tests.transports.dtls_sockets import Fate
from tests.transports.gnutls_peer import RETRANSMIT, peer
from tests.transports.test_dtls_peers import PAYLOADS, program, s_server
from tests.transports.tls_doubles import CA, HOST, cafile, run, trusting
from transports.dialer import Dialer, DialSettings
from transports.dtls import Version
from transports.errors import DtlsError, NotTrusted
from transports.records import DtlsRecords
from transports.tls import ServerContext, TlsContext

RSA = CA.issue(HOST, key=rsa.generate_private_key(65537, 2048))
CLIENT = CA.issue("somebody", client=True)
WEAK = "ALL:@SECLEVEL=0"  # openssl has DTLS 1.0 at that level alone
GNUTLS = {
    Version.DTLS12: "NORMAL",
    Version.DTLS10: "NORMAL:-VERS-ALL:+VERS-DTLS1.0:+SIGN-ALL",
}
PATIENCE = 60.0  # seconds; only a broken test waits that long


def files(folder: Path) -> list[str]:
    certificate, key = RSA.write(folder)
    return ["-cert", str(certificate), "-key", str(key)]


async def lines(process: subprocess.Popen[bytes], records: DtlsRecords) -> None:
    """Both ways, as s_server shows and reads them."""
    assert process.stdin is not None and process.stdout is not None
    for size in (1, 100, 1000):
        await records.send(b"x" * size + b"\n")
        while b"x" * size not in (line := process.stdout.readline()):
            assert line, "openssl s_server ended"
        process.stdin.write(b"y" * size + b"\n")
        process.stdin.flush()
        assert await records.receive(PATIENCE) == b"y" * size + b"\n"


@pytest.mark.parametrize(
    ("flag", "version", "cipher"),
    [
        ("-dtls1_2", Version.DTLS12, "ECDHE-RSA-AES128-GCM-SHA256"),
        ("-dtls1_2", Version.DTLS12, "ECDHE-RSA-CHACHA20-POLY1305"),
        ("-dtls1_2", Version.DTLS12, "AES256-SHA"),
        ("-dtls1", Version.DTLS10, "ECDHE-RSA-AES128-SHA"),
        ("-dtls1", Version.DTLS10, "AES256-SHA"),
        ("-dtls", Version.DTLS12, "ECDHE-RSA-AES128-GCM-SHA256"),
        ("-dtls", Version.DTLS10, "ECDHE-RSA-AES128-SHA"),
    ],
)
def test_openssl_serves(tmp_path: Path, flag: str, version: Version, cipher: str) -> None:
    async def main() -> None:
        with s_server(*files(tmp_path), "-cipher", f"{cipher}:@SECLEVEL=0", version=flag) as (process, port):
            dialer = Dialer(DialSettings(trusting(tmp_path)))
            records = await dialer.dtls(HOST, port, address="127.0.0.1", version=version)
            assert records.info.cipher == cipher and records.peer_certificate == RSA.der
            await lines(process, records)
            records.close()

    run(main())


def test_openssl_asks_for_a_cookie_and_a_client_certificate(tmp_path: Path) -> None:
    async def main() -> None:
        options = ("-listen", "-Verify", "1", "-verify_return_error", "-CAfile", str(cafile(tmp_path)))
        with s_server(*files(tmp_path), *options) as (process, port):
            dialer = Dialer(DialSettings(trusting(tmp_path, identity=CLIENT.identity)))
            records = await dialer.dtls(HOST, port, address="127.0.0.1")
            await lines(process, records)
            records.close()

    run(main())


def test_openssl_has_another_name_or_version(tmp_path: Path) -> None:
    async def main() -> None:
        dialer = Dialer(DialSettings(trusting(tmp_path)))
        with s_server(*files(tmp_path)) as (_process, port):
            with pytest.raises(NotTrusted, match="host name mismatch"):
                await dialer.dtls("other.test", port, address="127.0.0.1")
        with s_server(*files(tmp_path)) as (_process, port):
            with pytest.raises(DtlsError, match="the peer sent alert 70, protocol version"):
                await dialer.dtls(HOST, port, address="127.0.0.1", version=Version.DTLS10)

    run(main())


@pytest.mark.parametrize(("flag", "version"), [("-dtls1_2", Version.DTLS12), ("-dtls1", Version.DTLS10)])
def test_openssl_calls(tmp_path: Path, flag: str, version: Version) -> None:
    """It verifies us, brings our cookie back and shows its certificate."""
    certificate, key = CLIENT.write(tmp_path, "client")
    command = ["openssl", "s_client", flag, "-quiet", "-no_ign_eof", "-cipher", WEAK, "-CAfile", str(cafile(tmp_path))]
    command += ["-verify_return_error", "-verify_hostname", HOST, "-cert", str(certificate), "-key", str(key)]

    async def main() -> None:
        server = ServerContext(RSA.identity, client_cas=[CA.der], client_required=True)
        async with echoing(server, version) as echo:
            with program(*command, "-connect", f"127.0.0.1:{echo.port}") as process:
                assert process.stdin is not None and process.stdout is not None
                for size in (1, 100, 1000):
                    process.stdin.write(b"z" * size + b"\n")
                    process.stdin.flush()
                    line = b""
                    while b"z" * size not in line:
                        line = await asyncio.to_thread(process.stdout.readline)
                        assert line, "openssl s_client ended"
            assert echo.ends[0].peer_certificate == CLIENT.der

    run(main())


# GnuTLS has a thread of its own, which opens files when it likes: `run` would count them.


@pytest.mark.parametrize("version", GNUTLS)
def test_gnutls_serves(tmp_path: Path, version: Version) -> None:
    async def main(port: int) -> None:
        await associate(TlsContext(trusting(tmp_path)), port, version=version, payloads=tuple(PAYLOADS))

    with peer(GNUTLS[version], certificate=RSA.write(tmp_path)) as server:
        asyncio.run(main(server.port))
    assert server.error == ""


@pytest.mark.parametrize("version", GNUTLS)
@pytest.mark.parametrize("ours", [True, False])
def test_any_one_datagram_to_or_from_gnutls_is_lost(tmp_path: Path, version: Version, ours: bool) -> None:
    """Our last flight is answered by GnuTLS's last one, which may be lost."""

    def losing(which: int) -> Fate:
        def fate(from_us: bool, number: int, datagram: bytes) -> Iterable[bytes]:
            return () if (from_us, number) == (ours, which) else (datagram,)

        return fate

    async def main(port: int, fate: Fate) -> None:
        await associate(TlsContext(trusting(tmp_path)), port, fate, version=version)

    for which in range(4):
        with peer(GNUTLS[version], certificate=RSA.write(tmp_path), retransmit=RETRANSMIT) as server:
            asyncio.run(main(server.port, losing(which)))
        assert server.error == ""


@pytest.mark.parametrize("version", GNUTLS)
def test_gnutls_calls(tmp_path: Path, version: Version) -> None:
    async def main() -> None:
        async with echoing(ServerContext(RSA.identity), version) as echo:
            with peer(GNUTLS[version], port=echo.port, payloads=PAYLOADS) as client:
                await asyncio.to_thread(client.thread.join)
            assert client.error == "" and len(echo.ends) == 1

    asyncio.run(main())
