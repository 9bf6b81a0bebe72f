"""Our client against openssl's s_server: new keys asked for by either side, and exported keys."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.transports.test_tls_stream import LABEL, VERSIONS, client
from tests.transports.tls_doubles import HOST, SERVER, run
from transports.errors import ConnectionLost, TlsError


@contextmanager
def s_server(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], socket.socket]]]:
    certificate, key = SERVER.write(folder)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [
        "stdbuf",
        "-oL",
        "openssl",
        "s_server",
        "-accept",
        f"127.0.0.1:{port}",
        "-cert",
        certificate,
        "-key",
        key,
        *options,
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        try:
            while b"ACCEPT" not in process.stdout.readline():
                assert process.poll() is None, "openssl s_server did not start"
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
