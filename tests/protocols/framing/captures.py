"""What Debian's openconnect sent to the lab gateways: tests/data, a datagram or a read of the stream a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

DATA = Path(__file__).parents[2] / "data"
CLIENT, GATEWAY = bytes([10, 77, 0, 2]), bytes([10, 77, 0, 1])
HEADER = 20  # bytes of IPv4 without options


def capture(name: str) -> list[bytes]:
    """name: of the file, without program and version."""
    lines = (DATA / f"openconnect-9.01-{name}.hex").read_text().splitlines()
    return [bytes.fromhex(line) for line in lines if not line.startswith("#")]


def sums_up(data: bytes) -> bool:
    """Whether the Internet checksum within is right (RFC 1071); an even number of bytes."""
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    return total % 0xFFFF == 0 and total > 0


def assert_pings(packets: Sequence[bytes]) -> None:
    """Echo requests to the gateway, numbered from 1, as they left the client's kernel."""
    assert packets
    for number, packet in enumerate(packets, 1):
        assert packet[:1] == b"\x45" and int.from_bytes(packet[2:4], "big") == len(packet) == 84
        assert packet[9] == 1 and packet[12:20] == CLIENT + GATEWAY and sums_up(packet[:HEADER])
        assert packet[20:22] == b"\x08\x00" and packet[26:28] == number.to_bytes(2, "big") and sums_up(packet[HEADER:])


def assert_solicitation(packet: bytes) -> None:
    """An IPv6 router solicitation."""
    assert packet[:1] == b"\x60" and int.from_bytes(packet[4:6], "big") == len(packet) - 40
    pseudo = packet[8:40] + (len(packet) - 40).to_bytes(4, "big") + bytes([0, 0, 0, 58])
    assert packet[6] == 58 and packet[40] == 133 and sums_up(pseudo + packet[40:])
