"""The gateway's side: requests in, pages out; then frames in, actions out.  Sockets and devices are the lab's."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Sequence
from math import inf
from urllib.parse import parse_qs

from lantern.framing import Kind
from lantern.signin import PATH as SIGN_IN
from lantern.tunnel import PATH as TUNNEL
from vpnclient.api import (
    Control,
    Exhausted,
    Hangup,
    LabSession,
    LabSettings,
    OpenTunnel,
    Page,
    Request,
    Secret,
    Send,
    ServerAction,
    Store,
    Traffic,
    Warn,
)

FRAMING = "lantern"  # by the name of its entry point; tunnel.py gives the Framing itself
MAX_FIELDS = 8  # of a sign-in
MAX_TEXT = 200  # characters of a client's parting words that are logged


class LanternSite:
    """What the entry point names.  The store hands out addresses and cookies and finds sessions again."""

    name = "lantern"

    def __init__(self, settings: LabSettings, store: Store, token: Callable[[], str]) -> None:
        self._settings, self._store = settings, store

    def respond(self, request: Request, now: float) -> Page | OpenTunnel:
        match request.method, request.target:
            case "POST", path if path == SIGN_IN:
                return self._sign_in(request, now)
            case "CONNECT", path if path == TUNNEL:
                return self._connect(request, now)
        return Page(404, "Not Found", close=True)

    def _sign_in(self, request: Request, now: float) -> Page:
        try:
            said = parse_qs(request.body.decode("utf-8", "replace"), max_num_fields=MAX_FIELDS)
        except ValueError:  # more of them
            return Page(400, "Bad Request", close=True)
        user, password = (said.get(name, [""])[0] for name in ("username", "password"))
        if not matches(self._settings.users.get(user), password):
            return Page(403, "Forbidden")
        try:
            session = self._store.add(user, "", now)
        except Exhausted:
            return Page(503, "Service Unavailable")
        return Page(200, "OK", (("Content-Type", "text/plain"),), session.cookie.encode())

    def _connect(self, request: Request, now: float) -> Page | OpenTunnel:
        scheme, _, cookie = request.header("authorization").partition(" ")
        session = self._store.find(cookie, now) if scheme == "Lantern" else None
        if session is None:
            return Page(401, "Unauthorized", close=True)
        controller = LanternServer(self._settings, session, now)
        return OpenTunnel(session, "Shine", (), FRAMING, self._settings.mtu, controller)


class LanternServer:
    """One link of one session."""

    def __init__(self, settings: LabSettings, session: LabSession, now: float) -> None:
        self._settings, self._session = settings, session
        self._heard_at = now

    def on_controls(self, frames: Sequence[Control], now: float) -> list[ServerAction]:
        self._heard_at = max(self._heard_at, now)
        return [action for frame in frames for action in self._on_control(frame)]

    def on_time(self, traffic: Traffic, now: float) -> list[ServerAction]:
        self._heard_at = max(self._heard_at, traffic.received_at)
        if now >= self._session.expires_at:
            return self.farewell("session timeout")
        if now >= self._dead_at():
            return [Hangup(f"silent for {now - self._heard_at:.0f} s", forget=False)]
        return []

    def deadline(self) -> float:
        return min(self._dead_at(), self._session.expires_at)

    def farewell(self, reason: str) -> list[ServerAction]:
        return [Send(Control(Kind.BYE, reason.encode())), Hangup(reason, forget=True)]

    def _dead_at(self) -> float:
        """The client pings after dpd seconds, so it is gone when three of them were silent."""
        return self._heard_at + 3 * self._settings.dpd if self._settings.dpd else inf

    def _on_control(self, frame: Control) -> list[ServerAction]:
        match frame.kind:
            case Kind.HELLO:
                return [Send(Control(Kind.CONFIG, self._config(frame.payload)))]
            case Kind.PING:
                return [Send(Control(Kind.PONG, frame.payload[:64]))]
            case Kind.BYE:
                text = "".join(c if c.isprintable() else "." for c in frame.payload.decode("utf-8", "replace"))
                return [Hangup(f"client said {text[:MAX_TEXT]}", forget=True)]
        return [Warn(f"frame of kind {frame.kind} ignored")]

    def _config(self, hello: bytes) -> bytes:
        settings, session = self._settings, self._session
        v6 = session.v6 if wants_ipv6(hello) else None
        said = {
            "addresses": [str(address) for address in (session.v4, v6) if address is not None],
            "mtu": settings.mtu,
            "dns": [str(server) for server in settings.dns],
            "search": [settings.default_domain] if settings.default_domain else [],
            "include": [str(network) for network in settings.routes],
            "exclude": [str(network) for network in settings.no_routes],
            "dpd": settings.dpd,
            "banner": settings.banner,
        }
        return json.dumps(said).encode()


def wants_ipv6(hello: bytes) -> bool:
    try:
        said = json.loads(hello)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("ipv6") is True


def matches(wanted: Secret | None, given: str) -> bool:
    """Takes the same time whether the user exists or not."""
    known = wanted.reveal() if wanted is not None else ""
    return hmac.compare_digest(known.encode(), given.encode()) and wanted is not None
