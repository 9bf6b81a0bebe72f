"""Moves data over one TCP connection, for machines without iperf3: a server and a client as programs.

    python -m vpnclient.lab.transfer serve ADDRESS PORT            one connection; says what it received, in bytes
    python -m vpnclient.lab.transfer up|down ADDRESS PORT SECONDS  prints bytes and seconds as JSON

The client's first byte says which side sends: U(p) or D(own).
"""

from __future__ import annotations

import json
import socket
import sys
import time

CHUNK = 256 * 1024  # bytes per call
CONNECT_TIMEOUT = 10.0  # seconds


def serve(address: str, port: int) -> int:
    """Serve one connection to its end; the bytes moved."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as listener:
        connection, _ = listener.accept()
        with connection:
            return _receive(connection) if connection.recv(1) == b"U" else _send(connection, float("inf"))


def run(direction: str, address: str, port: int, seconds: float) -> tuple[int, float]:
    """Move data for so long; bytes, and the seconds it took until the far end had or sent them."""
    with socket.create_connection((address, port), timeout=CONNECT_TIMEOUT) as connection:
        connection.settimeout(None)
        began = time.monotonic()
        if direction == "up":
            connection.sendall(b"U")
            moved = _send(connection, began + seconds)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)  # the far end closes when it has read everything
        else:
            connection.sendall(b"D")
            moved = _receive(connection, began + seconds)
        return moved, time.monotonic() - began


def _send(connection: socket.socket, until: float) -> int:
    data, sent = bytes(CHUNK), 0
    try:
        while time.monotonic() < until:
            sent += connection.send(data)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the receiver has had enough: that is how a download ends
    return sent


def _receive(connection: socket.socket, until: float = float("inf")) -> int:
    received = 0
    while time.monotonic() < until and (data := connection.recv(CHUNK)):
        received += len(data)
    return received


def main(argv: list[str]) -> None:
    if argv[0] == "serve":
        print(serve(argv[1], int(argv[2])))
    else:
        moved, seconds = run(argv[0], argv[1], int(argv[2]), float(argv[3]))
        print(json.dumps({"bytes": moved, "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1:])
