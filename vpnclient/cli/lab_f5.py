"""`vpnclient lab serve f5`: the F5 gateway and its variants."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from protocols.base import Secret


def serve_f5(
    listen: Annotated[str, typer.Option(help="ADDRESS:PORT to listen on; port 0: any free one")] = "127.0.0.1:0",
    user: Annotated[list[str] | None, typer.Option(help="who may sign in (repeatable)")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="read a password a line, one for each --user")
    ] = False,
    group: Annotated[list[str] | None, typer.Option(help="groups (domains) to choose from (repeatable)")] = None,
    challenge: Annotated[str, typer.Option(help="ask for this code in a second form")] = "",
    hidden_form: Annotated[bool, typer.Option("--hidden-form", help="one more form, which asks for nothing")] = False,
    script_form: Annotated[bool, typer.Option("--script-form", help="the first form is in a script")] = False,
    hdlc: Annotated[bool, typer.Option("--hdlc", help="ask for HDLC-like framing")] = False,
    udp: Annotated[bool, typer.Option("--udp/--no-udp", help="offer DTLS")] = True,
    udp_port: Annotated[int, typer.Option(help="of DTLS; 0: the number of the TCP port")] = 0,
    dtls_10: Annotated[bool, typer.Option("--dtls-1.0", help="know DTLS 1.0 alone")] = False,
    lost_answer: Annotated[bool, typer.Option("--lost-answer", help="by DTLS begin PPP without an answer")] = False,
    mute: Annotated[bool, typer.Option("--mute", help="offer DTLS, but answer nothing")] = False,
    route: Annotated[list[str] | None, typer.Option(help="network behind the gateway (repeatable)")] = None,
    no_route: Annotated[list[str] | None, typer.Option(help="network to keep outside (repeatable)")] = None,
    dns: Annotated[list[str] | None, typer.Option(help="name server (repeatable)")] = None,
    default_domain: Annotated[str, typer.Option(help="search domain")] = "",
    split_dns: Annotated[list[str] | None, typer.Option(help="domain to resolve through the tunnel")] = None,
    mtu: Annotated[int, typer.Option(help="bytes of inner packet")] = 1400,
    network: Annotated[str, typer.Option(help="IPv4 addresses for clients")] = "10.77.0.0/24",
    network6: Annotated[str, typer.Option(help="IPv6 addresses for clients; empty: none")] = "fd77::/64",
    dpd: Annotated[int, typer.Option(help="seconds until a silent client is asked; 0: never")] = 30,
    banner: Annotated[str, typer.Option(help="text above the sign-in form")] = "",
    session_timeout: Annotated[int, typer.Option(help="seconds until a session ends; 0: never")] = 0,
    tls_max: Annotated[str, typer.Option(help="newest TLS version: 1.2 or 1.3")] = "",
    certificate_file: Annotated[
        Path | None, typer.Option("--certificate", help="PEM; without it one is made, self-signed")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM key of --certificate, if in another file")] = None,
) -> None:
    """Run an F5 BIG-IP APM gateway.

    Output and signals are those of `lab serve anyconnect`.
    """
    from vpnclient.cli import lab
    from vpnclient.lab.f5 import F5Site, F5Variants
    from vpnclient.lab.settings import LabSettings

    host, port = lab.host_and_port(listen)
    variants = F5Variants(
        hdlc=hdlc,
        hidden_form=hidden_form,
        script_form=script_form,
        dtls_10=dtls_10,
        lost_answer=lost_answer,
        mute=mute,
    )
    settings = LabSettings(
        listen_host=host,
        listen_port=port,
        udp=udp,
        udp_port=udp_port,
        users=lab.read_users(user or [], password_stdin),
        groups=tuple(group or ()),
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
        banner=banner,
        session_timeout=session_timeout,
    )
    lab.serve_site(settings, lambda _, store, token: F5Site(settings, store, token, variants))
