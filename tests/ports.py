"""Ports for programs that are told theirs, and cannot say which they took."""

from __future__ import annotations

import os
import random
import socket

KERNELS = 32768  # from here on Linux gives them out by itself (net.ipv4.ip_local_port_range): any socket may take one
LEAST = 20000


def free_tcp_port(address: str = "127.0.0.1") -> int:
    """One that nobody listens at, nor is given by chance before the program does."""
    dice = random.Random(os.urandom(8))
    while True:
        port = dice.randrange(LEAST, KERNELS)
        try:
            socket.create_server((address, port)).close()
        except OSError:
            continue
        return port
