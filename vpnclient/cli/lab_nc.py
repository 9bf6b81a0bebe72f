"""`vpnclient lab serve nc`: the Network Connect gateway and its variants."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from protocols.base import Secret


def serve_nc(
    listen: Annotated[str, typer.Option(help="ADDRESS:PORT to listen on; port 0: any free one")] = "127.0.0.1:0",
    user: Annotated[list[str] | None, typer.Option(help="who may sign in (repeatable)")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="read a password a line, one for each --user")
    ] = False,
    realm: Annotated[list[str] | None, typer.Option(help="realms to choose from (repeatable)")] = None,
    role: Annotated[list[str] | None, typer.Option(help="roles to choose from (repeatable)")] = None,
    second_password: Annotated[str, typer.Option(help="a second password in the first form")] = "",
    challenge: Annotated[str, typer.Option(help="ask for this code in a form of its own")] = "",
    code_form: Annotated[str, typer.Option(help="frmDefender, frmTotpToken or frmNextToken")] = "frmDefender",
    notice: Annotated[str, typer.Option(help="text to be accepted behind the sign-in")] = "",
    one_session: Annotated[bool, typer.Option("--one-session", help="ask which running session to end")] = False,
    host_check: Annotated[str, typer.Option(help="the cookie that a host checker must bring")] = "",
    route: Annotated[list[str] | None, typer.Option(help="network behind the gateway (repeatable)")] = None,
    no_route: Annotated[list[str] | None, typer.Option(help="network to keep outside (repeatable)")] = None,
    dns: Annotated[list[str] | None, typer.Option(help="name server (repeatable)")] = None,
    default_domain: Annotated[str, typer.Option(help="search domains")] = "",
    mtu: Annotated[int, typer.Option(help="bytes of inner packet")] = 1400,
    network: Annotated[str, typer.Option(help="IPv4 addresses for clients")] = "10.77.0.0/24",
    idle_timeout: Annotated[int, typer.Option(help="seconds without traffic until a tunnel ends; 0: never")] = 0,
    udp: Annotated[bool, typer.Option("--udp/--no-udp", help="offer ESP over UDP, or do not")] = True,
    udp_port: Annotated[int, typer.Option(help="of ESP; 0: the number of the TCP port")] = 0,
    esp_cipher: Annotated[str, typer.Option(help="aes-128 or aes-256")] = "aes-128",
    esp_mac: Annotated[str, typer.Option(help="md5, sha1 or sha256")] = "sha1",
    esp_rekey: Annotated[int, typer.Option(help="seconds between two ESP keys; 0: none")] = 1080,
    dpd: Annotated[int, typer.Option(help="seconds without ESP until the client goes back to TLS")] = 15,
    session_timeout: Annotated[int, typer.Option(help="seconds until a session ends; 0: never")] = 0,
    status: Annotated[int, typer.Option(help="refuse every tunnel with this code; 8: turned off")] = 0,
    tls_max: Annotated[str, typer.Option(help="newest TLS version: 1.2 or 1.3")] = "",
    certificate_file: Annotated[
        Path | None, typer.Option("--certificate", help="PEM; without it one is made, self-signed")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM key of --certificate, if in another file")] = None,
) -> None:
    """Run a Juniper Network Connect gateway.

    The first line on standard output is JSON with url, pin, tunnel_address
    and protocol; the log goes to standard error.

    SIGINT and SIGTERM end it in order; SIGUSR1 ends every session, SIGUSR2
    drops every link and keeps the cookies.
    """
    from vpnclient.cli import lab
    from vpnclient.lab.nc import NcSite
    from vpnclient.lab.nc_settings import NcSettings

    host, port = lab.host_and_port(listen)
    settings = NcSettings(
        listen_host=host,
        listen_port=port,
        users=lab.read_users(user or [], password_stdin),
        groups=tuple(realm or ()),
        roles=tuple(role or ()),
        second_password=_secret(second_password),
        challenge=_secret(challenge),
        code_form=code_form,
        notice=notice,
        one_session=one_session,
        host_check=_secret(host_check),
        network=lab.parse_one("--network", network, ipaddress.IPv4Network),
        routes=lab.parse_all("--route", route, ipaddress.ip_network),
        no_routes=lab.parse_all("--no-route", no_route, ipaddress.ip_network),
        dns=lab.parse_all("--dns", dns, ipaddress.ip_address),
        default_domain=default_domain,
        mtu=mtu,
        idle_timeout=idle_timeout,
        udp=udp,
        udp_port=udp_port,
        esp_cipher=esp_cipher,
        esp_mac=esp_mac,
        esp_rekey=esp_rekey,
        dpd=dpd,
        session_timeout=session_timeout,
        status=status,
        tls_max=tls_max,
        certificate=certificate_file,
        key=key,
    )
    lab.serve_site(settings, lambda _, store, token: NcSite(settings, store, token))


def _secret(text: str) -> Secret | None:
    return Secret(text) if text else None
