"""The beginning of an oNCP stream, up to the end of the first KMP 301: what oncp.py and oncp.c go on from.

    client   hostname record
    gateway  a record: one byte of status, 00 is good, and perhaps the start of the 301
             records with the rest of the 301; whole records of IP packets may lie between them, and are dropped
             or a record of length 0 and one byte of reason: the end

Whole records are looked at here, as only they tell packets from configuration.  Needs no twin: it runs once a link.
Source: Juniper notes, sections 1, 4 and 6.
"""

from __future__ import annotations

from protocols.errors import ConfigurationRefused, MalformedFrame
from protocols.framing.oncp import HEADER, LENGTH, Kind

MAX_HOSTNAME = 255  # bytes
MAX_RECORDS = 4096  # up to the end of the 301
MAX_INTERLEAVED = 1 << 20  # bytes of packets between them


def hostname_record(name: str) -> bytes:
    """What the client says first.  Raises ValueError: longer than MAX_HOSTNAME."""
    text = name.encode()
    if len(text) > MAX_HOSTNAME:
        raise ValueError(f"oncp host name of {len(text)} bytes: want <= {MAX_HOSTNAME}")
    body = bytes.fromhex("0004000000") + LENGTH.pack(len(text)) + text + bytes.fromhex("bb0100000000")
    return LENGTH.pack(len(body)) + body


def is_foreign(record: bytes) -> bool:
    """Whether a record holds nothing but whole messages of IPv4 packets."""
    at = 0
    while len(record) - at >= HEADER.size:
        zero, kind, byte8, *_, length = HEADER.unpack_from(record, at)
        begin, end = at + HEADER.size, at + HEADER.size + length
        if any(zero) or kind != Kind.DATA or byte8 > 1 or any(record[at + 9 : at + 18]):
            return False
        if not length or end > len(record) or record[begin] >> 4 != 4:
            return False
        at = end
    return at == len(record) > 0


class Opening:
    """Wire bytes in; the first of status, reason and configuration that decides the matter."""

    def __init__(self) -> None:
        self.status: int | None = None  # 0: accepted; others refuse
        self.reason: int | None = None  # the gateway ended the stream
        self.configuration: bytes | None = None  # the payload of the first 301
        self.dropped = 0  # records of packets
        self.rest = b""  # once there is a configuration: what the decoder (or the pump) is to be fed first
        self._wire = bytearray()
        self._messages = bytearray()  # status aside, what belongs to the 301
        self._records = 0
        self._interleaved = 0  # bytes

    def feed(self, data: bytes) -> bool:
        """Take any number of bytes; True: decided.  Raises MalformedFrame, ConfigurationRefused."""
        self._wire += data
        while not self._decided() and self._take_record():
            pass
        return self._decided()

    def _decided(self) -> bool:
        return bool(self.status) or self.reason is not None or self.configuration is not None

    def _take_record(self) -> bool:
        """Whether a whole record was there."""
        if len(self._wire) < LENGTH.size + 1:
            return False
        (length,) = LENGTH.unpack_from(self._wire)
        if not length:
            self.reason = self._wire[LENGTH.size]
            return True
        end = LENGTH.size + length
        if len(self._wire) < end:
            return False
        record = bytes(self._wire[LENGTH.size : end])
        del self._wire[:end]
        self._on_record(record)
        return True

    def _on_record(self, record: bytes) -> None:
        self._records += 1
        if self.status is None:
            self.status = record[0]
            self._messages += record[1:]
        elif self._messages and is_foreign(record):
            self.dropped += 1
            self._interleaved += len(record)
        else:
            self._messages += record
        if not self.status:
            self._on_messages()
        if self.configuration is None and (self._records >= MAX_RECORDS or self._interleaved > MAX_INTERLEAVED):
            got = f"{self._records} records, {self._interleaved} bytes of packets between them"
            raise ConfigurationRefused("oncp-config-too-large", f"the configuration has no end after {got}")

    def _on_messages(self) -> None:
        if len(self._messages) < HEADER.size:
            return
        zero, kind, *_, length = HEADER.unpack_from(self._messages)
        if any(zero):
            raise MalformedFrame("oncp kmp header", got=zero.hex(), want="000000000000", at=0)
        if kind != Kind.CONFIGURATION:
            raise MalformedFrame("oncp first message", got=kind, want=int(Kind.CONFIGURATION), at=6)
        end = HEADER.size + length
        if len(self._messages) >= end:
            self.configuration = bytes(self._messages[HEADER.size : end])
            behind = bytes(self._messages[end:])  # borders of records mean nothing: it may have one of its own
            self.rest = (LENGTH.pack(len(behind)) + behind if behind else b"") + bytes(self._wire)
