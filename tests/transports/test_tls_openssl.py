"""Our ends against openssl's s_server and s_client, and gnutls-serv: data, new keys of either side, exported keys."""

import asyncio
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import free_tcp_port
from tests.transports.test_tls_stream import LABEL, VERSIONS, client
from tests.transports.tls_doubles import HOST, SERVER, run
from transports.errors import ConnectionLost, TlsError
from transports.tls import ServerContext

pytestmark = pytest.mark.usefixtures("records")


@contextmanager
def s_server(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], socket.socket]]]:
    certificate, key = SERVER.write(folder)
    command = ["stdbuf", "-oL", "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen([*command, *options], **pipes) as process:  # type: ignore[call-overload]
        try:
            while b"ACCEPT" not in (line := process.stdout.readline()):
                assert line, "openssl s_server did not start"
            port = int(line.rpartition(b":")[2])
            yield process, lambda: socket.create_connection(("127.0.0.1", port))
        finally:
            process.kill()


@pytest.mark.parametrize(("version", "command"), [("1.2", b"r\n"), ("1.3", b"k\n"), ("1.3", b"K\n")])
def test_the_server_wants_new_keys(tmp_path: Path, version: str, command: bytes) -> None:
    """s_server: r renegotiates, k sends a KeyUpdate, K asks for ours too."""

    async def main() -> None:
        with s_server(tmp_path) as (process, connect):
            stream = await client(tmp_path, version).client(connect(), HOST)
            assert process.stdin is not None and process.stdout is not None
            before = stream.finished()
            for word in (b"one\n", b"two\n"):
                process.stdin.write(command)
                process.stdin.flush()
                while b"SSL_do_handshake" not in process.stdout.readline():
                    pass
                process.stdin.write(word)
                process.stdin.flush()
                assert await stream.read() == word
                await stream.write(b"answer\n")
            assert (stream.finished() != before) is (version == "1.2")
            await stream.close()

    run(main())


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_we_want_new_keys_of_openssl(tmp_path: Path, version: str) -> None:
    async def main() -> None:
        with s_server(tmp_path, "-client_renegotiation", "-rev") as (_process, connect):
            stream = await client(tmp_path, version).client(connect(), HOST)
            for _time in range(2):
                await stream.rekey()
                await stream.write(b"abc\n")
                assert await stream.read() == b"cba\n"
            await stream.close()

    run(main())


def test_a_peer_that_refuses_renegotiation(tmp_path: Path) -> None:
    async def main() -> None:
        with s_server(tmp_path, "-no_renegotiation", "-rev") as (_process, connect):
            stream = await client(tmp_path, "1.2").client(connect(), HOST)
            with pytest.raises((TlsError, ConnectionLost)):
                await stream.rekey()
            await stream.close()

    run(main())


@VERSIONS
def test_keys_exported_by_openssl(tmp_path: Path, version: str) -> None:
    options = ("-keymatexport", LABEL, "-keymatexportlen", "32")

    async def main() -> None:
        with s_server(tmp_path, *options) as (process, connect):
            stream = await client(tmp_path, version).client(connect(), HOST)
            ours = stream.export_keying_material(LABEL, 32).hex().upper()
            assert process.stdout is not None
            while b"Keying material:" not in (line := process.stdout.readline()):
                assert line, "no keying material shown"
            assert ours in line.decode()
            await stream.close()

    run(main())


# --- data, with every suite of TLS 1.3, and with programs on either side ---

SUITES = pytest.mark.parametrize(
    "suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
)


@SUITES
def test_data_and_new_keys_with_every_suite(tmp_path: Path, suite: str) -> None:
    async def main() -> None:
        with s_server(tmp_path, "-ciphersuites", suite, "-rev", "-num_tickets", "3") as (_process, connect):
            stream = await client(tmp_path, "1.3").client(connect(), HOST)
            assert stream.info.cipher == suite
            for word in (b"abc", b"x" * 5000 + b"y"):
                await stream.write(word + b"\n")
                got = b""
                while len(got) < len(word) + 1:
                    got += await stream.read()
                assert got == word[::-1] + b"\n"
                await stream.rekey()
            await stream.close()

    run(main())


def program(*command: str) -> subprocess.Popen[bytes]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(["stdbuf", "-oL", *command], **pipes)  # type: ignore[call-overload,no-any-return]


def until(process: subprocess.Popen[bytes], wanted: bytes) -> None:
    assert process.stdout is not None
    while (line := process.stdout.readline()) != wanted:
        assert line, f"the program ended before {wanted!r}"


@SUITES
def test_s_client_and_its_new_keys(tmp_path: Path, suite: str) -> None:
    """s_client: k sends a KeyUpdate, K asks for ours too."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = "{}:{}".format(*listener.getsockname())
            command = ("openssl", "s_client", "-connect", address, "-ciphersuites", suite)
            with program(*command) as process:
                assert process.stdin is not None and process.stdout is not None
                sock, _address = listener.accept()
                stream = await ServerContext(SERVER.identity).server(sock)
                assert stream.info.cipher == suite
                for word in (b"one\n", b"k\n", b"two\n", b"K\n", b"three\n"):
                    process.stdin.write(word)
                    process.stdin.flush()
                    if len(word) > 2:
                        assert await stream.read() == word
                        await stream.write(b"told " + word)
                        until(process, b"told " + word)
                    else:
                        until(process, b"KEYUPDATE\n")  # it takes a command only where a read begins with one
                process.stdin.close()
                await stream.close()
                process.kill()

    run(main())


@pytest.mark.parametrize("cipher", ["AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305"])
def test_gnutls(tmp_path: Path, cipher: str) -> None:
    """What ocserv is made with; its server sends tickets, and updates its keys when it is asked."""
    certificate, key = SERVER.write(tmp_path)
    port = free_tcp_port()
    command = ["gnutls-serv", "--echo", "-p", str(port), "--x509certfile", certificate, "--x509keyfile", key]
    priority = f"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+{cipher}"

    async def main() -> None:
        with program(*command, "--priority", priority) as process:
            try:
                stream = await client(tmp_path, "1.3").client(await reach(port), HOST)
                for word in (b"abc\n", b"x" * 900 + b"\n"):
                    await stream.write(word)
                    got = b""
                    while len(got) < len(word):
                        got += await stream.read()
                    assert got == word
                    await stream.rekey()
                await stream.close()
            finally:
                process.kill()

    run(main())


async def reach(port: int) -> socket.socket:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)
