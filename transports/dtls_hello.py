"""Finds the session of a DTLS ClientHello, before any association exists.

Offset, size in bytes (big-endian):
     0  1  record type        22 handshake
     1  2  version            FE FF, FE FD or 01 00
     3  2  epoch              0
     5  6  sequence
    11  2  record length
    13  1  message type       1 ClientHello
    14  3  message length
    17  2  message sequence
    19  3  fragment offset    0
    22  3  fragment length
    25  2  client version
    27 32  random
    59  1  session id length  0..32
    60  n  session id
Source: RFC 6347 sections 4.1, 4.2.2 and 4.3.2.
"""

from __future__ import annotations

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_VERSIONS = (b"\xfe\xff", b"\xfe\xfd", b"\x01\x00")
_RECORD, _MESSAGE, _ID_LENGTH = (
    13,
    25,
    59,
)  # where the record's body, the message's body and the session id's length begin
MAX_SESSION_ID = 32  # bytes


def client_hello_session_id(datagram: bytes) -> bytes:
    """The session id of the ClientHello that a datagram begins with; empty: it has none, or is no ClientHello."""
    if len(datagram) <= _ID_LENGTH or datagram[0] != _HANDSHAKE or datagram[1:3] not in _VERSIONS:
        return b""
    if any(datagram[3:5]) or datagram[_RECORD] != _CLIENT_HELLO or any(datagram[19:22]):
        return b""
    record_end = _RECORD + int.from_bytes(datagram[11:13], "big")
    fragment_end = _MESSAGE + int.from_bytes(datagram[22:25], "big")
    length = datagram[_ID_LENGTH]
    end = _ID_LENGTH + 1 + length
    if length > MAX_SESSION_ID or end > min(len(datagram), record_end, fragment_end):
        return b""
    return bytes(datagram[_ID_LENGTH + 1 : end])
