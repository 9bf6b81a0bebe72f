"""The request that opens a tunnel, the same bytes over TLS and DTLS, and its answer (section 6)."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from protocols import networks
from protocols.errors import ConfigurationRefused, GatewayUnavailable
from protocols.f5.errors import SessionRejected, TunnelRefused
from protocols.f5.options import Options
from protocols.networks import shown
from protocols.text import one_line

if TYPE_CHECKING:
    from transports.http import Response

MAX_HOSTNAME = 64  # bytes
MAX_PROBE = 1200  # bytes of the request if it is to go over DTLS, too


@dataclass(frozen=True, slots=True)
class Given:
    """Our addresses, as the answer's head tells them; None: not told."""

    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None


def target(options: Options, hostname: str, *, ipv6: bool) -> str:
    """Path and query: a secret.  No cookie goes with it: it would outgrow a datagram, and nobody needs it."""
    name = b64encode(hostname.encode("utf-8", "replace")[:MAX_HOSTNAME]).decode("ascii")
    return (
        f"/myvpn?sess={options.session.reveal()}&hdlc_framing={_yes(options.hdlc)}"
        f"&ipv4={_yes(options.ipv4)}&ipv6={_yes(ipv6)}&Z={options.z.reveal()}&hostname={name}"
    )


def judge(response: Response) -> None:
    """Raises what a status other than 200 and 201 means."""
    if response.status in (200, 201):
        return
    said = f"{response.status} {one_line(response.reason)[:200]}".rstrip()
    if response.status in (401, 403, 504):
        raise SessionRejected(f"the gateway no longer accepts this session ({said})")
    if response.status == 503:
        raise GatewayUnavailable(f"the gateway cannot open the tunnel now ({said})")
    raise TunnelRefused(f"got HTTP status {said}, want 200")


def addresses(response: Response) -> Given:
    """Raises ConfigurationRefused: an address that no host can have."""
    four, six = (_address(response, name) for name in ("X-VPN-client-IP", "X-VPN-client-IPv6"))
    if isinstance(four, IPv6Address) or isinstance(six, IPv4Address):
        raise ConfigurationRefused("config-bad-address", f"got {four} and {six}, want an IPv4 and an IPv6 address")
    return Given(four, six)


def _address(response: Response, name: str) -> IPv4Address | IPv6Address | None:
    text = (response.header(name) or "").strip()
    if not text:
        return None
    try:
        if "/" in text:
            raise ValueError(f"got {shown(text)}, want an address without a prefix")
        return networks.own(text)
    except ValueError as exc:
        raise ConfigurationRefused("config-bad-address", f"{name}: {exc}") from exc


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"
