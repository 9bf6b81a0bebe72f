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
_FULL_HEADER = {"ppp-f5": 4, "ppp-fortinet": 2}
_UDP = 8
_DTLS_HEADER = 13
_TAG, _EXPLICIT_NONCE, _BLOCK = 16, 8, 16
_MACS = {"SHA384": 48, "SHA256": 32}  # at the end of a CBC suite's name; SHA: 20


def over_tls(framing: str, *, path: int, outer_ipv6: bool, tls: str, wanted: int = 0, ipv6: bool = False) -> int:
    """The largest packet that leaves in one segment.  path: MTU, 0: unknown.  wanted: the user's, 0: none.

    tls: the version, as in TlsInfo.  ipv6: it is to pass too, on any path, if in two segments; unless `wanted` forbids.
    """
    segment = max(path or DEFAULT_BASE, MIN_BASE) - (40 if outer_ipv6 else 20) - TCP
    room = segment - (_TLS13 if tls == "TLSv1.3" else _TLS12) - _ENCAPSULATION[framing] - _PPP_HEADER[framing]
    if framing == "ppp-f5-hdlc":
        room -= room >> 5  # four times what stuffing adds on average
    room = min(room, max(USUAL, wanted))
    least = MIN_IPV6 if ipv6 and (wanted or MIN_IPV6) >= MIN_IPV6 else MIN_TUNNEL
    return max(min(room, wanted or room), least)


def over_dtls(
    framing: str, *, path: int, outer_ipv6: bool, cipher: str, wanted: int = 0, compressed: bool = True
) -> int:
    """The largest packet that leaves in one datagram: a hard limit, on a narrow path below MIN_TUNNEL.

    path, wanted: as above.  cipher: OpenSSL's name of the suite.  compressed: the peer takes short PPP headers.
    """
    datagram = (path or DEFAULT_BASE) - (40 if outer_ipv6 else 20) - _UDP
    header = _PPP_HEADER[framing] if compressed else _FULL_HEADER[framing]
    room = plaintext_in(datagram, cipher) - _ENCAPSULATION[framing] - header
    return min(room, max(wanted, MIN_TUNNEL) if wanted else USUAL)


def plaintext_in(datagram: int, cipher: str) -> int:
    """Bytes of plaintext that one DTLS record in so many bytes holds."""
    room = datagram - _DTLS_HEADER
    if "GCM" in cipher or "CCM" in cipher:
        return room - _EXPLICIT_NONCE - _TAG  # the tag of CCM8 is shorter: no matter
    if "CHACHA20" in cipher:
        return room - _TAG
    blocks = room - _BLOCK  # behind the IV
    mac = _MACS.get(cipher.rpartition("-")[2], 20)  # it is encrypted: the engine does not offer RFC 7366
    return blocks // _BLOCK * _BLOCK - 1 - mac
