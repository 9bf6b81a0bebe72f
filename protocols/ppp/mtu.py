"""How large a packet may be (section 11).  All sizes are bytes."""

from __future__ import annotations

DEFAULT_BASE = 1406  # path MTU when nothing is known
MIN_BASE = 1280
USUAL = 1500  # what is never exceeded unless the user wants it: the loopback's MTU is 65536
MIN_TUNNEL = 576
MIN_IPV6 = 1280  # RFC 8200, section 5
TCP = 32  # header with timestamps, as is usual on Linux
_TLS13, _TLS12 = 22, 29  # of a record, AES-GCM
_HDLC = 4  # two flags and the FCS
_ENCAPSULATION = {"ppp-f5": 4, "ppp-f5-hdlc": _HDLC, "ppp-fortinet": 6}
_PPP_HEADER = {"ppp-f5": 1, "ppp-f5-hdlc": 1, "ppp-fortinet": 2}  # compressed where it can be


def over_tls(framing: str, *, path: int, outer_ipv6: bool, tls: str, wanted: int = 0) -> int:
    """The largest packet that leaves in one segment.  path: MTU, 0: unknown.  wanted: the user's, 0: none.

    tls: the version, as in TlsInfo.
    """
    segment = max(path or DEFAULT_BASE, MIN_BASE) - (40 if outer_ipv6 else 20) - TCP
    room = segment - (_TLS13 if tls == "TLSv1.3" else _TLS12) - _ENCAPSULATION[framing] - _PPP_HEADER[framing]
    if framing == "ppp-f5-hdlc":
        room -= room >> 5  # four times what stuffing adds on average
    room = min(room, max(USUAL, wanted))
    return max(min(room, wanted or room), MIN_TUNNEL)
