"""`vpnclient lab serve gp`."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from protocols.base import Secret


def serve_gp(
    listen: Annotated[str, typer.Option(help="ADDRESS:PORT to listen on; port 0: any free one")] = "127.0.0.1:0",
    user: Annotated[list[str] | None, typer.Option(help="who may sign in (repeatable)")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="read a password a line, one for each --user")
    ] = False,
    without: Annotated[str, typer.Option(help="be no portal, or no gateway")] = "",
    gateway: Annotated[list[str] | None, typer.Option(help="label of a gateway that does not exist")] = None,
    challenge: Annotated[str, typer.Option(help="ask for this code in a second form")] = "",
    challenge_kind: Annotated[str, typer.Option(help="how it is asked for: xml, js or html")] = "xml",
    challenge_at: Annotated[str, typer.Option(help="where it is asked for: portal or gateway")] = "portal",
    portal_cookie: Annotated[bool, typer.Option(help="whether the portal's sign-in is good at the gateway")] = True,
    hip: Annotated[str, typer.Option(help="ask for a host report, or require it")] = "",
    hip_interval: Annotated[int, typer.Option(help="seconds between two host reports")] = 3600,
    route: Annotated[list[str] | None, typer.Option(help="network behind the gateway (repeatable)")] = None,
    no_route: Annotated[list[str] | None, typer.Option(help="network to keep outside (repeatable)")] = None,
    dns: Annotated[list[str] | None, typer.Option(help="name server (repeatable)")] = None,
    default_domain: Annotated[str, typer.Option(help="search domain")] = "",
    mtu: Annotated[int, typer.Option(help="bytes of inner packet")] = 1400,
    tell_mtu: Annotated[bool, typer.Option("--tell-mtu", help="tell the client, too, which else chooses")] = False,
    udp: Annotated[bool, typer.Option("--udp/--no-udp", help="offer ESP")] = True,
    udp_port: Annotated[int, typer.Option(help="of ESP; 0: the number of the TCP port")] = 0,
    cipher: Annotated[str, typer.Option(help="of ESP: aes-128-cbc or aes-256-cbc")] = "aes-128-cbc",
    mac: Annotated[str, typer.Option(help="of ESP: sha1, md5 or sha256")] = "sha1",
    mute: Annotated[bool, typer.Option("--mute", help="offer ESP, but answer nothing")] = False,
    network: Annotated[str, typer.Option(help="IPv4 addresses for clients")] = "10.77.0.0/24",
    network6: Annotated[str, typer.Option(help="IPv6 addresses for clients; empty: none")] = "fd77::/64",
    rekey_time: Annotated[int, typer.Option(help="life of the tunnel's keys in seconds; 0: no end")] = 0,
    session_timeout: Annotated[int, typer.Option(help="seconds until a session ends; 0: never")] = 0,
    tls_max: Annotated[str, typer.Option(help="newest TLS version: 1.2 or 1.3")] = "",
    certificate_file: Annotated[
        Path | None, typer.Option("--certificate", help="PEM; without it one is made, self-signed")
    ] = None,
) -> None:
    """Run a GlobalProtect portal and gateway in one.

    Output and signals are those of `lab serve anyconnect`.
    """
    from vpnclient.cli import lab
    from vpnclient.errors import UsageError
    from vpnclient.lab.gp import GpSite, Variants
    from vpnclient.lab.settings import LabSettings

    host, port = lab.host_and_port(listen)
    variants = Variants(
        without=without,
        gateways=tuple(gateway or ()),
        challenge=challenge_kind,
        challenge_at=challenge_at,
        portal_cookie=portal_cookie,
        hip=hip,
        hip_interval=hip_interval,
        tell_mtu=tell_mtu,
        cipher=cipher,
        mac=mac,
        mute=mute,
    )
    problems = variants.problems()
    if problems:
        raise UsageError("; ".join(problems))
    settings = LabSettings(
        listen_host=host,
        listen_port=port,
        users=lab.read_users(user or [], password_stdin),
        challenge=Secret(challenge) if challenge else None,
        certificate=certificate_file,
        tls_max=tls_max,
        network=lab.parse_one("--network", network, ipaddress.IPv4Network),
        network6=lab.parse_one("--network6", network6, ipaddress.IPv6Network) if network6 else None,
        routes=lab.parse_all("--route", route, ipaddress.ip_network),
        no_routes=lab.parse_all("--no-route", no_route, ipaddress.ip_network),
        dns=lab.parse_all("--dns", dns, ipaddress.ip_address),
        default_domain=default_domain,
        mtu=mtu,
        udp=udp,
        udp_port=udp_port,
        rekey_time=rekey_time,
        rekey_method="new-tunnel",
        session_timeout=session_timeout,
    )

    lab.serve_site(settings, lambda _, store, token: GpSite(settings, store, token, variants))
