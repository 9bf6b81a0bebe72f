"""ESP, several packets at once: of what, from how many on, and that each packet is what it would be by itself.

What a packet is, is the suite of test_esp.py, which the engine goes through both ways.  Here the Python reference reads
what was sealed together, and a peer of the test's makes what is opened together.
"""

from __future__ import annotations

import pytest

from protocols.framing.esp_sa import Cipher, Mac
from tests.protocols.framing.esp_twins import (
    CAN_DO_TOGETHER,
    PAIR_IDS,
    PAIRS,
    SPI,
    NativeTwin,
    Peer,
    PythonTwin,
    counted,
    listening,
    outcome,
)
from tests.transports.packets import ipv4
from transports.codec import CodecError, NativeCodec

COUNTS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50, 64)  # about 4, 8 and 16 lanes, and calls of 32
PAYS = {0: 0, 1: 0, 7: 0, 8: 8, 15: 15, 16: 16, 23: 16, 24: 24, 32: 32, 40: 40, 64: 64}  # packets: of them together


def of_length(mark: int) -> bytes:
    """Lengths all mixed, the shortest and a jumbo among them."""
    return ipv4(9000 if mark == 5 else 20 + mark * 37 % 1400, mark=mark)


def together(twin: NativeTwin) -> int:
    return twin.codec.counters()["esp_together"]


@pytest.mark.parametrize("least", [0, 1] if CAN_DO_TOGETHER else [0])
@pytest.mark.parametrize(("cipher", "mac"), PAIRS, ids=PAIR_IDS)
def test_what_is_sealed_and_opened_in_any_number_is_what_it_was(cipher: Cipher, mac: Mac, least: int) -> None:
    peer, here, there, reader = Peer(cipher, mac), NativeTwin(), NativeTwin(), PythonTwin()
    for twin in (here, there):
        twin.set("esp.together", bytes([least]))
        twin.set("esp.in", peer.option)
        twin.set("esp.out", peer.option)
    reader.set("esp.in", peer.option)
    for count in COUNTS:
        packets = [of_length(mark) for mark in range(count)]
        before, datagrams = together(here), here.codec.encode_together(packets)
        by_cbc = count if least and mac else 0
        assert together(here) - before == by_cbc
        assert outcome(reader, datagrams).packets == tuple(packets)
        before = together(there)
        assert outcome(there, datagrams).packets == tuple(packets)
        assert together(there) - before == by_cbc
    seen = outcome(there, [])
    assert seen.sink.copied == 0 and not counted(seen) and seen.counters["esp_authentic"] == sum(COUNTS)


def test_few_are_done_one_by_one_as_that_is_cheaper() -> None:
    sender, receiver = NativeTwin(), NativeTwin()
    sender.set("esp.out", Peer().option)
    receiver.set("esp.in", Peer().option)
    for count, paying in PAYS.items():
        want = paying if CAN_DO_TOGETHER else 0
        for length, received in ((300, want), (60, 0)):  # whether a short one is genuine is as cheap to tell by itself
            packets, before = [ipv4(length, mark=mark) for mark in range(count)], (together(sender), together(receiver))
            datagrams = sender.codec.encode_together(packets)
            assert outcome(receiver, datagrams).packets == tuple(packets)
            assert (together(sender) - before[0], together(receiver) - before[1]) == (want, received)


@pytest.mark.parametrize(("cipher", "mac"), PAIRS, ids=PAIR_IDS)
def test_a_forged_one_among_many_is_that_one_alone(cipher: Cipher, mac: Mac) -> None:
    peer = Peer(cipher, mac)
    for bad in range(12):
        datagrams = [peer.send(ipv4(200, mark=mark), mark) for mark in range(12)]
        datagrams[bad] = bytes([*datagrams[bad][:-1], datagrams[bad][-1] ^ 1])
        seen = outcome(listening(NativeTwin(), peer), datagrams)
        assert seen.packets == tuple(ipv4(200, mark=mark) for mark in range(12) if mark != bad)
        assert counted(seen) == {"esp_icv": 1}


def test_an_icv_that_was_right_is_no_other_datagrams() -> None:
    """Twice the same bytes are a replay, and the next datagrams at the same place are judged anew."""
    twin, peer = listening(NativeTwin(), Peer()), Peer()
    good = [peer.send(ipv4(100, mark=mark), mark) for mark in range(10)]
    forged = [bytes([*datagram[:40], datagram[40] ^ 1, *datagram[41:]]) for datagram in good]
    for datagrams in (good, forged, good):
        twin.feed_all(datagrams)
    assert counted(outcome(twin, [])) == {"esp_icv": 10, "esp_replay": 10}


def test_sas_old_and_new_and_of_gcm_keep_their_packets_in_order() -> None:
    old, new = Peer(Cipher.AES_256_CBC, Mac.SHA256_128, SPI), Peer(Cipher.AES_128_GCM, Mac.NONE, SPI + 1)
    newest = Peer(Cipher.AES_128_CBC, Mac.MD5_96, SPI + 2)
    for first, second in ((old, new), (new, newest), (old, newest)):
        twin = NativeTwin()
        twin.set("esp.in", first.option)
        twin.set("esp.in", second.option)
        sent = [(second if mark % 3 else first).send(ipv4(300, mark=mark), mark) for mark in range(48)]
        seen = outcome(twin, [b"\xff", *sent[:20], b"", bytes(60), *sent[20:]])
        assert seen.packets == tuple(ipv4(300, mark=mark) for mark in range(48))
        assert counted(seen) == {"esp_keepalive": 1, "esp_short": 1, "esp_spi": 1} and seen.controls == ((256, b""),)


def test_keys_that_are_gone_take_nothing() -> None:
    twin, peer = listening(NativeTwin(), Peer()), Peer()
    sent = [peer.send(ipv4(100, mark=mark), mark) for mark in range(16)]
    twin.set("esp.close", b"")
    assert counted(outcome(twin, sent)) == {"esp_spi": 16}
    twin.set("esp.in", peer.option)
    assert len(outcome(twin, sent).packets) == 16  # and the same keys again are new ones


def test_the_numbers_end_among_packets_that_leave_together() -> None:
    codec, reader = NativeCodec("esp"), PythonTwin()
    codec.set("esp.out", Peer().option)
    reader.set("esp.in", Peer().option)
    codec.set("esp.out-sequence", (0xFFFFFFFF - 11).to_bytes(4, "big"))
    datagrams = codec.encode_together([ipv4(100, mark=mark) for mark in range(12)])
    assert len(outcome(reader, datagrams).packets) == 12
    assert codec.counters()["esp_seq_low"] == 12
    with pytest.raises(CodecError):
        codec.encode_together([ipv4(100)])
    assert codec.counters()["esp_seq_exhausted"] == 1


def test_what_is_no_ip_packet_is_refused_in_company_too() -> None:
    codec = NativeCodec("esp")
    with pytest.raises(CodecError):
        codec.encode_together([ipv4(100)])  # no keys
    codec.set("esp.out", Peer().option)
    for bad in (b"", b"\x55" * 40, ipv4(16383)):
        with pytest.raises(CodecError):
            codec.encode_together([bad])
    assert codec.encode_together([ipv4(100)])[0][4:8] == bytes(4)  # nothing above cost a number


def test_the_option_is_for_the_time_before_the_keys() -> None:
    codec = NativeCodec("esp")
    for value in (b"", b"\0\0"):
        with pytest.raises(CodecError, match=rf"esp\.together length: got {len(value)}, want 1 \(byte 0\)"):
            codec.set("esp.together", value)
    codec.set("esp.in", Peer().option)
    with pytest.raises(CodecError, match=r"esp\.together: there are keys already"):
        codec.set("esp.together", b"\0")


def test_other_framings_take_several_as_one_by_one() -> None:
    codec = NativeCodec("cstp-dtls")
    assert codec.encode_together([ipv4(100), ipv4(60)]) == [b"\0" + ipv4(100), b"\0" + ipv4(60)]
    twin = NativeTwin()
    codec.feed_datagrams([b"\0" + ipv4(100), b"\0" + ipv4(60)], twin.sink)
    assert outcome(twin, []).packets == (ipv4(100), ipv4(60))
    with pytest.raises(CodecError, match="framing cstp is one of streams"):
        NativeCodec("cstp").feed_datagrams([b"x"], twin.sink)
