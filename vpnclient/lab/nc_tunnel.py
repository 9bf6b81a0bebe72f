"""The Network Connect tunnel from the gateway's side: what is said before packets flow, and the life of the link.

    client: host name -> gateway: status 00, KMP 301 -> client: KMP 303 -> packets
    OPEN --session over, idle--> OVER (termination is sent, the cookie is dead)

Source: juniper.md sections 4, 5, 9 and 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from ipaddress import IPv4Address, IPv4Network
from math import inf

from protocols.base import Control, Network, Send, Traffic, UseDatagrams, Warn
from protocols.errors import MalformedFrame, ProtocolError
from protocols.framing.oncp import LENGTH, Encoder, Kind
from protocols.nc import esp, kmp
from vpnclient.lab.nc_esp import EspTunnel
from vpnclient.lab.nc_settings import NcSettings
from vpnclient.lab.site import Hangup, Records, ServerAction
from vpnclient.lab.store import LabSession

FRAMING = "oncp"
OPTIONS = (("gateway", b"\x01"),)
NAME_HEAD = bytes.fromhex("0004000000")  # before the length of the client's host name
NAME_TAIL = bytes.fromhex("bb0100000000")
MAX_NAME_RECORD = 2 + 13 + 255  # bytes
EXPIRED, IDLE = 1, 8  # reasons of a termination
LOOK_EVERY = 1.0  # seconds between two looks whether the session was ended by a page


def configuration(settings: NcSettings, session: LabSession, esp_side: EspTunnel | None) -> bytes:
    """The payload of the KMP 301.  Every group comes once, and none is empty: openconnect 9.01 stops at others."""
    address = [(1, session.v4.ip.packed), (2, b"\xff\xff\xff\xff"), (3, settings.network[1].packed)]
    names = [(1, server.packed) for server in settings.dns if isinstance(server, IPv4Address)]
    names += [(2, settings.default_domain.encode() + b"\0")] if settings.default_domain else []
    routes = [(3, _route(net)) for net in _v4(_includes(settings))]
    routes += [(4, _route(net)) for net in _v4(settings.no_routes)]
    mtu = [(esp.MTU, settings.mtu.to_bytes(4, "big"))]
    told = esp_side.groups() if esp_side is not None else []
    return kmp.write([(esp.Group.CONTROL, mtu), (1, address), *([(2, names)] if names else []), (3, routes), *told])


def _includes(settings: NcSettings) -> tuple[Network, ...]:
    """The gateway itself can always be reached."""
    return (settings.network, *settings.routes) if settings.routes else (IPv4Network("0.0.0.0/0"),)


def _v4(networks: tuple[Network, ...]) -> list[IPv4Network]:
    return [net for net in networks if isinstance(net, IPv4Network)]


def _route(net: IPv4Network) -> bytes:
    return net.network_address.packed + net.netmask.packed


class NcOpening:
    """The client's host name, then our status and configuration."""

    def __init__(self, settings: NcSettings, session: LabSession, esp_side: EspTunnel | None = None) -> None:
        self._settings, self._session, self._esp = settings, session, esp_side
        self._wire = bytearray()
        self._rest: bytes | None = None

    def begin(self) -> bytes:
        return b""

    def feed(self, data: bytes) -> Records:
        """Raises MalformedFrame."""
        self._wire += data
        if len(self._wire) < LENGTH.size or self._rest is not None:
            return b""
        (length,) = LENGTH.unpack_from(self._wire)
        end = LENGTH.size + length
        if end > MAX_NAME_RECORD:
            raise MalformedFrame("oncp host name record", got=length, want=f"<= {MAX_NAME_RECORD - 2}", at=0)
        if len(self._wire) < end:
            return b""
        self._check(bytes(self._wire[LENGTH.size : end]))
        if self._settings.status:
            self._wire.clear()
            return bytes([1, 0, self._settings.status])  # and no end: the client has to go
        self._rest = bytes(self._wire[end:])
        payload = configuration(self._settings, self._session, self._esp)
        return b"\x01\x00\x00", Encoder(gateway=True).encode_control(Kind.CONFIGURATION, payload)

    def rest(self) -> bytes | None:
        return self._rest

    def _check(self, record: bytes) -> None:
        name = record[len(NAME_HEAD) + 2 : -len(NAME_TAIL)]
        want = NAME_HEAD + LENGTH.pack(len(name)) + name + NAME_TAIL
        if record != want:
            raise MalformedFrame("oncp host name record", got=record[:32].hex(), want=want[:32].hex(), at=0)


class State(Enum):
    OPEN = "open"
    OVER = "over"


class NcServer:
    """One link of one session.  esp_side: its ESP, if there is one."""

    def __init__(
        self, settings: NcSettings, session: LabSession, esp_side: EspTunnel | None = None, *, now: float
    ) -> None:
        self.state = State.OPEN
        self._session, self._idle, self._esp = session, settings.idle_timeout, esp_side
        self._rekey_every = settings.esp_rekey if esp_side is not None else 0
        self._rekey_at = now + self._rekey_every if self._rekey_every else inf
        self._look_at = now + LOOK_EVERY

    def on_controls(self, frames: Sequence[Control], now: float) -> list[ServerAction]:
        return [action for frame in frames for action in self._on_control(frame)]

    def _on_control(self, frame: Control) -> list[ServerAction]:
        try:
            if frame.kind == Kind.ESP_KEYS and self._esp is not None:
                return [Warn("the client gives ESP keys"), *self._esp.on_keys(frame.payload)]
            if frame.kind != Kind.CONTROL:
                return [Warn(f"KMP {frame.kind} with {len(frame.payload)} bytes ignored")]
            attributes = kmp.read(frame.payload)
            switch = esp.read_switch(frame.payload)
        except ProtocolError as exc:
            return [Warn(f"KMP {frame.kind}: {exc}")]
        said = [f"{one.name} = {int.from_bytes(one.value[:4], 'big')}" for one in attributes[:8]]
        way = [] if switch is None else [UseDatagrams(switch)]
        return [Warn(f"the client says {', '.join(said) or 'nothing'}"), *way]

    def on_time(self, traffic: Traffic, now: float) -> list[ServerAction]:
        self._look_at = now + LOOK_EVERY
        if self.state is State.OVER:
            return []
        if now >= self._session.expires_at:
            return self._end("session over", EXPIRED)
        if self._idle and now >= max(traffic.received_at, traffic.sent_at) + self._idle:
            return self._end(f"idle for {self._idle} s", IDLE)
        if self._esp is not None and now >= self._rekey_at:
            self._rekey_at = now + self._rekey_every
            return [Warn("new ESP keys"), *self._esp.rekey()]
        return []

    def deadline(self) -> float:
        return min(self._look_at, self._session.expires_at, self._rekey_at)

    def farewell(self, reason: str) -> list[ServerAction]:
        return self._end(reason, IDLE)

    def _end(self, reason: str, code: int) -> list[ServerAction]:
        self.state = State.OVER
        return [Send(Control(Kind.TERMINATED, bytes([code]))), Hangup(reason, forget=True)]
