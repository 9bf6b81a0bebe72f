"""Records after the handshake: what is genuine comes out once, whatever arrives; the end; the counters."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transports.dtls_doubles import established, records
from transports.dtls import Dtls, Mode
from transports.errors import DtlsEnded

# The engine's own records, and libssl's.
SUITES = [
    (Mode.PSK, "PSK-AES128-GCM-SHA256"),
    (Mode.RESUME, "AES256-GCM-SHA384"),
    (Mode.PSK, "PSK-CHACHA20-POLY1305"),
    (Mode.PSK, "PSK-AES128-CBC-SHA"),
    (Mode.RESUME, "AES128-SHA"),
    (Mode.PSK, "PSK-AES256-CCM"),
]
WINDOW = 1984  # numbers of the engine's own; libssl's is 64
every_suite = pytest.mark.parametrize(("mode", "cipher"), SUITES)


@every_suite
def test_every_bit_of_a_record(mode: Mode, cipher: str) -> None:
    client, server = established(mode, cipher)
    record = client.seal(b"payload")
    for bit in range(8 * len(record)):
        damaged = bytearray(record)
        damaged[bit // 8] ^= 1 << bit % 8
        assert server.open(bytes(damaged)) == [], bit
    for length in range(len(record)):
        assert server.open(record[:length]) == []
    stats = server.stats()
    causes = ("bad_mac", "bad_type", "bad_version", "bad_length", "old_epoch", "unauthenticated", "replayed")
    # Of nothing nothing is counted; where the length has become smaller, what is left counts once more.
    assert 9 * len(record) - 1 <= sum(stats[cause] for cause in causes) <= 9 * len(record) + 16
    assert all(stats[cause] for cause in causes[:-1]) and stats["replayed"] == 0
    assert server.open(record) == [b"payload"]
    assert server.open(client.seal(b"next")) == [b"next"]


@every_suite
def test_forgeries_of_every_length(mode: Mode, cipher: str) -> None:
    """Of every type, and with a number that has not been used: the association lives on."""
    client, server = established(mode, cipher)
    dice = random.Random(1)
    for kind in (20, 21, 22, 23):
        for length in (*range(130), 16384, 16384 + 2048, 20000):
            header = bytes([kind]) + b"\xfe\xfd\0\1" + (1000 + length).to_bytes(6, "big") + length.to_bytes(2, "big")
            assert server.open(header + dice.randbytes(length)) == [], (kind, length)
            assert server.reply() == b""
    assert server.open(client.seal(b"alive")) == [b"alive"]
    assert client.open(server.seal(b"alive")) == [b"alive"]
    stats = server.stats()
    assert stats["bad_mac"] + stats["bad_length"] == 4 * 133


@every_suite
def test_replays(mode: Mode, cipher: str) -> None:
    client, server = established(mode, cipher)
    sent = [client.seal(b"%d" % number) for number in range(20)]
    assert [server.open(record) for record in sent[::2]] == [[b"%d" % number] for number in range(0, 20, 2)]
    assert [server.open(record) for record in sent[::2]] == [[]] * 10
    assert [server.open(record) for record in reversed(sent[1::2])] == [[b"%d" % n] for n in range(19, 0, -2)]
    assert server.stats()["replayed"] == 10 and server.stats()["records_in"] == 20


@pytest.mark.parametrize(("mode", "cipher"), SUITES[:3])
def test_how_late_a_record_may_be(mode: Mode, cipher: str) -> None:
    client, server = established(mode, cipher)
    sent = [client.seal(b"%d" % number) for number in range(WINDOW + 1)]
    assert server.open(sent[-1]) and server.open(sent[1])
    assert server.open(sent[0]) == [] and server.stats()["replayed"] == 1


@every_suite
def test_several_records_in_a_datagram(mode: Mode, cipher: str) -> None:
    client, server = established(mode, cipher)
    datagram = b"".join(client.seal(bytes([number]) * 100) for number in range(1, 5))
    assert server.open(datagram + b"\xff") == [bytes([number]) * 100 for number in range(1, 5)]
    assert server.stats()["bad_length"] == 1


@every_suite
def test_sizes(mode: Mode, cipher: str) -> None:
    client, server = established(mode, cipher)
    for size in (1, 2, 13, 15, 16, 17, 255, 256, 1279, 16384):
        record = client.seal(b"s" * size)
        assert len(record) <= size + client.overhead and len(records(record)) == 1
        assert server.open(record) == [b"s" * size]
    for too_long in (16385, 100_000):
        with pytest.raises(ValueError, match=r"want (at most |1\.\.)16384"):
            client.seal(bytes(too_long))


@pytest.mark.parametrize(("mode", "cipher"), SUITES[:3])
def test_an_empty_record(mode: Mode, cipher: str) -> None:
    client, server = established(mode, cipher)
    assert server.open(client.seal(b"")) == [b""]


def test_libssl_makes_no_empty_record() -> None:
    client, _server = established(*SUITES[3])
    with pytest.raises(ValueError, match=r"got 0 bytes, want 1\.\.16384"):
        client.seal(b"")


@every_suite
def test_the_end(mode: Mode, cipher: str) -> None:
    client, server = established(mode, cipher)
    goodbye = client.close()
    assert client.close() == b""
    with pytest.raises(DtlsEnded, match="the association has ended"):
        client.seal(b"x")
    for _time in range(2):
        with pytest.raises(DtlsEnded, match="the association has ended"):
            server.open(goodbye)
    with pytest.raises(DtlsEnded):
        server.seal(b"x")
    assert server.close() == b"" and server.reply() == b""
    assert server.stats()["alerts"] == 1


@every_suite
def test_data_and_the_end_in_a_datagram(mode: Mode, cipher: str) -> None:
    client, server = established(mode, cipher)
    assert server.open(client.seal(b"last") + client.close()) == [b"last"]
    with pytest.raises(DtlsEnded):
        server.open(b"anything")


@every_suite
def test_unauthenticated_alerts_end_nothing(mode: Mode, cipher: str) -> None:
    client, server = established(mode, cipher)
    before = server.stats()["unauthenticated"]
    for alert in (b"\1\0", b"\2\x28"):
        forged = b"\x15\xfe\xfd" + bytes(7) + b"\x09" + b"\0\2" + alert
        assert server.open(forged) == []
    assert server.stats()["unauthenticated"] == before + 2
    assert server.open(client.seal(b"alive")) == [b"alive"]


@every_suite
def test_records_of_another_association(mode: Mode, cipher: str) -> None:
    """The same secret, another handshake: other keys."""
    client, _server = established(mode, cipher)
    _client, server = established(mode, cipher)
    assert server.open(client.seal(b"x")) == []
    assert server.stats()["bad_mac"] == 1


@pytest.mark.parametrize(("mode", "cipher"), SUITES[:2])
def test_explicit_nonces_go_on_from_the_handshake(mode: Mode, cipher: str) -> None:
    """libssl's Finished used some; ours count on from there, and so do the sequence numbers."""
    client, server = established(mode, cipher)
    for end in (client, server):
        sent = [end.seal(b"x") for _number in range(300)]
        nonces = [int.from_bytes(record[13:21], "big") for record in sent]
        assert [(nonce - nonces[0]) % 2**64 for nonce in nonces] == list(range(300))
        assert [int.from_bytes(record[5:11], "big") for record in sent] == list(range(1, 301))


# --- against a model ---

steps = st.lists(
    st.tuples(st.sampled_from(("send", "deliver", "again", "damage", "cut", "garbage", "join")), st.integers(0, 2**32)),
    max_size=60,
)


class Model:
    """What was sent, and what of it was delivered."""

    def __init__(self, sender: Dtls, receiver: Dtls) -> None:
        self.sender, self.receiver = sender, receiver
        self.sent: list[tuple[bytes, bytes]] = []  # (payload, record)
        self.delivered: set[int] = set()

    def step(self, what: str, number: int) -> None:
        if what == "send" or not self.sent:
            payload = number.to_bytes(8, "big") * (1 + number % 90)
            self.sent.append((payload, self.sender.seal(payload)))
            return
        index = number % len(self.sent)
        record = self.sent[index][1]
        if what == "garbage":
            assert self.receiver.open(number.to_bytes(8, "big") * (number % 40)) == []
        elif what == "cut":
            assert self.receiver.open(record[: number // 7 % len(record)]) == []
        elif what == "damage":
            at = number // 7 % len(record)
            assert self.receiver.open(record[:at] + bytes([record[at] ^ 0x10]) + record[at + 1 :]) == []
        else:
            self._deliver([index] if what != "join" else [index, number // 7 % len(self.sent), index])

    def _deliver(self, indices: list[int]) -> None:
        wanted = []
        for index in indices:
            if index not in self.delivered:
                self.delivered.add(index)
                wanted.append(self.sent[index][0])
        assert self.receiver.open(b"".join(self.sent[index][1] for index in indices)) == wanted


@pytest.mark.parametrize(("mode", "cipher"), [SUITES[0], SUITES[2], SUITES[3]])
@settings(max_examples=60)
@given(script=steps, server_sends=st.booleans())
def test_what_is_sent_arrives_once(mode: Mode, cipher: str, script: list[tuple[str, int]], server_sends: bool) -> None:
    client, server = established(mode, cipher)
    model = Model(server, client) if server_sends else Model(client, server)
    for what, number in script:
        model.step(what, number)
