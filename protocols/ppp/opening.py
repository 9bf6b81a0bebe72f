"""The engine behind a framing: bytes of the link in, records out, until packets may flow.

The framing's Python twin reads the few frames of the negotiation; from the first byte after them on the stream is the
pump's, with the options that were agreed on.  By datagrams it is the first record after them: a record is read whole,
and what follows the end of the negotiation in it is dropped, as datagrams may be.  Sans-IO.  Times: monotonic seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from protocols.base import Control
from protocols.errors import MalformedFrame, NegotiationFailed
from protocols.framing.ppp_hdlc import HdlcDecoder, HdlcEncoder
from protocols.framing.ppp_prefixed import F5Decoder, F5Encoder, FortinetDecoder, FortinetEncoder
from protocols.ppp.engine import Engine, Phase
from protocols.ppp.lcp import Granted

if TYPE_CHECKING:
    from transports.sink import Reservation, SinkStats

Options = tuple[tuple[str, bytes], ...]

_NO_PACKETS = "no packet passes before the network layer is open"


class _NoSink:
    """Where no packet ever comes: the decoder drops data as long as no family may pass."""

    def reserve(self, capacity: int) -> Reservation | None:
        raise AssertionError(_NO_PACKETS)

    def write(self, packet: bytes) -> bool:
        raise AssertionError(_NO_PACKETS)

    def flush(self) -> None:
        """Nothing was written."""

    def stats(self) -> SinkStats:
        raise AssertionError(_NO_PACKETS)


class _Decoder(Protocol):
    def feed(self, data: bytes) -> None: ...
    def feed_datagram(self, data: bytes) -> None: ...
    def next_control(self) -> Control | None: ...
    def counters(self) -> dict[str, int]: ...


class _Encoder(Protocol):
    def encode_control(self, kind: int, payload: bytes = b"") -> bytes: ...
    def set(self, option: str, value: bytes) -> None: ...


_CODECS: dict[str, tuple[type, type]] = {
    "ppp-f5": (F5Decoder, F5Encoder),
    "ppp-f5-hdlc": (HdlcDecoder, HdlcEncoder),
    "ppp-fortinet": (FortinetDecoder, FortinetEncoder),
}
BY_DATAGRAMS = frozenset({"ppp-f5", "ppp-fortinet"})  # a record holds whole packets
_BAD_FRAMES = ("hdlc_aborted", "hdlc_short", "hdlc_bad_fcs", "hdlc_too_long")


def framing_options(framing: str, families: int, granted: Granted) -> Options:
    """What the pump's codec must be told.  families: bits of ppp.data."""
    options = [("ppp.data", bytes([families]))]
    if framing != "ppp-fortinet":
        options += [("ppp.pfc", bytes([granted.pfc])), ("ppp.acfc", bytes([granted.acfc]))]
    if framing == "ppp-f5-hdlc":
        options.append(("ppp.accm", granted.accm.to_bytes(4, "big")))
    return tuple(options)


class Opening:
    """One negotiation.  framing: a name of _CODECS.  Every item returned leaves as one record (Q1).

    On a stream `feed`, on a datagram link `feed_datagram`: never both.
    """

    def __init__(self, framing: str, engine: Engine) -> None:
        decoder, encoder = _CODECS[framing]
        self._framing, self._engine = framing, engine
        self._decoder: _Decoder = decoder(_NoSink())
        self._encoder: _Encoder = encoder()
        self._good_frames = 0
        self.unread = b""  # what came behind the negotiation: the pump's

    @property
    def done(self) -> bool:
        """Packets may flow, or the peer has ended the link."""
        return self._engine.phase in (Phase.OPEN, Phase.ENDED, Phase.DEAD)

    def deadline(self) -> float:
        return self._engine.deadline()

    def options(self) -> Options:
        """For the pump's codec."""
        agreed = self._engine.agreed()
        return framing_options(self._framing, agreed.families, agreed.granted)

    def begin(self, now: float) -> list[bytes]:
        return self._encode(self._engine.begin(now))

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Any number of bytes of the stream.  Raises NegotiationFailed, ConfigurationRefused."""
        out: list[bytes] = []
        for at in range(len(data)):
            if self.done:
                self.unread += data[at:]
                break
            self._decode(data[at : at + 1])
            while (frame := self._decoder.next_control()) is not None:
                self._good_frames += 1
                out += self._encode(self._engine.on_frame(frame, now))
        return out

    def feed_datagram(self, record: bytes, now: float) -> list[bytes]:
        """One whole record; what is no PPP is counted and dropped.  Raises NegotiationFailed, ConfigurationRefused."""
        assert self._framing in BY_DATAGRAMS, f"{self._framing} goes by a stream alone"
        out: list[bytes] = []
        if not self.done:
            self._decoder.feed_datagram(record)
        while not self.done and (frame := self._decoder.next_control()) is not None:
            self._good_frames += 1
            out += self._encode(self._engine.on_frame(frame, now))
        return out

    def on_time(self, now: float) -> list[bytes]:
        """Raises NegotiationFailed, ConfigurationRefused."""
        try:
            return self._encode(self._engine.on_time(now))
        except NegotiationFailed as exc:
            bad = sum(self._decoder.counters().get(name, 0) for name in _BAD_FRAMES)
            if self._good_frames or not bad:
                raise
            text = f"{bad} damaged frames and not one good one"
            raise NegotiationFailed("ppp-hdlc-lost", text) from exc

    def _decode(self, data: bytes) -> None:
        try:
            self._decoder.feed(data)
        except MalformedFrame as exc:
            raise NegotiationFailed("ppp-bad-encapsulation", str(exc)) from exc

    def _encode(self, frames: list[Control]) -> list[bytes]:
        granted = self._engine.agreed().granted
        if self._framing != "ppp-fortinet":
            self._encoder.set("ppp.acfc", bytes([granted.acfc]))
        if self._framing == "ppp-f5-hdlc":
            self._encoder.set("ppp.accm", granted.accm.to_bytes(4, "big"))
        return [self._encoder.encode_control(frame.kind, frame.payload) for frame in frames]
