"""The datagram link of a pump: a UDP socket, perhaps DTLS on it, and a framing of datagrams.

It is made here, given to a pump, and belongs to that from then on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transports.engine import ERROR_SIZE, CData, errbuf, ffi, lib, text
from transports.errors import EngineError

if TYPE_CHECKING:
    from transports.dtls import Dtls
    from transports.udp import UdpSocket


@dataclass(frozen=True, slots=True)
class LinkDescription:
    """What people and controllers know of a link.

    name: "DTLS", "ESP".  host, port: the peer's, the host numeric.  detail: version and cipher.  overhead: bytes that
    the link adds to a frame.  path_mtu: bytes of the largest IP packet on the way there, as far as it is known; 0: not.
    """

    name: str
    host: str
    port: int
    detail: str = ""
    overhead: int = 0
    path_mtu: int = 0

    @property
    def ipv6(self) -> bool:
        return ":" in self.host


class DatagramLink:
    """Made of an open socket, which stays the caller's: the link keeps a duplicate of its descriptor."""

    def __init__(
        self,
        socket: UdpSocket,
        framing: str,
        *,
        description: LinkDescription,
        largest: int,
        dtls: Dtls | None = None,
        options: Iterable[tuple[str, bytes]] = (),
        inherit: bool = False,
    ) -> None:
        """framing: a name of the engine's.  largest: bytes of the largest datagram.  dtls: taken over.

        options: of the framing.  inherit: the state of the framing goes on from the pump's link before, and to the
        next, if that one inherits too: keys and sequence numbers; options are void then.  Raises EngineError.
        """
        error = errbuf()
        association = dtls.native if dtls is not None else ffi.NULL
        native = lib.ve_link_new(socket.fileno(), association, framing.encode(), largest, error, ERROR_SIZE)
        if not native:
            raise EngineError(text(error))
        if dtls is not None:
            dtls.given_away()
        self._native: CData | None = ffi.gc(native, lib.ve_link_free)
        self.description = description
        if inherit:
            lib.ve_link_inherit(native)
        for name, value in options:
            if lib.ve_link_set(native, name.encode(), value, len(value), error, ERROR_SIZE) != lib.VE_OK:
                raise EngineError(text(error))

    @property
    def native(self) -> CData:
        assert self._native is not None, "the link was given away or closed"
        return self._native

    def given_away(self) -> None:
        """A pump has it now."""
        ffi.gc(self.native, None)
        self._native = None

    def close(self) -> None:
        """Free it, unless a pump has it.  May be repeated."""
        if self._native is not None:
            ffi.release(self._native)
            self._native = None
