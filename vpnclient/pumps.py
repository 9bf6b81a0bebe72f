"""Which pump carries a link: the engine's where the engine knows the framing, Python's otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Union

from protocols import registry
from protocols.errors import BrokenPlugin, MalformedFrame
from transports.codec import is_native
from transports.errors import TransportError
from transports.pump import Device, Pump

if TYPE_CHECKING:
    from transports.framing import Framing
    from transports.pump_python import PythonPump
    from transports.tls import TlsStream

AnyPump = Union[Pump, "PythonPump"]  # the second is loaded when a link needs it


def make_pump(
    device: Device,
    stream: TlsStream | None,
    framing: str | Framing,
    *,
    mtu: int,
    first: bytes = b"",
    options: Iterable[tuple[str, bytes]] = (),
) -> AnyPump:
    """mtu: bytes.  first: framing that was read already.  options: of an engine's framing, as negotiated.

    stream None: the pump gets a datagram link instead.  Raises EngineError, BrokenPlugin.
    """
    if stream is None:
        return Pump(device, None, "", mtu=mtu)
    if isinstance(framing, str):
        if is_native(framing):
            pump = Pump(device, stream, framing, mtu=mtu, first=first)
            for name, value in options:
                pump.set(name, value)
            return pump
        framing = registry.load_framing(framing)
    from transports.pump_python import PythonPump

    try:
        return PythonPump(device, stream, framing, mtu=mtu, first=first, malformed=MalformedFrame)
    except TransportError:
        raise
    except Exception as exc:  # of the framing's own code
        raise BrokenPlugin(f"framing {framing.name!r} cannot be used: {type(exc).__name__}: {exc}") from exc


def slowness(framing: str | Framing) -> str:
    """What a user should know about the pump of a framing; empty: nothing."""
    if isinstance(framing, str):
        if is_native(framing):
            return ""
        name = framing
    else:
        name = framing.name
    return f"the framing {name} exists in Python only: packets take the slow way"
