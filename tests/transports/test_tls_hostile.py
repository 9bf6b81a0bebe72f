"""Peers that flood us, and streams that are closed under a pump."""

import asyncio
import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from protocols.framing.cstp import Encoder
from tests.transports.packets import ipv4
from tests.transports.tls_doubles import HOST, SERVER, loopback, pair, run, trusting
from transports import tls_stream
from transports.errors import ConnectionLost, TlsError, Unreachable
from transports.pump import Pump
from transports.tls import ServerContext, TlsContext, TlsStream

pytestmark = pytest.mark.usefixtures("records")

FLOOD = 60.0  # seconds, unless we hang up
HELLO_REQUESTS = b"\x16\x03\x03\x40\x00" + bytes(0x4000)  # 4096 messages that a client ignores


def flood(sock: socket.socket) -> None:
    end = time.monotonic() + FLOOD
    with suppress(OSError), sock:
        while time.monotonic() < end:
            sock.sendall(HELLO_REQUESTS * 16)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_flood_before_the_certificate_does_not_outlive_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """libssl reads on for as long as such messages come; it once held the whole event loop."""
    monkeypatch.setattr(tls_stream, "HANDSHAKE_TIMEOUT", 0.1)
    far, near = loopback()
    thread = threading.Thread(target=flood, args=(far,))
    thread.start()
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"no TLS handshake within 0\.1 s"):
        asyncio.run(TlsContext(trusting(tmp_path, maximum=version)).client(near, HOST))
    assert time.monotonic() - began < FLOOD / 2
    thread.join()


def test_data_during_a_renegotiation_is_bounded(tmp_path: Path) -> None:
    """A peer that owes us the end of a handshake could once fill the memory meanwhile."""

    async def main() -> None:
        async with pair(TlsContext(trusting(tmp_path, maximum="1.2")), ServerContext(SERVER.identity)) as (near, far):
            await far.write(bytes(2 * tls_stream.MAX_STASH))
            with pytest.raises(TlsError, match="got over 65536 bytes, want the end of a renegotiation"):
                await near.rekey()

    run(main())


async def packet_through(device: socket.socket, far: TlsStream) -> None:
    await far.write(Encoder().encode(ipv4(100)))
    assert await asyncio.get_running_loop().sock_recv(device, 2000) == ipv4(100)


def test_a_stream_closed_under_a_pump_is_freed_after_it(tmp_path: Path) -> None:
    """The thread once went on with freed memory, and with whatever descriptor got the number."""

    async def main() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            async with pair(TlsContext(trusting(tmp_path)), ServerContext(SERVER.identity)) as (near, far):
                pump = Pump(ours, near, "cstp", mtu=1400)
                near.detach()
                pump.start()
                with pytest.raises(ConnectionLost, match="in use by a pump"):
                    near.export_keying_material("EXPORTER-x", 32)
                await near.close()
                near.abort()
                await packet_through(theirs, far)
                number = near.fileno()
                pump.stop(0)
                near.reattach()
                assert near.fileno() == -1
                with pytest.raises(OSError):
                    os.fstat(number)

    run(main())


def test_a_stream_lost_with_its_pump_is_freed(tmp_path: Path) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            far, near = loopback()
            client, server = TlsContext(trusting(tmp_path)), ServerContext(SERVER.identity)
            stream, peer = await asyncio.gather(client.client(near, HOST), server.server(far))
            ours.setblocking(False)
            pump = Pump(ours, stream, "cstp", mtu=1400)
            stream.detach()
            pump.start()
            stream.abort()
            del stream, pump
            peer.abort()

    run(main())  # counts descriptors
