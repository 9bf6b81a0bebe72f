"""PPP carriers against an independent implementation: scapy's layers.ppp.

scapy knows the packet's header and the control protocols, not the stuffing; that is tests.protocols.framing.ppp_twins
with the standard library's CRC.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecations inside cryptography that scapy touches
    from scapy.layers.inet import ICMP, IP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.ppp import (
        HDLC as AddressControl,
    )
    from scapy.layers.ppp import (
        PPP,
        PPP_IPCP,
        PPP_IPCP_Option_DNS1,
        PPP_IPCP_Option_IPAddress,
        PPP_LCP_ACCM_Option,
        PPP_LCP_Configure,
        PPP_LCP_Echo,
        PPP_LCP_Magic_Number_Option,
        PPP_LCP_MRU_Option,
        PPP_LCP_Terminate,
    )
    from scapy.packet import Raw

from tests.protocols.framing.ppp_twins import (
    ACCM_ALL,
    FORTINET,
    FRAMINGS,
    HDLC,
    IDS,
    IPCP,
    LCP,
    MAKERS,
    Twin,
    framed,
)
from tests.protocols.framing.twins import in_steps, outcome


def inner() -> list[Any]:
    sizes = [0, 1, 15, 16, 17, 100, 1372]
    four = [IP(src="10.11.1.2", dst="10.11.1.1") / ICMP() / Raw(bytes(i & 0xFF for i in range(size))) for size in sizes]
    six = [IPv6(src="fd00:11::2", dst="fd00:11::1") / UDP(sport=9, dport=9) / Raw(b"\x7e\x7d" * size) for size in sizes]
    return four + six


def controls() -> list[Any]:
    lcp = [PPP_LCP_MRU_Option(max_recv_unit=1400), PPP_LCP_ACCM_Option(), PPP_LCP_Magic_Number_Option(magic_number=7)]
    ipcp = [PPP_IPCP_Option_IPAddress(data="10.11.1.2"), PPP_IPCP_Option_DNS1(data="0.0.0.0")]
    return [
        PPP(proto=LCP) / PPP_LCP_Configure(id=1, options=lcp),
        PPP(proto=LCP) / PPP_LCP_Echo(id=5, magic_number=0x11223344, data=b"abc"),
        PPP(proto=LCP) / PPP_LCP_Terminate(id=2, data=b"bye"),
        PPP(proto=IPCP) / PPP_IPCP(id=3, options=ipcp),
    ]


def number_of(packet: Any) -> int:
    return 0x57 if IPv6 in packet else 0x21


@pytest.fixture(params=FRAMINGS)
def framing(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=MAKERS, ids=IDS)
def twin(request: pytest.FixtureRequest, framing: str) -> Twin:
    made: Twin = request.param(framing)
    made.set("ppp.data", b"\3")
    return made


@pytest.mark.parametrize("accm", [0, ACCM_ALL])
def test_what_scapy_builds_is_decoded(twin: Twin, framing: str, accm: int) -> None:
    packets = inner()
    forms = [
        lambda packet: AddressControl() / PPP(proto=number_of(packet)) / packet,
        lambda packet: PPP(proto=number_of(packet)) / packet,
        lambda packet: PPP(proto=bytes([number_of(packet)])) / packet,
    ]
    for form in forms:
        wire = b"".join(framed(framing, bytes(form(packet)), accm) for packet in packets)
        assert outcome(twin, in_steps(wire, 977)).packets == tuple(bytes(packet) for packet in packets)
    wire = b"".join(framed(framing, bytes(AddressControl() / control), accm) for control in controls())
    seen = outcome(twin, [wire])
    assert seen.controls == tuple((control.proto, bytes(control.payload)) for control in controls())
    assert seen.counted() == {}


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_encoded_scapy_takes_apart(twin: Twin, framing: str, compressed: bool) -> None:
    compressed = compressed and framing != FORTINET  # which has no such options
    if compressed:
        twin.set("ppp.pfc", b"\1")
        twin.set("ppp.acfc", b"\1")
    for packet in inner():
        taken = PPP(unframed(framing, twin.encode(bytes(packet))))
        assert isinstance(taken, AddressControl) is (not compressed and framing != FORTINET)
        assert taken[PPP].proto == number_of(packet) and bytes(taken[PPP].payload) == bytes(packet)
        assert type(taken[PPP].payload) is type(packet)
    for control in controls():
        taken = PPP(unframed(framing, twin.encode_control(control.proto, bytes(control.payload))))
        assert taken[PPP].proto == control.proto and bytes(taken[PPP].payload) == bytes(control.payload)


def unframed(framing: str, wire: bytes) -> bytes:
    """The PPP packet of one frame, which must be the whole of it."""
    if framing != HDLC:
        prefix = 6 if framing == FORTINET else 4
        assert wire == framed(framing, wire[prefix:])
        return wire[prefix:]
    body, taken, flip = wire[1:-1], bytearray(), 0
    for byte in body:
        assert byte >= 32 and byte != 0x7E  # the map is still that of the beginning
        if byte == 0x7D:
            flip = 0x20
        else:
            taken.append(byte ^ flip)
            flip = 0
    packet = bytes(taken[:-2])
    assert wire == framed(framing, packet, ACCM_ALL)
    return packet
