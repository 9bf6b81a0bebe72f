"""`vpnclient lab serve NAME` for a gateway of another package: the options that every gateway has."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated

import typer

from vpnclient.cli import lab
from vpnclient.lab import sites
from vpnclient.lab.settings import LabSettings

if TYPE_CHECKING:
    from typer._click.core import Command


def command_for(name: str) -> Command:
    """The command; the package is imported when it runs."""

    def run(
        listen: Annotated[str, typer.Option(help="ADDRESS:PORT to listen on; port 0: any free one")] = "127.0.0.1:0",
        user: Annotated[list[str] | None, typer.Option(help="who may sign in (repeatable)")] = None,
        password_stdin: lab.PasswordStdin = False,
        route: Annotated[list[str] | None, typer.Option(help="network behind the gateway (repeatable)")] = None,
        no_route: Annotated[list[str] | None, typer.Option(help="network to keep outside (repeatable)")] = None,
        dns: Annotated[list[str] | None, typer.Option(help="name server (repeatable)")] = None,
        default_domain: Annotated[str, typer.Option(help="search domain")] = "",
        mtu: Annotated[int, typer.Option(help="bytes of inner packet")] = 1400,
        network: Annotated[str, typer.Option(help="IPv4 addresses for clients")] = "10.77.0.0/24",
        network6: Annotated[str, typer.Option(help="IPv6 addresses for clients; empty: none")] = "fd77::/64",
        dpd: Annotated[int, typer.Option(help="seconds until a silent peer is asked; 0: never")] = 30,
        banner: Annotated[str, typer.Option(help="text shown when the tunnel is up")] = "",
        session_timeout: Annotated[int, typer.Option(help="seconds until a session ends; 0: never")] = 0,
        certificate_file: lab.CertificateFile = None,
    ) -> None:
        host, port = lab.host_and_port(listen)
        settings = LabSettings(
            listen_host=host,
            listen_port=port,
            users=lab.read_users(user or [], password_stdin),
            certificate=certificate_file,
            network=lab.parse_one("--network", network, ipaddress.IPv4Network),
            network6=lab.parse_one("--network6", network6, ipaddress.IPv6Network) if network6 else None,
            routes=lab.parse_all("--route", route, ipaddress.ip_network),
            no_routes=lab.parse_all("--no-route", no_route, ipaddress.ip_network),
            dns=lab.parse_all("--dns", dns, ipaddress.ip_address),
            default_domain=default_domain,
            mtu=mtu,
            dpd=dpd,
            banner=banner,
            session_timeout=session_timeout,
        )
        lab.serve_site(settings, sites.load(name))

    app = typer.Typer(add_completion=False)
    app.command(name, help="Run this gateway, of another package; signals and output as for those built in.")(run)
    return typer.main.get_command(app)
