"""PPP carriers: one suite over the Python references and their C twins, then each against the other.

Fuzz invariant: whatever bytes come, in whatever chunks, both twins (and the native one without its vector code) hand
out the same packets, control frames, counters and error text, and every packet they hand out is a whole IP packet.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import MalformedFrame
from protocols.framing.ppp_hdlc import HdlcEncoder
from protocols.framing.ppp_prefixed import CONTROL_RECORD, F5Encoder, FortinetEncoder
from tests.protocols.framing.ppp_twins import (
    ACCM_ALL,
    F5,
    FORTINET,
    FRAMINGS,
    HDLC,
    IDS,
    IP6CP,
    IPCP,
    IPV4,
    IPV6,
    LCP,
    MAKERS,
    NativeTwin,
    PlainTwin,
    PythonTwin,
    Twin,
    fcs,
    framed,
    ppp,
)
from tests.protocols.framing.twins import REFUSED, Outcome, corrupt, cut, in_steps, outcome, wild_cuts, wild_flips
from tests.transports.packets import ipv4, ipv6
from transports.codec import CodecError
from transports.sink import ip_length

BOTH, NONE = b"\3", b"\0"
PREFIXED = [F5, FORTINET]

# PPP notes, section 16.
V_LCP = bytes.fromhex("010100180104057802060000000005061122334407020802")
V_IPV4 = bytes.fromhex("450000257d7e00004001e7410a0b01020a0b01010800e9ce001100137e7d11135e5d001f20")


@pytest.fixture(params=MAKERS, ids=IDS)
def make(request: pytest.FixtureRequest) -> type[PythonTwin] | type[NativeTwin]:
    made: type[PythonTwin] | type[NativeTwin] = request.param
    return made


@pytest.fixture(params=FRAMINGS)
def framing(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def twin(make: type[PythonTwin] | type[NativeTwin], framing: str) -> Twin:
    return ready(make(framing))


def ready(twin: Twin, *, compressed: bool = False) -> Twin:
    twin.set("ppp.data", BOTH)
    if compressed:
        twin.set("ppp.pfc", b"\1")
        twin.set("ppp.acfc", b"\1")
    return twin


def mapped(twin: Twin, accm: int) -> Twin:
    twin.set("ppp.accm", accm.to_bytes(4, "big"))
    return twin


# --- vectors -----------------------------------------------------------------------------------------------------

H1 = "7eff7d23c0217d217d217d207d387d217d247d25787d227d267d207d207d207d207d257d267d312233447d277d227d287d2288b07e"
H5 = "7e21450000257d5d7d5e00004001e7410a0b01020a0b01010800e9ce001100137d5e7d5d11135e5d001f207b687e"
H5_ACCM_000A0000 = (
    "7e21450000257d5d7d5e00004001e7410a0b01020a0b01010800e9ce007d31007d337d5e7d5d7d317d335e5d001f207b687e"
)
H5_ACCM_ALL = (
    "7e21457d207d20257d5d7d5e7d207d20407d21e7417d2a7d2b7d217d227d2a7d2b7d217d217d287d20e9ce7d207d317d207d337d5e7d5d7d31"
    "7d335e5d7d207d3f207b687e"
)
H5_FULL_HEADER = "7eff030021450000257d5d7d5e00004001e7410a0b01020a0b01010800e9ce001100137d5e7d5d11135e5d001f2004447e"
IPCP_OPENCONNECT = "7e80210101000a03060a0b0102af097e"
IP6CP_OPENCONNECT = "7e80570101000e010a0000000000000002b29b7e"
F5_LCP = "f5000016ff03c021010100120104057805061122334407020802"
F5_IPV4 = "f500002621450000257d7e00004001e7410a0b01020a0b01010800e9ce001100137e7d11135e5d001f20"
FORTINET_LCP_FULL = "001850500012ff03c0210101000e01040569050611223344"
FORTINET_LCP = "001650500010c0210101000e01040569050611223344"
FORTINET_IPV4 = "002d505000270021450000257d7e00004001e7410a0b01020a0b01010800e9ce001100137e7d11135e5d001f20"
F5_LCP_INFORMATION = bytes.fromhex("010100120104057805061122334407020802")
FORTINET_LCP_INFORMATION = bytes.fromhex("0101000e01040569050611223344")


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
def test_the_vectors_in_hdlc(make: type[PythonTwin], step: int) -> None:
    wire = bytes.fromhex(
        H1 + H5 + H5_ACCM_000A0000 + IPCP_OPENCONNECT + H5_ACCM_ALL + H5_FULL_HEADER + IP6CP_OPENCONNECT
    )
    seen = outcome(ready(make(HDLC)), in_steps(wire, step))
    assert seen.packets == (V_IPV4,) * 4 and seen.counted() == {}
    assert seen.controls == (
        (LCP, V_LCP),
        (IPCP, bytes.fromhex("0101000a03060a0b0102")),
        (IP6CP, bytes.fromhex("0101000e010a0000000000000002")),
    )
    assert seen.sink.in_place == 4 and seen.sink.copied == seen.sink.aborted == 0


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
def test_the_vectors_behind_a_length(make: type[PythonTwin], step: int) -> None:
    f5 = outcome(ready(make(F5)), in_steps(bytes.fromhex(F5_LCP + F5_IPV4 + F5_LCP), step))
    assert f5.packets == (V_IPV4,) and f5.controls == ((LCP, F5_LCP_INFORMATION),) * 2
    wire = bytes.fromhex(FORTINET_LCP_FULL + FORTINET_IPV4 + FORTINET_LCP)
    fortinet = outcome(ready(make(FORTINET)), in_steps(wire, step))
    assert fortinet.packets == (V_IPV4,) and fortinet.controls == ((LCP, FORTINET_LCP_INFORMATION),) * 2
    assert f5.counted() == fortinet.counted() == {}
    assert f5.sink.in_place == fortinet.sink.in_place == 1


def test_the_vectors_encoded(make: type[PythonTwin]) -> None:
    hdlc = ready(make(HDLC), compressed=True)
    assert hdlc.encode_control(LCP, V_LCP).hex() == H1
    assert hdlc.encode(V_IPV4).hex() == H5_ACCM_ALL  # before a map is known
    assert mapped(hdlc, 0x000A0000).encode(V_IPV4).hex() == H5_ACCM_000A0000
    assert mapped(hdlc, 0).encode(V_IPV4).hex() == H5
    assert hdlc.encode_control(LCP, V_LCP).hex() == H1  # always with every control character escaped
    assert hdlc.encode_control(IPCP, bytes.fromhex("0101000a03060a0b0102")).hex() == IPCP_OPENCONNECT
    assert mapped(ready(make(HDLC)), 0).encode(V_IPV4).hex() == H5_FULL_HEADER
    f5 = ready(make(F5), compressed=True)
    assert f5.encode_control(LCP, F5_LCP_INFORMATION).hex() == F5_LCP and f5.encode(V_IPV4).hex() == F5_IPV4
    fortinet = ready(make(FORTINET))
    assert fortinet.encode_control(LCP, FORTINET_LCP_INFORMATION).hex() == FORTINET_LCP
    assert fortinet.encode(V_IPV4).hex() == FORTINET_IPV4


# --- the header of a packet ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [False, True])
@pytest.mark.parametrize("short", [False, True])
def test_every_form_of_the_header_is_taken(twin: Twin, framing: str, address: bool, short: bool) -> None:
    wire = b"".join(framed(framing, ppp(*p, address=address, short=short)) for p in ((IPV4, ipv4()), (IPV6, ipv6())))
    seen = outcome(twin, in_steps(wire, 5))
    assert seen.packets == (ipv4(), ipv6()) and seen.counted() == {}


@pytest.mark.parametrize(
    ("packet", "counter"),
    [
        ("ff03", "ppp_rx_short"),
        ("ff0300", "ppp_rx_short"),
        ("ff030021", "ppp_rx_short"),
        ("0021", "ppp_rx_short"),
        ("ff0357", "ppp_rx_short"),
        ("0020450000", "ppp_rx_bad_protocol"),
        ("ff03c020010100", "ppp_rx_bad_protocol"),
        ("0020", "ppp_rx_bad_protocol"),
    ],
)
def test_a_header_that_cannot_be_costs_the_packet(twin: Twin, framing: str, packet: str, counter: str) -> None:
    wire = framed(framing, bytes.fromhex(packet)) + framed(framing, ppp(IPV4, ipv4()))
    assert outcome(twin, [wire]).counted() == {counter: 1}
    seen = outcome(twin, in_steps(wire, 1))
    assert seen.counted() == {counter: 2} and seen.packets == (ipv4(),)


def test_other_protocols_are_control_frames(twin: Twin, framing: str) -> None:
    packets = [
        bytes.fromhex("80fd0101"),
        bytes.fromhex("ff01"),
        bytes.fromhex("ff03ff05"),
        bytes.fromhex("c02101"),
        b"\x3d\1",
    ]
    seen = outcome(twin, in_steps(b"".join(framed(framing, packet) for packet in packets), 1))
    assert seen.controls == ((0x80FD, b"\1\1"), (0xFF, b"\1"), (0xFF, b"\5"), (LCP, b"\1"), (0x3D, b"\1"))
    assert seen.counted() == {}


def test_data_passes_only_when_it_may(make: type[PythonTwin], framing: str) -> None:
    twin = make(framing)
    wire = framed(framing, ppp(IPV4, ipv4())) + framed(framing, ppp(IPV6, ipv6()))
    assert outcome(twin, [wire]).counted() == {"ppp_rx_early": 2}
    twin.set("ppp.data", b"\1")
    assert outcome(twin, [wire]).packets == (ipv4(),)
    twin.set("ppp.data", b"\2")
    assert outcome(twin, [wire]).packets == (ipv6(),)
    twin.set("ppp.data", NONE)
    seen = outcome(twin, [wire])
    assert seen.packets == () and seen.counted() == {"ppp_rx_early": 6} and seen.sink.aborted == 0


def test_a_family_that_may_not_pass_is_not_sent(make: type[PythonTwin], framing: str) -> None:
    twin = make(framing)
    twin.set("ppp.data", b"\2")
    assert twin.encode(ipv6())
    for kind in (None, IPV4):
        with pytest.raises(REFUSED):
            twin.encode(ipv4()) if kind is None else twin.encode_control(kind, ipv4())
    assert twin.counters()["ppp_tx_early"] == 2


def test_what_cannot_be_sent_is_refused(twin: Twin, framing: str) -> None:
    most = {F5: F5Encoder, HDLC: HdlcEncoder, FORTINET: FortinetEncoder}[framing].max_sent
    assert len(twin.encode_control(LCP, b"\x7e" * most)) <= 16384 and twin.encode(ipv4(most))
    for packet in (b"", bytes(20), b"\x75" + bytes(30), ipv4(most + 1)):
        with pytest.raises(REFUSED):
            twin.encode(packet)
    for kind, payload in ((LCP, bytes(most + 1)), (0x0020, b""), (0x0121, b""), (0x1C021, b""), (IPV4, ipv6())):
        with pytest.raises(REFUSED):
            twin.encode_control(kind, payload)
    assert twin.counters()["ppp_tx_early"] == 0


def test_the_largest_packet_and_one_too_long(twin: Twin, framing: str) -> None:
    largest, too_long = ipv4(16384), bytes(16385)
    full = outcome(twin, [framed(framing, ppp(IPV4, largest, address=True))])
    assert full.packets == (largest,) and full.sink.in_place == 1
    wire = framed(framing, ppp(IPV4, too_long)) + framed(framing, ppp(LCP, too_long)) + framed(framing, ppp(LCP, b"x"))
    seen = outcome(twin, in_steps(wire, 1000))
    assert seen.counted() == {"ppp_rx_too_long": 2} and seen.controls == ((LCP, b"x"),) and not seen.error


def test_a_sink_that_is_full_costs_packets_not_the_stream(make: type[PythonTwin], framing: str) -> None:
    twin = ready(make(framing, 2))
    wire = b"".join(framed(framing, ppp(IPV4, ipv4(40, mark=i))) for i in range(5)) + framed(framing, ppp(LCP, b"x"))
    seen = outcome(twin, [wire])
    assert seen.packets == (ipv4(40, mark=0), ipv4(40, mark=1)) and seen.controls == ((LCP, b"x"),)
    assert seen.counted() == {"ppp_sink_full": 3} and seen.sink.dropped_full == 3


def test_a_flood_of_control_frames_is_bounded(twin: Twin, framing: str) -> None:
    seen = outcome(twin, [framed(framing, ppp(LCP, b"x"))] * 100)
    assert len(seen.controls) == 64 and seen.counted() == {"ppp_control_overflow": 36}


# --- behind a length -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("framing", "prefix", "text"),
    [
        (F5, "f5010004", "ppp f5 prefix: got 'f5010004', want f500 and a length (byte 0)"),
        (F5, "48545450", "ppp f5 prefix: got '48545450', want f500 and a length (byte 0)"),
        (
            FORTINET,
            "001850510012",
            "ppp fortinet prefix: got '001850510012', want length + 6, 5050 and a length (byte 0)",
        ),
        (
            FORTINET,
            "001950500012",
            "ppp fortinet prefix: got '001950500012', want length + 6, 5050 and a length (byte 0)",
        ),
        (
            FORTINET,
            "0005" + "5050" + "ffff",
            "ppp fortinet prefix: got '00055050ffff', want length + 6, 5050 and a length (byte 0)",
        ),
    ],
)
def test_a_prefix_that_cannot_be_loses_the_stream(make: type[PythonTwin], framing: str, prefix: str, text: str) -> None:
    good = framed(framing, ppp(IPV4, ipv4()))
    for step in (1, 1000):
        seen = outcome(ready(make(framing)), [*in_steps(good + bytes.fromhex(prefix), step), good])
        assert seen.error == text and seen.packets == (ipv4(),) and seen.counted() == {}


@pytest.mark.parametrize("framing", PREFIXED)
@pytest.mark.parametrize("step", [1, 2, 5, 1000])
def test_nothing_behind_the_prefix_is_counted(make: type[PythonTwin], framing: str, step: int) -> None:
    wire = framed(framing, b"") * 3 + framed(framing, b"\x21") + framed(framing, b"\x3d") + framed(framing, b"\xff")
    seen = outcome(ready(make(framing)), in_steps(wire + framed(framing, ppp(IPV6, ipv6())), step))
    assert seen.counted() == {"ppp_rx_empty": 3, "ppp_rx_short": 2}
    assert seen.packets == (ipv6(),) and seen.controls == ((0x3D, b""),)


@pytest.mark.parametrize("framing", PREFIXED)
def test_a_datagram_holds_whole_packets(make: type[PythonTwin], framing: str) -> None:
    twin = ready(make(framing))
    good = framed(framing, ppp(IPV4, ipv4())) + framed(framing, ppp(LCP, b"x")) + framed(framing, b"")
    twin.feed_datagram(good + framed(framing, ppp(IPV6, ipv6())))
    seen = outcome(twin, [])
    assert seen.packets == (ipv4(), ipv6()) and seen.controls == ((LCP, b"x"),) and seen.sink.copied == 2
    assert seen.counted() == {"ppp_rx_empty": 1}
    bad = framed(framing, ppp(IPV4, ipv4()))
    for datagram in (bad[:-1], bad[-1:], bad[:3], b"\0" * 30, good + bad[:10], bad.replace(b"\x50\x50", b"\x50\x51")):
        twin.feed_datagram(datagram)
    twin.feed_datagram(b"")
    seen = outcome(twin, [])
    assert seen.packets == ((ipv4(),) if framing == FORTINET else (ipv4(), ipv4()))  # f5 has no 5050
    assert seen.counted() == {"ppp_rx_empty": 2, "ppp_rx_bad_datagram": 6 if framing == FORTINET else 5}


@pytest.mark.parametrize("framing", PREFIXED)
def test_a_datagram_in_the_middle_of_a_stream_leaves_it_alone(make: type[PythonTwin], framing: str) -> None:
    twin, wire = ready(make(framing)), framed(framing, ppp(IPV4, ipv4()))
    twin.feed(wire[:30])
    twin.feed_datagram(framed(framing, ppp(LCP, b"x")))
    seen = outcome(twin, [wire[30:]])
    assert seen.packets == (ipv4(),) and seen.controls == ((LCP, b"x"),)


HEARTBEAT = bytes.fromhex("00134746747970650068656172746265617400")  # Fortinet notes, section 11
SVRHELLO = bytes.fromhex("001f4746747970650073767268656c6c6f0068616e647368616b65006f6b00")


def test_control_records_of_fortinet_are_never_ppp(make: type[PythonTwin]) -> None:
    twin = ready(make(FORTINET))
    packet = framed(FORTINET, ppp(IPV4, ipv4()))
    unknown = (
        b"\x00\x0cGFtypeX\0\0\0",
        b"\x00\x0dGFtype\0news",
        b"\x00\x09GFtype\0",
        HEARTBEAT + packet,
        b"\0" + HEARTBEAT,
    )
    for record in (HEARTBEAT, SVRHELLO, SVRHELLO[:-1], HEARTBEAT, *unknown, packet, packet + HEARTBEAT):
        twin.feed_datagram(record)
    seen = outcome(twin, [])
    assert seen.packets == (ipv4(), ipv4()) and seen.controls == ()
    # of the unknown ones the first and the last have no mark; a svrhello whose length is wrong is unknown
    assert seen.counted() == {"forti_heartbeat": 2, "forti_rx_control": 4, "ppp_rx_bad_datagram": 3}


def test_control_records_are_fortinets_alone(make: type[PythonTwin]) -> None:
    twin = ready(make(F5))
    twin.feed_datagram(HEARTBEAT)
    assert outcome(twin, []).counted() == {"ppp_rx_bad_datagram": 1}
    for framing in (F5, HDLC):
        with pytest.raises(REFUSED):
            make(framing).encode_control(CONTROL_RECORD, HEARTBEAT[2:])


def test_a_gateway_sends_control_records(make: type[PythonTwin]) -> None:
    twin = make(FORTINET)
    assert twin.encode_control(CONTROL_RECORD, HEARTBEAT[2:]) == HEARTBEAT
    assert twin.encode_control(CONTROL_RECORD) == b"\0\2"
    longest = b"x" * FortinetEncoder.max_sent
    assert twin.encode_control(CONTROL_RECORD, longest) == b"\x3f\xfa" + longest
    for kind, payload in ((CONTROL_RECORD, longest + b"x"), (CONTROL_RECORD + 1, b""), (CONTROL_RECORD + 0x21, ipv4())):
        with pytest.raises(REFUSED):
            twin.encode_control(kind, payload)


ANSWER = b"HTTP/1.0 200 OK\r\nContent-length: 0\r\n\r\n"


def test_the_answer_of_f5_once_more_is_dropped_by_a_cause_of_its_own(make: type[PythonTwin]) -> None:
    twin = ready(make(F5))
    packet = framed(F5, ppp(IPV4, ipv4()))
    for record in (ANSWER, ANSWER[:7], ANSWER[:6], ANSWER + packet, packet, packet + ANSWER):
        twin.feed_datagram(record)
    seen = outcome(twin, [])
    assert seen.packets == (ipv4(), ipv4())
    assert seen.counted() == {"f5_late_answer": 3, "ppp_rx_bad_datagram": 2}
    other = ready(make(FORTINET))
    other.feed_datagram(ANSWER)
    assert outcome(other, []).counted() == {"ppp_rx_bad_datagram": 1}


def test_a_stream_has_no_control_records(make: type[PythonTwin]) -> None:
    assert "prefix" in outcome(ready(make(FORTINET)), [HEARTBEAT]).error


def test_hdlc_comes_in_no_datagram() -> None:
    with pytest.raises(CodecError):
        NativeTwin(HDLC).feed_datagram(b"\x7e")


# --- in hdlc ---------------------------------------------------------------------------------------------------------

GOOD = framed(HDLC, ppp(IPV4, V_IPV4))


@pytest.mark.parametrize(
    ("wire", "counted"),
    [  # PPP notes, sections 4 and 16
        ("7e7e7e", {}),
        ("7e7d7e", {}),  # an escape, but nothing un-stuffed: the frame is empty
        ("7e21457d7e", {"hdlc_aborted": 1}),
        ("7e214500007e", {"hdlc_bad_fcs": 1}),
        ("7e21457e", {"hdlc_short": 1}),
        ("7e2145007e", {"hdlc_short": 1}),
        ("217e", {"hdlc_short": 1}),
        ("7e7d7e7d7e", {}),
        ("7e21457d7e7d5e7e", {"hdlc_aborted": 1, "hdlc_short": 1}),  # the flag of the abort begins a frame
    ],
)
@pytest.mark.parametrize("step", [1, 2, 1000])
def test_bad_frames_are_counted_by_cause(make: type[PythonTwin], wire: str, counted: dict[str, int], step: int) -> None:
    seen = outcome(ready(make(HDLC)), in_steps(GOOD + bytes.fromhex(wire) + GOOD, step))
    assert seen.packets == (V_IPV4, V_IPV4) and seen.counted() == counted and not seen.error


@pytest.mark.parametrize("step", [1, 500, 1000, 100000])
def test_a_frame_that_is_too_long_is_eaten_to_its_end(make: type[PythonTwin], step: int) -> None:
    wire = b"\x7e\xff\x03\x00\x21" + bytes(16386) + b"\x7d"
    seen = outcome(ready(make(HDLC)), in_steps(GOOD + wire + b"\x7e" + GOOD + b"\x7e\x21" + b"a" * 40000, step))
    assert seen.counted() == {"hdlc_too_long": 2} and seen.packets == (V_IPV4, V_IPV4) and seen.sink.aborted == 2
    exact = outcome(ready(make(HDLC)), in_steps(wire[:-1] + b"\x7e", step))
    assert exact.counted() == {"hdlc_bad_fcs": 1}


def test_flags_may_be_shared_or_missing_in_front(make: type[PythonTwin]) -> None:
    shared = GOOD[1:] + GOOD[1:] + b"\x7e\x7e" + GOOD[:-1] + b"\x7e"
    for step in (1, 10, 1000):
        seen = outcome(ready(make(HDLC)), in_steps(shared, step))
        assert seen.packets == (V_IPV4,) * 3 and seen.counted() == {}


def test_escaped_needlessly_and_not_escaped_at_all(make: type[PythonTwin]) -> None:
    """Control characters come unescaped whatever the map; all but 5e may come escaped, and 7d 7d is 5d."""
    packet = ppp(IPV4, V_IPV4)
    plain = packet + fcs(packet).to_bytes(2, "little")
    everything = b"\x7e" + b"".join(bytes([byte] if byte == 0x5E else [0x7D, byte ^ 0x20]) for byte in plain) + b"\x7e"
    assert b"\x7d\x7d" in everything
    seen = outcome(ready(make(HDLC)), in_steps(everything + GOOD + everything, 17))
    assert seen.packets == (V_IPV4,) * 3 and seen.counted() == {}


def test_packets_of_one_read_each_have_a_reservation(make: type[PythonTwin]) -> None:
    packets = [ipv4(20 + 7 * i, mark=i) for i in range(60)]
    wire = b"".join(framed(HDLC, ppp(IPV4, packet, short=True), ACCM_ALL) for packet in packets)
    seen = outcome(ready(make(HDLC)), [wire])
    assert seen.packets == tuple(packets) and seen.sink.in_place == 60 and seen.sink.copied == 0


# --- options ---------------------------------------------------------------------------------------------------------


def test_options_that_are_refused(twin: Twin, framing: str) -> None:
    wrong = [
        ("ppp.data", b"", "ppp.data length: got 0, want 1 (byte 0)"),
        ("ppp.data", b"\4", "ppp.data: got 4, want 0..3 (byte 0)"),
    ]
    wrong.append(("ppp.mru", b"\0", f"framing {framing} has no option 'ppp.mru'"))
    if framing == FORTINET:
        wrong += [
            (name, b"\1", f"framing {framing} has no option '{name}'") for name in ("ppp.pfc", "ppp.acfc", "ppp.accm")
        ]
    else:
        wrong.append(("ppp.pfc", b"\2", "ppp.pfc: got 2, want 0..1 (byte 0)"))
        wrong.append(("ppp.acfc", b"\0\0", "ppp.acfc length: got 2, want 1 (byte 0)"))
    if framing == HDLC:
        wrong.append(("ppp.accm", b"\0", "ppp.accm length: got 1, want 4 (byte 0)"))
    for option, value, text in wrong:
        with pytest.raises((MalformedFrame, *REFUSED)) as caught:
            twin.set(option, value)
        assert str(caught.value) == text
    assert outcome(twin, [framed(framing, ppp(IPV4, ipv4()))]).packets == (ipv4(),)


@pytest.mark.parametrize("pfc", [0, 1])
@pytest.mark.parametrize("acfc", [0, 1])
def test_headers_are_as_granted(make: type[PythonTwin], pfc: int, acfc: int) -> None:
    for framing in (F5, HDLC):
        twin = ready(make(framing))
        twin.set("ppp.pfc", bytes([pfc]))
        twin.set("ppp.acfc", bytes([acfc]))
        if framing == HDLC:
            mapped(twin, 0)
        assert twin.encode(ipv4()) == framed(framing, ppp(IPV4, ipv4(), address=not acfc, short=bool(pfc)))
        assert twin.encode(ipv6()) == framed(framing, ppp(IPV6, ipv6(), address=not acfc, short=bool(pfc)))
        assert twin.encode_control(IPCP, b"x") == framed(framing, ppp(IPCP, b"x", address=not acfc))
        assert twin.encode_control(LCP, b"x") == framed(framing, ppp(LCP, b"x", address=True), ACCM_ALL)


# --- the twins against each other ------------------------------------------------------------------------------------

information = st.one_of(
    st.integers(20, 400).map(ipv4),
    st.integers(40, 400).map(ipv6),
    st.integers(20, 300).map(lambda n: ipv4(n) + b"tail"),
    st.binary(max_size=80),
    st.lists(st.sampled_from([0x7D, 0x7E, 0x5D, 0x5E, 0, 3, 0x11, 0xFF]), max_size=80).map(bytes),
    st.sampled_from([16383, 16384, 16385, 16390]).map(ipv4),
)
protocols = st.sampled_from([IPV4, IPV4, IPV4, IPV6, IPV6, LCP, IPCP, IP6CP, 0x80FD, 0x0020, 0xFF03, 0x00FF])
packets = st.builds(ppp, protocols, information, address=st.booleans(), short=st.booleans())
accms = st.sampled_from([0, 0, 0x000A0000, ACCM_ALL])
modes = st.sampled_from([b"\3", b"\3", b"\3", b"\1", b"\0"])


@st.composite
def streams(draw: st.DrawFn, framing: str) -> bytes:
    sent = [framed(framing, packet, draw(accms)) for packet in draw(st.lists(packets, max_size=12))]
    return b"".join(sent)


def seen_by(twin: Twin, mode: bytes, chunks: Sequence[bytes]) -> Outcome:
    twin.set("ppp.data", mode)
    return outcome(twin, chunks)


@pytest.mark.parametrize("framing", FRAMINGS)
@given(
    data=st.data(), flips=wild_flips, ours=wild_cuts, theirs=wild_cuts, slots=st.sampled_from([1, 3, 64]), mode=modes
)
def test_the_twins_agree_under_any_chunking_and_corruption(
    framing: str,
    data: st.DataObject,
    flips: Sequence[tuple[int, int]],
    ours: Sequence[int],
    theirs: Sequence[int],
    slots: int,
    mode: bytes,
) -> None:
    bad = corrupt(data.draw(streams(framing)), flips)
    reference = seen_by(PythonTwin(framing, slots), mode, cut(bad, ours))
    assert seen_by(NativeTwin(framing, slots), mode, cut(bad, theirs)) == reference
    assert seen_by(PlainTwin(framing, slots), mode, cut(bad, [*theirs, 5])) == reference
    assert all(ip_length(packet) == len(packet) for packet in reference.packets)


noise = st.lists(st.sampled_from([0x7D, 0x7E, 0x21, 0x57, 0xFF, 3, 0x50, 0xF5, 0, 6, 0x45, 0x5D]), max_size=80).map(
    bytes
)


@pytest.mark.parametrize("framing", FRAMINGS)
@given(data=noise | st.binary(max_size=64), good=st.booleans())
def test_the_twins_agree_on_noise_byte_by_byte(framing: str, data: bytes, good: bool) -> None:
    noisy = (framed(framing, ppp(LCP, b"ABCDE")) if good else b"") + data
    reference = seen_by(PythonTwin(framing), BOTH, [noisy])
    assert seen_by(NativeTwin(framing), BOTH, in_steps(noisy, 1)) == reference
    assert seen_by(PlainTwin(framing), BOTH, in_steps(noisy, 3)) == reference


@pytest.mark.parametrize("framing", PREFIXED)
@given(data=st.data(), flips=wild_flips, ends=st.lists(st.integers(0, 1 << 12), max_size=6))
def test_the_twins_agree_on_datagrams(
    framing: str, data: st.DataObject, flips: Sequence[tuple[int, int]], ends: Sequence[int]
) -> None:
    bad = corrupt(data.draw(streams(framing)), flips)
    records = data.draw(
        st.lists(st.sampled_from([HEARTBEAT, SVRHELLO, ANSWER]).map(lambda one: corrupt(one, flips)), max_size=3)
    )
    twins = [ready(PythonTwin(framing)), ready(NativeTwin(framing))]
    for datagram in (*cut(bad, ends), *records):
        for twin in twins:
            twin.feed_datagram(datagram)
    assert outcome(twins[0], []) == outcome(twins[1], [])


@pytest.mark.parametrize("framing", FRAMINGS)
@given(
    sent=st.lists(st.integers(20, 2000).map(ipv4) | st.integers(40, 2000).map(ipv6) | st.just(V_IPV4), max_size=12),
    cuts=wild_cuts,
    compressed=st.booleans(),
    accm=accms | st.integers(0, ACCM_ALL),
)
def test_what_one_twin_encodes_the_other_decodes(
    framing: str, sent: list[bytes], cuts: Sequence[int], compressed: bool, accm: int
) -> None:
    wires = []
    for here, there in ((PythonTwin, NativeTwin), (NativeTwin, PythonTwin), (PlainTwin, NativeTwin)):
        sender = ready(here(framing), compressed=compressed and framing != FORTINET)
        if framing == HDLC:
            mapped(sender, accm)
        wires.append(b"".join(sender.encode(packet) for packet in sent))
        assert outcome(ready(there(framing)), cut(wires[-1], cuts)).packets == tuple(sent)
    assert wires[0] == wires[1] == wires[2]
