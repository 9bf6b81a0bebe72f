"""The AnyConnect tunnel from the gateway's side: the headers of the CONNECT answer, and the life of the link after it.

    OPEN --DISCONNECT b0, TERMINATE sent, session timeout--> OVER (cookie dead)
         --DISCONNECT 91 or other, silence--> LOST (cookie lives)
Source: anyconnect.md sections 3.3, 4, 5, 10.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum, IntEnum
from ipaddress import IPv4Network
from urllib.parse import quote

from protocols.base import Control, Network, Send, Traffic, Warn
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import Hangup, Headers, Request, ServerAction
from vpnclient.lab.store import LabSession

FRAMING = "cstp"
MAX_TEXT = 200  # characters of a client's parting words that are logged
BASE_MTU = 1500  # bytes; the lab's links


class Kind(IntEnum):
    """Packet types of CSTP, section 4."""

    DPD_REQ = 3
    DPD_RESP = 4
    DISCONNECT = 5
    KEEPALIVE = 7
    TERMINATE = 9


REASON_USER = 0xB0  # the client ends its session
REASON_LOCAL_ERROR = 0x70


def tunnel_headers(settings: LabSettings, session: LabSession, request: Request, left: float) -> Headers:
    """What the gateway wants of the client's host.  left: seconds until the session expires."""
    full_v6 = request.header("x-cstp-full-ipv6-capability").strip().lower() == "true"
    headers = [
        ("X-CSTP-Version", "1"),
        ("X-CSTP-Server-Name", "vpnclient lab"),
        *_addresses(session, request, full_v6),
        *_names(settings, full_v6),
        *_routes("Include", settings.routes, full_v6),
        *_routes("Exclude", settings.no_routes, full_v6),
        ("X-CSTP-Keep", "true"),
        ("X-CSTP-Base-MTU", str(BASE_MTU)),
        ("X-CSTP-MTU", str(settings.mtu)),
        ("X-CSTP-DPD", str(settings.dpd)),
        ("X-CSTP-Keepalive", str(settings.keepalive)),
        ("X-CSTP-Rekey-Time", str(settings.rekey_time)),
        ("X-CSTP-Rekey-Method", settings.rekey_method if settings.rekey_time else "none"),
        ("X-CSTP-Session-Timeout", str(settings.session_timeout) if settings.session_timeout else "none"),
        ("X-CSTP-Session-Timeout-Remaining", str(int(left)) if settings.session_timeout else "none"),
        ("X-CSTP-Idle-Timeout", "none"),
        ("X-CSTP-Disconnected-Timeout", "none"),
    ]
    if settings.banner:
        headers.append(("X-CSTP-Banner", quote(settings.banner, safe=" !#$&'()*+,/:;=?@[]~")))
    return tuple(headers)


def _addresses(session: LabSession, request: Request, full_v6: bool) -> Headers:
    """IPv6 as one header for clients that know it (section 10), else the old way."""
    headers = [("X-CSTP-Address", str(session.v4.ip)), ("X-CSTP-Netmask", str(session.v4.netmask))]
    if session.v6 is None or "IPv6" not in request.header("x-cstp-address-type"):
        return tuple(headers)
    if full_v6:
        headers.append(("X-CSTP-Address-IP6", str(session.v6)))
    else:
        headers += [("X-CSTP-Address", str(session.v6.ip)), ("X-CSTP-Netmask", str(session.v6.network))]
    return tuple(headers)


def _names(settings: LabSettings, full_v6: bool) -> Headers:
    headers = []
    for server in settings.dns:
        if server.version == 4:
            headers.append(("X-CSTP-DNS", str(server)))
        elif full_v6:
            headers.append(("X-CSTP-DNS-IP6", str(server)))
    if settings.default_domain:
        headers.append(("X-CSTP-Default-Domain", settings.default_domain))
    headers += [("X-CSTP-Split-DNS", domain) for domain in settings.split_dns]
    return tuple(headers)


def _routes(which: str, networks: tuple[Network, ...], full_v6: bool) -> Headers:
    headers = []
    for network in networks:
        if isinstance(network, IPv4Network):
            headers.append((f"X-CSTP-Split-{which}", f"{network.network_address}/{network.netmask}"))
        elif full_v6:
            headers.append((f"X-CSTP-Split-{which}-IP6", str(network)))
    return tuple(headers)


class State(Enum):
    OPEN = "open"
    OVER = "over"
    LOST = "lost"


class AnyConnectServer:
    """One link of one session.  expires_at: monotonic seconds; then the session ends."""

    def __init__(self, *, dpd: int, keepalive: int, expires_at: float, now: float) -> None:
        self.state = State.OPEN
        self._dpd, self._keepalive, self._expires_at = float(dpd), float(keepalive), expires_at
        self._asked_at = -math.inf  # when our last DPD request left
        self._traffic = Traffic(now, now)

    def on_controls(self, frames: Sequence[Control], now: float) -> list[ServerAction]:
        """Of several DPD requests only the last is answered (section 4: a flood costs one answer a turn)."""
        asked = [frame for frame in frames if frame.kind == Kind.DPD_REQ]
        return [
            action
            for frame in frames
            if frame.kind != Kind.DPD_REQ or frame is asked[-1]
            for action in self._on_control(frame)
        ]

    def _on_control(self, frame: Control) -> list[ServerAction]:
        if self.state is not State.OPEN:
            return []
        handler = _HANDLERS.get(frame.kind)
        if handler is None:  # skipped, as ocserv does
            return [Warn(f"packet type {frame.kind} with {len(frame.payload)} bytes ignored")]
        return handler(self, frame)

    def on_time(self, traffic: Traffic, now: float) -> list[ServerAction]:
        self._traffic = traffic
        if self.state is not State.OPEN:
            return []
        if now >= self._expires_at:
            return self.farewell("session timeout")
        actions: list[ServerAction] = []
        if self._dpd and now > traffic.received_at + 2 * self._dpd:
            self.state = State.LOST
            return [Hangup(f"silent for {now - traffic.received_at:.0f} s", forget=False)]
        if now >= self._next_dpd():
            self._asked_at = now
            actions.append(Send(Control(Kind.DPD_REQ)))
        if now >= self._next_keepalive() and not actions:
            actions.append(Send(Control(Kind.KEEPALIVE)))
        if actions:
            self._traffic = Traffic(traffic.received_at, now)
        return actions

    def deadline(self) -> float:
        return min(self._next_dpd(), self._next_keepalive(), self._expires_at)

    def farewell(self, reason: str) -> list[ServerAction]:
        self.state = State.OVER
        return [Send(Control(Kind.TERMINATE, reason.encode())), Hangup(reason, forget=True)]

    def _next_dpd(self) -> float:
        """Section 5.1: a request a dpd after the last sign of life, then every half dpd."""
        if not self._dpd:
            return math.inf
        heard = self._traffic.received_at
        return self._asked_at + self._dpd / 2 if self._asked_at > heard else heard + self._dpd

    def _next_keepalive(self) -> float:
        return self._traffic.sent_at + self._keepalive if self._keepalive else math.inf

    def _on_dpd_req(self, frame: Control) -> list[ServerAction]:
        return [Send(Control(Kind.DPD_RESP, frame.payload))]

    def _on_sign_of_life(self, frame: Control) -> list[ServerAction]:
        return []  # that it came is all it says; the engine keeps the time

    def _on_disconnect(self, frame: Control) -> list[ServerAction]:
        """b0 and an empty one end the session; any other reason promises to come back (section 4)."""
        code = frame.payload[0] if frame.payload else REASON_USER
        text = "".join(c if c.isprintable() else "." for c in frame.payload[1:].decode(errors="replace"))
        forget = code in (REASON_USER, REASON_LOCAL_ERROR)
        self.state = State.OVER if forget else State.LOST
        return [Hangup(f"client said {code:02x} {text[:MAX_TEXT]}".rstrip(), forget=forget)]


_HANDLERS: dict[int, Callable[[AnyConnectServer, Control], list[ServerAction]]] = {
    Kind.DPD_REQ: AnyConnectServer._on_dpd_req,
    Kind.DPD_RESP: AnyConnectServer._on_sign_of_life,
    Kind.KEEPALIVE: AnyConnectServer._on_sign_of_life,
    Kind.DISCONNECT: AnyConnectServer._on_disconnect,
}
