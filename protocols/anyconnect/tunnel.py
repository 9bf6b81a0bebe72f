"""The CONNECT that turns a TLS connection into the CSTP channel (anyconnect.md sections 3.1 and 3.2)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from protocols.anyconnect import cookies, mtu, options
from protocols.anyconnect.agent import host_name, user_agent
from protocols.anyconnect.controller import CstpController
from protocols.anyconnect.dtls_ciphers import offered
from protocols.anyconnect.dtls_terms import DtlsOffer
from protocols.base import Ticket, Tunnel, TunnelOptions
from protocols.errors import ConfigurationRefused, ConnectRefused, CookieRejected, GatewayUnavailable, ProtocolError
from protocols.text import one_line
from transports.http import open_stream
from transports.http_url import Url
from transports.pathmtu import path_mtu

if TYPE_CHECKING:
    from transports.dialer import Dialer
    from transports.http import Response

FRAMING = "cstp"
STATELESS = ("oc-lz4", "lzs")
PATH = "/CSCOSSLC/tunnel"
COPYRIGHT = "Copyright (c) 2004 Cisco Systems, Inc."  # some ASAs refuse without it (Q3)


async def open_tunnel(dialer: Dialer, ticket: Ticket, wishes: TunnelOptions, now: float) -> Tunnel:
    """Open the tunnel.  now: monotonic seconds.  Raises ProtocolError or TransportError."""
    cookie = cookies.parse(ticket.cookie)
    url = Url.parse(ticket.connect_url)
    offer = dtls_offer(dialer, wishes)
    headers = request_headers(cookie, wishes, _gateway_address(dialer, ticket, url), url.port, offer)
    # One try more on a new connection, if this one is lost before the status line, is open_stream's (3.2).
    response, stream, unread = await open_stream(dialer, "CONNECT", f"https://{url.authority}{PATH}", headers)
    try:
        check_status(response)
        asked = options.Asked(wishes.ipv6, wishes.mtu, wishes.force_dpd, encodings(wishes), offer)
        negotiated = options.negotiate(response.headers, asked)
    except ProtocolError:
        await stream.close()
        raise
    config = negotiated.config
    if not config.banner:
        config = replace(config, banner=ticket.banner)
    chosen = (("cstp.compression", negotiated.encoding.encode()),) if negotiated.encoding else ()
    tunnel = Tunnel(stream, unread, FRAMING, config, CstpController(negotiated.timers, now), chosen)
    if offer is not None and negotiated.dtls is not None:
        from protocols.anyconnect import dtls

        life = dtls.controller(negotiated.dtls, config, one_port=bool(wishes.local_port))
        tunnel.controller = CstpController(negotiated.timers, now, life)
        tunnel.datagrams = dtls.channel(dialer, stream, negotiated.dtls, offer, life, wishes.local_port)
    return tunnel


def dtls_offer(dialer: Dialer, wishes: TunnelOptions) -> DtlsOffer | None:
    """None: no datagrams are wanted, or they could not get through (3.1).  Raises ConfigurationRefused: bad names."""
    if not wishes.datagrams or dialer.through_proxy:
        return None
    try:
        modes = offered(wishes.dtls_ciphers)
    except ValueError as exc:
        raise ConfigurationRefused("dtls-ciphers", str(exc)) from exc
    return DtlsOffer(modes, encodings(wishes))


def encodings(wishes: TunnelOptions) -> tuple[str, ...]:
    """What is offered, best first: methods without state, as far as the engine has them (section 8)."""
    if not wishes.compression:
        return ()
    from transports.compression import available

    return tuple(name for name in STATELESS if available(name))


def request_headers(
    cookie: cookies.SessionCookie,
    wishes: TunnelOptions,
    gateway: str,
    port: int = 443,
    offer: DtlsOffer | None = None,
) -> list[tuple[str, str]]:
    """gateway: its numeric address, or empty if unknown.  The place for the STRAP headers (2.12) is marked."""
    outer_ipv6 = ":" in gateway
    base, wanted = mtu.requested(
        base=wishes.base_mtu, mtu=wishes.mtu, path=path_mtu(gateway, port), outer_ipv6=outer_ipv6
    )
    headers = [
        ("User-Agent", user_agent(wishes.user_agent, wishes.version)),
        ("Cookie", f"{cookies.NAME}={cookie.webvpn.reveal()}"),  # only this one
        ("X-CSTP-Version", "1"),
        ("X-CSTP-Hostname", host_name(wishes.local_hostname)),
        ("X-CSTP-Protocol", COPYRIGHT),
        # here: X-AnyConnect-STRAP-*
        ("X-CSTP-Base-MTU", str(base)),
        ("X-CSTP-MTU", str(wanted)),
        ("X-CSTP-Address-Type", "IPv6,IPv4" if wishes.ipv6 else "IPv4"),
    ]
    if offered := encodings(wishes):
        headers.append(("X-CSTP-Accept-Encoding", ",".join(offered)))  # no spaces after the commas
    held = [address for address in wishes.held if wishes.ipv6 or address.version == 4]
    headers += [("X-CSTP-Address", str(address.ip)) for address in held]
    if wishes.ipv6:
        headers.append(("X-CSTP-Full-IPv6-Capability", "true"))
    return headers + (offer.headers() if offer is not None else [])


def check_status(response: Response) -> None:
    """Raises what a status other than 200 means."""
    if response.status == 200:
        return
    reason = one_line(response.header("X-Reason") or response.reason)[:200]
    said = f"{response.status} {reason}".rstrip()
    if response.status in (401, 403):
        raise CookieRejected(f"the gateway no longer accepts this session ({said})")
    if response.status == 503:
        raise GatewayUnavailable(f"the gateway cannot open the tunnel now ({said})")
    raise ConnectRefused(f"got HTTP status {said} to the CONNECT, want 200")


def _gateway_address(dialer: Dialer, ticket: Ticket, url: Url) -> str:
    if dialer.through_proxy:
        return ""
    known = ticket.address or dialer.address_of(url.host) or url.host
    try:
        return str(ip_address(known))
    except ValueError:
        return ""
