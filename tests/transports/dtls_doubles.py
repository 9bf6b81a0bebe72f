"""Two ends of a DTLS association in memory, and a network between them that does what a test wants."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from transports.dtls import Dtls, DtlsSettings, Mode

PSK = bytes(range(32))
MASTER = bytes(range(48))
SESSION_ID = b"\xaa" * 32
RETRANSMIT = 0.02  # seconds, where datagrams get lost
UNHURRIED = 60.0  # seconds, where none does: on a slow machine libssl would send again what is on its way
PATIENCE = 60.0  # seconds; only a broken test waits that long

PSK_SUITES = (
    "PSK-AES128-GCM-SHA256",
    "PSK-AES256-GCM-SHA384",
    "PSK-CHACHA20-POLY1305",
    "PSK-AES256-CCM",
    "PSK-AES128-CCM8",
    "PSK-AES128-CBC-SHA",
    "PSK-AES256-CBC-SHA384",
)
RESUMED_SUITES = (
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "PSK-CHACHA20-POLY1305",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "DHE-RSA-AES256-SHA",
    "AES128-SHA",
)
KINDS = [*((Mode.PSK, suite) for suite in PSK_SUITES), *((Mode.RESUME, suite) for suite in RESUMED_SUITES)]

# What becomes of a datagram: (from the client, its number in that direction, itself) -> what arrives.
Fate = Callable[[bool, int, bytes], Iterable[bytes]]


def settings(
    mode: Mode, *ciphers: str, server: bool = False, secret: bytes = b"", retransmit: float = UNHURRIED
) -> DtlsSettings:
    secret = secret or (PSK if mode is Mode.PSK else MASTER)
    session_id = b"" if server and mode is Mode.PSK else SESSION_ID
    most = min(5 * retransmit, UNHURRIED)
    return DtlsSettings(mode, secret, ciphers, session_id, server=server, retransmit=retransmit, retransmit_most=most)


def ends(mode: Mode, *ciphers: str, retransmit: float = UNHURRIED) -> tuple[Dtls, Dtls]:
    client = Dtls(settings(mode, *ciphers, retransmit=retransmit))
    return client, Dtls(settings(mode, *ciphers, server=True, retransmit=retransmit))


def untouched(_from_client: bool, _number: int, datagram: bytes) -> Iterable[bytes]:
    return (datagram,)


def records(datagram: bytes) -> list[bytes]:
    """The records of a datagram, one by one."""
    found = []
    while datagram:
        end = 13 + int.from_bytes(datagram[11:13], "big")
        found.append(datagram[:end])
        datagram = datagram[end:]
    return found


class Network:
    """Carries what both ends want to send, in order but for the fate; data that arrives is kept."""

    def __init__(self, client: Dtls, server: Dtls, fate: Fate = untouched) -> None:
        self.client, self.server, self.fate = client, server, fate
        self.numbers = {True: 0, False: 0}
        self.arrived: dict[bool, list[bytes]] = {True: [], False: []}  # payloads, by "from the client"
        self.flying: deque[tuple[bool, bytes]] = deque()

    def send(self, from_client: bool, datagram: bytes) -> None:
        number = self.numbers[from_client]
        self.numbers[from_client] += 1
        self.flying.extend((from_client, arriving) for arriving in self.fate(from_client, number, datagram))

    def settle(self) -> None:
        """Until nothing moves."""
        self._collect()
        while self.flying:
            from_client, datagram = self.flying.popleft()
            end = self.server if from_client else self.client
            if end.established:
                self.arrived[from_client] += end.open(datagram)
                if answer := end.reply():
                    self.send(not from_client, answer)
            else:
                end.feed(datagram)
            self._collect()

    def shake(self) -> None:
        self.client.start()
        self.server.start()
        self.finish()

    def finish(self) -> None:
        """The handshake to its end, with retransmissions as time goes by."""
        deadline = time.monotonic() + PATIENCE
        self.settle()
        while not (self.client.established and self.server.established):
            assert time.monotonic() < deadline, "no handshake"
            waits = [end.timeout() for end in (self.client, self.server) if not end.established]
            time.sleep(min((wait for wait in waits if wait is not None), default=RETRANSMIT))
            for end in (self.client, self.server):
                if not end.established:
                    end.expired()
            self.settle()

    def exchange(self, count: int = 3) -> None:
        """Data both ways, all of which must arrive."""
        for from_client, end in ((True, self.client), (False, self.server)):
            before = len(self.arrived[from_client])
            sent = [bytes([number + 1]) * (1 + 500 * number) for number in range(count)]
            for payload in sent:
                self.send(from_client, end.seal(payload))
            self.settle()
            assert self.arrived[from_client][before:] == sent

    def _collect(self) -> None:
        for from_client, end in ((True, self.client), (False, self.server)):
            for datagram in end.outgoing():
                self.send(from_client, datagram)


def established(mode: Mode, *ciphers: str) -> tuple[Dtls, Dtls]:
    """(client, server), the handshake done."""
    client, server = ends(mode, *ciphers)
    Network(client, server).shake()
    return client, server
