"""`vpnclient lab serve fortinet`: the Fortinet gateway and its variants."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from protocols.base import Secret


def serve_fortinet(
    listen: Annotated[str, typer.Option(help="ADDRESS:PORT to listen on; port 0: any free one")] = "127.0.0.1:0",
    user: Annotated[list[str] | None, typer.Option(help="who may sign in (repeatable)")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="read a password a line, one for each --user")
    ] = False,
    realm: Annotated[str, typer.Option(help="send every sign-in to this realm")] = "",
    script_redirect: Annotated[bool, typer.Option("--script-redirect", help="... by a script")] = False,
    challenge: Annotated[str, typer.Option(help="ask for this code as a second factor")] = "",
    page_challenge: Annotated[bool, typer.Option("--page-challenge", help="... on a page, not as a line")] = False,
    push: Annotated[bool, typer.Option("--push", help="an empty code is approved, as by a phone")] = False,
    host_check: Annotated[str, typer.Option(help="what a client must say of its computer; empty: nothing")] = "",
    reconnects: Annotated[int, typer.Option(help="how often a session may come back; -1: always")] = -1,
    udp: Annotated[bool, typer.Option("--udp/--no-udp", help="offer DTLS at the same port, or do not")] = True,
    hello: Annotated[str, typer.Option(help="answer to a client by DTLS: ok, bare, lost, fail or mute")] = "ok",
    heartbeat: Annotated[int, typer.Option(help="seconds between two signs of life by DTLS; 0: none")] = 10,
    route: Annotated[list[str] | None, typer.Option(help="network behind the gateway (repeatable)")] = None,
    no_route: Annotated[list[str] | None, typer.Option(help="network to keep outside (repeatable)")] = None,
    dns: Annotated[list[str] | None, typer.Option(help="name server (repeatable)")] = None,
    default_domain: Annotated[str, typer.Option(help="search domain")] = "",
    split_dns: Annotated[list[str] | None, typer.Option(help="domain to resolve through the tunnel")] = None,
    mtu: Annotated[int, typer.Option(help="bytes of inner packet")] = 1400,
    network: Annotated[str, typer.Option(help="IPv4 addresses for clients")] = "10.77.0.0/24",
    network6: Annotated[str, typer.Option(help="IPv6 addresses for clients; empty: none")] = "fd77::/64",
    dpd: Annotated[int, typer.Option(help="seconds until a silent client is asked; 0: never")] = 30,
    session_timeout: Annotated[int, typer.Option(help="seconds until a session ends; 0: never")] = 0,
    tls_max: Annotated[str, typer.Option(help="newest TLS version: 1.2 or 1.3")] = "",
    certificate_file: Annotated[
        Path | None, typer.Option("--certificate", help="PEM; without it one is made, self-signed")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM key of --certificate, if in another file")] = None,
) -> None:
    """Run a Fortinet SSL VPN gateway.

    Output and signals are those of `lab serve anyconnect`.
    """
    from vpnclient.cli import lab
    from vpnclient.errors import UsageError
    from vpnclient.lab.fortinet import FortinetSite, FortinetVariants
    from vpnclient.lab.settings import LabSettings

    host, port = lab.host_and_port(listen)
    if script_redirect and not realm:
        raise UsageError("--script-redirect: there is nowhere to lead, give --realm too")
    if page_challenge and (push or not challenge):
        raise UsageError("--page-challenge: want --challenge with it, and no --push")
    variants = FortinetVariants(realm, script_redirect, page_challenge, push, reconnects, hello, heartbeat, host_check)
    if problems := variants.problems():
        raise UsageError("; ".join(problems))
    settings = LabSettings(
        listen_host=host,
        listen_port=port,
        users=lab.read_users(user or [], password_stdin),
        challenge=Secret(challenge) if challenge else None,
        certificate=certificate_file,
        key=key,
        tls_max=tls_max,
        network=lab.parse_one("--network", network, ipaddress.IPv4Network),
        network6=lab.parse_one("--network6", network6, ipaddress.IPv6Network) if network6 else None,
        routes=lab.parse_all("--route", route, ipaddress.ip_network),
        no_routes=lab.parse_all("--no-route", no_route, ipaddress.ip_network),
        dns=lab.parse_all("--dns", dns, ipaddress.ip_address),
        default_domain=default_domain,
        split_dns=tuple(split_dns or ()),
        mtu=mtu,
        dpd=dpd,
        session_timeout=session_timeout,
        udp=udp,
    )
    lab.serve_site(settings, lambda _, store, token: FortinetSite(settings, store, token, variants))
