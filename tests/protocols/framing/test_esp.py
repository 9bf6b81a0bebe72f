"""ESP framing: one suite over the Python reference and its C twin, singly and together, then each against the other.

Fuzz invariant: whatever datagrams come, both twins hand out the same packets, control frames and counters, every packet
they hand out is a whole IP packet of a genuine datagram, and nothing ends the stream.
Vectors: ESP notes, section 15.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import MalformedFrame
from protocols.framing.esp import LOW_NUMBER, MAX_DATAGRAM, MAX_SENT, Encoder, Kind
from protocols.framing.esp_sa import Cipher, Mac
from tests.protocols.framing.esp_twins import (
    NATIVE_TWINS,
    P4,
    P6,
    PAIR_IDS,
    PAIRS,
    SPI,
    TWINS,
    NativeTwin,
    Peer,
    PythonTwin,
    Twin,
    counted,
    listening,
    option,
    outcome,
    run,
)
from tests.transports.packets import ipv4, ipv6
from transports.codec import CodecError
from transports.sink import ip_length

AES128, AES256 = Cipher.AES_128_CBC, Cipher.AES_256_CBC
GOOD = option(AES128, Mac.SHA1_96)
GCM = option(Cipher.AES_128_GCM, Mac.NONE)
OTHER = Peer(Cipher.AES_256_GCM, Mac.NONE, SPI + 1)
THIRD = Peer(Cipher.AES_256_CBC, Mac.SHA256_128, SPI + 2)
HEAD = "1234abcd%sa0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
ONE = HEAD % "00000001"
BODY_128 = "08c178b079307341cbbfcbc06f977c2802d94e78086f25db077cbf8667d3d7ddffb7a09121189dad41113cdaab36dae2"
BODY_256 = "dd8c38bc31d329363773f6d7641ec783b5ea9aecb4502ec72bafc453fc93abd4ce8bb11d2ec0c181f2e7bdc38c6a4124"
VECTORS = {  # cipher, MAC, number, next header, payload, datagram
    "A": (AES128, Mac.MD5_96, 1, 4, P4, ONE + BODY_128 + "b244e48fc693352eb325c93b"),
    "B": (AES128, Mac.SHA1_96, 1, 4, P4, ONE + BODY_128 + "28c9c21eebb7559037b26e99"),
    "C": (AES128, Mac.SHA256_128, 1, 4, P4, ONE + BODY_128 + "653e2eeb14ad4addba2cc209429c4832"),
    "D": (AES256, Mac.MD5_96, 1, 4, P4, ONE + BODY_256 + "0b3ba4c1d94aad3c759769a7"),
    "E": (AES256, Mac.SHA1_96, 1, 4, P4, ONE + BODY_256 + "34145545eb02c4221bb017b1"),
    "F": (AES256, Mac.SHA256_128, 1, 4, P4, ONE + BODY_256 + "646a88aa279ffaba99b0b5c62e3cc463"),
    "G": (
        AES256,
        Mac.SHA256_128,
        2,
        41,
        P6,
        HEAD % "00000002"
        + "5d11fe0e6393a2a219ac4d68abd4a44ecb4d0610310f137d1368cb06da87978103f382361e8ab74bf4055e0d952bf327441f0be3"
        + "0506b33beeb9aa3f841aff80664cb0ec2382c226ed4939a9746bcd5bb2a3c8e5510c1801f8cb55030e1d2fe8",
    ),
    "H": (
        AES128,
        Mac.SHA1_96,
        0xFFFFFFFE,
        4,
        bytes.fromhex("4500001e00010000401165fe0a6300020a63000912340009000a00006162"),
        HEAD % "fffffffe" + "ab88ace504de322a398432cd8f9a92845abdad0e87b0f82bc3e06719fd184bc2b53bf064583b4e854a78621f",
    ),
    "I": (
        AES128,
        Mac.SHA1_96,
        3,
        4,
        bytes.fromhex("4500001f00010000401165fd0a6300020a63000912340009000b0000616263"),
        HEAD % "00000003"
        + "7afc1bb6f9cc417992fdb7a3fc1db3cb5a676f9f193504d897f7fb30f2862ac956890e44868ca5c41dc7e6a78fd742ad6db34d2b"
        + "9c26dfb05b07386e",
    ),
    "N": (
        AES128,
        Mac.MD5_96,
        0,
        4,
        b"\0",
        HEAD % "00000000" + "080eb7be7d6f81d1710f1a06975c44fa1e1d4f58f0910126c2c186f1",
    ),
    "Z": (
        AES128,
        Mac.SHA1_96,
        7,
        5,
        bytes.fromhex(
            "000c4500005a00020000401165c90a6300010a63000200091234004600004142200b04000d414241424142414241424142414241"
            "42110000"
        ),
        HEAD % "00000007"
        + "436c33dbbdb417c3b4b9a20c2c5a50ecdc8bd87806180fa78c43ed376fafc1e99a8ee610ebc0199793492ae79718e4f11e208c89"
        + "a95d4642c36f3fec3edbbb12f96edce59f868422891f24c7",
    ),
}
B = bytes.fromhex(VECTORS["B"][5])
X1 = bytes.fromhex(
    HEAD % "00000008"
    + "08c178b079307341cbbfcbc06f977c2802d94e78086f25db077cbf8667d3d7dd559b764b7d8ebffd048859c7908ffe4892c3aeeb311fe57b"
    + "8330d850"
)
X2 = bytes.fromhex(HEAD % "00000009" + "8eed79c0311d76d093aa990be32339a30bbcd0738c61296ccf11863d")


@pytest.fixture(params=TWINS, ids=lambda make: make.__name__)
def twin(request: pytest.FixtureRequest) -> Twin:
    made: Twin = request.param(64)
    return made


# --- vectors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_is_decoded(twin: Twin, name: str) -> None:
    cipher, mac, _, header, payload, datagram = VECTORS[name]
    twin.set("esp.in", option(cipher, mac))
    seen = outcome(twin, [bytes.fromhex(datagram)])
    if name == "N":
        assert seen.controls == ((Kind.IPV4, b"\0"),) and not seen.packets and not counted(seen)
        assert seen.sink.aborted == 0  # it never came near the sink
    elif header == Kind.LZO:
        assert not seen.packets and counted(seen) == {"esp_lzo": 1}
    else:
        assert seen.packets == (payload,) and not counted(seen) and not seen.controls
        assert seen.sink.in_place == 1 and seen.sink.copied == 0
    assert seen.counters["esp_authentic"] == 1


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_is_encoded(name: str) -> None:
    """By the reference, whose IVs are given to it; what the C twin encodes is decrypted in the tests below."""
    cipher, mac, number, header, payload, datagram = VECTORS[name]
    encoder = Encoder()
    encoder.set("esp.out", option(cipher, mac))
    encoder.set("esp.out-sequence", number.to_bytes(4, "big"))
    assert encoder.encode_control(header, payload, run(0xA0, 16)).hex() == datagram


@pytest.mark.parametrize(
    ("cipher", "datagram"),
    [  # made with scapy 2.8 (AES-GCM), salt f0f1f2f3, IV a0..a7, P4 with number 1
        (
            Cipher.AES_128_GCM,
            "1234abcd00000001a0a1a2a3a4a5a6a772d69397246d298476ca77d4ef67d2426da73aca9ed96a0873f595f81e90a74069e25ab7ea99e8aa03d0ff641329a8f15573cce1b2ac83d0b16a0de3f6719f4c",
        ),
        (
            Cipher.AES_256_GCM,
            "1234abcd00000001a0a1a2a3a4a5a6a7c6f6733f0dc751c6d423868062b9975e3eb836d8a4046cd6e5e51fe025d44dee1161317723872018054d3fff1c59c2c2750dcc6f05154e9b3b1a788f3b5ec3cb",
        ),
    ],
)
def test_a_gcm_vector_both_ways(twin: Twin, cipher: Cipher, datagram: str) -> None:
    twin.set("esp.in", option(cipher, Mac.NONE))
    assert outcome(twin, [bytes.fromhex(datagram)]).packets == (P4,)
    encoder = Encoder()
    encoder.set("esp.out", option(cipher, Mac.NONE))
    encoder.set("esp.out-sequence", bytes([0, 0, 0, 1]))
    assert encoder.encode(P4, run(0xA0, 8)).hex() == datagram


# --- bad input: sections 5 and 12 -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("datagram", "number"), [(X1, 8), (X2, 9)])
def test_bad_padding_with_a_good_icv_moves_the_window(twin: Twin, datagram: bytes, number: int) -> None:
    seen = outcome(listening(twin, Peer()), [datagram, datagram, Peer().send(P4, number + 1)])
    assert seen.packets == (P4,) and counted(seen) == {"esp_pad": 1, "esp_replay": 1}


def test_any_changed_bit_is_found_and_touches_no_state(twin: Twin) -> None:
    listening(twin, Peer())
    changed = [bytes([*B[:at], B[at] ^ 1 << bit, *B[at + 1 :]]) for at in range(4, len(B)) for bit in range(8)]
    seen = outcome(twin, [*changed, B])
    assert seen.packets == (P4,) and counted(seen) == {"esp_icv": len(changed)}


def test_any_changed_bit_is_found_by_gcm(twin: Twin) -> None:
    good = Peer(Cipher.AES_128_GCM, Mac.NONE).send(P4, 5)
    listening(twin, Peer(Cipher.AES_128_GCM, Mac.NONE))
    changed = [
        bytes([*good[:at], good[at] ^ 1 << bit, *good[at + 1 :]]) for at in range(4, len(good)) for bit in (0, 7)
    ]
    for datagram in changed:
        assert not outcome(twin, [datagram]).packets  # given back: the reservation held what is not genuine
    seen = outcome(twin, [good])
    assert seen.packets == (P4,) and counted(seen) == {"esp_icv": len(changed)}
    assert seen.sink.aborted == len(changed) and seen.sink.in_place == 1


def test_a_second_time_is_a_replay(twin: Twin) -> None:
    seen = outcome(listening(twin, Peer()), [B, B])
    assert seen.packets == (P4,) and counted(seen) == {"esp_replay": 1}
    assert seen.counters["esp_authentic"] == 1  # a replay is no sign of life


@pytest.mark.parametrize("cipher", [Cipher.AES_128_CBC, Cipher.AES_128_GCM])
def test_every_truncation_is_dropped(twin: Twin, cipher: Cipher) -> None:
    mac = Mac.NONE if cipher is Cipher.AES_128_GCM else Mac.SHA1_96
    peer = Peer(cipher, mac)
    whole = peer.send(P4, 1)
    seen = outcome(listening(twin, peer), [whole[:n] for n in range(len(whole))])
    assert not seen.packets and not seen.counters["esp_authentic"]
    assert sum(counted(seen).values()) == len(whole)
    assert set(counted(seen)) == {"esp_short", "esp_align", "esp_icv"}


def test_b_cut_as_the_notes_say(twin: Twin) -> None:
    seen = outcome(listening(twin, Peer()), [B[:-n] for n in range(1, 32)])
    assert counted(seen) == {"esp_align": 30, "esp_icv": 1}


def test_an_unknown_spi_and_none_at_all(twin: Twin) -> None:
    assert counted(outcome(twin, [B, bytes(60)])) == {"esp_spi": 2}
    listening(twin, Peer())
    assert counted(outcome(twin, [bytes.fromhex("1234abce") + B[4:]])) == {"esp_spi": 3}


def test_a_nat_keepalive_is_no_packet(twin: Twin) -> None:
    assert counted(outcome(twin, [b"\xff", b"\xfe", b""])) == {"esp_keepalive": 1, "esp_short": 2}


@pytest.mark.parametrize(("cipher", "mac"), PAIRS, ids=PAIR_IDS)
def test_the_largest_and_what_is_larger(twin: Twin, cipher: Cipher, mac: Mac) -> None:
    peer = Peer(cipher, mac)
    listening(twin, peer)
    seen = outcome(twin, [peer.send(ipv4(MAX_SENT), 1), peer.send(ipv4(MAX_SENT + 1), 2), bytes(MAX_DATAGRAM + 1)])
    assert seen.packets == (ipv4(MAX_SENT),) and counted(seen) == {"esp_trunc": 2}


def test_the_wrong_icv_length_is_seen_as_bad_icvs(twin: Twin) -> None:
    """Q2: SHA256's ICV is longer, and nothing in the packet tells."""
    twin.set("esp.in", option(AES128, Mac.SHA256_128))
    assert counted(outcome(twin, [B])) == {"esp_align": 1}


NEXT_HEADERS: list[tuple[int, bytes, str]] = [
    (59, bytes(40), "esp_dummy"),
    (99, P4, "esp_nexthdr"),
    (0, P4, "esp_nexthdr"),
    (5, P4, "esp_lzo"),
    (41, P4, "esp_inner"),
    (4, P6, "esp_inner"),
    (4, bytes([0x45]), "esp_inner"),
    (4, bytes(2), "esp_inner"),
    (4, b"\x01", "esp_inner"),
    (4, ipv4(60)[:59], "esp_inner"),
    (41, ipv6(60)[:59], "esp_inner"),
    (4, b"\x45\x00\x00\x13" + bytes(40), "esp_inner"),  # total length 19
    (4, b"\x44\x00\x00\x14" + bytes(40), "esp_inner"),  # header of 16
]


@pytest.mark.parametrize(("header", "payload", "counter"), NEXT_HEADERS)
def test_a_payload_that_cannot_be_delivered(twin: Twin, header: int, payload: bytes, counter: str) -> None:
    seen = outcome(listening(twin, Peer()), [Peer().send(payload, 1, header=header)])
    assert not seen.packets and counted(seen) == {counter: 1}
    assert seen.controls == (((59, b""),) if header == 59 else ())
    assert seen.sink.not_ip == 0 and seen.counters["esp_authentic"] == 1


def test_bytes_beyond_the_ip_length_are_cut(twin: Twin) -> None:
    """Traffic-flow padding, section 4; and padding of 255 bytes."""
    datagrams = [
        Peer().send(P4 + b"hidden", 1),
        Peer().send(P6 + bytes(300), 2, header=41),
        Peer().send_plaintext(ipv4(46) + bytes(17) + run(1, 255) + b"\xff\x04", 3),
    ]
    seen = outcome(listening(twin, Peer()), datagrams)
    assert seen.packets == (P4, P6, ipv4(46))


@pytest.mark.parametrize("header", [4, 41])
def test_probes_are_control_frames(twin: Twin, header: int) -> None:
    """Q6, Q7: no IP packet, and its next header follows the outer family."""
    seen = outcome(listening(twin, Peer()), [Peer().send(b"\0", 0, header=header)])
    assert seen.controls == ((header, b"\0"),) and not counted(seen)


def test_a_sink_that_is_full_costs_packets_not_signs_of_life() -> None:
    for make in TWINS:
        for cipher, mac in PAIRS:
            peer = Peer(cipher, mac)
            sent = [peer.send(ipv4(40, mark=i), i) for i in range(4)]
            seen = outcome(listening(make(2), peer), [*sent, sent[3], peer.send(b"\0", 4)])
            assert seen.packets == (ipv4(40, mark=0), ipv4(40, mark=1))
            assert counted(seen) == {"esp_sink_full": 2, "esp_replay": 1}
            assert seen.controls == ((4, b"\0"),) and seen.counters["esp_authentic"] == 5


def test_a_flood_of_control_frames_is_bounded(twin: Twin) -> None:
    peer = Peer()
    listening(twin, peer)
    seen = outcome(twin, [peer.send(b"\0", i) for i in range(100)])
    assert len(seen.controls) == 64 and counted(seen) == {"esp_control_overflow": 36}


# --- LZO: section 11 -------------------------------------------------------------------------------------------------

Z_PACKET = bytes.fromhex("4500005a00020000401165c90a6300010a630002000912340046000041424142") + b"AB" * 29
Z_STREAM = VECTORS["Z"][4]


def test_z_is_expanded_where_it_was_decrypted(twin: Twin) -> None:
    twin.set("esp.lzo", (2048).to_bytes(2, "big"))
    twin.set("esp.in", GOOD)
    seen = outcome(twin, [bytes.fromhex(VECTORS["Z"][5])])
    assert seen.packets == (Z_PACKET,) and not counted(seen)
    assert seen.sink.expanded == 1 and seen.sink.copied == 0
    twin.set("esp.lzo", b"")
    assert counted(outcome(twin, [Peer().send(Z_STREAM, 8, header=5)])) == {"esp_lzo": 1}


@pytest.mark.parametrize(
    ("room", "stream", "counter"),
    [
        (90, Z_STREAM, ""),
        (89, Z_STREAM, "esp_lzo"),
        (2048, Z_STREAM + b"\0", "esp_lzo"),
        (2048, Z_STREAM[:-1], "esp_lzo"),
        (2048, bytes.fromhex("1261202020ff110000"), "esp_lzo"),
        (2048, b"\x20" + bytes(8000) + b"\x01\x00\x00\x11\0\0", "esp_lzo"),  # a bomb
        (
            2048,
            bytes([17 + 40]) + bytes([0x60]) + bytes(39) + b"\x11\0\0",
            "esp_inner",
        ),  # IPv6, which LZO never carries
        (2048, b"\x11\0\0", "esp_inner"),  # nothing at all
    ],
)
def test_lzo_garbage_and_bombs(twin: Twin, room: int, stream: bytes, counter: str) -> None:
    twin.set("esp.lzo", room.to_bytes(2, "big"))
    twin.set("esp.in", GOOD)
    seen = outcome(twin, [Peer().send(stream, 1, header=5)])
    assert counted(seen) == ({counter: 1} if counter else {})
    assert seen.packets == (() if counter else (Z_PACKET,)) and seen.counters["esp_authentic"] == 1


# --- echo replies that answer a probe: GlobalProtect notes, section 12 ------------------------------------------------

MAGIC = b"monitor\0\0pan ha "
P4_REPLY = P4[:12] + P4[16:20] + P4[12:16] + bytes([0]) + P4[21:]
P6_REPLY = P6[:8] + P6[24:40] + P6[8:24] + bytes([129]) + P6[41:]


def test_an_echo_reply_with_the_pattern_is_a_control_frame(twin: Twin) -> None:
    peer = Peer()
    listening(twin, peer)
    twin.set("esp.echo", bytes([4]) + P4[16:20] + MAGIC)
    with_options = b"\x46\x00\x00\x30" + P4_REPLY[4:20] + bytes(4) + P4_REPLY[20:]
    not_it = [P4, P4_REPLY[:12] + bytes(4) + P4_REPLY[16:], P4_REPLY[:-1] + b"!", b"\x45\0\0\x20" + P4_REPLY[4:]]
    seen = outcome(twin, [peer.send(p, n) for n, p in enumerate([P4_REPLY, with_options, *not_it])])
    assert seen.controls == ((4, P4_REPLY), (4, with_options))
    assert seen.packets == (P4, not_it[1], not_it[2], not_it[3][:32])
    twin.set("esp.echo", bytes([6]) + P6[24:40] + MAGIC)
    six = [peer.send(p, 10 + n, header=41) for n, p in enumerate([P6_REPLY, P6])]
    seen = outcome(twin, [*six, peer.send(P4_REPLY, 20)])
    assert seen.controls == ((41, P6_REPLY),) and seen.packets == (P6, P4_REPLY)
    twin.set("esp.echo", b"")
    assert outcome(twin, [peer.send(P6_REPLY, 21, header=41)]).packets == (P6_REPLY,)


# --- the encoder --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cipher", "mac"), PAIRS, ids=PAIR_IDS)
def test_every_length_is_padded_least_and_numbered_from_0(twin: Twin, cipher: Cipher, mac: Mac) -> None:
    peer, reader = Peer(cipher, mac), PythonTwin()
    twin.set("esp.out", peer.option)
    reader.set("esp.in", peer.option)
    ivs = set()
    for number, length in enumerate(range(20, 90)):
        packet = ipv4(length) if number % 2 or length < 40 else ipv6(length)
        datagram = twin.encode(packet)
        assert datagram[:8] == SPI.to_bytes(4, "big") + number.to_bytes(4, "big")
        assert len(datagram) == len(peer.send(packet, 0))
        ivs.add(datagram[8 : 8 + peer.suite.iv])
        assert outcome(reader, [datagram]).packets == (packet,)
    assert len(ivs) == 70


@pytest.mark.parametrize("make", NATIVE_TWINS)
def test_ivs_of_cbc_are_never_seen_twice_nor_counted_up(make: type[NativeTwin]) -> None:
    twin = make()
    twin.set("esp.out", GOOD)
    ivs = [twin.encode(P4)[8:24] for _ in range(1000)]  # many fillings of the pool
    twin.set("esp.out", GOOD)
    ivs += [twin.encode(P4)[8:24] for _ in range(1000)]  # the same keys, other IVs
    assert len(set(ivs)) == 2000
    ones = sum(int.from_bytes(iv, "big").bit_count() for iv in ivs)
    assert abs(ones / (2000 * 128) - 0.5) < 0.01


def test_nonces_of_gcm_differ_even_when_a_gateway_gives_the_same_keys_again() -> None:
    twin = NativeTwin()
    nonces = set()
    for _ in range(2):
        twin.set("esp.out", GCM)
        nonces |= {twin.encode(P4)[8:16] for _ in range(200)}
    assert len(nonces) == 400


def test_what_is_no_ip_packet_is_never_sent(twin: Twin) -> None:
    twin.set("esp.out", GOOD)
    for bad in (b"", b"\0", b"\x55" * 40, ipv4(MAX_SENT + 1)):
        with pytest.raises((ValueError, CodecError)):
            twin.encode(bad)
    for kind in (0, 6, 60, 256):
        with pytest.raises((ValueError, CodecError)):
            twin.encode_control(kind, P4)
    assert twin.encode(P4)[4:8] == bytes(4)  # nothing above cost a number


def test_a_probe_is_sent_as_its_kind(twin: Twin) -> None:
    reader = PythonTwin()
    for name, one in (("esp.out", twin), ("esp.in", reader)):
        one.set(name, GOOD)
    datagrams = [twin.encode_control(Kind.IPV4, b"\0"), twin.encode_control(Kind.IPV6, b"\0")]
    assert [len(datagram) for datagram in datagrams] == [52, 52]
    datagrams.append(twin.encode_control(Kind.DUMMY, b"x"))
    assert outcome(reader, datagrams).controls == ((4, b"\0"), (41, b"\0"), (59, b""))


def test_the_numbers_end(twin: Twin) -> None:
    twin.set("esp.out", GOOD)
    twin.set("esp.out-sequence", (LOW_NUMBER - 1).to_bytes(4, "big"))
    twin.encode(P4)
    assert twin.counters()["esp_seq_low"] == 0
    twin.encode(P4)
    assert twin.counters()["esp_seq_low"] == 1
    twin.set("esp.out-sequence", b"\xff\xff\xff\xff")
    assert twin.encode(P4)[4:8] == b"\xff\xff\xff\xff"
    twin.set("esp.out-sequence", bytes(4))  # never goes back
    for _ in range(2):
        with pytest.raises((ValueError, CodecError)):
            twin.encode(P4)
    assert twin.counters()["esp_seq_exhausted"] == 2 and twin.counters()["esp_seq_low"] == 2
    twin.set("esp.out", GOOD)
    assert twin.encode(P4)[4:8] == bytes(4)


# --- the twins against each other ---------------------------------------------------------------------------------

payloads = st.one_of(
    st.integers(20, 400).map(ipv4),
    st.integers(40, 400).map(ipv6),
    st.integers(20, 400).map(lambda n: ipv4(n) + b"tail"),
    st.binary(max_size=60),
    st.sampled_from([b"\0", P4, P4_REPLY, P6_REPLY, Z_STREAM, ipv4(16000)]),
)
headers = st.sampled_from([4, 4, 4, 41, 41, 5, 59, 0, 255])
numbers = st.integers(0, 200) | st.sampled_from([0xFFFFFFFE, 0xFFFFFFFF, 1 << 31])
peers = st.sampled_from([Peer(), OTHER, THIRD, Peer(Cipher.AES_128_GCM, Mac.NONE)])


@st.composite
def datagrams(draw: st.DrawFn) -> bytes:
    peer, number = draw(peers), draw(numbers)
    if draw(st.booleans()):
        return peer.send(draw(payloads), number, header=draw(headers))
    blocks = draw(st.integers(1, 20)) * peer.suite.align
    plain = draw(payloads)[: blocks - 2].ljust(blocks - 2, b"\x01") + bytes([draw(st.integers(0, 255)), draw(headers)])
    return peer.send_plaintext(plain, number)


actions = st.one_of(
    datagrams(),
    datagrams(),
    st.tuples(datagrams(), st.integers(0, 500), st.integers(0, 255)).map(
        lambda t: bytes(b ^ t[2] if i == t[1] % len(t[0]) else b for i, b in enumerate(t[0]))
    ),
    st.tuples(datagrams(), st.integers(0, 500)).map(lambda t: t[0][: t[1]]),
    st.binary(max_size=100),
    peers.map(lambda peer: ("esp.in", peer.option)),
    st.sampled_from([("esp.expire-old", b""), ("esp.close", b""), ("esp.in", GOOD[:9])]),
)


@given(st.lists(actions, max_size=25), st.sampled_from([1, 3, 64]), peers)
def test_the_twins_agree_on_whatever_comes(
    script: Sequence[bytes | tuple[str, bytes]], slots: int, first: Peer
) -> None:
    seen = []
    for make in TWINS:
        twin = make(slots)
        twin.set("esp.in", first.option)
        twin.set("esp.echo", bytes([4]) + P4[16:20] + MAGIC)
        twin.set("esp.lzo", b"\x08\0")
        for data, batch in groupby(script, lambda action: isinstance(action, bytes)):
            if data:
                twin.feed_all([action for action in batch if isinstance(action, bytes)])
                continue
            for action in batch:
                try:
                    twin.set(*action)
                except (MalformedFrame, CodecError) as exc:
                    assert str(exc) == "esp.in keys: got 1, want 36 (byte 8)"
        seen.append(outcome(twin, []))
    assert all(other == seen[0] for other in seen)
    assert all(ip_length(packet) == len(packet) for packet in seen[0].packets)


@given(st.sampled_from(PAIRS), st.lists(st.integers(20, 2000).map(ipv4) | st.integers(40, 2000).map(ipv6), max_size=20))
def test_what_one_twin_encodes_the_other_decodes(pair: tuple[Cipher, Mac], packets: list[bytes]) -> None:
    pairs = [(PythonTwin(), make()) for make in NATIVE_TWINS] + [(make(), PythonTwin()) for make in NATIVE_TWINS]
    for here, there in pairs:
        here.set("esp.out", option(*pair))
        there.set("esp.in", option(*pair))
        assert outcome(there, [here.encode(packet) for packet in packets]).packets == tuple(packets)
