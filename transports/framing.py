"""What a framing is that exists in Python only: a decoder and an encoder, as one value.

    bytes of the link -> Decoder.feed -> packets into a sink, control frames for next_control
    packets, control frames -> Encoder -> bytes for the link, a TLS record each

A framing that the engine knows is named by a text instead: see pump.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from transports.sink import PacketSink

FEED_SIZE = 512  # bytes that a decoder gets at once, at most; then its control frames are taken
MAX_FRAME = 16384  # bytes of one frame to the link: one TLS record


class Frame(Protocol):
    """A frame that is not data.  `kind` is the framing's own number, 0 to 2^32 - 1."""

    @property
    def kind(self) -> int: ...
    @property
    def payload(self) -> bytes: ...


class Decoder(Protocol):
    """Wire bytes in, however they are cut; packets into the sink it was made with, control frames out.

    It keeps as many control frames as FEED_SIZE bytes can bring; a flood beyond its bounds is dropped and counted.
    """

    def feed(self, data: bytes) -> None:
        """Raises MalformedFrame of the protocols' floor: the stream cannot go on."""

    def next_control(self) -> Frame | None:
        """The oldest control frame that was not taken yet."""

    def counters(self) -> dict[str, int]:
        """Drops and oddities by cause; the names do not change."""


class Encoder(Protocol):
    """Packets and control frames to wire bytes, at most MAX_FRAME for each."""

    def encode(self, packet: bytes) -> bytes:
        """A whole IP packet, framed.  Raises ValueError: not a packet that this framing carries."""

    def encode_control(self, kind: int, payload: bytes = b"") -> bytes:
        """Raises ValueError: no such kind, or the payload is too large."""


@dataclass(frozen=True, slots=True)
class Framing:
    """decoder, encoder: called once for each link.  max_payload: bytes of the largest packet that fits MAX_FRAME."""

    name: str
    decoder: Callable[[PacketSink], Decoder]
    encoder: Callable[[], Encoder]
    max_payload: int

    def __post_init__(self) -> None:
        if not 0 < self.max_payload <= MAX_FRAME:
            raise ValueError(f"framing {self.name}: max_payload: got {self.max_payload}, want 1..{MAX_FRAME}")
