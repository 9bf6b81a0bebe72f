"""Open streams: data both ways, new keys, ends of every kind, damaged records; the peers are ours and Python's ssl."""

import asyncio
import os
import random
import socket
import ssl
from pathlib import Path

import pytest

from tests.transports.tls_doubles import (
    DEADLINE,
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
from transports.errors import ConnectionLost, TlsError, Truncated
from transports.tls import ServerContext, TlsContext, TlsStream

pytestmark = pytest.mark.usefixtures("records")

VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])
LABEL = "EXPORTER-openconnect-psk"  # anyconnect.md section 6.3
BULK = 4_000_000  # bytes each way


@pytest.fixture
def server() -> ServerContext:
    return ServerContext(SERVER.identity)


def client(folder: Path, version: str = "") -> TlsContext:
    return TlsContext(trusting(folder, maximum=version))


async def send(stream: TlsStream, data: bytes, chance: random.Random) -> None:
    at = 0
    while at < len(data):
        size = chance.choice((1, 8, 1400, 16384, 16385, 50_000, 300_000))
        await stream.write(data[at : at + size])
        at += size


async def receive(stream: TlsStream, size: int, chance: random.Random) -> bytes:
    got = bytearray()
    while len(got) < size:
        piece = await stream.read(chance.choice((1, 100, 5000, 65536)))
        assert piece, "the stream ended early"
        got += piece
    return bytes(got)


@VERSIONS
def test_bulk_both_ways_in_pieces_of_any_size(tmp_path: Path, server: ServerContext, version: str) -> None:
    chance = random.Random(version)
    data = chance.randbytes(BULK)

    async def main() -> None:
        async with pair(client(tmp_path, version), server) as (near, far):
            tasks = [send(near, data, chance), send(far, data[::-1], chance)]
            _sent, _sent, there, back = await asyncio.gather(
                *tasks, receive(far, BULK, chance), receive(near, BULK, chance)
            )
            assert there == data and back == data[::-1]

    run(main())


@VERSIONS
def test_bulk_through_python(tmp_path: Path, version: str) -> None:
    chance = random.Random(version)
    data = chance.randbytes(BULK)

    async def main() -> None:
        async with listening(python_server(tmp_path)) as connect:
            stream = await client(tmp_path, version).client(connect(), HOST)
            _sent, back = await asyncio.gather(send(stream, data, chance), receive(stream, BULK, chance))
            assert back == data
            await stream.close()

    run(main())


@VERSIONS
def test_new_keys_while_data_flows(tmp_path: Path, server: ServerContext, version: str) -> None:
    """Renegotiation (1.2) and KeyUpdate (1.3), by the client, by the server, and with both directions full."""
    chance = random.Random(version)
    data = chance.randbytes(BULK // 4)

    async def renew(stream: TlsStream) -> None:
        for _time in range(5):
            await stream.rekey()
            await asyncio.sleep(0)

    async def keep_reading(stream: TlsStream, into: bytearray) -> None:
        while True:
            into += await stream.read()

    async def main() -> None:
        async with pair(client(tmp_path, version), server) as (near, far):
            before = near.export_keying_material(LABEL, 32)
            there, back = bytearray(), bytearray()
            readers = [asyncio.create_task(keep_reading(*each)) for each in ((far, there), (near, back))]
            for who in (near, far):
                await asyncio.gather(send(near, data, chance), send(far, data, chance), renew(who))
            while min(len(there), len(back)) < 2 * len(data):
                await asyncio.sleep(0.001)
            assert there == back == data + data
            for reader in readers:
                reader.cancel()
            after = near.export_keying_material(LABEL, 32)
            assert after == far.export_keying_material(LABEL, 32)
            assert (after != before) is (version == "1.2")  # anyconnect.md section 6.3: of the current keys

    run(main())


@VERSIONS
def test_exported_keys(tmp_path: Path, server: ServerContext, version: str) -> None:
    async def main() -> None:
        async with pair(client(tmp_path, version), server) as (near, far):
            for label in (LABEL, "EXPORTER-Channel-Binding"):
                assert near.export_keying_material(label, 32) == far.export_keying_material(label, 32)
            assert near.export_keying_material(LABEL, 32) != near.export_keying_material("EXPORTER-other", 32)
            assert len(near.export_keying_material(LABEL, 100)) == 100

    run(main())


def test_finished_is_tls_unique(tmp_path: Path) -> None:  # RFC 5929: the first Finished, which is the client's
    seen: list[bytes | None] = []

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secured = writer.get_extra_info("ssl_object")
        seen.append(secured.get_channel_binding("tls-unique"))
        writer.write(b"x")

    async def main() -> None:
        async with listening(python_server(tmp_path), talk) as connect:
            stream = await client(tmp_path, "1.2").client(connect(), HOST)
            assert await stream.read() == b"x"
            assert [stream.finished()] == seen and len(stream.finished()) == 12
            await stream.close()

    run(main())


# --- ends ---


@VERSIONS
def test_an_orderly_end(tmp_path: Path, server: ServerContext, version: str) -> None:
    async def main() -> None:
        async with pair(client(tmp_path, version), server) as (near, far):
            await near.write(b"last words")
            closing = asyncio.create_task(near.close())
            assert await far.read() == b"last words"
            assert await far.read() == b"" == await far.read()
            await far.close()
            await closing
            await near.close()  # twice is fine
            with pytest.raises(ConnectionLost, match="closed on this side"):
                await near.read()

    run(main())


def test_last_words_survive_input_that_nobody_read(tmp_path: Path, server: ServerContext) -> None:
    """Closing with unread input makes the kernel reset the connection, which would take our goodbye with it (Q34)."""

    async def main() -> None:
        async with pair(client(tmp_path), server) as (near, far):
            await far.write(bytes(100_000))
            await near.write(b"goodbye")
            closing = asyncio.create_task(near.close(linger=60))
            await asyncio.sleep(0.01)
            assert await far.read() == b"goodbye"
            assert await far.read() == b""
            await far.close()
            await closing

    run(main())


def test_closing_does_not_wait_for_ever(tmp_path: Path, server: ServerContext) -> None:
    async def main() -> None:
        async with pair(client(tmp_path), server) as (near, _far):
            await near.close(linger=0.01)
            assert near.fileno() == -1

    run(main())


@VERSIONS
def test_a_raw_end_is_told_apart(tmp_path: Path, server: ServerContext, version: str) -> None:
    async def main() -> None:
        async with pair(client(tmp_path, version), server) as (near, far):
            await far.write(b"half")
            with socket.socket(fileno=os.dup(far.fileno())) as sock:
                sock.shutdown(socket.SHUT_WR)
            assert await near.read() == b"half"
            with pytest.raises(Truncated, match=r"vpn\.test: read: the peer closed tcp without close_notify"):
                await near.read()

    run(main())


def reset(stream: TlsStream) -> None:
    with socket.socket(fileno=os.dup(stream.fileno())) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        stream.abort()


def test_a_reset(tmp_path: Path, server: ServerContext) -> None:
    async def main() -> None:
        async with pair(client(tmp_path), server) as (near, far):
            reset(far)
            with pytest.raises(ConnectionLost, match="connection reset by peer") as caught:
                await near.read()
            assert not isinstance(caught.value, Truncated)

    run(main())


def test_writing_to_a_peer_that_is_gone_kills_nobody(tmp_path: Path, server: ServerContext) -> None:  # SIGPIPE
    async def main() -> None:
        async with pair(client(tmp_path), server) as (near, far):
            reset(far)
            with pytest.raises(ConnectionLost, match="connection reset by peer"):
                for _time in range(3):
                    await near.write(b"x")

    run(main())


def test_an_alert_explains_a_refused_write(tmp_path: Path) -> None:
    """TLS 1.3: the server refuses us after our handshake; we write first, as an HTTP client does."""
    context = python_server(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED

    async def main() -> None:
        with blocking(context) as connect:
            stream = await client(tmp_path, "1.3").client(connect(), HOST)
            with pytest.raises(TlsError, match="the peer sent alert 116, certificate required"):
                while True:
                    await stream.write(b"GET / HTTP/1.1\r\n\r\n")
                    await asyncio.sleep(0.001)
            stream.abort()

    run(main())


RECORDS = [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "record|version"),
    (bytes.fromhex("170303ffff") + bytes(70000), "too long|too large|length"),
    (bytes.fromhex("1703030020") + bytes(32), "bad record mac|decryption failed"),
    (bytes.fromhex("1703030000"), "."),
    (bytes.fromhex("1603030005") + b"hello", "."),
    (bytes.fromhex("2103030005") + b"hello", "."),
]


@VERSIONS
@pytest.mark.parametrize(("junk", "text"), RECORDS)
def test_junk_between_records(tmp_path: Path, server: ServerContext, version: str, junk: bytes, text: str) -> None:
    async def main() -> None:
        async with pair(client(tmp_path, version), server) as (near, far):
            await far.write(b"fine")
            os.write(far.fileno(), junk)
            assert await near.read() == b"fine"
            with pytest.raises(TlsError, match=text):
                await near.read()
            with pytest.raises(TlsError):
                await near.write(b"x")
            await near.close()

    run(main())


# --- the descriptor ---


def test_a_pump_may_take_over_and_give_back(tmp_path: Path, server: ServerContext) -> None:
    async def main() -> None:
        async with pair(client(tmp_path), server) as (near, far):
            waiting = asyncio.create_task(near.read())
            await asyncio.sleep(0)
            near.detach()
            with pytest.raises(ConnectionLost, match="closed on this side"):
                await waiting
            with pytest.raises(ConnectionLost, match="in use by a pump"):
                await near.read()
            assert asyncio.get_running_loop().remove_reader(near.fileno()) is False
            near.reattach()
            await far.write(b"again")
            assert await near.read() == b"again"

    run(main())


def test_a_cancelled_read_leaves_no_reader_and_loses_nothing(tmp_path: Path, server: ServerContext) -> None:
    async def main() -> None:
        async with pair(client(tmp_path), server) as (near, far):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await near.read()
            assert asyncio.get_running_loop().remove_reader(near.fileno()) is False
            await far.write(b"later")
            assert await near.read() == b"later"

    run(main())


def test_an_abandoned_stream_closes_itself(tmp_path: Path, server: ServerContext) -> None:
    async def main() -> None:
        far, near = loopback()
        streams = await asyncio.gather(client(tmp_path).client(near, HOST), server.server(far))
        del streams

    run(main())  # counts descriptors


def test_reading_stops_when_the_stream_is_closed_under_it(tmp_path: Path, server: ServerContext) -> None:
    async def main() -> None:
        async with pair(client(tmp_path), server) as (near, _far):
            waiting = asyncio.create_task(near.read())
            await asyncio.sleep(0)
            near.abort()
            with pytest.raises(ConnectionLost):
                await asyncio.wait_for(waiting, DEADLINE)

    run(main())
